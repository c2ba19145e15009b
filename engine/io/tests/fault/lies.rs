//! Each lie can be told, is counted, and does what its name says.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use thermocline_io::{Buffer, Completion, Disk, FaultDisk, Faults, FileId, Operation, Request};

use super::{BLOCK, MIB, complete, disk, read, stored, submit, sync, write};

/// One queue read and one queue write per fault, with that fault certain.
fn with_fault(faults: Faults) -> (FaultDisk, FileId, Completion, Completion, Completion) {
    let disk = disk(3);
    let file = disk.create("segment", MIB).unwrap();
    for block in 0..256 {
        disk.write_at(file, block * BLOCK as u64, &[block as u8; BLOCK]).unwrap();
    }
    disk.sync(file).unwrap();
    disk.set_faults(faults);
    let mut queue = disk.queue().unwrap();
    let wrote = complete(&mut *queue, write(1, file, 7, 99, false));
    let synced = complete(&mut *queue, sync(2, file));
    let found = complete(&mut *queue, read(3, file, 9 * BLOCK as u64, BLOCK));
    disk.set_faults(Faults::default());
    (disk, file, wrote, synced, found)
}

fn bytes(completion: &Completion) -> &[u8] {
    assert!(completion.result.is_ok());
    match &completion.operation {
        Operation::Read { buffer, .. } => buffer,
        other => panic!("not a read: {other:?}"),
    }
}

#[test]
fn errors_are_answered_as_errors() {
    let (disk, .., found) = with_fault(Faults { read_error: 1.0, ..Faults::default() });
    assert!(found.result.is_err() && disk.injected().read_error == 1);
    let (disk, _, wrote, ..) = with_fault(Faults { write_error: 1.0, ..Faults::default() });
    assert!(wrote.result.is_err() && disk.injected().write_error == 1);
    let (disk, _, wrote, ..) = with_fault(Faults { no_space: 1.0, ..Faults::default() });
    assert_eq!(wrote.result.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.injected().no_space, 1);
}

#[test]
fn a_failed_sync_forgets_and_the_next_one_says_ok() {
    let (disk, file, wrote, synced, _) = with_fault(Faults { sync_error_then_ok: 1.0, ..Faults::default() });
    assert!(wrote.result.is_ok() && synced.result.is_err());
    disk.sync(file).unwrap();
    assert_eq!(stored(&disk, file, 7), [99; BLOCK], "the page cache still has it");
    disk.power_cut();
    assert_eq!(stored(&disk, file, 7), [7; BLOCK], "the device does not");
    assert_eq!(disk.injected().sync_error_then_ok, 1);
}

#[test]
fn a_lost_write_says_ok_and_does_nothing() {
    let (disk, file, wrote, ..) = with_fault(Faults { lose_write: 1.0, ..Faults::default() });
    assert!(wrote.result.is_ok() && disk.injected().lose_write == 1);
    assert_eq!(stored(&disk, file, 7), [7; BLOCK]);
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_a_misdirected_read_comes_from_there() {
    let (disk, file, wrote, ..) = with_fault(Faults { misdirect_write: 1.0, ..Faults::default() });
    assert!(wrote.result.is_ok() && disk.injected().misdirect_write == 1);
    assert_eq!(stored(&disk, file, 7), [7; BLOCK]);
    let mut all = vec![0; MIB as usize];
    disk.read_at(file, 0, &mut all).unwrap();
    assert!(all.windows(BLOCK).step_by(512).any(|block| block == [99; BLOCK]));
    let (disk, .., found) = with_fault(Faults { misdirect_read: 1.0, ..Faults::default() });
    assert!(bytes(&found) != [9; BLOCK] && disk.injected().misdirect_read == 1);
}

#[test]
fn rot_flips_one_bit_for_good() {
    let (disk, file, .., found) = with_fault(Faults { bit_rot: 1.0, ..Faults::default() });
    let flipped: u32 = bytes(&found).iter().map(|&byte| (byte ^ 9).count_ones()).sum();
    assert_eq!((flipped, disk.injected().bit_rot), (1, 1));
    disk.power_cut();
    assert_eq!(stored(&disk, file, 9), bytes(&found));
}

#[test]
fn a_bad_sector_fails_until_it_is_written() {
    let (disk, file, .., found) = with_fault(Faults { latent_sector: 1.0, ..Faults::default() });
    assert!(found.result.is_err() && disk.injected().latent_sector == 1);
    disk.power_cut();
    let offset = 9 * BLOCK as u64;
    assert!(disk.read_at(file, offset, &mut [0; BLOCK]).is_err());
    let good = (0..8).filter(|sector| disk.read_at(file, offset + sector * 512, &mut [0; 512]).is_ok()).count();
    assert_eq!(good, 7);
    disk.write_at(file, offset, &[1; BLOCK]).unwrap();
    assert_eq!(stored(&disk, file, 9), [1; BLOCK]);
}

#[test]
fn a_short_request_is_finished_by_later_steps() {
    let disk = FaultDisk::new(4 * MIB, 5, Faults { short_io: 1.0, ..Faults::default() });
    let file = disk.create("segment", MIB).unwrap();
    let mut queue = disk.queue().unwrap();
    let mut buffer = Buffer::new(8 * BLOCK);
    buffer.fill(6);
    let operation = Operation::Write { offset: 0, buffer: Arc::new(buffer), bytes: 0..8 * BLOCK, durable: true };
    submit(&mut *queue, Request { tag: 1, file, operation });
    assert!(disk.step());
    assert_eq!(disk.outstanding(), 1, "only a part of it");
    let mut done = Vec::new();
    queue.wait(Duration::from_secs(1), &mut done).unwrap();
    assert_eq!(done[0].result.as_ref().unwrap(), &(8 * BLOCK));
    assert!((0..8).all(|block| stored(&disk, file, block) == [6; BLOCK]));
    assert!(disk.injected().short_io >= 1);
}

#[test]
fn corruption_by_hand_is_seen_and_survives() {
    let disk = disk(1);
    let file = disk.create("segment", MIB).unwrap();
    disk.corrupt("segment", 5000, 0x81).unwrap();
    disk.power_cut();
    assert_eq!(stored(&disk, file, 1)[5000 - BLOCK], 0x81);
    assert_eq!(disk.corrupt("absent", 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
}
