//! How the lying disk carries out reads, writes and syncs, lies included.

use std::io;
use std::ops::Range;

use super::image::PAGE;
use super::state::{Outstanding, State};
use crate::check::end_of_file;
use crate::{Completion, FileId, Operation};

/// The smallest piece that a device writes whole.
pub(super) const SECTOR: u64 = 512;

fn sectors(offset: u64, bytes: usize) -> Range<u64> {
    offset / SECTOR..(offset + bytes as u64).div_ceil(SECTOR)
}

fn device_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl State {
    /// Reads what there is, as `Disk::read_at`.
    pub(super) fn read(&mut self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file(file)?.visible.length();
        let bytes = length.saturating_sub(offset).min(into.len() as u64) as usize;
        if bytes == 0 {
            return Ok(0);
        }
        if self.random.chance(self.faults.read_error) {
            self.injected.read_error += 1;
            return Err(device_error());
        }
        if self.random.chance(self.faults.latent_sector) {
            self.injected.latent_sector += 1;
            let range = sectors(offset, bytes);
            let sector = range.start + self.random.below(range.end - range.start);
            self.bad_sectors.insert((file.0, sector));
            self.wounds.add(file, sector * SECTOR, SECTOR);
        }
        let range = sectors(offset, bytes);
        if self.bad_sectors.range((file.0, range.start)..(file.0, range.end)).next().is_some() {
            return Err(device_error());
        }
        if self.random.chance(self.faults.bit_rot) {
            self.injected.bit_rot += 1;
            let (at, mask) = (offset + self.random.below(bytes as u64), 1 << self.random.below(8));
            self.flip(file, at, mask)?;
        }
        let mut from = offset;
        if self.random.chance(self.faults.misdirect_read) {
            self.injected.misdirect_read += 1;
            from = self.elsewhere(length, bytes);
        }
        Ok(self.file(file)?.visible.read(from, &mut into[..bytes]))
    }

    /// Writes all of it, visible at once, durable only if asked.
    pub(super) fn write(&mut self, file: FileId, offset: u64, from: &[u8], durable: bool) -> io::Result<()> {
        let length = self.file(file)?.visible.length();
        let end = offset.saturating_add(from.len() as u64);
        self.check_space(end.saturating_sub(length))?;
        if self.random.chance(self.faults.write_error) {
            self.injected.write_error += 1;
            for piece in self.torn(from.len()) {
                self.apply(file, offset + piece.start as u64, &from[piece], false)?;
            }
            return Err(device_error());
        }
        if self.random.chance(self.faults.lose_write) {
            self.injected.lose_write += 1;
            self.wounds.add(file, offset, from.len() as u64);
            return Ok(());
        }
        let mut to = offset;
        if length >= from.len() as u64 && self.random.chance(self.faults.misdirect_write) {
            self.injected.misdirect_write += 1;
            to = self.elsewhere(length, from.len());
        }
        self.apply(file, to, from, durable)?;
        if to != offset {
            for at in [offset, to] {
                self.wounds.add(file, at, from.len() as u64);
            }
        }
        Ok(())
    }

    /// Lets bytes land in the visible image.
    pub(super) fn apply(&mut self, file: FileId, offset: u64, from: &[u8], durable: bool) -> io::Result<()> {
        let mut cured = false;
        for sector in sectors(offset, from.len()) {
            if self.bad_sectors.is_empty() {
                break;
            }
            cured |= self.bad_sectors.remove(&(file.0, sector));
        }
        let number = self.write_number;
        self.write_number += 1;
        let pending = (!durable).then_some(number);
        if self.wounds.touch(file, &(offset..offset + from.len() as u64)) {
            let mut there = vec![0; from.len()];
            let read = self.file(file)?.visible.read(offset, &mut there);
            if there[..read] != from[..read] || cured {
                self.wounds.written(file, offset, from.len() as u64, pending);
            }
        }
        let file = self.file(file)?;
        if durable {
            file.write_durable(offset, from);
        } else {
            file.write_pending(number, offset, from);
        }
        Ok(())
    }

    /// Makes durable what completed in the file below a number.
    pub(super) fn sync(&mut self, file: FileId, covers_below: u64) -> io::Result<()> {
        self.file(file)?;
        let failed = self.random.chance(self.faults.sync_error_then_ok);
        self.file(file)?.settle_below(covers_below, !failed);
        if !failed {
            self.wounds.settled(file, covers_below);
        }
        if failed {
            self.injected.sync_error_then_ok += 1;
            return Err(device_error());
        }
        Ok(())
    }

    /// Flips stored bits, in the visible and the durable image.
    pub(super) fn flip(&mut self, file: FileId, offset: u64, mask: u8) -> io::Result<()> {
        self.wounds.add(file, offset, 1);
        let file = self.file(file)?;
        file.visible.flip(offset, mask);
        file.durable.flip(offset, mask);
        for write in &mut file.pending {
            let inside = offset.checked_sub(write.offset).and_then(|at| write.bytes.get_mut(at as usize));
            if let Some(byte) = inside {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// Carries out one outstanding request, or a part of it.
    pub(super) fn step(&mut self) -> bool {
        if self.outstanding.is_empty() {
            return false;
        }
        let chosen = self.random.below(self.outstanding.len() as u64) as usize;
        let request = self.outstanding.swap_remove(chosen);
        self.carry_out(request);
        true
    }

    pub(super) fn carry_out(&mut self, mut request: Outstanding) {
        let result = match self.next_part(&mut request) {
            Ok(true) => Ok(request.done),
            Ok(false) => return self.outstanding.push(request),
            Err(error) => Err(error),
        };
        let Outstanding { queue, tag, file, operation, .. } = request;
        if let Some(done) = self.queues.get_mut(&queue) {
            done.push(Completion { tag, file, operation, result });
        }
    }

    /// Carries out the rest of a request, or less. Answers whether it is finished.
    fn next_part(&mut self, request: &mut Outstanding) -> io::Result<bool> {
        let (file, done) = (request.file, request.done);
        match &mut request.operation {
            Operation::Read { offset, buffer } => {
                let wanted = self.part(buffer.len() - done, SECTOR as usize);
                let found = self.read(file, *offset + done as u64, &mut buffer[done..done + wanted])?;
                if found < wanted {
                    return Err(end_of_file());
                }
                request.done += wanted;
                Ok(request.done == buffer.len())
            }
            Operation::Write { offset, buffer, bytes, durable } => {
                let wanted = self.part(bytes.len() - done, PAGE);
                let start = bytes.start + done;
                self.write(file, *offset + done as u64, &buffer[start..start + wanted], *durable)?;
                request.done += wanted;
                Ok(request.done == bytes.len())
            }
            Operation::Sync => self.sync(file, request.covers_below).map(|()| true),
        }
    }

    /// How much of a request is carried out in one go: all, or sometimes some multiple of `align`.
    fn part(&mut self, rest: usize, align: usize) -> usize {
        let units = (rest / align) as u64;
        if units < 2 || !self.random.chance(self.faults.short_io) {
            return rest;
        }
        self.injected.short_io += 1;
        (1 + self.random.below(units - 1)) as usize * align
    }

    fn elsewhere(&mut self, length: u64, bytes: usize) -> u64 {
        self.random.below(length.saturating_sub(bytes as u64) / SECTOR + 1) * SECTOR
    }

    /// Which pieces of a write survive something: none, all, or any, by sector or by page.
    pub(super) fn torn(&mut self, bytes: usize) -> Vec<Range<usize>> {
        let unit = match self.random.below(4) {
            0 => return Vec::new(),
            1 => bytes.max(1),
            2 => SECTOR as usize,
            _ => PAGE,
        };
        let whole = unit == bytes.max(1);
        let pieces = (0..bytes).step_by(unit).map(|start| start..(start + unit).min(bytes));
        pieces.filter(|_| whole || self.random.below(2) == 0).collect()
    }
}
