//! Backups of the running store: TIER BACKUP, and `backup-schedule`.
//!
//! The moment is fixed on whoever asks ([`thermocline::backup`]); the copy is made by a thread of its own, at `backup-rate` at most, into
//! `backup-dir`, of which the `backup-keep` newest stay.
//!
//! Promises: one at a time; what became of the last one stands in INFO and the log. Never: keeps the server from ending.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use thermocline::Engine;
use thermocline::backup::{self, BackupSource, Folder, Progress};

use crate::command::reply::CommandError;
use crate::server::Server;

/// Seconds of a day.
const DAY_S: u64 = 86_400;
/// How often a thread that leaves the device to others looks whether it should end.
const GLANCE: Duration = Duration::from_millis(50);

/// What is known of backups.
#[derive(Default)]
pub struct Backups(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: Option<(String, Progress)>,
    ending: bool,
    last: Option<Last>,
    /// The day, since 1970, of the last scheduled one.
    scheduled_day: u64,
}

/// How the last backup went.
struct Last {
    name: String,
    began_ms: u64,
    took: Duration,
    result: Result<(u64, Progress), String>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Backups {
    /// Lines of INFO.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let state = locked(&self.0);
        let progress = state.running.as_ref().map_or(Progress::default(), |running| running.1);
        let last = state.last.as_ref();
        let done = last.and_then(|last| last.result.as_ref().ok());
        let number = |value: Option<u64>| value.map_or("-1".to_owned(), |value| value.to_string());
        vec![
            ("backup_in_progress", u8::from(state.running.is_some()).to_string()),
            ("backup_bytes_done", progress.bytes.to_string()),
            ("backup_bytes_all", progress.bytes_all.to_string()),
            ("backup_last_name", last.map_or(String::new(), |last| last.name.clone())),
            (
                "backup_last_status",
                last.map_or("none", |last| if last.result.is_ok() { "ok" } else { "err" }).to_owned(),
            ),
            ("backup_last_error", last.and_then(|last| last.result.clone().err()).unwrap_or_default()),
            ("backup_last_time", number(last.map(|last| last.began_ms / 1000))),
            ("backup_last_time_ms", number(last.map(|last| last.took.as_millis() as u64))),
            ("backup_last_seq", number(done.map(|done| done.0))),
            ("backup_last_bytes", number(done.map(|done| done.1.bytes_all))),
            ("backup_last_bytes_copied", number(done.map(|done| done.1.bytes_copied))),
        ]
    }

    /// The server ends: a copy under way is given up.
    pub fn end(&self) {
        locked(&self.0).ending = true;
    }

    /// Begins a backup and answers its name. Whoever asked goes on as soon as the moment is fixed.
    ///
    /// # Errors
    /// `backup-dir` is not set, the name is not one, or one is being made; what the store says.
    pub async fn begin(&self, server: &Server, name: Option<&[u8]>) -> Result<String, CommandError> {
        let folder = server.settings.text("backup-dir");
        if folder.is_empty() {
            return Err(CommandError::Static("ERR backup-dir is not set: say at the start where backups are kept"));
        }
        let began_ms = server.now_ms();
        let name = match name {
            None => format!("backup-{}", began_ms / 1000),
            Some(name) => {
                if !backup::is_name(name) {
                    return Err(CommandError::Static(
                        "ERR the name of a backup has 1 to 64 letters, digits, dashes and underscores",
                    ));
                }
                String::from_utf8_lossy(name).into_owned()
            }
        };
        let source = server.engine().begin_backup().await?;
        let job = Job {
            state: self.0.clone(),
            engine: server.engine().clone(),
            folder: PathBuf::from(folder),
            name: name.clone(),
            began_ms,
            bytes_per_second: server.settings.number("backup-rate"),
            keep: server.settings.number("backup-keep") as usize,
        };
        locked(&self.0).running = Some((name.clone(), Progress::default()));
        let thread = std::thread::Builder::new().name("backup".into());
        if let Err(error) = thread.spawn(move || job.run(source)) {
            locked(&self.0).running = None;
            return Err(CommandError::Built(format!("ERR no thread for the backup: {error}").into_bytes()));
        }
        Ok(name)
    }

    /// Whether `backup-schedule` (`HH:MM`, UTC) is due at this moment, for the first time today.
    pub fn is_due(&self, schedule: &str, now_ms: u64) -> bool {
        let Some(at_s) = seconds_of(schedule) else { return false };
        let (day, second) = (now_ms / 1000 / DAY_S, now_ms / 1000 % DAY_S);
        let mut state = locked(&self.0);
        // Within a minute: a server that starts later in the day does not catch up.
        let is_due = (at_s..at_s + 60).contains(&second) && state.scheduled_day != day && state.running.is_none();
        if is_due {
            state.scheduled_day = day;
        }
        is_due
    }
}

/// Seconds since midnight of `HH:MM`.
pub fn seconds_of(schedule: &str) -> Option<u64> {
    let (hours, minutes) = schedule.split_once(':')?;
    let number = |text: &str, below: u64| text.parse::<u64>().ok().filter(|&number| text.len() == 2 && number < below);
    Some(number(hours, 24)? * 3600 + number(minutes, 60)? * 60)
}

/// The thread's part.
struct Job {
    state: Arc<Mutex<State>>,
    engine: Engine,
    folder: PathBuf,
    name: String,
    began_ms: u64,
    bytes_per_second: u64,
    keep: usize,
}

impl Job {
    fn run(self, source: BackupSource) {
        let began_us = self.engine.monotonic_us();
        tracing::info!(name = self.name, seq = source.seq(), folder = %self.folder.display(), "a backup has begun");
        let result = self.copy(source, began_us);
        let took = self.elapsed(began_us);
        match &result {
            Ok((seq, progress)) => tracing::info!(
                name = self.name,
                seq,
                bytes = progress.bytes_all,
                bytes_copied = progress.bytes_copied,
                ?took,
                "a backup was made"
            ),
            Err(words) => tracing::error!(name = self.name, error = words, "a backup was not made"),
        }
        let mut state = locked(&self.state);
        state.running = None;
        state.last = Some(Last { name: self.name.clone(), began_ms: self.began_ms, took, result });
    }

    fn elapsed(&self, since_us: u64) -> Duration {
        Duration::from_micros(self.engine.monotonic_us().saturating_sub(since_us))
    }

    fn copy(&self, source: BackupSource, began_us: u64) -> Result<(u64, Progress), String> {
        let seq = source.seq();
        let folder = Folder::open(&self.folder, true).map_err(|error| error.to_string())?;
        let mut go_on = |progress: Progress| loop {
            {
                let mut state = locked(&self.state);
                if state.ending {
                    return false;
                }
                if let Some(running) = &mut state.running {
                    running.1 = progress;
                }
            }
            let due_s = match self.bytes_per_second {
                0 => 0.0,
                rate => progress.bytes_copied as f64 / rate as f64,
            };
            match Duration::from_secs_f64(due_s).checked_sub(self.elapsed(began_us)) {
                None | Some(Duration::ZERO) => return true,
                Some(early) => std::thread::sleep(early.min(GLANCE)),
            }
        };
        let (_, progress) = source.copy(folder.disk(), &self.name, &mut go_on).map_err(|error| error.to_string())?;
        if self.keep > 0 {
            let gone = backup::prune(folder.disk(), self.keep)
                .map_err(|error| format!("the backup was made, and older ones were not removed: {error}"))?;
            if !gone.is_empty() {
                tracing::info!(?gone, "old backups were removed");
            }
        }
        Ok((seq, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_due_once_a_day_and_only_in_its_minute() {
        let backups = Backups::default();
        let day_ms = 20_000 * DAY_S * 1000;
        let at = |hours: u64, minutes: u64| day_ms + (hours * 60 + minutes) * 60_000;
        assert!(
            !backups.is_due("", at(2, 30)) && !backups.is_due("2:30", at(2, 30)) && !backups.is_due("24:00", at(0, 0))
        );
        assert!(!backups.is_due("02:30", at(2, 29)));
        assert!(backups.is_due("02:30", at(2, 30)));
        assert!(!backups.is_due("02:30", at(2, 30) + 30_000));
        assert!(!backups.is_due("02:30", at(2, 31)));
        assert!(backups.is_due("02:30", at(2, 30) + DAY_S * 1000));
    }
}
