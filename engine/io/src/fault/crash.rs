//! How the lying disk goes through a crash.
//!
//! After either kind the queues of before are dead and what was in flight is gone. A power cut keeps of every write that was
//! not made durable, completed or not, whatever the seed says, in units of 512 bytes or 4 KiB. A kill leaves completed writes
//! in the page cache, still pending, and lets those in flight happen whole or not at all.

use super::state::{Outstanding, State};
use crate::Operation;

/// What one power cut tends to.
#[derive(Clone, Copy)]
enum Tendency {
    KeepNone,
    KeepAll,
    Mixed,
}

impl State {
    pub(super) fn power_cut(&mut self) {
        let tendency = match self.random.below(8) {
            0 => Tendency::KeepNone,
            1 => Tendency::KeepAll,
            _ => Tendency::Mixed,
        };
        for index in 0..self.files.len() {
            let pending = self.files[index].as_mut().map(|file| std::mem::take(&mut file.pending));
            for write in pending.unwrap_or_default() {
                self.land(index, write.offset, &write.bytes, tendency);
            }
        }
        for request in self.vanish() {
            if let Operation::Write { offset, buffer, bytes, .. } = &request.operation {
                let from = &buffer[bytes.start + request.done..bytes.end];
                self.land(request.file.0 as usize, offset + request.done as u64, from, tendency);
            }
        }
        for file in self.files.iter_mut().flatten() {
            file.visible = file.durable.clone();
        }
        self.wounds.power_cut();
        self.lose_changes();
    }

    pub(super) fn kill(&mut self) {
        for request in self.vanish() {
            if let Operation::Write { offset, buffer, bytes, .. } = &request.operation
                && self.random.below(2) == 0
            {
                let from = &buffer[bytes.start + request.done..bytes.end];
                // A file removed meanwhile takes its writes with it.
                let _ = self.apply(request.file, offset + request.done as u64, from, false);
            }
        }
    }

    /// Takes what is outstanding, in an order of the seed's, and leaves the queues dead.
    fn vanish(&mut self) -> Vec<Outstanding> {
        self.queues.clear();
        let mut requests = std::mem::take(&mut self.outstanding);
        for last in (1..requests.len()).rev() {
            requests.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        requests
    }

    /// Lets what the seed keeps of a write reach the durable image.
    fn land(&mut self, index: usize, offset: u64, bytes: &[u8], tendency: Tendency) {
        let pieces = match tendency {
            Tendency::KeepNone => Vec::new(),
            Tendency::KeepAll => std::iter::once(0..bytes.len()).collect(),
            Tendency::Mixed => self.torn(bytes.len()),
        };
        if let Some(file) = &mut self.files[index] {
            for piece in pieces {
                file.durable.write(offset + piece.start as u64, &bytes[piece]);
            }
        }
    }
}
