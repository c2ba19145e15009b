//! Cold reads: flights and the records they bring.
//!
//! A flight reads the record at one place, once, for everybody who asks meanwhile. It pins its segment, so that the range is
//! not reused under it. What it brings is *known*: a command proves a cold slot with it, as long as the slot still names the
//! place and the segment still has the epoch.
//!
//! Promises: no record is believed unless its checksum holds at its address. Never: publishes over a changed slot (the command
//! that uses the record looks again, under the latch).

use crate::engine::Inner;
use crate::index::Slot;
use crate::log::Log;
use crate::log::record::{Address, Record};
use crate::place::{Place, read_range};
use crate::planted::{self, Bug};
use crate::shard::Shard;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use thermocline_io::{Buffer, Completion, Operation};

/// Reads up to this size are copied out, so that their aligned buffer can be reused at once.
const COPIED_BYTES_MAX: usize = 32 << 10;
/// Up to so many records of one command are found by looking at each.
const KNOWN_SEARCHED_MAX: usize = 16;

enum Bytes {
    Buffer(Buffer),
    Copy(Vec<u8>),
}

/// A record that a flight brought.
pub struct KnownRecord {
    place: Place,
    address: Address,
    bytes: Bytes,
    /// Where the record lies in `bytes`; empty if it is corrupt.
    range: Range<usize>,
}

impl KnownRecord {
    fn new(place: Place, address: Address, bytes: Bytes, at: usize) -> Self {
        let slice = match &bytes {
            Bytes::Buffer(b) => b.get(at..).unwrap_or_default(),
            Bytes::Copy(v) => v.get(at..).unwrap_or_default(),
        };
        let range = match Record::decode(address, slice) {
            Ok(record) if record.kind.is_value() => at..at + record.bytes(),
            _ => 0..0,
        };
        KnownRecord { place, address, bytes, range }
    }

    /// The record did not pass its checksum.
    pub fn is_corrupt(&self) -> bool {
        self.range.is_empty()
    }

    /// Where it was read.
    pub fn address(&self) -> Address {
        self.address
    }

    /// It is still what lies at its place.
    fn is_live(&self, log: &Log) -> bool {
        let segment = &log.segments[self.address.segment as usize];
        segment.epoch() == self.address.epoch && segment.live.lock().is_live(self.address.offset)
    }

    /// The record (checked when it arrived).
    pub fn record(&self) -> Record<'_> {
        let bytes = match &self.bytes {
            Bytes::Buffer(b) => &b[self.range.clone()],
            Bytes::Copy(v) => &v[self.range.clone()],
        };
        Record::parse(bytes)
    }
}

/// Records that a command has read so far.
#[derive(Default)]
pub struct Known {
    records: SmallVec<[Arc<KnownRecord>; 2]>,
    /// Where a place's record stands, once they are many.
    places: Option<HashMap<Place, usize>>,
}

impl Known {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of their records.
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.range.len() as u64).sum()
    }

    /// Adds a record.
    pub fn add(&mut self, record: Arc<KnownRecord>) {
        let place = record.place;
        match self.position(place) {
            Some(at) => self.records[at] = record,
            None => self.records.push(record),
        }
        self.index();
    }

    fn index(&mut self) {
        if self.records.len() > KNOWN_SEARCHED_MAX {
            let places = self.places.get_or_insert_default();
            let indexed = places.len();
            places.extend(self.records[indexed..].iter().enumerate().map(|(n, record)| (record.place, indexed + n)));
        }
    }

    /// Bytes of the records that still lie where they were read.
    pub fn live_bytes(&self, log: &Log) -> u64 {
        self.records.iter().filter(|record| record.is_live(log)).map(|record| record.range.len() as u64).sum()
    }

    /// Forgets what has moved or died since it was read: nothing names it any more.
    pub fn forget_dead(&mut self, log: &Log) {
        self.records.retain(|record| record.is_live(log));
        self.places = None;
        self.index();
    }

    fn position(&self, place: Place) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&place).copied(),
            None => self.records.iter().position(|record| record.place == place),
        }
    }

    /// The record at a place, if it was read in the segment's present epoch.
    pub fn get(&self, place: Place, log: &Log) -> Option<&Arc<KnownRecord>> {
        let joined = || self.records.first().filter(|_| planted::is(Bug::FlightJoinedAcrossOverwrite));
        let record = self.position(place).map(|at| &self.records[at]).or_else(joined)?;
        (log.segments[record.address.segment as usize].epoch() == record.address.epoch).then_some(record)
    }
}

struct FlightState {
    result: Option<Arc<KnownRecord>>,
    failure: Option<String>,
    wakers: Vec<Waker>,
}

/// A read under way.
pub struct Flight {
    place: Place,
    address: Address,
    shard: usize,
    at: usize,
    began_us: u64,
    state: Mutex<FlightState>,
}

/// Waits for a flight.
pub struct Landing(pub Arc<Flight>);

impl Future for Landing {
    type Output = Result<Arc<KnownRecord>, crate::error::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock();
        if let Some(record) = &state.result {
            return Poll::Ready(Ok(record.clone()));
        }
        if let Some(words) = &state.failure {
            let name = crate::log::segment_name(self.0.address.segment);
            return Poll::Ready(Err(crate::error::Error::Io {
                what: format!("reading {name} at {}", self.0.address.offset),
                kind: std::io::ErrorKind::Other,
                words: words.clone(),
            }));
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Inner {
    /// Joins or starts the flight for a cold slot. The caller holds the shard's latch, so the slot's segment cannot be reused
    /// before the pin is set.
    pub(crate) fn flight(&self, shard: &mut Shard, shard_number: usize, slot: Slot) -> Arc<Flight> {
        if let Some(flight) = shard.flights.get(&slot.place()) {
            return flight.clone();
        }
        let place = Place::from_bits(slot.place());
        let (segment, offset) = place.split(self.log.segment_bytes);
        let address = self.log.address(segment, offset);
        let align = self.log.disk.geometry().read_align;
        let (from, bytes) = read_range(offset, slot.class(), align, self.log.segment_bytes);
        let mut flight = Flight {
            place,
            address,
            shard: shard_number,
            at: (offset - from) as usize,
            began_us: self.clock.monotonic_us(),
            state: Mutex::new(FlightState { result: None, failure: None, wakers: Vec::new() }),
        };
        let mut copy = Vec::new();
        if self.log.read_buffered(place, self.record_bytes_max, &mut copy) {
            flight.state.get_mut().result = Some(Arc::new(KnownRecord::new(place, address, Bytes::Copy(copy), 0)));
            return Arc::new(flight);
        }
        let flight = Arc::new(flight);
        let meta = &self.log.segments[segment as usize];
        let Some(file) = meta.file() else {
            flight.state.lock().failure = Some("the segment has no file".into());
            return flight;
        };
        meta.pins.fetch_add(1, Ordering::AcqRel);
        shard.flights.insert(place.bits(), flight.clone());
        let mut buffer = self.read_buffers.take(bytes as usize);
        buffer.set_len(bytes as usize);
        self.counters.cold_reads.fetch_add(1, Ordering::Relaxed);
        self.counters.cold_read_bytes.fetch_add(u64::from(bytes), Ordering::Relaxed);
        let operation = Operation::Read { offset: u64::from(from), buffer };
        self.lanes.submit(file, operation, crate::engine::Job::Flight(flight.clone()));
        flight
    }

    /// A flight's read has completed.
    pub(crate) fn landed(&self, flight: &Arc<Flight>, completion: Completion) {
        let mut outcome = Err(String::new());
        if let Operation::Read { buffer, .. } = completion.operation {
            outcome = match completion.result {
                Ok(bytes) if bytes > flight.at && bytes <= COPIED_BYTES_MAX => {
                    let copy = buffer[flight.at..bytes].to_vec();
                    self.read_buffers.give(buffer);
                    Ok(Arc::new(KnownRecord::new(flight.place, flight.address, Bytes::Copy(copy), 0)))
                }
                Ok(bytes) if bytes > flight.at => {
                    Ok(Arc::new(KnownRecord::new(flight.place, flight.address, Bytes::Buffer(buffer), flight.at)))
                }
                Ok(bytes) => Err(format!("short read of {bytes} bytes")),
                Err(error) => Err(error.to_string()),
            };
        }
        let us = self.clock.monotonic_us().saturating_sub(flight.began_us);
        self.counters.longest_read_us.fetch_max(us, Ordering::Relaxed);
        if let Ok(record) = &outcome
            && record.is_corrupt()
        {
            self.counters.corrupt_records.fetch_add(1, Ordering::Relaxed);
            let name = crate::log::segment_name(flight.address.segment);
            tracing::error!(segment = %name, offset = flight.address.offset, "a record failed its checksum; it is not served");
        }
        self.shards[flight.shard].lock().flights.remove(&flight.place.bits());
        self.log.segments[flight.address.segment as usize].pins.fetch_sub(1, Ordering::AcqRel);
        let wakers = {
            let mut state = flight.state.lock();
            match outcome {
                Ok(record) => state.result = Some(record),
                Err(words) => state.failure = Some(words),
            }
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}
