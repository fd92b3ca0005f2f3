//! `racks.json`: which gateways there are, and which one is meant when none is named. It holds no secret.

use std::path::PathBuf;

use gateway_client::GatewayAddress;
use serde::{Deserialize, Serialize};

use super::private::{Locked, PrivateDirectory};
use super::{Kept, RacksError};

const FILE: &str = "racks.json";

/// All known gateways.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    /// The name of the one that is meant when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) racks: Vec<Rack>,
}

/// One known gateway, in front of one rack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Rack {
    /// What it is called on this machine.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) url: GatewayAddress,
    /// Which gateway answered there.
    pub(crate) gateway_id: String,
    /// Who is, or was last, signed in.
    pub(crate) email: String,
    /// Where the session is; `None` when nobody is signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<Kept>,
    /// Certificate authorities to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The last checkpoint of the gateway's log that was seen from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Entries that were promised by receipts and not looked for since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) promises: Vec<Promise>,
}

/// An entry that a receipt says is in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Promise {
    /// Its place.
    pub(crate) index: u64,
    /// Its hash.
    pub(crate) leaf: String,
    /// The signed checkpoint that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// What a gateway's log was at some time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Who signed it: a signed note's verifier.
    pub(crate) key: String,
    /// How many entries there were.
    pub(crate) size: u64,
    /// The root of the tree over them.
    pub(crate) root: String,
}

impl Book {
    pub(super) fn read(directory: &PrivateDirectory) -> Result<Self, RacksError> {
        let Some(content) = directory.read(FILE)? else { return Ok(Self::default()) };
        let path = directory.file(FILE);
        serde_json::from_slice(&content).map_err(|source| RacksError::Garbled { path, source })
    }

    pub(super) fn write(&self, locked: &Locked<'_>) -> Result<(), RacksError> {
        let mut sorted = self.clone();
        sorted.racks.sort_by(|one, other| one.name.cmp(&other.name));
        let mut content = serde_json::to_vec_pretty(&sorted)
            .map_err(|source| RacksError::Garbled { path: FILE.into(), source })?;
        content.push(b'\n');
        locked.write(FILE, &content)
    }

    /// All of them, by name.
    pub(crate) fn racks(&self) -> impl Iterator<Item = &Rack> {
        self.racks.iter()
    }

    /// The rack of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn named(&self, name: &str) -> Result<&Rack, RacksError> {
        self.racks
            .iter()
            .find(|rack| rack.name == name)
            .ok_or_else(|| RacksError::UnknownRack(name.to_owned()))
    }

    /// The rack that is meant when none is named.
    pub(crate) fn current(&self) -> Option<&Rack> {
        self.current.as_deref().and_then(|name| self.named(name).ok())
    }

    /// The rack at this address.
    pub(crate) fn at(&self, url: &GatewayAddress) -> Option<&Rack> {
        self.racks.iter().find(|rack| rack.url == *url)
    }

    /// The same, to be changed.
    pub(crate) fn at_mut(&mut self, url: &GatewayAddress) -> Option<&mut Rack> {
        self.racks.iter_mut().find(|rack| rack.url == *url)
    }

    /// Puts a rack in, in the place of the one at the same address, and makes it the current one.
    ///
    /// # Errors
    /// When another gateway has the name.
    pub(crate) fn put(&mut self, rack: Rack) -> Result<(), RacksError> {
        if let Ok(other) = self.named(&rack.name)
            && other.url != rack.url
        {
            return Err(RacksError::NameTaken { name: rack.name, url: other.url.to_string() });
        }
        self.racks.retain(|other| other.url != rack.url);
        self.current = Some(rack.name.clone());
        self.racks.push(rack);
        Ok(())
    }
}
