//! Which faults the lying disk commits, how often, and how often it has.
//!
//! All are off by default: such a disk still reorders, and still forgets what was not made durable.

/// Probabilities from 0 to 1, each per request or call that it could strike.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Faults {
    /// A read fails.
    pub read_error: f64,
    /// A write fails. Some of it, sector by sector, may be there all the same.
    pub write_error: f64,
    /// A sync fails and forgets what it should have made durable, so that the next one succeeds without having done it.
    pub sync_error_then_ok: f64,
    /// A write succeeds and does nothing.
    pub lose_write: f64,
    /// A write lands elsewhere in its file.
    pub misdirect_write: f64,
    /// A read comes from elsewhere in its file.
    pub misdirect_read: f64,
    /// A stored bit of what is read flips, for good.
    pub bit_rot: f64,
    /// A sector of what is read goes bad: reads of it fail until it is written again.
    pub latent_sector: f64,
    /// A queue request is carried out in two parts, other requests in between.
    pub short_io: f64,
    /// A write or a create finds no space.
    pub no_space: f64,
    /// A create, rename or remove is lost at a power cut, unless a later one is not lost.
    pub lose_directory_sync: f64,
}

/// How often each fault was committed.
#[derive(Clone, Copy, Eq, PartialEq, Debug, Default)]
pub struct Injected {
    /// Reads that failed.
    pub read_error: u64,
    /// Writes that failed.
    pub write_error: u64,
    /// Syncs that failed and forgot.
    pub sync_error_then_ok: u64,
    /// Writes lost.
    pub lose_write: u64,
    /// Writes that landed elsewhere.
    pub misdirect_write: u64,
    /// Reads that came from elsewhere.
    pub misdirect_read: u64,
    /// Bits flipped.
    pub bit_rot: u64,
    /// Sectors gone bad.
    pub latent_sector: u64,
    /// Requests carried out in parts.
    pub short_io: u64,
    /// Calls that found no space by chance.
    pub no_space: u64,
    /// Directory changes not made durable.
    pub lose_directory_sync: u64,
}
