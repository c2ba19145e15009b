//! A queue's descriptor wakes a tokio task, as a worker waits for it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thermocline_io::{BackendChoice, Buffer, Completion, Operation, Queue, Readiness, Request, open_directory};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for readiness, then reaps, until `count` are there.
async fn reap_when_ready(queue: &mut dyn Queue, count: usize) -> Vec<Completion> {
    let ready = Readiness::of(queue).unwrap().unwrap();
    let mut done = Vec::new();
    while done.len() < count {
        timeout(PATIENCE, ready.ready()).await.expect("readiness was slept over").unwrap();
        queue.clear_readiness();
        queue.reap(&mut done).unwrap();
    }
    done
}

fn under_tokio(choice: BackendChoice) {
    let folder = tempfile::tempdir().unwrap();
    let disk = match open_directory(folder.path(), choice) {
        Ok(disk) => disk,
        Err(error) if choice == BackendChoice::Uring => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let file = disk.create("segment", 1 << 20).unwrap();
    let mut queue = disk.queue().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 0..200u64 {
            let count = 1 + round % 32;
            for tag in 0..count {
                let offset = tag * 32768;
                let operation = match (round + tag) % 3 {
                    0 => {
                        let buffer = Arc::new(Buffer::new(32768));
                        Operation::Write { offset, buffer, bytes: 0..32768, durable: tag % 2 == 0 }
                    }
                    1 => Operation::Sync,
                    _ => Operation::Read { offset, buffer: Buffer::new(4096) },
                };
                queue.submit(Request { tag, file, operation }).unwrap();
            }
            queue.flush().unwrap();
            for done in reap_when_ready(&mut *queue, count as usize).await {
                done.result.unwrap();
            }
        }
        let wrong = Operation::Read { offset: 0, buffer: Buffer::new(0) };
        queue.submit(Request { tag: 0, file, operation: wrong }).unwrap();
        let done = reap_when_ready(&mut *queue, 1).await;
        assert!(done[0].result.is_err(), "a refused request wakes as well");

        let ready = Readiness::of(&*queue).unwrap().unwrap();
        let waker = queue.waker();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker();
        });
        timeout(PATIENCE, ready.ready()).await.expect("a wake was slept over").unwrap();
        queue.clear_readiness();
        other.join().unwrap();
        assert!(timeout(Duration::from_millis(20), ready.ready()).await.is_err(), "nothing is left to be ready");
    });
}

#[test]
fn the_ring_wakes_tokio() {
    under_tokio(BackendChoice::Uring);
}

#[test]
fn the_pool_wakes_tokio() {
    under_tokio(BackendChoice::Pool);
}
