//! The trait of back ends: say what is there, and make it so. Everything else (what is desired, when, what to do when it
//! fails) is not theirs.

mod rfc2136;
mod zone_file;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use crate::name::DnsName;
use crate::record::{RecordSet, RecordType, ShownSet};
use crate::store::{Desired, StoreError};

pub use rfc2136::Rfc2136;
pub use zone_file::{NameServer, ZoneFile, ZoneFileOptions};

/// What is at each name, of the types that the shim manages.
pub type Actual = BTreeMap<String, BTreeMap<RecordType, ShownSet>>;

/// What a back end has.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Its records.
    pub actual: Actual,
    /// Why it must be written although its records are right.
    pub stale: Option<String>,
}

/// What to do at one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameEdit {
    /// The name.
    pub name: DnsName,
    /// Types that are to go.
    pub remove: BTreeSet<RecordType>,
    /// Sets that are to stand in the place of what is there.
    pub put: BTreeMap<RecordType, RecordSet>,
}

/// What a back end would not take, and why; the rest it took.
pub type Refused = BTreeMap<DnsName, String>;

/// Why a back end did nothing, or it is not known what.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The DNS server.
    #[error("the exchange with the DNS server failed")]
    Dns(#[from] gateway_dns_client::DnsError),
    /// The zone file.
    #[error("the zone file")]
    File(#[from] StoreError),
    /// The zone file of another zone, or of no serial.
    #[error("{0} has no SOA record with a serial; it is not one that rack-gateway-dns wrote. Move it away")]
    NotOurs(PathBuf),
    /// Serials are used up.
    #[error("the serial of {0} is the last one")]
    LastSerial(PathBuf),
    /// The reload command cannot be run.
    #[error("the reload command cannot be run")]
    Reload(#[source] std::io::Error),
    /// The reload command failed.
    #[error("the reload command ended with {0}")]
    ReloadFailed(std::process::ExitStatus),
    /// The reload command does not end.
    #[error("the reload command took too long")]
    ReloadTooSlow,
    /// The server still answers with another serial.
    #[error("the DNS server does not answer with serial {wanted} (it has {found:?})")]
    NotServed {
        /// The file's.
        wanted: u32,
        /// The server's.
        found: Option<u32>,
    },
}

/// What a back end's functions return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// Where records live.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Its kind, as replies say it.
    fn kind(&self) -> &'static str;

    /// What is there now.
    fn observe<'a>(&'a self, desired: &'a Desired) -> Pending<'a, Observed>;

    /// Makes these edits; `desired` is all that is to be there then.
    fn apply<'a>(&'a self, edits: &'a [NameEdit], desired: &'a Desired) -> Pending<'a, Refused>;
}
