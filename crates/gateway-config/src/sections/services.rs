//! `[[service]]`: services behind the gateway. What a declaration means is gateway-services' business.

use std::path::PathBuf;

use gateway_services::{RawKind, RawService, Service, ServiceTable};
use toml::de::{DeTable, DeValue};

use crate::config::Warning;
use crate::fault::{Fault, FaultKind, Origin};
use crate::keys;
use crate::resolver::Resolver;

/// The table's name in the file.
pub(crate) const SERVICES: &str = "service";

/// One `[[service]]` as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct LocatedService {
    pub(crate) origin: Origin,
    pub(crate) raw: RawService,
}

/// Reads a table of the file.
pub(crate) fn read(table: &DeTable<'_>, origin: Origin) -> Result<LocatedService, Box<Fault>> {
    match serde_json::from_value::<RawService>(object(table)) {
        Ok(raw) => Ok(LocatedService { origin, raw }),
        Err(error) => {
            let name = table.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default();
            let kind = FaultKind::Declaration { reason: error.to_string() };
            Err(Box::new(Fault { key: key(name), origin, kind }))
        }
    }
}

/// The compose file whose labels ask for services.
pub(crate) fn compose_file(resolver: &mut Resolver<'_>) -> Option<Option<PathBuf>> {
    resolver.optional(&keys::CANDIDATES_COMPOSE_FILE, |text| Ok(PathBuf::from(text)))
}

/// The declared services, each checked and all together.
pub(crate) fn services(resolver: &mut Resolver<'_>, domain: Option<&str>) -> Option<Vec<RawService>> {
    let declared = resolver.document.services.clone();
    let mut checked: Vec<Service> = Vec::new();
    let mut is_sound = true;
    for LocatedService { origin, raw } in &declared {
        if let Some(host) =
            raw.hosts.iter().find(|host| domain.is_some_and(|own| host.eq_ignore_ascii_case(own)))
        {
            is_sound = false;
            let reason =
                format!("`{host}` is the gateway's own: give `prefix` without `hosts`, or another host");
            let (key, kind) = (format!("{}.hosts", key(&raw.name)), FaultKind::Declaration { reason });
            resolver.faults.push(Fault { key, origin: origin.clone(), kind });
        }
        match Service::check(raw.clone()) {
            Ok(service) => checked.push(service),
            Err(faults) => {
                is_sound = false;
                resolver.faults.extend(faults.into_iter().map(|fault| Fault {
                    key: format!("{}.{}", key(&fault.service), fault.field),
                    origin: origin.clone(),
                    kind: FaultKind::Declaration { reason: fault.kind.to_string() },
                }));
            }
        }
    }
    if !is_sound {
        return None;
    }
    if let Err(error) = ServiceTable::new(checked) {
        let origin = declared.last().map_or(Origin::Default, |last| last.origin.clone());
        let kind = FaultKind::Declaration { reason: error.to_string() };
        resolver.faults.push(Fault { key: SERVICES.to_owned(), origin, kind });
        return None;
    }
    let shares_origin = |raw: &RawService| raw.kind == RawKind::Http && raw.hosts.is_empty();
    resolver.warnings.extend(
        declared
            .iter()
            .filter(|service| shares_origin(&service.raw))
            .map(|service| Warning::ServiceSharesOrigin { service: service.raw.name.clone() }),
    );
    Some(declared.into_iter().map(|service| service.raw).collect())
}

fn key(name: &str) -> String {
    if name.is_empty() { SERVICES.to_owned() } else { format!("{SERVICES}.{name}") }
}

fn object(table: &DeTable<'_>) -> serde_json::Value {
    table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref()))).collect()
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(number) => number
            .to_string()
            .parse::<i64>()
            .map_or_else(|_| number.to_string().into(), serde_json::Value::from),
        DeValue::Float(number) => number
            .to_string()
            .parse::<f64>()
            .map_or_else(|_| number.to_string().into(), serde_json::Value::from),
        DeValue::Boolean(switch) => (*switch).into(),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(inner) => object(inner),
    }
}
