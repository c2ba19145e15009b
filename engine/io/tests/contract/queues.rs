//! Promises about queues: every request completes once, buffers come back, wakes are not lost.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thermocline_io::{Buffer, FileId, Operation, QUEUE_DEPTH_MAX, Request};

use super::{MIB, Subject, bytes_of, error_of, filled, finish, read, run, run_one, sync, write};

pub fn queue_and_blocking_side_see_each_other(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 64 * 1024).unwrap();
    let mut queue = disk.queue().unwrap();
    for round in 1..20u8 {
        let done = run_one(&mut *queue, write(1, file, 8192, filled(8192, round), round % 2 == 0));
        assert_eq!(done.result.unwrap(), 8192);
        let mut byte = [0];
        disk.read_at(file, 8192 + 4097, &mut byte).unwrap();
        assert_eq!(byte, [round]);
        disk.write_at(file, 8192 + 4097, &[round + 100]).unwrap();
        let bytes = bytes_of(run_one(&mut *queue, read(2, file, 8192, 8192)));
        assert_eq!(bytes[4096..4099], [round, round + 100, round]);
    }
    disk.sync(file).unwrap();
}

pub fn only_the_asked_part_of_a_buffer_is_written(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 16 * 1024).unwrap();
    let mut queue = disk.queue().unwrap();
    let buffer = Arc::new(filled(16 * 1024, 4));
    let operation = Operation::Write { offset: 8192, buffer: buffer.clone(), bytes: 4096..8192, durable: true };
    let done = run_one(&mut *queue, Request { tag: 1, file, operation });
    assert_eq!(done.result.unwrap(), 4096);
    let mut bytes = vec![9; 16 * 1024];
    disk.read_at(file, 0, &mut bytes).unwrap();
    assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == if (8192..12288).contains(&at) { 4 } else { 0 }));
    drop(done.operation);
    assert_eq!(Arc::strong_count(&buffer), 1, "the disk keeps no share of a buffer it gave back");
}

pub fn a_full_queue_gives_the_request_back(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 64 * 1024).unwrap();
    let mut queue = disk.queue().unwrap();
    for tag in 0..QUEUE_DEPTH_MAX as u64 {
        queue.submit(read(tag, file, 4096 * (tag % 16), 4096)).unwrap();
    }
    assert_eq!(queue.in_flight(), QUEUE_DEPTH_MAX);
    let back = queue.submit(read(999, file, 0, 4096)).unwrap_err();
    assert_eq!(back.tag, 999);
    let mut done = Vec::new();
    finish(&mut *queue, QUEUE_DEPTH_MAX, &mut done);
    assert_eq!(queue.in_flight(), 0);
    let mut tags: Vec<u64> = done.iter().map(|completion| completion.tag).collect();
    tags.sort_unstable();
    assert!(tags.into_iter().eq(0..QUEUE_DEPTH_MAX as u64), "each completes once");
    assert!(run_one(&mut *queue, back).result.is_ok());
}

pub fn a_misaligned_request_completes_as_invalid(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 64 * 1024).unwrap();
    let mut queue = disk.queue().unwrap();
    let wrong = |offset, buffer: Buffer, bytes| {
        let operation = Operation::Write { offset, buffer: Arc::new(buffer), bytes, durable: false };
        Request { tag: 1, file, operation }
    };
    let mut requests = vec![
        wrong(100, Buffer::new(4096), 0..4096),
        wrong(0, Buffer::new(4096), 0..1000),
        wrong(0, Buffer::new(8192), 512..4608),
        wrong(0, Buffer::new(4096), 0..8192),
        wrong(u64::MAX - 4095, Buffer::new(4096), 0..4096),
        read(1, file, 0, 0),
    ];
    let align = u64::from(disk.geometry().read_align);
    if align > 1 {
        requests.extend([read(1, file, align / 2, 4096), read(1, file, 0, 4096 + align as usize / 2)]);
    }
    for request in requests {
        let shown = format!("{request:?}");
        assert_eq!(error_of(run_one(&mut *queue, request)), ErrorKind::InvalidInput, "{shown}");
    }
    assert_eq!(queue.in_flight(), 0);
    assert!(run_one(&mut *queue, read(2, file, align, align as usize)).result.is_ok());
}

pub fn a_short_read_is_an_error(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 0).unwrap();
    disk.write_at(file, 0, &[1; 10_000]).unwrap();
    let mut queue = disk.queue().unwrap();
    for (offset, bytes) in [(8192, 4096), (4096, 8192), (12_288, 4096), (1 << 20, 4096)] {
        let done = run_one(&mut *queue, read(1, file, offset, bytes));
        assert_eq!(error_of(done), ErrorKind::UnexpectedEof, "{bytes} at {offset}");
    }
    assert_eq!(bytes_of(run_one(&mut *queue, read(2, file, 4096, 4096))), [1; 4096]);
}

pub fn an_unknown_file_completes_as_not_found(subject: Subject) {
    let mut queue = subject.disk.queue().unwrap();
    for request in [read(1, FileId(77), 0, 4096), write(1, FileId(77), 0, Buffer::new(4096), true), sync(1, FileId(77))]
    {
        assert_eq!(error_of(run_one(&mut *queue, request)), ErrorKind::NotFound);
    }
}

pub fn nothing_completes_before_it_is_flushed(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 4096).unwrap();
    let mut queue = disk.queue().unwrap();
    queue.submit(sync(1, file)).unwrap();
    let mut done = Vec::new();
    assert_eq!(queue.reap(&mut done).unwrap(), 0);
    assert_eq!(queue.in_flight(), 1);
    queue.flush().unwrap();
    finish(&mut *queue, 1, &mut done);
    assert_eq!(done[0].result.as_ref().unwrap(), &0);
}

pub fn many_requests_in_flight_do_not_mix(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", MIB).unwrap();
    let mut queue = disk.queue().unwrap();
    let writes = (0..128).map(|tag| write(tag, file, tag * 8192, filled(8192, tag as u8), tag % 3 == 0));
    for done in run(&mut *queue, writes.collect()) {
        assert_eq!(done.result.unwrap(), 8192);
    }
    assert!(run_one(&mut *queue, sync(0, file)).result.is_ok());
    let reads = (0..128).map(|tag| read(tag, file, tag * 8192, 8192));
    for done in run(&mut *queue, reads.collect()) {
        let tag = done.tag;
        assert!(bytes_of(done).iter().all(|&byte| byte == tag as u8));
    }
}

pub fn a_queue_may_move_before_its_first_use_and_be_dropped_elsewhere(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", MIB).unwrap();
    let mut queue = disk.queue().unwrap();
    let moved = thread::spawn(move || {
        assert!(run_one(&mut *queue, write(1, file, 0, filled(4096, 1), false)).result.is_ok());
        for tag in 0..64 {
            queue.submit(write(tag, file, 4096 + tag * 4096, filled(4096, 2), false)).unwrap();
        }
        queue.flush().unwrap();
        queue
    });
    drop(moved.join().unwrap());
    let mut bytes = vec![0; 65 * 4096];
    disk.read_at(file, 0, &mut bytes).unwrap();
    assert!(bytes[..4096].iter().all(|&byte| byte == 1));
}

pub fn dropping_a_queue_waits_for_what_was_flushed(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 8 * MIB).unwrap();
    for round in 1..5u8 {
        let mut queue = disk.queue().unwrap();
        for tag in 0..128 {
            queue.submit(write(tag, file, tag * 65536, filled(65536, round), false)).unwrap();
        }
        queue.flush().unwrap();
        queue.submit(write(200, file, 0, filled(4096, 99), false)).unwrap();
        drop(queue);
        let mut bytes = vec![0; 8 * MIB as usize];
        disk.read_at(file, 0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == round));
    }
}

pub fn a_wake_ends_the_wait(subject: Subject) {
    let mut queue = subject.disk.queue().unwrap();
    let (waker, mut done) = (queue.waker(), Vec::new());
    waker();
    assert_eq!(queue.wait(Duration::from_secs(3600), &mut done).unwrap(), 0, "a wake before the wait is not lost");
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        waker();
    });
    assert_eq!(queue.wait(Duration::from_secs(3600), &mut done).unwrap(), 0);
    other.join().unwrap();
}

pub fn a_wait_ends_in_time(subject: Subject) {
    let mut queue = subject.disk.queue().unwrap();
    let mut done = Vec::new();
    assert_eq!(queue.wait(Duration::from_millis(5), &mut done).unwrap(), 0);
    assert_eq!(queue.wait(Duration::ZERO, &mut done).unwrap(), 0);
}

pub fn a_waker_outlives_its_queue(subject: Subject) {
    let waker = subject.disk.queue().unwrap().waker();
    drop(subject);
    waker();
}

pub fn a_queue_outlives_its_disk(subject: Subject) {
    let Subject { disk, folder } = subject;
    let file = disk.create("segment", 4096).unwrap();
    let mut queue = disk.queue().unwrap();
    drop(disk);
    assert!(run_one(&mut *queue, write(1, file, 0, filled(4096, 1), true)).result.is_ok());
    drop(folder);
}

pub fn a_file_removed_under_way_hurts_nobody(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", MIB).unwrap();
    let mut queue = disk.queue().unwrap();
    for tag in 0..32 {
        queue.submit(write(tag, file, tag * 32768, filled(32768, 1), false)).unwrap();
    }
    queue.flush().unwrap();
    disk.remove("segment").unwrap();
    let mut done = Vec::new();
    finish(&mut *queue, 32, &mut done);
    assert_eq!(queue.in_flight(), 0);
}
