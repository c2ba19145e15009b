//! The blocking side's bytes: any offset, any length, on a file that may be open for direct I/O.
//!
//! Direct I/O wants aligned memory and aligned offsets: what is both is read where it is wanted (recovery reads whole blocks into
//! a `Buffer`), everything else goes through an aligned buffer of at most 1 MiB. The ends of an unaligned write are read, changed
//! and written back under the file's lock; a write past the end pads its last block with zeros and then cuts the file to the exact
//! length. Through the same descriptor as the queue's I/O it is coherent with it: a completed queue write is seen, and the other
//! way round.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::check::invalid;
use crate::directory::OpenFile;
use crate::{Buffer, Geometry, WRITE_ALIGN};

/// The largest piece that goes through one buffer.
const BOUNCE_BYTES_MAX: usize = 1 << 20;

const BLOCK: u64 = WRITE_ALIGN as u64;

/// Fills `into` from `offset` as far as the file goes.
pub(crate) fn read_at(file: &OpenFile, geometry: Geometry, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let is_block = |number: usize| (number as u64).is_multiple_of(BLOCK);
    let is_aligned = is_block(into.as_ptr().addr()) && is_block(into.len()) && offset.is_multiple_of(BLOCK);
    if !geometry.direct || is_aligned {
        return read_whole(&file.file, into, offset);
    }
    let mut done = 0;
    while done < into.len() {
        let at =
            offset.checked_add(done as u64).ok_or_else(|| invalid(format!("offset {offset} is beyond any file")))?;
        let skip = (at % BLOCK) as usize;
        let wanted = (into.len() - done).min(BOUNCE_BYTES_MAX - skip);
        let mut buffer = Buffer::new((skip + wanted).next_multiple_of(BLOCK as usize));
        let found = read_whole(&file.file, &mut buffer, at - skip as u64)?;
        let bytes = found.saturating_sub(skip).min(wanted);
        into[done..done + bytes].copy_from_slice(&buffer[skip..skip + bytes]);
        done += bytes;
        if bytes < wanted {
            break;
        }
    }
    Ok(done)
}

/// Writes all of `from` at `offset`.
pub(crate) fn write_at(file: &OpenFile, geometry: Geometry, offset: u64, from: &[u8]) -> io::Result<()> {
    if !geometry.direct {
        return file.file.write_all_at(from, offset);
    }
    let _rewriting = file.rewriting.lock();
    let mut done = 0;
    while done < from.len() {
        let at =
            offset.checked_add(done as u64).ok_or_else(|| invalid(format!("offset {offset} is beyond any file")))?;
        let skip = (at % BLOCK) as usize;
        let bytes = (from.len() - done).min(BOUNCE_BYTES_MAX - skip);
        write_blocks(&file.file, at, skip, &from[done..done + bytes])?;
        done += bytes;
    }
    Ok(())
}

/// Writes the blocks that `from` at `at` touches, `skip` bytes into the first, keeping what else is in them.
fn write_blocks(file: &File, at: u64, skip: usize, from: &[u8]) -> io::Result<()> {
    let start = at - skip as u64;
    let length = file.metadata()?.len();
    let mut buffer = Buffer::new((skip + from.len()).next_multiple_of(BLOCK as usize));
    if skip != 0 {
        read_block(file, &mut buffer, 0, start)?;
    }
    let last = buffer.len() - BLOCK as usize;
    if !(skip + from.len()).is_multiple_of(BLOCK as usize) && (last > 0 || skip == 0) {
        read_block(file, &mut buffer, last, start)?;
    }
    buffer[skip..skip + from.len()].copy_from_slice(from);
    file.write_all_at(&buffer, start)?;
    let end = (at + from.len() as u64).max(length);
    if start + buffer.len() as u64 > end {
        file.set_len(end)?;
    }
    Ok(())
}

/// Reads one block of the file into its place in the buffer; what lies beyond the end is zeros.
fn read_block(file: &File, buffer: &mut Buffer, position: usize, start: u64) -> io::Result<()> {
    let block = &mut buffer[position..position + BLOCK as usize];
    let found = read_whole(file, block, start + position as u64)?;
    block[found..].fill(0);
    Ok(())
}

/// Reads until `into` is full or the file ends. An unaligned count is an end too: going on from there is refused by direct I/O.
fn read_whole(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !done.is_multiple_of(512) => {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
