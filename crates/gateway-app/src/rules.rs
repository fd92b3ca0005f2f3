//! What is in force: the policies and the services, exchanged together.
//!
//! An engine decides about the operations that it was made with, so a request must meet the engine of the
//! very table it was found in: both are one value, which a request takes once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway_policy::PolicyEngine;
use gateway_services::ServiceTable;

use crate::services::Discovery;

/// Policies and services that belong together.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Decides about every operation, those of the services among them.
    pub policy: Arc<PolicyEngine>,
    /// The services.
    pub services: Arc<ServiceTable>,
}

/// The rules in force.
#[derive(Debug)]
pub struct RulesInForce {
    rules: ArcSwap<Rules>,
    discovered: Discovery,
}

impl RulesInForce {
    /// These are in force at first.
    pub fn new(rules: Rules) -> Self {
        Self { rules: ArcSwap::from_pointee(rules), discovered: Discovery::default() }
    }

    /// An engine without services.
    pub fn of_policy(policy: PolicyEngine) -> Self {
        Self::new(Rules { policy: Arc::new(policy), services: Arc::default() })
    }

    /// Both, as they belong together.
    pub fn load(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The policies.
    pub fn policy(&self) -> Arc<PolicyEngine> {
        Arc::clone(&self.rules.load().policy)
    }

    /// The services.
    pub fn services(&self) -> Arc<ServiceTable> {
        Arc::clone(&self.rules.load().services)
    }

    /// What this instance looked up of where services are.
    pub fn discovered(&self) -> &Discovery {
        &self.discovered
    }

    /// Puts both in force. Whoever calls holds [`Health::policies`](crate::health::Health::policies), so that no
    /// older ones are put in force over newer ones.
    pub(crate) fn put(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Puts policies in force that were made with the operations of the services in force; as [`Self::put`].
    pub(crate) fn put_policy(&self, policy: PolicyEngine) {
        let services = self.services();
        self.put(Rules { policy: Arc::new(policy), services });
    }
}
