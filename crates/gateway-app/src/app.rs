//! What the application works with: narrow handles, made once by the composition root.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_audit::Actor;
use gateway_config::{Identity, Users};
use gateway_identity::oidc::{Fetch, Provider};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_store::Store;
use gateway_types::{Caller, Clock, Entropy, Facts, NamedNetworks, RequestId, Resource, Verdict};

use crate::Operator;
use crate::access_tokens::AccessTokens;
use crate::approvals::RackView;
use crate::circumstances::Circumstances;
use crate::entitlements::Entitlements;
use crate::factors::yubico::Yubico;
use crate::health::Health;
use crate::integrations::Integrations;
use crate::notify::Notices;
use crate::rack_credential::RackCredentialKeeper;
use crate::reveal_times::RevealTimes;
use crate::rules::RulesInForce;
use crate::services::ServiceInstances;
use crate::settings::InForce;
use crate::step_up::Checks;
use crate::zone::ZoneInForce;

/// The application: what the API and the web pages both call, with what it needs for that.
#[derive(Debug)]
pub struct App {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Users, credentials, settings, the audit log.
    pub store: Arc<Store>,
    /// Policies and services in force.
    pub rules: Arc<RulesInForce>,
    /// The gateway's own operations.
    pub own: OwnTable,
    /// Settings in force.
    pub settings: Arc<InForce>,
    /// What people hold besides their roles.
    pub entitlements: Arc<Entitlements>,
    /// Who reads which app's values in plaintext for a while.
    pub reveal_times: Arc<RevealTimes>,
    /// The rack's name for people.
    pub rack_name: String,
    /// The gateway's public host name, when the configuration gives one.
    pub domain: Option<String>,
    /// An address beyond loopback at which this gateway listens without TLS, which a router in front must end.
    pub plain_address: Option<SocketAddr>,
    /// People who get a role when they are first seen.
    pub users: Users,
    /// Identity providers, as configured.
    pub identity: Identity,
    /// The same, as people sign in at them.
    pub providers: Vec<Arc<Provider>>,
    /// How identity providers are asked.
    pub fetch: Arc<dyn Fetch>,
    /// The keys of issuers whose tokens are taken: of services' access tokens and of CI systems.
    pub issuers: Arc<AccessTokens>,
    /// Who checks what YubiKeys type; `None` = nobody.
    pub yubico: Option<Arc<Yubico>>,
    /// Who tells people what happened.
    pub notices: Arc<dyn Notices>,
    /// What is known of services while they are served.
    pub instances: Arc<dyn ServiceInstances>,
    /// Whether this instance can serve.
    pub health: Arc<Health>,
    /// What policy calls networks.
    pub networks: NamedNetworks,
    /// The trust zone.
    pub zone: Arc<ZoneInForce>,
    /// What approvals ask the rack.
    pub rack: Arc<dyn RackView>,
    /// Who holds what the gateway signs in to the rack with.
    pub rack_credential: Arc<dyn RackCredentialKeeper>,
    /// Who else is asked about deploys, and told of them.
    pub integrations: Integrations,
    /// The compose file whose labels ask for services; `None` = none is watched.
    pub compose_file: Option<PathBuf>,
}

impl App {
    /// The policies in force.
    pub fn policy(&self) -> Arc<PolicyEngine> {
        self.rules.policy()
    }

    /// What second factors are checked with, at this moment.
    pub fn checks(&self) -> Checks<'_> {
        Checks { store: &self.store, now: self.clock.now(), yubico: self.yubico.as_deref() }
    }

    /// `iss` of request tokens.
    pub fn token_issuer(&self) -> String {
        match &self.domain {
            Some(domain) => format!("https://{domain}"),
            None => format!("urn:uuid:{}", self.store.gateway_id()),
        }
    }

    /// The context of a change that `caller` asked for in this request.
    pub fn operator(&self, caller: &Caller, request_id: RequestId) -> Operator<'_> {
        Operator {
            actor: Actor::of(&caller.principal),
            channel: caller.channel,
            request_id: Some(request_id),
            source_ip: Some(caller.source_ip),
            clock: &*self.clock,
            entropy: &*self.entropy,
        }
    }

    /// Whether the caller could do `action` once they gave every factor they can: what decides whether a
    /// page offers it. `own` says whether it would be about the caller's own.
    pub fn could(&self, caller: &Caller, action: &str, resource: &Resource, own: bool) -> bool {
        self.verdict(caller, action, resource, own).is_some_and(|verdict| verdict.is_allowed())
    }

    /// The verdict behind [`App::could`], for its reason; `None` when no operation is called so.
    pub fn verdict(&self, caller: &Caller, action: &str, resource: &Resource, own: bool) -> Option<Verdict> {
        let policy = self.policy();
        let operation = policy.operation(action)?;
        let facts = Facts { own_object: own, ..self.best_facts(caller, resource) };
        Some(policy.decide(caller, operation, resource, &facts))
    }

    /// Whether the caller could do `action` now with every factor, from whatever network: for what they did before.
    pub(crate) fn could_from_anywhere(&self, caller: &Caller, action: &str, resource: &Resource) -> bool {
        let policy = self.policy();
        let Some(operation) = policy.operation(action) else { return false };
        let may = |network: Option<&str>| {
            let facts = Facts {
                mfa_window: true,
                mfa_bound: true,
                mfa_enrolled: true,
                networks: network.map(str::to_owned).into_iter().collect(),
                ..Facts::default()
            };
            let facts = self.circumstances().of(&caller.principal, resource, facts);
            policy.decide(caller, operation, resource, &facts).is_allowed()
        };
        may(None) || self.networks.names().any(|name| may(Some(name)))
    }

    /// The facts of a caller who gave every factor, about an object that is not their own.
    pub(crate) fn best_facts(&self, caller: &Caller, resource: &Resource) -> Facts {
        let facts = Facts {
            mfa_window: true,
            mfa_bound: true,
            mfa_enrolled: true,
            destructive_allowed: self.settings.destructive_actions(resource.app_name()),
            external_builds_allowed: self.settings.external_builds(resource.app_name()),
            networks: self.networks.of(caller.source_ip),
            ..Facts::default()
        };
        self.circumstances().of(&caller.principal, resource, facts)
    }

    /// What adds the facts of this moment.
    pub fn circumstances(&self) -> Circumstances<'_> {
        Circumstances { settings: &self.settings, entitlements: &self.entitlements, now: self.clock.now() }
    }
}
