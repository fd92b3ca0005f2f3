//! The state as JSON. What is read is held to the same rules as what callers write.

use std::collections::BTreeMap;
use std::path::Path;

use gateway_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChangeEntry, Held, StoreError, ZoneState};
use crate::name::DnsName;
use crate::record::{RawSet, TtlLimits, parse_sets};

/// The format of this program.
const FORMAT: u32 = 1;

/// The bounds of configurations may have changed since; only the DNS's own hold here (RFC 2181, section 8).
const ANY_TTL: TtlLimits = TtlLimits { least: 0, most: 0x7fff_ffff };

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawState {
    format: u32,
    zone: String,
    revision: u64,
    names: BTreeMap<String, RawHeld>,
    changes: Vec<RawChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeld {
    revision: u64,
    sets: Vec<RawSet>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChange {
    revision: u64,
    name: String,
    at: Timestamp,
    by: String,
    subject: String,
    request_id: String,
}

/// The file's text.
pub(super) fn write(zone: &DnsName, state: &ZoneState) -> String {
    let held = |(name, held): (&DnsName, &Held)| {
        (name.to_string(), RawHeld { revision: held.revision, sets: RawSet::all(&held.sets) })
    };
    let change = |change: &ChangeEntry| RawChange {
        revision: change.revision,
        name: change.name.to_string(),
        at: change.at,
        by: change.by.clone(),
        subject: change.subject.clone(),
        request_id: change.request_id.clone(),
    };
    let raw = RawState {
        format: FORMAT,
        zone: zone.to_string(),
        revision: state.revision,
        names: state.names.iter().map(held).collect(),
        changes: state.changes.iter().map(change).collect(),
    };
    // Texts and numbers in maps with text keys: there is nothing in it that JSON cannot say.
    serde_json::to_string(&raw).unwrap_or_default()
}

/// The state that a text says.
///
/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn read(path: &Path, zone: &DnsName, text: &str) -> Result<ZoneState, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
    let raw: RawState = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    if raw.format != FORMAT {
        return Err(damaged(format!("its format is {} and this program reads {FORMAT}", raw.format)));
    }
    if raw.zone != zone.as_str() {
        return Err(damaged(format!("it is of the zone {}", raw.zone)));
    }
    let mut state = ZoneState { revision: raw.revision, ..ZoneState::default() };
    let name = |text: &str| {
        let name = DnsName::parse(text).ok().filter(|name| name.is_within(zone));
        name.ok_or_else(|| damaged(format!("`{text}` is no name of the zone")))
    };
    for (text, held) in &raw.names {
        let sets = parse_sets(&held.sets, ANY_TTL).map_err(|fault| damaged(format!("at {text}: {fault}")))?;
        if held.revision > raw.revision {
            return Err(damaged(format!("{text} is of a later change than the zone")));
        }
        state.names.insert(name(text)?, Held { revision: held.revision, sets });
    }
    for change in raw.changes {
        let RawChange { revision, name: text, at, by, subject, request_id } = change;
        state.changes.push_back(ChangeEntry { revision, name: name(&text)?, at, by, subject, request_id });
    }
    Ok(state)
}
