//! Phase 4: how often, and how much at once. One caller's flood must not be everybody's.

use std::net::IpAddr;
use std::ops::ControlFlow;

use gateway_types::{Class, Layer, Operation, Principal, Problem, ProblemKind};

use super::authenticate::Authenticated;
use super::identify::Target;
use crate::flow::{Flow, refuse};
use crate::limits::{Bucket, Slow, source};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;

/// A request within its caller's rate.
#[derive(Debug)]
pub struct Limited(Authenticated);

impl Limited {
    pub(super) fn into_authenticated(self) -> Authenticated {
        self.0
    }
}

/// Counts the request: of a credential, or, without one, of the address, whose sign-ins and probes
/// must not be everybody's either.
pub(crate) fn limit(
    plane: &DataPlane,
    authenticated: Authenticated,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Limited> {
    if !plane.parts.settings.rate_limits() {
        return ControlFlow::Continue(Limited(authenticated));
    }
    let caller = &authenticated.caller;
    let operation = authenticated.identified.target.operation();
    if is_about_signing_in(operation) {
        let taken = plane.limits.take_address(Bucket::SignIn, caller.source_ip, plane.parts.clock.now());
        if let Err(slow) = taken {
            return refuse(too_fast(slow, asker));
        }
    }
    let whose = caller.principal.credential_id().unwrap_or_else(|| source(caller.source_ip));
    match plane.limits.take_caller(&whose, operation.class, plane.parts.clock.now()) {
        Ok(standings) => asker.standings = standings,
        Err(slow) => return refuse(too_fast(slow, asker)),
    }
    if let Target::Service(request) = &authenticated.identified.target {
        match plane.limits.take_service(request, &whose, plane.parts.clock.now()) {
            Ok(standings) => asker.standings.extend(standings),
            Err(slow) => return refuse(too_fast(slow, asker)),
        }
    }
    if matches!(caller.principal, Principal::Anonymous) {
        // Counted with its address already.
        return ControlFlow::Continue(Limited(authenticated));
    }
    let held = match authenticated.identified.admitted.socket {
        true => plane.limits.hold_socket(&whose).ok_or(("sockets of this credential", "limits.sockets")),
        false => plane
            .limits
            .hold_request(&whose)
            .ok_or(("requests of this credential", "limits.concurrent_requests")),
    };
    match held {
        Ok(held) => {
            outcome.hold(held);
            ControlFlow::Continue(Limited(authenticated))
        }
        Err((what, key)) => refuse(too_many(what, key)),
    }
}

/// Whether an operation is about who somebody is: what is guessed at when an account is attacked.
fn is_about_signing_in(operation: &Operation) -> bool {
    let action = operation.action.as_str();
    action.starts_with("gateway:auth:")
        || action == "gateway:audit:open_share"
        || (action.starts_with("gateway:factor:") && operation.class != Class::Read)
}

/// The problem of a request that comes too fast; what is left is told beside it.
pub(super) fn too_fast(slow: Slow, asker: &mut Asker) -> Problem {
    let whose = match slow.bucket {
        Bucket::Address => "requests of this address come too fast",
        Bucket::SignIn => "this address signs in, or gives second factors, too often",
        Bucket::OldCredential | Bucket::Caller => "requests of this credential or address come too fast",
        Bucket::Reveal => "requests that reveal secrets come too fast",
        Bucket::Change => "requests that change something come too fast",
        Bucket::Execute => "requests that run something come too fast",
        Bucket::Service => "requests to this service come too fast",
    };
    let seconds = slow.wait_seconds;
    asker.standings = slow.standings;
    later(format!("{whose}; wait {seconds} s, then go on"), seconds)
}

/// The problem of a request beside too many others that are still open.
pub(super) fn too_many(what: &str, key: &str) -> Problem {
    later(format!("too many {what} are open at one time ({key}); wait until one of them has ended"), 1)
}

fn later(detail: String, seconds: u64) -> Problem {
    let mut problem = Problem::new(ProblemKind::TooManyRequests, Layer::Network, detail);
    problem.retry_after_seconds = Some(seconds);
    problem
}

/// Whether a use of a credential that was once good is worth an event of its own: not when there are many.
pub(super) fn old_credential(plane: &DataPlane, address: IpAddr) -> bool {
    let taken = || plane.limits.take_address(Bucket::OldCredential, address, plane.parts.clock.now());
    !plane.parts.settings.rate_limits() || taken().is_ok()
}
