//! Where sessions are kept: the system's keyring, or a file of the person's own where there is none.
//!
//! # Security
//! A session is kept under the address that gave it, so that no change of the racks' file can send it
//! elsewhere.

use std::collections::BTreeMap;
use std::thread;

use gateway_client::GatewayAddress;
use gateway_types::Secret;
use keyring::Entry;
use serde::{Deserialize, Serialize};

use super::RacksError;
use super::private::PrivateDirectory;
use crate::environment::Keeping;

const FILE: &str = "credentials.json";
/// What the keyring files the sessions under.
const SERVICE: &str = "rack-gateway";

/// Where one session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    /// In the keyring.
    Keyring,
    /// In the file.
    File,
}

impl Kept {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kept::Keyring => "keyring",
            Kept::File => "file",
        }
    }
}

/// All sessions.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    directory: PrivateDirectory,
    keeping: Keeping,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct Sessions {
    sessions: BTreeMap<String, String>,
}

impl Vault {
    pub(super) const fn new(directory: PrivateDirectory, keeping: Keeping) -> Self {
        Self { directory, keeping }
    }

    /// Keeps a session, in the place of the one before at the same address.
    ///
    /// # Errors
    /// When it cannot be kept safely.
    pub(crate) fn keep(
        &self,
        address: &GatewayAddress,
        session: &Secret<String>,
    ) -> Result<Kept, RacksError> {
        let in_keyring = match self.keeping {
            Keeping::File => None,
            Keeping::Keyring => {
                in_keyring(address, Job::Keep(session.clone()))?;
                Some(Kept::Keyring)
            }
            // Headless machines have none; that is what the file is for.
            Keeping::Best => in_keyring(address, Job::Keep(session.clone())).is_ok().then_some(Kept::Keyring),
        };
        match in_keyring {
            Some(kept) => Ok(kept),
            None => {
                self.change_file(|sessions| {
                    sessions.insert(address.to_string(), session.expose().clone());
                })?;
                Ok(Kept::File)
            }
        }
    }

    /// The session at this address; `None` when it is not where it was kept.
    ///
    /// # Errors
    /// When the place cannot be used.
    pub(crate) fn find(
        &self,
        address: &GatewayAddress,
        kept: Kept,
    ) -> Result<Option<Secret<String>>, RacksError> {
        match kept {
            Kept::Keyring => in_keyring(address, Job::Find),
            Kept::File => {
                let mut sessions = self.read_file()?.sessions;
                Ok(sessions.remove(&address.to_string()).map(Secret::new))
            }
        }
    }

    /// Forgets the session at this address.
    ///
    /// # Errors
    /// When the place cannot be used.
    pub(crate) fn forget(&self, address: &GatewayAddress, kept: Kept) -> Result<(), RacksError> {
        match kept {
            Kept::Keyring => in_keyring(address, Job::Forget).map(drop),
            Kept::File => self.change_file(|sessions| {
                sessions.remove(&address.to_string());
            }),
        }
    }

    fn read_file(&self) -> Result<Sessions, RacksError> {
        let Some(content) = self.directory.read(FILE)? else { return Ok(Sessions::default()) };
        let content = Secret::new(content);
        let path = self.directory.file(FILE);
        serde_json::from_slice(content.expose()).map_err(|source| RacksError::Garbled { path, source })
    }

    fn change_file(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), RacksError> {
        let locked = self.directory.lock()?;
        let mut sessions = self.read_file()?;
        change(&mut sessions.sessions);
        let content = serde_json::to_vec_pretty(&sessions)
            .map(Secret::new)
            .map_err(|source| RacksError::Garbled { path: self.directory.file(FILE), source })?;
        locked.write(FILE, content.expose())
    }
}

/// What the keyring is asked for.
enum Job {
    Keep(Secret<String>),
    Find,
    Forget,
}

/// Asks the keyring, in a thread of its own: its client waits, and must not do so inside of a runtime.
fn in_keyring(address: &GatewayAddress, job: Job) -> Result<Option<Secret<String>>, RacksError> {
    let user = address.to_string();
    let asked = thread::spawn(move || -> Result<Option<Secret<String>>, keyring::Error> {
        let entry = Entry::new(SERVICE, &user)?;
        let found = match job {
            Job::Keep(session) => entry.set_password(session.expose()).map(|()| None),
            Job::Find => entry.get_password().map(Secret::new).map(Some),
            Job::Forget => entry.delete_credential().map(|()| None),
        };
        match found {
            Err(keyring::Error::NoEntry) => Ok(None),
            found => found,
        }
    });
    asked.join().unwrap_or(Err(keyring::Error::NoDefaultStore)).map_err(RacksError::Keyring)
}
