//! Phase 3: who calls, by exactly one credential.

use std::ops::ControlFlow;

use std::net::IpAddr;

use gateway_app::access_tokens::AccessTokens;
use gateway_identity::InlineFactor;
use gateway_services::Service;
use gateway_store::{CallerFault, ResolveError};
use gateway_types::{
    Caller, Class, CredentialKind, Layer, Principal, Problem, ProblemKind, Secret, Timestamp,
};
use http::header::COOKIE;
use rustls_pki_types::CertificateDer;

use super::identify::{Identified, Target, service_host};
use super::limit;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;

mod presented;

pub(crate) use presented::Credential;
use presented::{Place, Presented};

/// A request whose caller is known.
#[derive(Debug)]
pub struct Authenticated {
    pub(super) identified: Identified,
    pub(super) caller: Caller,
    /// Kept so that a long stream can ask again whether it may go on.
    pub(super) credential: Option<Credential>,
    /// When a cookie of one host was made; `None` for every other credential.
    pub(super) made: Option<Timestamp>,
    /// A second factor that came with the credential; not looked at yet.
    pub(super) factor: Option<InlineFactor>,
}

/// What the client of an operation that is open to all proved to hold: no credential, but such an operation may look
/// who it is.
#[derive(Clone, Debug)]
pub(super) struct ShownCertificate(pub(super) CertificateDer<'static>);

/// Whom a credential stands for.
struct Who {
    principal: Principal,
    made: Option<Timestamp>,
}

impl Who {
    fn of(principal: Principal) -> Self {
        Self { principal, made: None }
    }
}

/// Finds the caller.
pub(crate) async fn authenticate(
    plane: &DataPlane,
    mut identified: Identified,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Authenticated> {
    let open = identified.target.operation().class == Class::Open;
    if identified.cross_origin.is_some() {
        // A browser may send the cookies of a sibling host along, and shows a client certificate by itself; a foreign
        // page's call is not in their name.
        identified.admitted.request.headers_mut().remove(COOKIE);
        identified.admitted.client_certificate = None;
    }
    let certificate = identified.admitted.client_certificate.take();
    if let Some(shown) = certificate.clone().filter(|_| open) {
        identified.admitted.request.extensions_mut().insert(ShownCertificate(shown));
    }
    let headers = identified.admitted.request.headers_mut();
    let presented = presented::take(headers, certificate.as_ref(), identified.channel);
    let (credential, Who { principal, made }, factor) = match presented {
        _ if open => (None, Who::of(Principal::Anonymous), None),
        Ok(None) => return refuse(unauthenticated("a session or an API token is needed")),
        Ok(Some(Presented { place, credential, factor, beside })) => {
            let who = resolve(plane, &credential, place, &identified, outcome).await?;
            if let Some(beside) = &beside {
                Box::pin(is_the_same(plane, beside, &who.principal, outcome)).await?;
            }
            (Some(credential), who, factor)
        }
        Err(fault) => return refuse(fault),
    };
    let caller = Caller { principal, channel: identified.channel, source_ip: identified.admitted.source_ip };
    outcome.authenticated(&caller);
    let host = identified.admitted.host.as_str();
    asker.is_known(plane, &caller, service_host(plane, &identified.rules, host));
    match caller.principal.credential_kind() {
        CredentialKind::ApiToken | CredentialKind::AccessToken | CredentialKind::Workload
            if factor.is_some() =>
        {
            refuse(no_factor_of_token())
        }
        CredentialKind::None
        | CredentialKind::WebSession
        | CredentialKind::CliSession
        | CredentialKind::ApiToken
        | CredentialKind::AccessToken
        | CredentialKind::Workload => {
            ControlFlow::Continue(Authenticated { identified, caller, credential, made, factor })
        }
    }
}

/// A client certificate beside a token is refused unless it stands for that very token: which of two callers
/// is meant must never be a matter of precedence.
async fn is_the_same(
    plane: &DataPlane,
    beside: &Credential,
    principal: &Principal,
    outcome: &mut OutcomeGuard,
) -> Flow<()> {
    let known = beside.resolve(plane.parts.store.callers(), None, plane.parts.clock.now()).await;
    let same = known.is_ok_and(|known| known.principal.credential_id() == principal.credential_id());
    if same {
        return ControlFlow::Continue(());
    }
    outcome.note("a client certificate beside another credential");
    refuse(Problem::new(
        ProblemKind::MalformedRequest,
        Layer::Authentication,
        "the request has both a client certificate and a token; send one, or the token that the certificate stands for",
    ))
}

fn no_factor_of_token() -> Problem {
    Problem::new(
        ProblemKind::BadParameter,
        Layer::Authentication,
        "an API token has no second factor: send the token alone, or use your own session",
    )
}

async fn resolve(
    plane: &DataPlane,
    credential: &Credential,
    place: Place,
    identified: &Identified,
    outcome: &mut OutcomeGuard,
) -> Flow<Who> {
    let source_ip = identified.admitted.source_ip;
    if let (Target::Service(request), Place::Header, Credential::Text(token)) =
        (&identified.target, place, credential)
        && !request.service.raw.issuers.is_empty()
        && AccessTokens::is_one(token.expose())
    {
        let principal = Box::pin(of_issuer(plane, token, &request.service, outcome)).await?;
        return ControlFlow::Continue(Who::of(principal));
    }
    let (callers, now) = (plane.parts.store.callers(), plane.parts.clock.now());
    match credential.resolve(callers, Some(source_ip), now).await {
        // The cookie of a web session is for the web pages; as a password it would be a second kind of
        // token. And a token in the cookie's place would be a session that no sign-in opened.
        Ok(known)
            if (known.principal.credential_kind() == CredentialKind::WebSession)
                != (place == Place::Cookie) =>
        {
            one_event(plane, source_ip, outcome, "a credential was presented in the place of another kind");
            refuse(unauthenticated("the credential is not valid"))
        }
        // A host's cookie is that host's: what another one can read, or was made to tell, is worth nothing here.
        Ok(known)
            if known.host.as_deref()
                != service_host(plane, &identified.rules, &identified.admitted.host)
                    .filter(|_| place == Place::Cookie) =>
        {
            one_event(plane, source_ip, outcome, "a cookie was presented at another host than its own");
            refuse(unauthenticated("the credential is not valid"))
        }
        Ok(known) => ControlFlow::Continue(Who { principal: known.principal.clone(), made: known.made }),
        Err(ResolveError::Refused(fault)) => {
            // The log learns why; the caller learns only that it does not work, so that nothing can be probed.
            match fault {
                CallerFault::Unknown => outcome.note(fault_name(fault)),
                // Somebody has a credential that was once good: each use of it is an event of its own.
                CallerFault::Expired
                | CallerFault::Idle
                | CallerFault::Revoked
                | CallerFault::Locked
                | CallerFault::Network => {
                    one_event(plane, source_ip, outcome, fault_name(fault));
                }
            }
            refuse(unauthenticated("the credential is not valid"))
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

/// Who an access token stands for at this service.
async fn of_issuer(
    plane: &DataPlane,
    token: &Secret<String>,
    service: &Service,
    outcome: &mut OutcomeGuard,
) -> Flow<Principal> {
    let (tokens, now) = (&plane.parts.access_tokens, plane.parts.clock.now());
    match tokens.principal(token.expose(), service.name.as_str(), &service.raw.issuers, now).await {
        Ok(principal) => ControlFlow::Continue(principal),
        Err(fault) => {
            // Anybody can write such a token, also one that says it is over: refusals are counted by source.
            outcome.note(fault.to_string());
            refuse(unauthenticated("the credential is not valid"))
        }
    }
}

/// A refused credential that was once good is an event of its own, up to the rate of its source; what is
/// beyond is counted with other refusals, so that nobody can fill the log with one old token.
fn one_event(plane: &DataPlane, source_ip: IpAddr, outcome: &mut OutcomeGuard, reason: &str) {
    if limit::old_credential(plane, source_ip) {
        outcome.refused_credential(reason);
    } else {
        outcome.note(reason);
    }
}

fn fault_name(fault: CallerFault) -> &'static str {
    match fault {
        CallerFault::Unknown => "unknown credential",
        CallerFault::Expired => "expired credential",
        CallerFault::Idle => "session unused for too long",
        CallerFault::Revoked => "revoked credential",
        CallerFault::Locked => "locked person",
        CallerFault::Network => "a network from which this credential may not be used",
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unauthenticated, Layer::Authentication, detail)
}
