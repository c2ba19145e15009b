//! Shows the demo until it ends: a screen with keys on a terminal, one line per second otherwise.
//!
//! Promises: the terminal is as before after any end (ratatui's panic hook included); Ctrl-C and q end the demo in order.

use super::live::Live;
use super::screen;
use super::view::View;
use super::watch::ServerState;
use crate::clock::Clock;
use crate::page::Unit;
use anyhow::Result;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

const LOOK_INTERVAL_S: f64 = 0.5;
const KEY_INTERVAL: Duration = Duration::from_millis(100);
const LOOKS_PER_LINE: u64 = 2;

/// What is shown and what may end it.
pub struct Show<'a> {
    /// From and to the client's thread.
    pub live: &'a Live,
    /// The server's last words.
    pub state: &'a Mutex<Option<ServerState>>,
    /// The moment.
    pub view: View,
    /// The hot set moves by itself after so long; never when 0.
    pub move_every_s: f64,
    /// True when there is nothing more to show: the client has ended, or a signal came.
    pub ended: &'a dyn Fn() -> bool,
}

/// Whether there is somebody to look and to press keys.
pub fn is_there() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

impl Show<'_> {
    /// Shows until the end; true when the keys asked for it.
    pub fn run(mut self, on_a_terminal: bool) -> Result<bool> {
        if !on_a_terminal {
            self.lines();
            return Ok(false);
        }
        let mut terminal = ratatui::try_init()?;
        let shown = self.screen(&mut terminal);
        ratatui::restore();
        shown
    }

    fn look(&mut self, now_s: f64) {
        let state = *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.view.update(now_s, self.live, state);
        let (mixed_s, mix_s) = self.view.mix_s;
        if mixed_s >= mix_s {
            self.live.end();
        } else if self.move_every_s > 0.0 && self.view.loaded.is_none() && self.view.steady_s() >= self.move_every_s {
            self.live.move_hot_set();
        }
    }

    fn screen(&mut self, terminal: &mut DefaultTerminal) -> Result<bool> {
        let clock = Clock::start();
        let mut next_look_s = 0.0;
        while !(self.ended)() {
            if clock.seconds() >= next_look_s {
                self.look(clock.seconds());
                next_look_s = clock.seconds() + LOOK_INTERVAL_S;
            }
            terminal.draw(|frame| screen::draw(frame, &self.view))?;
            if event::poll(KEY_INTERVAL)?
                && let Event::Key(key) = event::read()?
                && self.pressed(key)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what a key asks for; true for the end.
    fn pressed(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char(' ') => self.live.move_hot_set(),
            KeyCode::Char('+' | '=') => self.live.change_load(true),
            KeyCode::Char('-') => self.live.change_load(false),
            _ => {}
        }
        false
    }

    /// On standard error: standard output is for the summary.
    fn lines(&mut self) {
        let clock = Clock::start();
        let mut looks = 0;
        while !(self.ended)() {
            self.look(clock.seconds());
            if looks % LOOKS_PER_LINE == LOOKS_PER_LINE - 1 {
                eprintln!("{}", line(&self.view));
            }
            looks += 1;
            std::thread::sleep(Duration::from_secs_f64(LOOK_INTERVAL_S));
        }
    }
}

/// The moment in one line.
fn line(view: &View) -> String {
    let server = view.server.unwrap_or_default();
    let rate = Unit::PerSecond.text(view.throughput.back().copied().unwrap_or(0) as f64);
    let memory = Unit::Bytes.text(server.memory_bytes as f64);
    let disk = Unit::Bytes.text(server.disk_bytes as f64);
    if let Some(loaded) = view.loaded {
        let percent = loaded as f64 * 100.0 / view.keys.max(1) as f64;
        return format!("loading {percent:3.0} %  {rate}  DRAM {memory}  SSD {disk}");
    }
    let shares = view.shares.map_or_else(String::new, |shares| {
        let [hot, cold, miss] = [shares.hot, shares.cold, shares.miss].map(|share| Unit::Share.text(share));
        format!("  hot {hot}  cold {cold}  miss {miss}")
    });
    let moved = if view.just_moved { "  (the hot set has moved)" } else { "" };
    let reads = Unit::PerSecond.text(view.ssd_reads_per_s);
    format!("{:3.0} s  {rate}{shares}  SSD reads {reads}  DRAM {memory}  SSD {disk}{moved}", view.mix_s.0)
}
