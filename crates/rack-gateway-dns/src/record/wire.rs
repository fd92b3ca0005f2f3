//! Values to and from the wire's.

use std::collections::BTreeMap;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};

use super::{RecordType, ShownSet, Value, escaped};
use crate::name::DnsName;

/// The wire's name of a type.
pub(crate) const fn wire_type(record_type: RecordType) -> WireType {
    match record_type {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Txt => WireType::TXT,
        RecordType::Srv => WireType::SRV,
        RecordType::Mx => WireType::MX,
        RecordType::Ptr => WireType::PTR,
        RecordType::Ns => WireType::NS,
    }
}

/// What goes to a server; `None` when the wire has no such name, which a [`DnsName`] never is.
pub(crate) fn rdata(value: &Value) -> Option<RData> {
    let name = |name: &DnsName| Name::from_ascii(format!("{name}.")).ok();
    Some(match value {
        Value::A(address) => RData::A(A(*address)),
        Value::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Value::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        Value::Ptr(target) => RData::PTR(PTR(name(target)?)),
        Value::Ns(target) => RData::NS(NS(name(target)?)),
        Value::Mx { preference, exchange } => RData::MX(MX::new(*preference, name(exchange)?)),
        Value::Srv { priority, weight, port, target } => {
            RData::SRV(SRV::new(*priority, *weight, *port, name(target)?))
        }
        Value::Txt(text) => RData::TXT(TXT::from_bytes(text.as_bytes().chunks(255).collect())),
    })
}

/// A name as the shim spells it.
fn name_text(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
}

/// The records of managed types, by name and type.
pub(crate) fn observed(records: &[Record]) -> BTreeMap<String, BTreeMap<RecordType, ShownSet>> {
    let mut names: BTreeMap<String, BTreeMap<RecordType, ShownSet>> = BTreeMap::new();
    for record in records {
        if let Some((record_type, value)) = shown(record) {
            let sets = names.entry(name_text(&record.name)).or_default();
            let empty = ShownSet { ttl: record.ttl, values: std::collections::BTreeSet::new() };
            sets.entry(record_type).or_insert(empty).values.insert(value);
        }
    }
    names
}

/// Types that the shim does not manage are none of its business.
fn shown(record: &Record) -> Option<(RecordType, String)> {
    let record_type = RecordType::ALL.into_iter().find(|known| wire_type(*known) == record.record_type())?;
    let value = match &record.data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::CNAME(target) => name_text(&target.0),
        RData::PTR(target) => name_text(&target.0),
        RData::NS(target) => name_text(&target.0),
        RData::MX(mx) => format!("{} {}", mx.preference, name_text(&mx.exchange)),
        RData::SRV(srv) => {
            format!("{} {} {} {}", srv.priority, srv.weight, srv.port, name_text(&srv.target))
        }
        RData::TXT(text) => escaped(&text.txt_data.concat()),
        // The type above names the data; a server that says otherwise has a value that no desired one equals.
        other => other.to_string(),
    };
    Some((record_type, value))
}
