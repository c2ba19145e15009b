//! A bar over the rounds of a comparison, on standard error when that is a terminal; nothing otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// The bar.
pub struct Rounds {
    bar: ProgressBar,
}

impl Rounds {
    /// Shows a bar over so many measures.
    pub fn start(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let template = "{bar:30} {pos}/{len} {elapsed}, {eta} left  {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar }
    }

    /// What happens now.
    pub fn say(&self, words: &str) {
        self.bar.set_message(words.to_owned());
    }

    /// One measure more.
    pub fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
