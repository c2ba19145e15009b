//! A progress bar on standard error when that is a terminal; nothing otherwise.

use crate::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;

/// The bar of one pass.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows a bar; without a total, a counter.
    pub fn start(name: &'static str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
        let template = match total {
            Some(_) => "{prefix} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} {msg}",
            None => "{prefix} {spinner} {human_pos} {per_sec} {elapsed} {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
        bar.set_prefix(name);
        Self { bar }
    }

    /// Shows where the run is.
    pub fn show(&self, tally: &Tally) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(tally.operations().saturating_sub(tally.fill_ins));
        if tally.wrong + tally.error_count() > 0 {
            self.bar.set_message(format!("wrong {} errors {}", tally.wrong, tally.error_count()));
        }
    }

    /// Shows the position and what is being done.
    pub fn step(&self, position: u64, message: impl Into<Cow<'static, str>>) {
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    /// Shows this many steps as done, for what has no tally.
    pub fn at(&self, steps: u64) {
        self.bar.set_position(steps);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
