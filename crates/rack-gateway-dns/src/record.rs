//! Record sets as values. Text becomes a [`Value`] once; what back ends and replies say is made from that.

mod text;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::name::{DnsName, NameFault};

pub use text::ValueFault;
pub(crate) use text::escaped;
pub(crate) use wire::{observed, rdata, wire_type};

/// The types that the shim manages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for a name.
    Cname,
    /// Text.
    Txt,
    /// Where a service is.
    Srv,
    /// Where mail goes.
    Mx,
    /// The name of an address.
    Ptr,
    /// The name servers of a zone below (a delegation).
    Ns,
}

impl RecordType {
    /// All of them.
    pub const ALL: [RecordType; 8] = [
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Cname,
        RecordType::Txt,
        RecordType::Srv,
        RecordType::Mx,
        RecordType::Ptr,
        RecordType::Ns,
    ];

    /// Its name in zone files.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Cname => "CNAME",
            RecordType::Txt => "TXT",
            RecordType::Srv => "SRV",
            RecordType::Mx => "MX",
            RecordType::Ptr => "PTR",
            RecordType::Ns => "NS",
        }
    }

    /// Whether it is an address.
    pub const fn is_address(self) -> bool {
        matches!(self, RecordType::A | RecordType::Aaaa)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one record says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name for a name.
    Cname(DnsName),
    /// Printable ASCII.
    Txt(String),
    /// Where a service is.
    Srv {
        /// The lowest is asked first.
        priority: u16,
        /// Shares among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: DnsName,
    },
    /// Where mail goes.
    Mx {
        /// The lowest is tried first.
        preference: u16,
        /// The host.
        exchange: DnsName,
    },
    /// The name of an address.
    Ptr(DnsName),
    /// A name server.
    Ns(DnsName),
}

impl Value {
    /// The host that must not be an alias, if it names one (RFC 2181, section 10.3).
    pub fn host(&self) -> Option<&DnsName> {
        match self {
            Value::Srv { target: host, .. } | Value::Mx { exchange: host, .. } | Value::Ns(host) => {
                Some(host)
            }
            Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Txt(_) | Value::Ptr(_) => None,
        }
    }
}

/// The records of one type at one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordSet {
    /// How long resolvers may keep them, in seconds.
    pub ttl: u32,
    /// What they say; never empty.
    pub values: BTreeSet<Value>,
}

/// All that a name has. Empty: the name is to have nothing.
pub type NameSets = BTreeMap<RecordType, RecordSet>;

/// A record set as it is shown and compared, which may also be one that the shim itself would not write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ShownSet {
    /// In seconds.
    pub ttl: u32,
    /// In their canonical spelling; what is not printable, and backslashes, are escaped.
    pub values: BTreeSet<String>,
}

impl From<&RecordSet> for ShownSet {
    fn from(set: &RecordSet) -> Self {
        let shown = |value: &Value| match value {
            Value::Txt(text) => escaped(text.as_bytes()),
            other => other.to_string(),
        };
        Self { ttl: set.ttl, values: set.values.iter().map(shown).collect() }
    }
}

/// Why record sets cannot stand at a name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetFault {
    /// A value is none of its type.
    #[error("`{value}` is no value of {record_type}: {fault}")]
    Value {
        /// The type.
        record_type: RecordType,
        /// The value, as given.
        value: String,
        /// Why.
        fault: ValueFault,
    },
    /// There are none or too many.
    #[error("{record_type} must have 1 to {MOST_VALUES} values")]
    Count {
        /// The type.
        record_type: RecordType,
    },
    /// A type is there twice.
    #[error("{record_type} is there twice")]
    Twice {
        /// The type.
        record_type: RecordType,
    },
    /// The time to live is out of bounds.
    #[error("the TTL of {record_type} must be {least} to {most} seconds")]
    Ttl {
        /// The type.
        record_type: RecordType,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// All together are too large for one message.
    #[error("the record sets of a name have at most {MOST_BYTES} characters")]
    TooLarge,
}

/// The most values of a set.
const MOST_VALUES: usize = 64;

/// The most characters of all values of a name: they must fit into one DNS message with room to spare.
const MOST_BYTES: usize = 16 * 1024;

/// The TTLs that are taken, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TtlLimits {
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
}

/// A record set as it is written in requests and in the state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSet {
    /// The type.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// In seconds.
    pub ttl: u32,
    /// Each in the spelling of zone files, TXT without quotes.
    pub values: Vec<String>,
}

impl RawSet {
    /// All sets of a name, as texts.
    pub fn all(sets: &NameSets) -> Vec<RawSet> {
        let raw = |(record_type, set): (&RecordType, &RecordSet)| RawSet {
            record_type: *record_type,
            ttl: set.ttl,
            values: set.values.iter().map(Value::to_string).collect(),
        };
        sets.iter().map(raw).collect()
    }
}

/// The sets that texts say.
///
/// # Errors
/// [`SetFault`].
pub fn parse_sets(raw: &[RawSet], limits: TtlLimits) -> Result<NameSets, SetFault> {
    let mut sets = NameSets::new();
    for RawSet { record_type, ttl, values } in raw {
        let record_type = *record_type;
        if values.is_empty() || values.len() > MOST_VALUES {
            return Err(SetFault::Count { record_type });
        }
        let TtlLimits { least, most } = limits;
        if !(least..=most).contains(ttl) {
            return Err(SetFault::Ttl { record_type, least, most });
        }
        let parse = |text: &String| {
            Value::parse(record_type, text).map_err(|fault| SetFault::Value {
                record_type,
                value: escaped(text.as_bytes()).chars().take(80).collect(),
                fault,
            })
        };
        let set = RecordSet { ttl: *ttl, values: values.iter().map(parse).collect::<Result<_, _>>()? };
        if sets.insert(record_type, set).is_some() {
            return Err(SetFault::Twice { record_type });
        }
    }
    let bytes: usize = raw.iter().flat_map(|set| &set.values).map(|value| value.len() + 32).sum();
    if bytes > MOST_BYTES { Err(SetFault::TooLarge) } else { Ok(sets) }
}

impl From<NameFault> for ValueFault {
    fn from(fault: NameFault) -> Self {
        ValueFault::Name(fault)
    }
}
