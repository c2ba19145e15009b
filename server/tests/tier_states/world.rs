//! A whole server without sockets or threads: the store on a simulated disk whose requests complete when the test says so.
//!
//! Promises: nothing happens by itself, time stands still unless it is turned; the same calls give the same answers. Never: a
//! real file.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use thermocline::{Driver, Durability, Engine, ManualClock, Options};
use thermocline_io::{FaultDisk, Faults};
use thermocline_resp::Limits;
use thermocline_server::config::{Given, Settings};
use thermocline_server::dispatch::{Batch, Dispatcher, FillBounds, Stretch};
use thermocline_server::server::{About, Server};
use thermocline_server::session::Session;

const DISK_BYTES: u64 = 8 << 20;
/// A future that has not ended by then waits for nobody.
const STEPS_MAX: usize = 100_000;
const START_MS: u64 = 1_000_000;

/// The server and everything around it.
pub struct World {
    pub server: Server,
    pub clock: Arc<ManualClock>,
    disk: FaultDisk,
    driver: Driver,
}

/// A client.
pub struct Client {
    session: Session,
}

impl World {
    /// `index_bits_kept`: 64, or few, so that nearly every key's slot looks like every other's.
    pub fn new(durability: Durability, index_bits_kept: u32) -> World {
        let disk = FaultDisk::new(2 * DISK_BYTES, 7, Faults::default());
        let clock = Arc::new(ManualClock::at_ms(START_MS));
        let options = Options {
            max_memory: 4 << 20,
            max_disk: DISK_BYTES,
            segment_bytes: Some(64 << 10),
            durability,
            index_bits_kept,
            seed: 11,
            tiny: true,
            ..Options::default()
        };
        let engine = Engine::open(Arc::new(disk.clone()), options, clock.clone()).expect("an empty disk opens");
        engine.set_active_expire(false);
        let driver = engine.driver().expect("the simulated disk gives a queue");
        let settings = Settings::new(&Given::from_command_line(&[]).expect("no words are right words"));
        let about = About {
            run_id: "0".repeat(40),
            started_ms: START_MS,
            port: 0,
            config_file: None,
            workers: 1,
            machine_bytes: 0,
            max_memory: 4 << 20,
            max_disk: DISK_BYTES,
        };
        World { server: Server::new(engine, settings, about), clock, disk, driver }
    }

    pub fn client(&self) -> Client {
        let address: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        Client { session: Session::new(self.server.clients.add(address, address, START_MS), true) }
    }

    /// The answer to one command. `meanwhile` is begun first, and ends some time while it runs.
    pub fn ask_beside(&mut self, client: &mut Client, words: &[&str], meanwhile: Option<Meanwhile<'_>>) -> Vec<u8> {
        let mut input = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            input.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        let World { server, disk, driver, .. } = self;
        let mut batch = Batch::default();
        let bounds = FillBounds {
            limits: Limits::default(),
            space: Some((server.engine(), server.engine().space(client.session.database))),
        };
        driver.enter();
        batch.fill(&mut input, 0, &bounds);
        let dispatcher = Dispatcher::new(server, 0);
        let mut output = Vec::new();
        let mut meanwhile = meanwhile;
        {
            let mut asked = pin!(dispatcher.execute(&mut client.session, &input, &batch, Stretch::at(0), &mut output));
            let mut context = Context::from_waker(Waker::noop());
            let mut ended = false;
            for step in 0.. {
                assert!(step < STEPS_MAX, "{words:?} never ends");
                if let Some(other) = &mut meanwhile
                    && other.as_mut().poll(&mut context).is_ready()
                {
                    meanwhile = None;
                }
                ended = ended || asked.as_mut().poll(&mut context).is_ready();
                if ended && meanwhile.is_none() {
                    break;
                }
                driver.turn();
                disk.step();
            }
        }
        output
    }

    /// The answer to one command.
    pub fn ask(&mut self, client: &mut Client, words: &[&str]) -> Vec<u8> {
        self.ask_beside(client, words, None)
    }

    /// A tenth of a second in which the store does its own work.
    pub fn rest(&mut self) {
        self.driver.enter();
        for _ in 0..20 {
            self.clock.advance_us(5_000);
            for _ in 0..4 {
                self.driver.turn();
                self.disk.step();
            }
        }
    }

    /// Everything written is on the disk.
    pub fn flush(&mut self) {
        let engine = self.server.engine().clone();
        let mut flushed = Box::pin(async move { engine.flush_log(engine.written_seq()).await });
        self.driver.enter();
        let mut context = Context::from_waker(Waker::noop());
        for step in 0.. {
            assert!(step < STEPS_MAX, "the flush never ends");
            if let Poll::Ready(result) = flushed.as_mut().poll(&mut context) {
                return result.expect("the disk takes it");
            }
            self.driver.turn();
            self.disk.step();
        }
    }
}

/// Something that goes on beside a command.
pub type Meanwhile<'m> = Pin<Box<dyn Future<Output = ()> + 'm>>;
