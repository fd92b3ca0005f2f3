//! The facts that are of a moment and not of a request: the hour, labels, what somebody holds for a while. They are
//! gathered before each verdict, and again while something that was allowed goes on.

use gateway_policy::PolicyEngine;
use gateway_types::{Caller, Facts, Principal, Resource, ResourceKind, Timestamp};

use crate::entitlements::Entitlements;
use crate::settings::InForce;

/// The row that asks for an elevation.
const ASK: &str = "gateway:elevation:request";

/// Where the facts of a moment come from.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Settings in force.
    pub settings: &'a InForce,
    /// What people hold besides their roles.
    pub entitlements: &'a Entitlements,
    /// The moment.
    pub now: Timestamp,
}

impl Circumstances<'_> {
    /// `facts` with those of this moment in the place of what they were.
    pub fn of(&self, principal: &Principal, resource: &Resource, facts: Facts) -> Facts {
        let (elevated, roles_here) = match principal {
            Principal::User { id, .. } => self.entitlements.of(*id, resource, self.now),
            // They give a token nothing; what is forbidden to its creator for them is forbidden to it.
            Principal::ApiToken { creator, .. } => {
                (Default::default(), self.entitlements.of(*creator, resource, self.now).1)
            }
            Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => {
                Default::default()
            }
        };
        let (hour, weekday) = self.settings.local_time(self.now).unzip();
        Facts {
            labels: match resource.kind {
                ResourceKind::Rack | ResourceKind::App => self.settings.labels(resource.app_name()),
                ResourceKind::Gateway | ResourceKind::Service => Default::default(),
            },
            hour,
            weekday,
            // Switched off, an elevation gives nothing, also one that was approved before.
            elevated: if self.settings.elevations() { elevated } else { Default::default() },
            roles_here,
            observing: self.settings.observe_policies(),
            ..facts
        }
    }

    /// Whether `caller` could ask for an elevation that reaches `resource`: for the remedies of a refusal.
    pub fn elevation_possible(
        &self,
        policy: &PolicyEngine,
        caller: &Caller,
        resource: &Resource,
        facts: &Facts,
    ) -> bool {
        if !matches!(caller.principal, Principal::User { .. })
            || resource.kind == ResourceKind::Gateway
            || !self.settings.elevations()
        {
            return false;
        }
        let gateway = Resource::gateway();
        let facts = Facts {
            mfa_window: true,
            mfa_enrolled: true,
            networks: facts.networks.clone(),
            ..Facts::default()
        };
        let facts = self.of(&caller.principal, &gateway, facts);
        policy.operation(ASK).is_some_and(|ask| policy.decide(caller, ask, &gateway, &facts).is_allowed())
    }
}
