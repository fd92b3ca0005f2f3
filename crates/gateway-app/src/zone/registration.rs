//! What a service is declared to be: its listeners, each for one kind of callers, and who may call it.

use std::collections::BTreeSet;

use gateway_pki::id::is_label;
use gateway_pki::{Exposure, Listener, SpiffeId, TrustDomain};
use gateway_store::ZoneService;

use super::ZoneError;

/// The most listeners, and the most callers, of a service.
const MOST: usize = 50;

/// A service that may join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Who it is.
    pub id: SpiffeId,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// Who may call it, exactly.
    pub callers: Vec<SpiffeId>,
}

impl Registration {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// [`ZoneError::Name`], [`ZoneError::Listener`], [`ZoneError::Caller`], [`ZoneError::NotInternal`].
    pub fn check(
        domain: &TrustDomain,
        name: &str,
        listeners: &[String],
        callers: &[String],
    ) -> Result<Self, ZoneError> {
        if !is_label(name) {
            return Err(ZoneError::Name(gateway_pki::IdFault::Id));
        }
        let id = domain.service(name)?;
        let listeners: Vec<Listener> =
            listeners.iter().map(|text| listener(text)).collect::<Result<_, _>>()?;
        let names: BTreeSet<&str> = listeners.iter().map(|one| one.name.as_str()).collect();
        if names.len() < listeners.len() || listeners.len() > MOST || !Listener::are_apart(&listeners) {
            let found = listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            return Err(ZoneError::Listener { found: found.chars().take(200).collect() });
        }
        let mut read: Vec<SpiffeId> =
            callers.iter().map(|text| caller(domain, text)).collect::<Result<_, _>>()?;
        read.sort();
        read.dedup();
        if read.len() > MOST {
            return Err(ZoneError::Caller { found: format!("{} of them", read.len()) });
        }
        if read.is_empty() {
            read.push(domain.gateway());
        }
        let only_gateway = read.iter().all(|id| *id == domain.gateway());
        if !only_gateway && !listeners.iter().any(|one| one.exposure == Exposure::Internal) {
            return Err(ZoneError::NotInternal);
        }
        Ok(Self { id, listeners, callers: read })
    }

    /// Reads what is kept.
    pub(super) fn read(domain: &TrustDomain, kept: &ZoneService) -> Result<Self, ZoneError> {
        let list = |text: &str| {
            serde_json::from_str::<Vec<String>>(text)
                .map_err(|_bad| ZoneError::Kept { what: "registration of a service" })
        };
        Self::check(domain, &kept.name, &list(&kept.listeners)?, &list(&kept.callers)?)
    }

    /// Its listeners as text.
    pub fn listeners_text(&self) -> Vec<String> {
        self.listeners.iter().map(ToString::to_string).collect()
    }

    /// Its callers as text.
    pub fn callers_text(&self) -> Vec<String> {
        self.callers.iter().map(ToString::to_string).collect()
    }
}

fn listener(text: &str) -> Result<Listener, ZoneError> {
    text.parse().map_err(|_fault| ZoneError::Listener { found: text.chars().take(100).collect() })
}

fn caller(domain: &TrustDomain, text: &str) -> Result<SpiffeId, ZoneError> {
    let fault = || ZoneError::Caller { found: text.chars().take(100).collect() };
    if text == "gateway" {
        return Ok(domain.gateway());
    }
    let id = if is_label(text) { domain.service(text) } else { text.parse() };
    id.ok().filter(|id: &SpiffeId| id.domain() == domain).ok_or_else(fault)
}
