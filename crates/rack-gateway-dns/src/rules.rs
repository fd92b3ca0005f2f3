//! What cannot stand together in a zone. Pure: what is held, and what somebody wants to add to it.

use std::collections::BTreeSet;

use crate::name::DnsName;
use crate::record::{NameSets, RecordType, Value};
use crate::store::Desired;

/// The most names of a zone.
const MOST_NAMES: usize = 100_000;

/// Why sets cannot stand at a name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleFault {
    /// The name lies elsewhere.
    #[error("{name} is not in the zone {zone}")]
    OtherZone {
        /// The name.
        name: DnsName,
        /// The zone.
        zone: DnsName,
    },
    /// The name belongs to the configuration.
    #[error("{0} is a name server of the zone; its addresses are in the configuration")]
    NameServer(DnsName),
    /// The type cannot stand at the zone's own name.
    #[error("{0} cannot stand at the zone's own name")]
    Apex(RecordType),
    /// The type wants a name without underscores.
    #[error("{0} stands at the name of a host, which has no underscore")]
    NoHost(RecordType),
    /// A star cannot have it.
    #[error("{0} cannot stand at a star")]
    Star(RecordType),
    /// An alias is alone and single.
    #[error("a CNAME stands alone at its name, and there is one of it")]
    Alias,
    /// A delegation has no other sets.
    #[error("beside NS a name has only the addresses of a name server")]
    Delegation,
    /// The name belongs to a zone below.
    #[error("{name} is in the zone below at {cut}; here it can only have addresses")]
    BelowCut {
        /// The name.
        name: DnsName,
        /// Where the zone below begins.
        cut: DnsName,
    },
    /// Names below a delegation have more than addresses.
    #[error("{0} lies below and has more than addresses; a delegation would hide it")]
    Hides(DnsName),
    /// Hosts that records point to are no aliases.
    #[error("{0} is an alias (CNAME), which NS, MX and SRV must not point to")]
    ToAlias(DnsName),
    /// The name cannot become an alias.
    #[error("{0} points here with NS, MX or SRV, which must not point to an alias (CNAME)")]
    FromPointer(DnsName),
    /// The zone is full.
    #[error("the zone has {MOST_NAMES} names; there is no room for another")]
    Full,
}

/// What holds for a zone beside its records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneRules {
    /// The zone.
    pub zone: DnsName,
    /// Zones below that are declared apart.
    pub below: Vec<DnsName>,
    /// Names that the configuration holds.
    pub reserved: BTreeSet<DnsName>,
}

impl ZoneRules {
    /// Whether the name is this zone's to hold.
    ///
    /// # Errors
    /// [`RuleFault`].
    pub fn check_name(&self, name: &DnsName) -> Result<(), RuleFault> {
        if !name.is_within(&self.zone) {
            return Err(RuleFault::OtherZone { name: name.clone(), zone: self.zone.clone() });
        }
        if self.reserved.contains(name) {
            return Err(RuleFault::NameServer(name.clone()));
        }
        Ok(())
    }

    /// Whether these sets can stand at this name beside what is held elsewhere.
    ///
    /// # Errors
    /// [`RuleFault`].
    pub fn check(&self, desired: &Desired, name: &DnsName, sets: &NameSets) -> Result<(), RuleFault> {
        self.check_name(name)?;
        self.check_alone(name, sets)?;
        self.check_cuts(desired, name, sets)?;
        check_pointers(desired, name, sets)?;
        if desired.len() >= MOST_NAMES && !desired.contains_key(name) { Err(RuleFault::Full) } else { Ok(()) }
    }

    fn check_alone(&self, name: &DnsName, sets: &NameSets) -> Result<(), RuleFault> {
        for (record_type, set) in sets {
            let wants_host = record_type.is_address() || *record_type == RecordType::Mx;
            if wants_host && !name.is_host() {
                return Err(RuleFault::NoHost(*record_type));
            }
            let is_alias = *record_type == RecordType::Cname;
            if is_alias && (sets.len() > 1 || set.values.len() > 1) {
                return Err(RuleFault::Alias);
            }
            let is_cut = *record_type == RecordType::Ns;
            if name == &self.zone && (is_alias || is_cut) {
                return Err(RuleFault::Apex(*record_type));
            }
            if is_cut && name.has_star() {
                return Err(RuleFault::Star(*record_type));
            }
            if is_cut && !sets.keys().all(|other| *other == RecordType::Ns || other.is_address()) {
                return Err(RuleFault::Delegation);
            }
        }
        Ok(())
    }

    fn check_cuts(&self, desired: &Desired, name: &DnsName, sets: &NameSets) -> Result<(), RuleFault> {
        let only_addresses = |sets: &NameSets| sets.keys().all(|held| held.is_address());
        let cuts = desired.iter().filter(|(_, held)| held.sets.contains_key(&RecordType::Ns));
        let mut cuts = cuts.map(|(cut, _)| cut).chain(&self.below);
        if let Some(cut) = cuts.find(|cut| name.is_below(cut))
            && !only_addresses(sets)
        {
            return Err(RuleFault::BelowCut { name: name.clone(), cut: cut.clone() });
        }
        let begins = self.below.contains(name);
        if begins && !sets.keys().all(|held| *held == RecordType::Ns || held.is_address()) {
            return Err(RuleFault::Delegation);
        }
        if sets.contains_key(&RecordType::Ns) {
            let hidden = |(other, held): &(&DnsName, &crate::store::Held)| {
                other.is_below(name) && !only_addresses(&held.sets)
            };
            if let Some((hidden, _)) = desired.iter().find(hidden) {
                return Err(RuleFault::Hides(hidden.clone()));
            }
        }
        Ok(())
    }
}

fn check_pointers(desired: &Desired, name: &DnsName, sets: &NameSets) -> Result<(), RuleFault> {
    let is_alias =
        |name: &DnsName| desired.get(name).is_some_and(|held| held.sets.contains_key(&RecordType::Cname));
    let hosts = |sets: &NameSets| -> Vec<DnsName> {
        sets.values().flat_map(|set| &set.values).filter_map(Value::host).cloned().collect()
    };
    if let Some(alias) = hosts(sets).into_iter().find(|host| host != name && is_alias(host)) {
        return Err(RuleFault::ToAlias(alias));
    }
    if sets.contains_key(&RecordType::Cname) {
        let mut others = desired.iter().filter(|(other, _)| *other != name);
        if let Some((pointer, _)) = others.find(|(_, held)| hosts(&held.sets).contains(name)) {
            return Err(RuleFault::FromPointer(pointer.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RawSet, TtlLimits, parse_sets};
    use crate::store::Held;

    fn sets(sets: &[(RecordType, &str)]) -> NameSets {
        let raw = |(record_type, value): &(RecordType, &str)| RawSet {
            record_type: *record_type,
            ttl: 60,
            values: value.split(", ").map(str::to_owned).collect(),
        };
        parse_sets(&sets.iter().map(raw).collect::<Vec<_>>(), TtlLimits { least: 1, most: 100 }).unwrap()
    }

    #[test]
    fn what_stands_together() {
        use RecordType::{A, Aaaa, Cname, Mx, Ns, Srv, Txt};
        let name = |text: &str| DnsName::parse(text).unwrap();
        let held = |sets| Held { revision: 1, sets };
        let desired = Desired::from([
            (name("alias.corp.test"), held(sets(&[(Cname, "x.test")]))),
            (name("corp.test"), held(sets(&[(Mx, "1 mail.corp.test")]))),
            (name("cut.corp.test"), held(sets(&[(Ns, "ns.cut.corp.test")]))),
            (name("a.deep.corp.test"), held(sets(&[(Txt, "x")]))),
        ]);
        let rules = ZoneRules {
            zone: name("corp.test"),
            below: vec![name("lab.corp.test")],
            reserved: BTreeSet::from([name("ns.corp.test")]),
        };
        let check = |at: &str, wanted: &[(RecordType, &str)], expected: bool| {
            let found = rules.check(&desired, &name(at), &sets(wanted));
            assert_eq!(found.is_ok(), expected, "{at} {wanted:?}: {found:?}");
        };
        check("www.corp.test", &[(A, "192.0.2.1, 192.0.2.2"), (Txt, "x"), (Aaaa, "::1")], true);
        check("*.corp.test", &[(A, "192.0.2.1")], true);
        check("www.other.test", &[(A, "192.0.2.1")], false);
        check("wwwcorp.test", &[(A, "192.0.2.1")], false);
        check("ns.corp.test", &[(A, "192.0.2.1")], false);
        check("_x.corp.test", &[(A, "192.0.2.1")], false);
        check("_x._tcp.corp.test", &[(Srv, "1 1 1 www.corp.test")], true);
        check("www.corp.test", &[(Cname, "x.test"), (Txt, "x")], false);
        check("www.corp.test", &[(Cname, "x.test, y.test")], false);
        check("corp.test", &[(Cname, "x.test")], false);
        check("corp.test", &[(Ns, "x.test")], false);
        check("corp.test", &[(Txt, "x"), (A, "192.0.2.1")], true);
        check("*.corp.test", &[(Ns, "x.test")], false);
        check("sub.corp.test", &[(Ns, "x.test"), (Txt, "x")], false);
        check("sub.corp.test", &[(Ns, "sub.corp.test"), (A, "192.0.2.1")], true);
        check("deep.corp.test", &[(Ns, "x.test")], false);
        check("ns.cut.corp.test", &[(A, "192.0.2.1")], true);
        check("www.cut.corp.test", &[(Txt, "x")], false);
        check("www.lab.corp.test", &[(Txt, "x")], false);
        check("lab.corp.test", &[(Txt, "x")], false);
        check("lab.corp.test", &[(Ns, "ns.lab.corp.test")], true);
        check("www.corp.test", &[(Mx, "1 alias.corp.test")], false);
        check("mail.corp.test", &[(Cname, "x.test")], false);
    }
}
