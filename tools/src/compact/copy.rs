//! Copies the live keys, or goes on where an earlier run was interrupted.
//!
//! Promises: the state names a cursor only when all before it is durable in the new directory; keys behind it are copied again, to
//! the same values. Never: goes on with a directory that a server has opened since.

use super::state::{Before, Identity, Phase, State};
use super::{CompactArgs, Paths, room};
use crate::directory::Directory;
use crate::store::{ReadStore, Wanted, WriteStore, is_absent_or_empty};
use crate::transfer::databases;
use crate::transfer::filter::Filter;
use crate::{print, progress};
use anyhow::{Context, Result, bail};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;
use thermocline::log::map::MapSegment;
use thermocline::log::segment_name;
use thermocline::{Engine, block_on};
use thermocline_transfer::from_store::{Counting, FromStore};
use thermocline_transfer::into_store::IntoStore;
use thermocline_transfer::{Counts, Elements, Head, Sink};

/// So often the state is written.
const STATE_EVERY_US: u64 = 1_000_000;
/// Room beside the live bytes that a copy needs: open and prepared segments, map, checkpoint.
const SPARE_SEGMENTS: u64 = 16;

/// How it ended.
pub enum Copied {
    /// Nothing was to be done.
    Enough(super::Room),
    /// All keys are there; and whether an earlier run had begun.
    Whole(State, bool),
}

/// Copies what is to be copied.
///
/// # Errors
/// The directory is in use or damaged, or there is no room for the copy.
pub fn copy(args: &CompactArgs, paths: &Paths, state: Option<State>) -> Result<Copied> {
    let memory = args.memory.memory;
    let source = ReadStore::open(&paths.source, memory)?;
    let shown = paths.source.display();
    if let Some(damage) = source.damage() {
        bail!("{shown}: {damage}; `thermocline repair` saves what can be");
    }
    let filter = Filter::default();
    let keys = source.keys(&databases(&source.engine, &filter)?);
    let before = room(&paths.source, source.engine.stats().disk_live, keys)?;
    let identity = Identity::of(&source.block);
    let mut resumed = state.filter(|state| state.source == identity && has_superblock(&paths.staging));
    if resumed.is_none() {
        if before.live_percent >= f64::from(args.live) {
            return Ok(Copied::Enough(before));
        }
        if let Some(into) = paths.into.as_ref().filter(|into| !is_absent_or_empty(into).unwrap_or(false)) {
            bail!("{} is not empty: name a directory that is to be made", into.display());
        }
        remove_staging(&paths.staging)?;
        let segment_bytes = u64::from(source.block.segment_bytes);
        let needed = before.live_bytes * 11 / 10 + SPARE_SEGMENTS * segment_bytes;
        let free = crate::store::free_bytes(&paths.staging)?;
        if free < needed {
            bail!(
                "compacting {shown} needs {} beside it, and {} are free; --into writes to another file system",
                print::bytes(needed),
                print::bytes(free)
            );
        }
        let super::Room { segments, bytes, live_bytes, keys, .. } = before;
        State::new(identity, Before { segments, bytes, live_bytes, keys }).write(&paths.state)?;
    }
    let was_begun = resumed.is_some();
    let mut state = match resumed.take() {
        Some(state) => state,
        None => State::read(&paths.state)?.context("the state was just written")?,
    };
    let wanted = Wanted {
        memory,
        max_disk: None,
        segment_bytes: Some(source.block.segment_bytes.into()),
        databases: source.engine.databases(),
    };
    let target = WriteStore::open(&paths.staging, &wanted)?;
    let copied = bring(args, paths, (&source, &target.engine), &mut state);
    if let Err(error) = copied {
        target.close()?;
        return Err(error);
    }
    let all = databases(&target.engine, &filter)?;
    state.after_keys = all.iter().map(|&n| target.engine.length(target.engine.space(n))).sum();
    state.after_live_bytes = target.engine.stats().disk_live;
    target.close()?;
    state.target = drop_unused_segments(&paths.staging)?;
    state.phase = Phase::Switching;
    state.write(&paths.state)?;
    Ok(Copied::Whole(state, was_begun))
}

fn bring(args: &CompactArgs, paths: &Paths, (source, target): (&ReadStore, &Engine), state: &mut State) -> Result<()> {
    let filter = Filter::default();
    let bar = progress::keys("compact", source.keys(&databases(&source.engine, &filter)?));
    bar.set_position(state.copied_keys);
    let (began_us, seconds) = (source.engine.monotonic_us(), state.seconds);
    let mut sink = IntoStore::new(target);
    let progress = Cell::new(Counts::default());
    let mut counting = Shared { counting: Counting { sink: &mut sink, counts: Counts::default() }, counts: &progress };
    let (from, copied_before, mut written_us) = ((state.database, state.cursor), state.copied_keys, began_us);
    let mut step = |database, cursor, looked| {
        bar.inc(looked);
        let now_us = source.engine.monotonic_us();
        let copied = progress.get();
        if let Some(pace) = args.pace {
            let due_us = copied.bytes.saturating_mul(1_000_000) / pace.max(1);
            std::thread::sleep(Duration::from_micros(due_us.saturating_sub(now_us - began_us)));
        }
        if now_us - written_us < STATE_EVERY_US {
            return Ok(());
        }
        written_us = now_us;
        block_on(target.flush_log(target.written_seq())).context("writing the copy")?;
        // Cursor 0 is the end of a database here, and the beginning of one in the state.
        (state.database, state.cursor) = if cursor == 0 { (database + 1, 0) } else { (database, cursor) };
        state.copied_keys = copied_before + copied.keys;
        state.seconds = seconds + (now_us - began_us) as f64 / 1e6;
        state.write(&paths.state)
    };
    let walked =
        FromStore { engine: &source.engine, choice: &filter, salvage: None, leaves_out: None, step: &mut step }
            .run(from, &mut counting);
    bar.finish_and_clear();
    walked?;
    state.copied_keys = copied_before + progress.get().keys;
    state.seconds = seconds + (source.engine.monotonic_us() - began_us) as f64 / 1e6;
    Ok(())
}

/// A counting sink whose counts can be seen while it is in use.
struct Shared<'s> {
    counting: Counting<'s>,
    counts: &'s Cell<Counts>,
}

impl Sink for Shared<'_> {
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
        self.counting.take(head, elements)?;
        self.counts.set(self.counting.counts);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.counting.flush()
    }
}

fn has_superblock(path: &Path) -> bool {
    Directory::open(path).is_ok_and(|directory| directory.superblock().is_some())
}

/// Removes what an earlier run left, if it is ours.
fn remove_staging(path: &Path) -> Result<()> {
    if path.exists() {
        super::switch::remove_ours(path)?;
    }
    if path.exists() {
        bail!("{} is in the way: it holds files that are not ours", path.display());
    }
    Ok(())
}

/// Segments that were made ready and never written are of no use in a directory that is not open. Answers the store's id.
fn drop_unused_segments(path: &Path) -> Result<u32> {
    let directory = Directory::open(path)?;
    let store = directory.superblock().context("the copy has no superblock")?.store;
    for (id, _) in &directory.segments {
        let name = segment_name(*id);
        let first = directory.window(&name, 0, 4096).with_context(|| format!("reading {name}"))?;
        if directory.map_of(*id).is_none_or(MapSegment::none_live) && first.iter().all(|&byte| byte == 0) {
            drop(first);
            std::fs::remove_file(path.join(&name)).with_context(|| format!("removing {name}"))?;
        }
    }
    Ok(store)
}
