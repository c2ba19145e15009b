//! One list of promises, kept by every disk: io_uring, the pool, memory, a shadow over memory, and the lying disk without faults.
//!
//! Each promise is a function over a `Subject` (in `files` and `queues`); the macro makes a test of each for each disk. Where the kernel
//! gives no ring, the `uring` tests say so and pass.

mod files;
mod queues;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thermocline_io::{
    BackendChoice, Buffer, Completion, Disk, FaultDisk, Faults, FileId, MemoryDisk, Operation, Queue, Request,
    ShadowDisk, open_directory,
};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_millis(100);

/// A disk, and the folder it may live in.
struct Subject {
    disk: Arc<dyn Disk>,
    folder: Option<TempDir>,
}

impl Subject {
    fn in_folder(choice: BackendChoice) -> io::Result<Subject> {
        let folder = tempfile::tempdir()?;
        Ok(Subject { disk: open_directory(folder.path(), choice)?, folder: Some(folder) })
    }
}

fn uring() -> Option<Subject> {
    Subject::in_folder(BackendChoice::Uring).map_err(|error| println!("skipped: {error}")).ok()
}

fn pool() -> Option<Subject> {
    Some(Subject::in_folder(BackendChoice::Pool).unwrap())
}

fn memory() -> Option<Subject> {
    Some(Subject { disk: Arc::new(MemoryDisk::new(16 * MIB)), folder: None })
}

fn shadow() -> Option<Subject> {
    let below = Arc::new(MemoryDisk::new(16 * MIB));
    Some(Subject { disk: Arc::new(ShadowDisk::new(below, 16 * MIB).unwrap()), folder: None })
}

fn fault() -> Option<Subject> {
    Some(Subject { disk: Arc::new(FaultDisk::new(16 * MIB, 1, Faults::default())), folder: None })
}

fn filled(bytes: usize, with: u8) -> Buffer {
    let mut buffer = Buffer::new(bytes);
    buffer.fill(with);
    buffer
}

fn read(tag: u64, file: FileId, offset: u64, bytes: usize) -> Request {
    Request { tag, file, operation: Operation::Read { offset, buffer: Buffer::new(bytes) } }
}

fn write(tag: u64, file: FileId, offset: u64, buffer: Buffer, durable: bool) -> Request {
    let bytes = 0..buffer.len();
    Request { tag, file, operation: Operation::Write { offset, buffer: Arc::new(buffer), bytes, durable } }
}

fn sync(tag: u64, file: FileId) -> Request {
    Request { tag, file, operation: Operation::Sync }
}

/// Submits all, waits for all, and sorts the answers by tag.
fn run(queue: &mut dyn Queue, requests: Vec<Request>) -> Vec<Completion> {
    let (count, mut done) = (requests.len(), Vec::new());
    for request in requests {
        queue.submit(request).expect("there is room");
    }
    finish(queue, count, &mut done);
    done.sort_by_key(|completion| completion.tag);
    done
}

fn finish(queue: &mut dyn Queue, count: usize, done: &mut Vec<Completion>) {
    for _ in 0..300 {
        if done.len() == count {
            return;
        }
        queue.wait(PATIENCE, done).unwrap();
    }
    panic!("{} of {count} completed in time", done.len());
}

fn run_one(queue: &mut dyn Queue, request: Request) -> Completion {
    run(queue, vec![request]).pop().unwrap()
}

fn error_of(completion: Completion) -> ErrorKind {
    completion.result.unwrap_err().kind()
}

fn bytes_of(completion: Completion) -> Vec<u8> {
    completion.result.unwrap();
    match completion.operation {
        Operation::Read { buffer, .. } => buffer.to_vec(),
        other => panic!("not a read: {other:?}"),
    }
}

macro_rules! contract {
    ($($room:ident: $($promise:ident)*;)*) => {
        contract!(@uring $($room: $($promise)*;)*);
        contract!(@pool $($room: $($promise)*;)*);
        contract!(@memory $($room: $($promise)*;)*);
        contract!(@shadow $($room: $($promise)*;)*);
        contract!(@fault $($room: $($promise)*;)*);
    };
    (@$disk:ident $($room:ident: $($promise:ident)*;)*) => {
        mod $disk {
            $($(#[test]
            fn $promise() {
                if let Some(subject) = super::$disk() {
                    super::$room::$promise(subject);
                }
            })*)*
        }
    };
}

contract! {
    files:
        a_created_file_is_zeros_of_its_length
        a_name_gives_one_id
        creating_again_empties_the_file_and_keeps_its_id
        files_are_listed_by_name
        a_removed_file_is_gone
        a_renamed_file_keeps_its_id_and_replaces_the_other
        names_that_are_not_plain_are_refused
        blocking_calls_take_any_alignment
        a_large_blocking_write_arrives_whole
        truncate_cuts_and_grows_with_zeros
        a_create_without_room_leaves_no_file
        the_report_and_the_geometry_agree;
    queues:
        queue_and_blocking_side_see_each_other
        only_the_asked_part_of_a_buffer_is_written
        a_full_queue_gives_the_request_back
        a_misaligned_request_completes_as_invalid
        a_short_read_is_an_error
        an_unknown_file_completes_as_not_found
        nothing_completes_before_it_is_flushed
        many_requests_in_flight_do_not_mix
        a_queue_may_move_before_its_first_use_and_be_dropped_elsewhere
        dropping_a_queue_waits_for_what_was_flushed
        a_wake_ends_the_wait
        a_wait_ends_in_time
        a_waker_outlives_its_queue
        a_queue_outlives_its_disk
        a_file_removed_under_way_hurts_nobody;
}
