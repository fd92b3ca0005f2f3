//! Whether a caller may still do what goes on for them: an open socket, a long reply, a slow request.
//! Asked again and again while it goes on.

use std::sync::Arc;
use std::time::Duration;

use gateway_store::ResolveError;
use gateway_types::{Caller, Facts, Operation, Principal, Resource};
use tokio::time::interval;

use super::authenticate::Credential;
use super::inspect::Inspected;
use crate::plane::DataPlane;
use crate::sessions::Ends;

/// How often the question is asked. A revocation must end an open stream within 5 s.
const INTERVAL: Duration = Duration::from_secs(2);

/// Why something that goes on has to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// The caller may no longer do it.
    Revoked(String),
    /// Somebody ended it, or its recording cannot be written.
    Ended(String),
    /// The gateway stops.
    Stopping,
}

impl Loss {
    /// One sentence for the person.
    pub(super) fn reason(&self) -> &str {
        match self {
            Loss::Revoked(reason) | Loss::Ended(reason) => reason,
            Loss::Stopping => "the gateway is stopping",
        }
    }

    /// The code to close a WebSocket with (RFC 6455, section 7.4.1).
    pub(super) const fn close_code(&self) -> u16 {
        match self {
            Loss::Revoked(_) | Loss::Ended(_) => 1008,
            Loss::Stopping => 1001,
        }
    }
}

/// What was allowed when it began.
pub(crate) struct Standing {
    plane: Arc<DataPlane>,
    caller: Caller,
    credential: Option<Credential>,
    operation: Operation,
    resource: Resource,
    facts: Facts,
    /// What ends a session from outside.
    ends: Option<Ends>,
}

impl Standing {
    pub(super) fn of(plane: &Arc<DataPlane>, inspected: &Inspected) -> Self {
        Self {
            plane: plane.clone(),
            operation: inspected.asked.operation().clone(),
            resource: inspected.asked.resource(),
            caller: inspected.caller.clone(),
            credential: inspected.credential.clone(),
            facts: inspected.facts.clone(),
            ends: None,
        }
    }

    /// The same of a session, which somebody may end.
    #[must_use]
    pub(super) fn of_session(self, ends: Ends) -> Self {
        Self { ends: Some(ends), ..self }
    }

    /// Waits until it must end because the caller may no longer do it, and says why.
    pub(crate) async fn revoked(&self) -> String {
        let mut ticks = interval(INTERVAL);
        // The first tick is now, and now it was allowed.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if let Err(reason) = self.check().await {
                return reason;
            }
        }
    }

    /// Waits until the socket must end, because of that or because the gateway stops, and says why.
    pub(super) async fn lost(&self) -> Loss {
        let ended = async {
            match self.ends.clone() {
                Some(ends) => ends.reason().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.revoked() => Loss::Revoked(reason),
            reason = ended => Loss::Ended(reason),
            () = self.plane.closing.cancelled() => Loss::Stopping,
        }
    }

    /// Waits until the gateway has something to tell the people at terminals, and gives it.
    pub(super) async fn announced(&self) -> Arc<str> {
        let mut announcements = self.plane.announcement.subscribe();
        let told = announcements.wait_for(Option::is_some).await.ok().and_then(|sentence| sentence.clone());
        match told {
            Some(sentence) => sentence,
            None => std::future::pending().await,
        }
    }

    /// `Err` with the reason when it must end. While the store cannot be reached, or is too busy to answer, what is
    /// open goes on for whom it was last known to be (DESIGN 1, idea 8).
    async fn check(&self) -> Result<(), String> {
        let Some(credential) = &self.credential else { return Ok(()) };
        let parts = &self.plane.parts;
        if let Principal::AccessToken { expires, .. } = &self.caller.principal {
            return match parts.clock.now() < *expires {
                true => self.decide(&self.caller),
                false => Err("the access token is over".to_owned()),
            };
        }
        let from = Some(self.caller.source_ip);
        let known = match credential.resolve(parts.store.callers(), from, parts.clock.now()).await {
            Ok(known) => known,
            Err(ResolveError::Refused(_)) => return Err("the session or token is no longer valid".to_owned()),
            // The clock goes on: an elevation that is over ends what it began.
            Err(ResolveError::Store(_)) => return self.decide(&self.caller),
        };
        let caller = Caller { principal: known.principal.clone(), ..self.caller.clone() };
        self.decide(&caller)
    }

    fn decide(&self, caller: &Caller) -> Result<(), String> {
        let rules = &self.plane.parts.rules;
        // The hour, labels, grants and elevations are those of now: what was for a while ends what it began.
        let circumstances = self.plane.circumstances();
        let facts = circumstances.of(&caller.principal, &self.resource, self.facts.clone());
        let verdict = rules.policy().decide(caller, &self.operation, &self.resource, &facts);
        if verdict.is_allowed() { Ok(()) } else { Err(verdict.reason) }
    }
}
