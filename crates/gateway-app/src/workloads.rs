//! Machines without secrets of their own: a token of a CI system is exchanged for a short one of the gateway
//! (RFC 8693), or a client certificate is enough, as trust rules say.
//!
//! [`rules`] writes and lists the rules; [`exchange`] gives tokens; [`certificate_rule`] finds the rule of a
//! certificate. What fits a rule is decided in [`matching`] and nowhere else.
//!
//! # Security
//! A rule names this gateway, a repository by its id, and where in it a job runs. What it does not name does not count:
//! no rule is written for anybody. Whoever comes without a fitting token learns the names of claims and their own
//! values, never what a rule asks for.

mod error;
pub mod exchange;
mod jwt;
pub mod kinds;
pub mod matching;
pub mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use gateway_identity::{Authority, ClientCertificate};
use gateway_store::TrustRule;
use gateway_types::{GatewayId, Timestamp};

pub use error::TrustRuleError;
pub use kinds::Kind;

/// The audience that tokens of CI systems must be made for: this gateway and no other.
pub fn audience(gateway: GatewayId) -> String {
    format!("rack-gateway:{gateway}")
}

/// The rule that takes a client certificate, and what the machine is called; `None` when none does, and when several
/// do: which of them counts must not be a matter of order.
pub fn certificate_rule<'a>(
    certificate: &ClientCertificate,
    rules: &'a [TrustRule],
    now: Timestamp,
) -> Option<(&'a TrustRule, String)> {
    let names = certificate.names();
    let mut said = BTreeMap::from([(kinds::FINGERPRINT.to_owned(), vec![names.fingerprint.clone()])]);
    let spiffe: Vec<String> = names.spiffe_id.iter().cloned().collect();
    let named = [(kinds::SPIFFE_ID, spiffe), (kinds::DNS, names.dns), (kinds::EMAIL, names.emails)];
    said.extend(named.into_iter().map(|(name, values)| (name.to_owned(), values)));
    let mut fitting = rules.iter().filter(|rule| {
        matching::mismatches(Kind::Certificate, &rule.rule.claims, &said).is_empty()
            && is_vouched_for(certificate, rule, now)
    });
    let rule = fitting.next()?;
    if fitting.next().is_some() {
        tracing::warn!(rule = %rule.rule.name, "several trust rules take one client certificate, so none does");
        return None;
    }
    let subject = names.spiffe_id.or_else(|| said.get(kinds::DNS).and_then(|names| names.first().cloned()));
    Some((rule, subject.unwrap_or(names.fingerprint)))
}

/// A name counts when the rule's authority signed it; the whole certificate needs nobody's word.
fn is_vouched_for(certificate: &ClientCertificate, rule: &TrustRule, now: Timestamp) -> bool {
    match &rule.rule.authority {
        Some(pem) => Authority::from_pem(pem).is_ok_and(|authority| authority.signed(certificate, now)),
        None => rule.rule.claims.contains_key(kinds::FINGERPRINT),
    }
}
