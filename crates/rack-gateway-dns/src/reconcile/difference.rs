//! What is desired against what is there. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::backend::{Actual, NameEdit, Refused};
use crate::name::DnsName;
use crate::record::{RecordType, ShownSet};
use crate::store::{Desired, Held};

/// One set that is not as desired.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Drift {
    /// The name.
    pub name: String,
    /// The change that desires it.
    pub revision: u64,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// What is desired; nothing if it is to be gone.
    pub desired: Option<ShownSet>,
    /// What is there.
    pub actual: Option<ShownSet>,
    /// Why the back end would not take it.
    pub refused: Option<String>,
}

/// The NS records of the zone itself are the server's.
fn is_managed(zone: &DnsName, name: &DnsName, record_type: RecordType) -> bool {
    !(name == zone && record_type == RecordType::Ns)
}

/// The types at a name that differ: what is desired, and what is there.
fn differing<'a>(
    zone: &'a DnsName,
    (name, held): (&'a DnsName, &'a Held),
    actual: &'a Actual,
) -> impl Iterator<Item = (RecordType, Option<ShownSet>, Option<ShownSet>)> + 'a {
    let there = actual.get(name.as_str());
    let managed = RecordType::ALL.into_iter().filter(move |record_type| is_managed(zone, name, *record_type));
    managed.filter_map(move |record_type| {
        let desired = held.sets.get(&record_type).map(ShownSet::from);
        let actual = there.and_then(|sets| sets.get(&record_type)).cloned();
        (desired != actual).then_some((record_type, desired, actual))
    })
}

/// What must be done.
pub(super) fn edits(zone: &DnsName, desired: &Desired, actual: &Actual) -> Vec<NameEdit> {
    let edit = |(name, held): (&DnsName, &Held)| {
        let mut edit = NameEdit { name: name.clone(), remove: Default::default(), put: BTreeMap::new() };
        for (record_type, _, _) in differing(zone, (name, held), actual) {
            match held.sets.get(&record_type) {
                Some(set) => {
                    edit.put.insert(record_type, set.clone());
                }
                None => {
                    edit.remove.insert(record_type);
                }
            }
        }
        (!edit.put.is_empty() || !edit.remove.is_empty()).then_some(edit)
    };
    desired.iter().filter_map(edit).collect()
}

/// Every set that is not as desired.
pub(super) fn drift(zone: &DnsName, desired: &Desired, actual: &Actual, refused: &Refused) -> Vec<Drift> {
    let mut found = Vec::new();
    for (name, held) in desired {
        found.extend(differing(zone, (name, held), actual).map(|(record_type, desired, actual)| Drift {
            name: name.to_string(),
            revision: held.revision,
            record_type,
            desired,
            actual,
            refused: refused.get(name).cloned(),
        }));
    }
    found
}

/// Names that the shim does not hold.
pub(super) fn foreign(desired: &Desired, actual: &Actual) -> Vec<String> {
    let is_held = |name: &str| DnsName::parse(name).is_ok_and(|name| desired.contains_key(&name));
    actual.keys().filter(|name| !is_held(name)).cloned().collect()
}
