//! Phase 3: who calls, by exactly one credential.

use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_store::{CallerFault, ResolveError};
use gateway_types::{Caller, Class, Layer, Principal, Problem, ProblemKind, Secret};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::identify::Identified;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;

/// A request whose caller is known.
#[derive(Debug)]
pub struct Authenticated {
    pub(super) identified: Identified,
    pub(super) caller: Caller,
    /// Kept so that a long stream can ask again whether it may go on.
    pub(super) credential: Option<Credential>,
}

/// A presented credential.
#[derive(Clone, Debug)]
pub(crate) struct Credential(Arc<Secret<String>>);

impl Credential {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Finds the caller.
pub(crate) async fn authenticate(
    plane: &DataPlane,
    mut identified: Identified,
    outcome: &mut OutcomeGuard,
) -> Flow<Authenticated> {
    let open = identified.target.operation().class == Class::Open;
    let presented = presented(identified.admitted.request.headers());
    // From here on nobody needs the client's own spelling of its credential.
    identified.admitted.request.headers_mut().remove(AUTHORIZATION);
    let credential = match presented {
        _ if open => None,
        Ok(credential) => credential,
        Err(fault) => return refuse(fault),
    };
    let principal = match &credential {
        None if open => Principal::Anonymous,
        None => return refuse(unauthenticated("a session or an API token is needed")),
        Some(credential) => resolve(plane, credential, outcome).await?,
    };
    let caller = Caller { principal, channel: identified.channel, source_ip: identified.admitted.source_ip };
    outcome.authenticated(&caller);
    ControlFlow::Continue(Authenticated { identified, caller, credential })
}

async fn resolve(plane: &DataPlane, credential: &Credential, outcome: &mut OutcomeGuard) -> Flow<Principal> {
    match plane.parts.store.callers().resolve(credential.expose(), plane.parts.clock.now()).await {
        Ok(known) => ControlFlow::Continue(known.principal.clone()),
        Err(ResolveError::Refused(fault)) => {
            // The log learns why; the caller learns only that it does not work, so that nothing can be probed.
            let flow = refuse(unauthenticated("the credential is not valid"));
            outcome.note(fault_name(fault));
            flow
        }
        Err(ResolveError::Store(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a credential could not be checked");
            refuse(Problem::new(
                ProblemKind::CannotRecord,
                Layer::Authentication,
                "the credential cannot be checked, because the store cannot be reached",
            ))
        }
    }
}

fn fault_name(fault: CallerFault) -> &'static str {
    match fault {
        CallerFault::Unknown => "unknown credential",
        CallerFault::Expired => "expired credential",
        CallerFault::Idle => "session unused for too long",
        CallerFault::Revoked => "revoked credential",
        CallerFault::Locked => "locked person",
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unauthenticated, Layer::Authentication, detail)
}

/// The one credential in the headers: `Bearer T`, or `Basic` with any user name and the password `T`.
fn presented(headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    credential_of(value).map(Some)
}

fn credential_of(value: &HeaderValue) -> Result<Credential, Problem> {
    let text =
        value.to_str().map_err(|_| malformed("the Authorization header holds characters that it cannot"))?;
    let (scheme, rest) =
        text.split_once(' ').ok_or_else(|| malformed("the Authorization header has no credential"))?;
    let credential = if scheme.eq_ignore_ascii_case("bearer") {
        rest.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(rest).map_err(|_| malformed("the Basic credential is not base64"))?;
        let pair = String::from_utf8(decoded).map_err(|_| malformed("the Basic credential is not text"))?;
        let (_, password) =
            pair.split_once(':').ok_or_else(|| malformed("the Basic credential has no password"))?;
        password.to_owned()
    } else {
        return Err(malformed("the Authorization scheme is neither Bearer nor Basic"));
    };
    Ok(Credential(Arc::new(Secret::new(credential))))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, Layer::Authentication, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        let credential = credential_of(&HeaderValue::from_str(value).unwrap());
        assert_eq!(credential.ok().as_ref().map(Credential::expose), expected, "{value}");
    }

    #[test]
    fn credentials() {
        check("Bearer rgw_x", Some("rgw_x"));
        check("bearer rgw_x", Some("rgw_x"));
        check("Basic Y29udm94OnJnd194", Some("rgw_x"));
        check("Basic OnJnd194", Some("rgw_x"));
        check("Basic Y29udm94OnJnd194OnR3bw==", Some("rgw_x:two"));
        check("Basic Y29udm94", None);
        check("Basic !!", None);
        check("Digest x", None);
        check("rgw_x", None);
    }
}
