//! Opens a store that lives in a directory: makes it, locks it, recovers it.
//!
//! Promises: one process per directory; a new directory gets a .gitignore, for data does not belong into a repository. Never
//! touches anything before the options are known to be right.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thermocline_io::{BackendChoice, lock_directory, open_directory};

use crate::{Engine, Error, Options, RecoveryProgress, Result, SystemClock};

/// Makes a data directory where none is, with a .gitignore. Blocking.
///
/// # Errors
/// The file system refuses.
pub fn make_directory(path: &Path) -> Result<()> {
    let about = |what: &str| format!("{what} {}", path.display());
    if !path.exists() {
        std::fs::create_dir_all(path).map_err(|error| Error::io(about("cannot make the data directory"), &error))?;
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        std::fs::write(path.join(".gitignore"), "*\n").map_err(|error| Error::io(about("cannot write to"), &error))?;
    }
    Ok(())
}

impl Engine {
    /// Opens (or makes) the store in `path`. Blocking.
    ///
    /// # Errors
    /// As [`Engine::open`]; besides, a directory that cannot be made or is in use.
    pub fn open_directory(path: &Path, options: Options, choice: BackendChoice) -> Result<Engine> {
        Engine::open_directory_with(path, options, choice, &RecoveryProgress::default())
    }

    /// The same, telling how far it has come (see [`Engine::open_with`]).
    ///
    /// # Errors
    /// As [`Engine::open_directory`].
    pub fn open_directory_with(
        path: &Path,
        options: Options,
        choice: BackendChoice,
        progress: &RecoveryProgress,
    ) -> Result<Engine> {
        options.validate()?;
        make_directory(path)?;
        let lock = lock_directory(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                Error::InUse { words: format!("{error}; stop it, or choose another directory with --dir") }
            }
            io::ErrorKind::PermissionDenied => Error::Io {
                what: "cannot lock the data directory".into(),
                kind: error.kind(),
                words: format!("{error}; it and its files must belong to the user who runs this"),
            },
            _ => Error::io("cannot lock the data directory", &error),
        })?;
        // Errors from below name the directory.
        let disk = open_directory(path, choice).map_err(|error| Error::io("cannot open the data directory", &error))?;
        let engine = Engine::open_with(disk, options, Arc::new(SystemClock::new()), progress)?;
        let _ = engine.inner.lock.set(lock);
        Ok(engine)
    }
}
