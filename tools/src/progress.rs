//! A progress bar on stderr, for people only: nothing is shown when stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `bytes` of files.
pub fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes); // draws to stderr, hidden by itself where that is no terminal
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} {bar:32} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}

/// A bar over keys.
pub fn keys(what: &'static str, keys: u64) -> ProgressBar {
    let bar = ProgressBar::new(keys);
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} {bar:32} {human_pos}/{human_len} keys {per_sec} {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}
