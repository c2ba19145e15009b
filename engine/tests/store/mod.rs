//! A small store on a simulated disk, whose driver, disk and clock go on step by step while a test waits for a future.
//!
//! Promises: the same steps on each run. Never: a thread, or a time of the machine.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use thermocline::{Driver, Durability, Engine, ManualClock, Options};
use thermocline_io::FaultDisk;

/// Turns after which something never ends.
pub const STEPS_MAX: usize = 100_000;

pub struct Store {
    pub engine: Engine,
    pub driver: Driver,
    pub disk: FaultDisk,
    pub clock: Arc<ManualClock>,
}

/// A small store.
pub fn options(durability: Durability) -> Options {
    Options {
        max_memory: 4 << 20,
        max_disk: 8 << 20,
        segment_bytes: Some(64 << 10),
        durability,
        seed: 5,
        tiny: true,
        ..Options::default()
    }
}

impl Store {
    /// The next life of what lies on this disk.
    pub fn open(disk: &FaultDisk, options: Options) -> Store {
        let clock = Arc::new(ManualClock::at_ms(1_000_000));
        let engine = Engine::open(Arc::new(disk.clone()), options, clock.clone()).unwrap();
        let driver = engine.driver().unwrap();
        Store { engine, driver, disk: disk.clone(), clock }
    }

    pub fn turn(&mut self) {
        self.driver.turn();
        self.disk.step();
        self.clock.advance_us(100);
    }

    pub fn poll<T>(&self, future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        self.driver.enter();
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    pub fn finish<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        for _ in 0..STEPS_MAX {
            if let Some(output) = self.poll(future.as_mut()) {
                return output;
            }
            self.turn();
        }
        panic!("it never ends");
    }
}
