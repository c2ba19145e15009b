//! Deliberate bugs, to prove that the simulation can fail. Without the cargo feature `planted` nothing here exists at run time:
//! [`is`] is a constant `false`.
//!
//! Promises: at most one bug at a time, chosen per thread by the simulator. Never: a bug in a build without the feature.

/// A rule that can be broken on purpose.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Bug {
    /// `always`: acknowledged before the flush.
    AckEarly,
    /// A written chunk counts as durable without a flush.
    SkipFlush,
    /// Records are believed whatever their checksum says.
    SkipCrc,
    /// A map is written without waiting for what killed its dead.
    MapWithoutCauses,
    /// A map's lengths are taken when its bits have been read.
    MapLengthsLate,
    /// A victim is reused without a map younger than its scan.
    ReuseWithoutMap,
    /// A segment is reused with its old epoch.
    NoNewEpoch,
    /// The partial last group is kept in recovery.
    PartialGroup,
    /// A change of expiry is not logged.
    TtlNotLogged,
    /// Recovery frees a segment in which nothing is live after the replay, although the map on the disk still names it.
    FreeByBits,
    /// Recovery forgets where it cut the log.
    ForgetCuts,
    /// Recovery does not flush what it read.
    NoRecoverySync,
    /// A map that calls the original dead is written before the GC copy is durable.
    MapBeforeGcCopy,
    /// Reads do not wait for what they saw.
    ReadsDoNotWait,
    /// A checkpoint's lengths are taken when its slots have been read.
    CheckpointLengthsLate,
    /// A checkpoint is used with a map that is older than its slots.
    CheckpointYounger,
    /// After a cut the stream goes on in the segment that was cut.
    AppendAfterCut,
    /// A read that was begun before an overwrite answers for the new version.
    FlightJoinedAcrossOverwrite,
    /// Two writers take their seqs before the latch, and the later one gets it first.
    SeqBeforeLatch,
    /// Changes of names are not synced. (Planted in the simulated disk: a real one syncs in `create`, `rename` and `remove`.)
    NoDirectorySync,
    /// No superblock tells that nothing is logged any more.
    LeaveLogUnsaid,
    /// What was changed without a log is not appended when there is one again.
    EnterLogDirty,
    /// What was written while nothing was promised is not synced when something is.
    EnterLogUnsynced,
    /// GC places copies of values that have died.
    GcCopyAfterDeath,
    /// What a segment says has expired goes by the clock alone, whatever its key is by now.
    ExpiredByTime,
    /// A start says nothing of values that damage took. (For the disk that damages what it stores.)
    QuietDamage,
    /// A map is written although nodes have deltas before it.
    MapOverDeltas,
    /// Deltas are applied to whatever version of their node is there.
    DeltasUnchained,
    /// A split's parent is appended in another group than its halves.
    SplitApart,
    /// The sweep of a tree that nobody names any more is not logged.
    TreeSweepUnlogged,
    /// A node with deltas is demoted as if its last full version were all of it.
    DemotionDropsDeltas,
    /// A start forgets that the nodes that it has made of deltas are not in the log as they are.
    DeltasRestoredClean,
    /// Who watches a collection is not told of changes of its nodes.
    WatchSkipsNodes,
    /// Ids of nodes and collections begin anew at each start.
    NodeIdsAgain,
}

impl Bug {
    /// All of them, with the names that the simulator's command line takes.
    pub const ALL: [(&'static str, Bug); 34] = [
        ("ack-early", Bug::AckEarly),
        ("skip-flush", Bug::SkipFlush),
        ("skip-crc", Bug::SkipCrc),
        ("map-without-causes", Bug::MapWithoutCauses),
        ("map-lengths-late", Bug::MapLengthsLate),
        ("reuse-without-map", Bug::ReuseWithoutMap),
        ("no-new-epoch", Bug::NoNewEpoch),
        ("partial-group", Bug::PartialGroup),
        ("ttl-not-logged", Bug::TtlNotLogged),
        ("free-by-bits", Bug::FreeByBits),
        ("forget-cuts", Bug::ForgetCuts),
        ("no-recovery-sync", Bug::NoRecoverySync),
        ("map-before-gc-copy", Bug::MapBeforeGcCopy),
        ("reads-do-not-wait", Bug::ReadsDoNotWait),
        ("checkpoint-lengths-late", Bug::CheckpointLengthsLate),
        ("checkpoint-younger", Bug::CheckpointYounger),
        ("append-after-cut", Bug::AppendAfterCut),
        ("flight-joined-across-overwrite", Bug::FlightJoinedAcrossOverwrite),
        ("seq-before-latch", Bug::SeqBeforeLatch),
        ("no-directory-sync", Bug::NoDirectorySync),
        ("leave-log-unsaid", Bug::LeaveLogUnsaid),
        ("enter-log-dirty", Bug::EnterLogDirty),
        ("enter-log-unsynced", Bug::EnterLogUnsynced),
        ("gc-copy-after-death", Bug::GcCopyAfterDeath),
        ("expired-by-time", Bug::ExpiredByTime),
        ("quiet-damage", Bug::QuietDamage),
        ("map-over-deltas", Bug::MapOverDeltas),
        ("deltas-unchained", Bug::DeltasUnchained),
        ("split-apart", Bug::SplitApart),
        ("tree-sweep-unlogged", Bug::TreeSweepUnlogged),
        ("demotion-drops-deltas", Bug::DemotionDropsDeltas),
        ("deltas-restored-clean", Bug::DeltasRestoredClean),
        ("watch-skips-nodes", Bug::WatchSkipsNodes),
        ("node-ids-again", Bug::NodeIdsAgain),
    ];
}

#[cfg(feature = "planted")]
std::thread_local! {
    static CHOSEN: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Chooses the bug of this thread.
#[cfg(feature = "planted")]
pub fn set(bug: Option<Bug>) {
    CHOSEN.with(|c| c.set(bug));
}

/// Is this rule broken on this thread?
#[cfg(feature = "planted")]
pub(crate) fn is(bug: Bug) -> bool {
    CHOSEN.with(|c| c.get() == Some(bug))
}

/// Is this rule broken on this thread?
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn is(_bug: Bug) -> bool {
    false
}
