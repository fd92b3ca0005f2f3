//! Whether a caller may still do what their open socket does. Asked again and again while it is open.

use std::sync::Arc;
use std::time::Duration;

use gateway_store::ResolveError;
use gateway_types::{Caller, Facts, Operation, Resource};
use tokio::time::interval;

use crate::phases::authenticate::Credential;
use crate::phases::inspect::Inspected;
use crate::plane::DataPlane;

/// How often the question is asked. A revocation must end an open stream within 5 s.
const INTERVAL: Duration = Duration::from_secs(2);

/// What was allowed when the socket was opened.
pub(super) struct Standing {
    plane: Arc<DataPlane>,
    caller: Caller,
    credential: Option<Credential>,
    operation: Operation,
    resource: Resource,
    facts: Facts,
}

impl Standing {
    pub(super) fn of(plane: &Arc<DataPlane>, inspected: Inspected) -> Self {
        Self {
            plane: plane.clone(),
            operation: inspected.asked.operation().clone(),
            resource: inspected.asked.resource(),
            caller: inspected.caller,
            credential: inspected.credential,
            facts: inspected.facts,
        }
    }

    /// Waits until the socket must end, and says why.
    pub(super) async fn lost(&self) -> String {
        let mut ticks = interval(INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.plane.closing.cancelled() => return "the gateway is stopping".to_owned(),
            }
            if let Err(reason) = self.check().await {
                return reason;
            }
        }
    }

    /// `Err` with the reason when the socket must end. While the store cannot be reached an open
    /// socket goes on (DESIGN 1, idea 8).
    async fn check(&self) -> Result<(), String> {
        let Some(credential) = &self.credential else { return Ok(()) };
        let parts = &self.plane.parts;
        let known = match parts.store.callers().resolve(credential.expose(), parts.clock.now()).await {
            Ok(known) => known,
            Err(ResolveError::Refused(_)) => return Err("the session or token is no longer valid".to_owned()),
            Err(ResolveError::Store(_)) => return Ok(()),
        };
        let caller = Caller { principal: known.principal.clone(), ..self.caller.clone() };
        let verdict = parts.policy.load().decide(&caller, &self.operation, &self.resource, &self.facts);
        if verdict.is_allowed() { Ok(()) } else { Err(verdict.reason) }
    }
}
