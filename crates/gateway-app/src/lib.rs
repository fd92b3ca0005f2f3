//! The application functions that the API, the web pages and the command line all call.
//!
//! It knows neither HTTP nor SQL. Start reading at [`control`], the seam between the data plane, which
//! decides and records, and whatever serves the gateway's own operations after that; [`tokens`] and
//! [`explain`] are what people ask for.

pub mod access_review;
pub mod access_tokens;
pub mod anchors;
pub mod app;
pub mod approvals;
pub mod audit;
pub mod break_glass;
pub mod circumstances;
pub mod control;
pub mod cookies;
pub mod csrf;
pub mod elevations;
pub mod entitlements;
pub mod environments;
pub mod error;
pub mod explain;
pub mod factors;
pub mod groups;
pub mod health;
pub mod hosts;
pub mod integrations;
pub mod jobs;
pub mod log;
pub mod me;
pub mod modes;
pub mod moving_in;
pub mod notify;
pub mod origin;
pub mod ownership;
pub mod people;
pub mod policies;
pub mod problems;
pub mod rack_credential;
pub mod reading;
pub mod recordings;
pub mod restorations;
pub mod reveal_times;
pub mod reveals;
pub mod rights;
pub mod role_grants;
pub mod roles;
pub mod rounds;
pub mod rules;
pub mod selfcheck;
pub mod sentinel;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod settings_changes;
pub mod sign_in;
pub mod signing;
pub mod step_up;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod tree;
pub mod users;
pub mod vantage;
pub mod workloads;
pub mod zone;

pub use app::App;
pub use error::{AppError, PeopleError};
pub use factors::FactorError;
pub use notify::{NoNotices, Notice, Notices};

use gateway_audit::{Actor, Event, Phase};
use gateway_store::Store;
use std::net::IpAddr;

use gateway_types::{ActionName, Channel, Clock, Entropy, EventId, RequestId, Resource};

/// Who changes something, by which way, and what time and randomness they have: the context of every
/// application function that leaves an event.
#[derive(Clone, Debug)]
pub struct Operator<'a> {
    /// Who.
    pub actor: Actor,
    /// By which way.
    pub channel: Channel,
    /// In which request; `None` for a command on the server's own machine.
    pub request_id: Option<RequestId>,
    /// From which address.
    pub source_ip: Option<IpAddr>,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

impl<'a> Operator<'a> {
    /// A person with a shell on the server's own machine, who by that is beyond policy but not beyond the log.
    pub fn local(name: &str, clock: &'a dyn Clock, entropy: &'a dyn Entropy) -> Self {
        Self {
            actor: Actor::local_operator(name),
            channel: Channel::Local,
            request_id: None,
            source_ip: None,
            clock,
            entropy,
        }
    }

    /// The gateway itself.
    pub fn system(clock: &'a dyn Clock, entropy: &'a dyn Entropy) -> Self {
        Self { actor: Actor::system(), ..Self::local("system", clock, entropy) }
    }

    /// An event of this moment, of the gateway itself; the caller adds what it is about.
    pub(crate) fn event(&self, action: &str) -> Event {
        let id = EventId::new(self.clock.now(), self.entropy);
        let action = ActionName::new(action);
        let mut event = Event::new(self.clock.now(), id, action, Resource::gateway(), self.actor.clone());
        event.phase = Phase::Single;
        event.channel = Some(self.channel);
        event.request_id = self.request_id;
        event.source_ip = self.source_ip;
        event
    }
}

/// Records the intent of a change of the gateway's own, durably, before it is made.
pub(crate) async fn record(store: &Store, event: Event) -> Result<(), AppError> {
    store.audit().append(event).await?;
    Ok(())
}
