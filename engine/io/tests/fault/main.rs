//! The lying disk keeps its own promises: what survives, what may not, and that each lie can be told.

mod crash;
mod lies;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use thermocline_io::{Buffer, Completion, Disk, FaultDisk, Faults, FileId, Operation, Queue, Request};

const BLOCK: usize = 4096;
const MIB: u64 = 1 << 20;

fn disk(seed: u64) -> FaultDisk {
    FaultDisk::new(4 * MIB, seed, Faults::default())
}

fn write(tag: u64, file: FileId, block: u64, with: u8, durable: bool) -> Request {
    let mut buffer = Buffer::new(BLOCK);
    buffer.fill(with);
    let offset = block * BLOCK as u64;
    Request { tag, file, operation: Operation::Write { offset, buffer: Arc::new(buffer), bytes: 0..BLOCK, durable } }
}

fn sync(tag: u64, file: FileId) -> Request {
    Request { tag, file, operation: Operation::Sync }
}

fn read(tag: u64, file: FileId, offset: u64, bytes: usize) -> Request {
    Request { tag, file, operation: Operation::Read { offset, buffer: Buffer::new(bytes) } }
}

fn submit(queue: &mut dyn Queue, request: Request) {
    queue.submit(request).expect("there is room");
    queue.flush().unwrap();
}

fn complete(queue: &mut dyn Queue, request: Request) -> Completion {
    submit(queue, request);
    let mut done = Vec::new();
    queue.wait(Duration::from_secs(1), &mut done).unwrap();
    assert_eq!(done.len(), 1);
    done.pop().unwrap()
}

fn stored(disk: &FaultDisk, file: FileId, block: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    assert_eq!(disk.read_at(file, block * BLOCK as u64, &mut bytes).unwrap(), BLOCK);
    bytes
}

#[test]
fn the_same_seed_and_calls_give_the_same_disk() {
    let story = |seed| {
        let all = Faults {
            read_error: 0.05,
            write_error: 0.05,
            sync_error_then_ok: 0.05,
            lose_write: 0.05,
            misdirect_write: 0.05,
            misdirect_read: 0.05,
            bit_rot: 0.05,
            latent_sector: 0.02,
            short_io: 0.2,
            no_space: 0.02,
            lose_directory_sync: 0.2,
        };
        let disk = FaultDisk::new(4 * MIB, seed, all);
        let mut told = Vec::new();
        for round in 0..20u64 {
            let Ok(file) = disk.create(&format!("segment-{}", round % 4), 16 * BLOCK as u64) else {
                continue;
            };
            let mut queue = disk.queue().unwrap();
            for tag in 0..16 {
                submit(&mut *queue, write(tag, file, tag, round as u8 + 1, tag % 4 == 0));
                submit(&mut *queue, read(tag + 100, file, tag * BLOCK as u64, BLOCK));
            }
            submit(&mut *queue, sync(50, file));
            for _ in 0..20 {
                disk.step();
            }
            if round % 5 == 4 {
                disk.power_cut();
            } else if round % 5 == 2 {
                disk.kill();
            }
            let mut done = Vec::new();
            queue.reap(&mut done).unwrap();
            told.extend(done.iter().map(|completion| format!("{:?}", (completion.tag, &completion.result))));
            let mut bytes = vec![0; 16 * BLOCK];
            let count = disk.read_at(file, 0, &mut bytes).ok();
            told.push(format!("{count:?} {:?} {bytes:?}", disk.list().unwrap()));
        }
        (told, disk.injected())
    };
    assert!(story(11) == story(11));
    assert!(story(11) != story(12));
}

#[test]
fn capacity_is_kept() {
    let disk = FaultDisk::new(10_000, 1, Faults::default());
    let file = disk.create("a", 8_000).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 2_000);
    assert_eq!(disk.write_at(file, 0, &[0; 10_001]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.truncate(file, 10_001).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.truncate(file, 10_000).unwrap();
    disk.remove("a").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 10_000);
}
