//! The gateways that are known on this machine, and the sessions at them. Everybody may know the first;
//! of the second nobody but their owner.

mod book;
mod private;
#[cfg(test)]
mod tests;
mod vault;

use std::io;
use std::path::PathBuf;

pub(crate) use book::{Book, Checkpoint, Promise, Rack};
pub(crate) use vault::{Kept, Vault};

use private::PrivateDirectory;

use crate::environment::{ClientEnvironment, UnknownKeeping};

/// Why what is kept on this machine cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RacksError {
    /// There is no directory of the person's own.
    #[error(
        "there is no place to keep racks and sessions: set HOME or XDG_CONFIG_HOME, or give RACK_GATEWAY_URL and RACK_GATEWAY_TOKEN"
    )]
    NoPlace,
    /// A link may lead to what somebody else wrote.
    #[error("{} is a symbolic link, which is not followed; put a directory or file of your own in its place", path.display())]
    Link { path: PathBuf },
    /// It is something else than what belongs there.
    #[error("{} is not what belongs there; move it away and sign in again", path.display())]
    Strange { path: PathBuf },
    /// Somebody else can read or write it.
    #[error("others can read or write {} (mode {mode:03o}); close it with `chmod {right} {}` and sign in again", path.display(), path.display())]
    OpenToOthers { path: PathBuf, mode: u32, right: &'static str },
    /// It belongs to somebody else.
    #[error("{} belongs to somebody else; run this as its owner, or name a directory of your own with XDG_CONFIG_HOME", path.display())]
    Foreign { path: PathBuf },
    /// The system says no.
    #[error("{} cannot be used", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file whose content is not understood.
    #[error("{} cannot be understood; move it away and sign in again", path.display())]
    Garbled {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The keyring does not do what it should.
    #[error(
        "the keyring cannot be used; unlock it, or keep sessions in a file with RACK_GATEWAY_CREDENTIALS=file and sign in again"
    )]
    Keyring(#[source] keyring::Error),
    /// A word that says no place.
    #[error(transparent)]
    Keeping(#[from] UnknownKeeping),
    /// No rack has this name.
    #[error("no rack is called `{0}`; `rack-gateway racks` shows those there are")]
    UnknownRack(String),
    /// The name is another gateway's.
    #[error("`{name}` is the name of the gateway at {url}; give another with --name")]
    NameTaken { name: String, url: String },
}

/// What is kept on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Racks {
    directory: PrivateDirectory,
    vault: Vault,
}

impl Racks {
    /// In the place that the environment names. Nothing is read or made yet.
    ///
    /// # Errors
    /// When there is no such place.
    pub(crate) fn of(environment: &ClientEnvironment) -> Result<Self, RacksError> {
        let path = environment.directory.clone().ok_or(RacksError::NoPlace)?;
        let directory = PrivateDirectory::new(path);
        let vault = Vault::new(directory.clone(), environment.keeping.clone()?);
        Ok(Self { directory, vault })
    }

    /// Where sessions are kept.
    pub(crate) const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The racks as they are now.
    ///
    /// # Errors
    /// When the file is not safe or not understood.
    pub(crate) fn book(&self) -> Result<Book, RacksError> {
        Book::read(&self.directory)
    }

    /// Writes what tells of a log that does not hold, unless the same was written before; returns where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep_evidence(&self, name: &str, content: &[u8]) -> Result<PathBuf, RacksError> {
        let locked = self.directory.lock()?;
        if self.directory.read(name)?.is_none() {
            locked.write(name, content)?;
        }
        Ok(self.directory.file(name))
    }

    /// Changes the racks; nobody else does at the same time.
    ///
    /// # Errors
    /// When the file is not safe, not understood or cannot be written; then nothing is changed.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Book) -> Result<T, RacksError>,
    ) -> Result<T, RacksError> {
        let locked = self.directory.lock()?;
        let mut book = Book::read(&self.directory)?;
        let changed = change(&mut book)?;
        book.write(&locked)?;
        Ok(changed)
    }
}
