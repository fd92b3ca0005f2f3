//! Phase 5: the request is completed to a typed value, and the facts are gathered.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use gateway_app::control::{OwnQuestion, RackForm};
use gateway_app::origin::Origin;
use gateway_app::rules::Rules;
use gateway_convox::{BodyKind, Parameter, ParameterError, Place, RackRequest, Secrecy, UpstreamBody};
use gateway_identity::InlineFactor;
use gateway_policy::{OwnRoute, RackPage};
use gateway_secrets::{HandleKey, KnownValues, Masker, mask_env_for_log, mask_for_log};
use gateway_services::ServiceRequest;
use gateway_types::{
    Caller, Channel, Facts, Layer, Operation, Principal, Problem, ProblemKind, Resource, Timestamp,
};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::admit::Admitted;
use super::authenticate::Authenticated;
use super::form::{self, PageForm};
use super::identify::{Target, service_host};
use super::limit::Limited;
use super::service;
use super::step_up::{self, FactorAsker};
use crate::approving::{self, Approving};
use crate::body::{BodyError, ClientBody, collect};
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;

/// What the digest of a request's values is keyed with.
const TARGET_KEY: &str = "step-up-target/v1";

/// The largest body of one of the gateway's own operations, in bytes.
const OWN_BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// A request that is complete: every parameter typed, every fact known.
#[derive(Debug)]
pub struct Inspected {
    pub(super) caller: Caller,
    pub(super) credential: Option<super::authenticate::Credential>,
    /// When a cookie of one host was made.
    pub(super) made: Option<Timestamp>,
    /// A second factor that came along and was not needed yet.
    pub(super) factor: Option<InlineFactor>,
    pub(super) asked: Asked,
    /// The page that shows or does it, for operations of the rack.
    pub(super) page: Option<AskedPage>,
    pub(super) facts: Facts,
    /// What approvals say.
    pub(super) approving: Approving,
    /// The rules that the request was found in.
    pub(super) rules: Arc<Rules>,
    /// The request's head; what is still of use of it is named by each later phase.
    pub(super) head: http::request::Parts,
    /// The origin that the client used.
    pub(super) origin: Origin,
    pub(super) socket: bool,
}

/// A page of an operation of the rack, as it was asked for.
#[derive(Debug)]
pub(super) struct AskedPage {
    pub(super) page: RackPage,
    /// The fields of its form, without the gateway's own.
    pub(super) form: Vec<(String, String)>,
}

/// What is asked, complete.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Of the rack.
    Rack {
        /// The typed request.
        request: Box<RackRequest>,
        /// The client's body, for rows that stream one.
        body: Option<ClientBody>,
    },
    /// Of the gateway.
    Own {
        /// The route.
        route: OwnRoute,
        /// The complete body of the JSON API.
        body: Bytes,
        /// The fields of a page's form, without the gateway's own.
        form: Vec<(String, String)>,
    },
    /// Of a service.
    Service {
        /// The typed request.
        request: Box<ServiceRequest>,
        /// The client's body, with what follows it.
        body: ClientBody,
    },
}

impl Asked {
    pub(crate) fn operation(&self) -> &Operation {
        match self {
            Asked::Rack { request, .. } => request.operation(),
            Asked::Own { route, .. } => &route.operation,
            Asked::Service { request, .. } => &request.operation,
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        match self {
            Asked::Rack { request, .. } => request.resource(),
            Asked::Own { route, .. } => route.resource(),
            Asked::Service { request, .. } => request.resource(),
        }
    }
}

/// Completes the request.
pub(crate) async fn inspect(
    plane: &Arc<DataPlane>,
    limited: Limited,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Inspected> {
    let Authenticated { identified, caller, credential, made, mut factor } = limited.into_authenticated();
    let rules = identified.rules;
    let mut page = None;
    let Admitted { request, socket, origin, .. } = identified.admitted;
    let (head, body) = request.into_parts();
    let body = ClientBody::new(body, plane.parts.pace);
    let asked = match identified.target {
        Target::Own(route) => {
            let body = match announces_body(&head.headers) {
                false => Bytes::new(),
                // Nobody may hold a connection by announcing a body that is not wanted.
                true if head.method == Method::GET || head.method == Method::HEAD => {
                    return refuse(takes_no_body());
                }
                true => match Box::pin(collect_within(body, OWN_BODY_LIMIT_BYTES)).await {
                    Ok(body) => body,
                    Err(error) => return refuse(body_problem(&error)),
                },
            };
            let (body, form) = if caller.channel == Channel::Web && head.method == Method::POST {
                let host = service_host(plane, &rules, origin.host());
                let PageForm { fields, code } = form::read(plane, &caller, host, &head.headers, &body)?;
                asker.filled_in(&fields);
                factor = code;
                (Bytes::new(), fields)
            } else {
                (body, Vec::new())
            };
            own_about(plane, &caller.principal, route, &head, body, form).await
        }
        Target::Rack(route) if identified.page.is_some() => {
            let (form, code) = page_form(plane, &caller, &head, socket, body).await?;
            asker.filled_in(&form);
            factor = code;
            page = identified.page.map(|page| AskedPage { page, form });
            // What is sent with a form stands in the form, which was shown to be the session's.
            let query = head.uri.query().filter(|_| head.method == Method::GET);
            match page.as_ref().map(|page| of_page(plane, *route, page, query)) {
                Some(Ok(request)) => Asked::Rack { request: Box::new(request), body: None },
                Some(Err(problem)) => return refuse(problem),
                None => return refuse(takes_no_body()),
            }
        }
        Target::Rack(route) => {
            let (form, rest) = form_of(plane, route.body_kind(), &head.headers, body).await?;
            match complete(*route, &head, form.as_deref()) {
                Ok(request) => Asked::Rack { request: Box::new(request), body: rest },
                Err(fault) => return refuse(parameter_problem(&fault)),
            }
        }
        Target::Service(request) => {
            service::within_limit(&request, &head.headers)?;
            Asked::Service { request, body: body.with_trailers() }
        }
    };
    outcome.inspected(asked.operation(), logged_parameters(plane, &asked));
    let mut facts = facts(plane, &caller, &asked, head.uri.query()).await;
    let whose = FactorAsker { principal: &caller.principal, made };
    if asker.going.is_some()
        && let ControlFlow::Break(problem) = Box::pin(step_up::refuse_older_cookie(plane, whose)).await
        // A store that cannot be asked closes no page: the cookie goes without the factor either way.
        && problem.kind == ProblemKind::Unauthenticated
    {
        // Also of a page that asks for no factor: what it will ask for goes with this cookie.
        return refuse(*problem);
    }
    let approving = Box::pin(approving::learn(plane, &caller.principal, &asked, &mut facts)).await?;
    Box::pin(step_up::learn(plane, whose, asked.operation().step_up, &mut facts)).await?;
    ControlFlow::Continue(Inspected {
        caller,
        credential,
        made,
        factor,
        asked,
        page,
        facts,
        approving,
        rules,
        head,
        origin,
        socket,
    })
}

/// One of the gateway's own operations, with the app that it is about when its path does not name one.
async fn own_about(
    plane: &DataPlane,
    principal: &Principal,
    mut route: OwnRoute,
    head: &http::request::Parts,
    body: Bytes,
    form: Vec<(String, String)>,
) -> Asked {
    let question =
        OwnQuestion { principal, route: &route, query: head.uri.query(), form: &form, body: &body };
    route.about = plane.parts.control.app_of(question).await;
    Asked::Own { route, body, form }
}

/// The form of a page of the rack's, or what shows that the socket of a page's script is one.
async fn page_form(
    plane: &DataPlane,
    caller: &Caller,
    head: &http::request::Parts,
    socket: bool,
    body: ClientBody,
) -> Flow<(Vec<(String, String)>, Option<InlineFactor>)> {
    if head.method == Method::POST {
        let body = match Box::pin(collect_within(body, plane.parts.form_limit_bytes)).await {
            Ok(body) => body,
            Err(error) => return refuse(body_problem(&error)),
        };
        let PageForm { fields, code } = form::read(plane, caller, None, &head.headers, &body)?;
        return ControlFlow::Continue((fields, code));
    }
    if announces_body(&head.headers) {
        return refuse(takes_no_body());
    }
    let fields = if socket { form::of_socket(plane, caller, &head.headers)? } else { Vec::new() };
    ControlFlow::Continue((fields, None))
}

/// The request of the rack that a page stands for: of its form, or else its query, what the row takes. A field that is left
/// empty is not given, and what the row does not take is the page's own (a search, a typed confirmation).
fn of_page(
    plane: &DataPlane,
    route: gateway_convox::Identified,
    asked: &AskedPage,
    query: Option<&str>,
) -> Result<RackRequest, Problem> {
    let AskedPage { page, form } = asked;
    let whole = RackForm { page: &page.page, parameters: &page.parameters, fields: form };
    if let Some(problem) = plane.parts.control.fault_of_form(whole) {
        return Err(problem);
    }
    let queried = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let given = form.iter().cloned().chain(queried.into_owned().filter(|_| form.is_empty()));
    let mut queries = form_urlencoded::Serializer::new(String::new());
    let mut forms = form_urlencoded::Serializer::new(String::new());
    let mut headers = Vec::new();
    for (name, value) in given.filter(|(_, value)| !value.is_empty()) {
        match route.row().parameters.iter().find(|spec| spec.is_named(&name)).map(|spec| spec.place) {
            Some(Place::Query) => drop(queries.append_pair(&name, &value)),
            Some(Place::Form) => drop(forms.append_pair(&name, &value)),
            Some(Place::Header) => headers.push((name, value)),
            Some(Place::Path) | None => {}
        }
    }
    let (queries, forms) = (queries.finish(), forms.finish());
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let form = Some(forms.as_bytes()).filter(|form| !form.is_empty());
    let content_type = form.map(|_| "application/x-www-form-urlencoded");
    let query = Some(queries.as_str()).filter(|query| !query.is_empty());
    route.complete(query, headers, content_type, form).map_err(|fault| parameter_problem(&fault))
}

fn complete(
    route: gateway_convox::Identified,
    head: &http::request::Parts,
    form: Option<&[u8]>,
) -> Result<RackRequest, ParameterError> {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    route.complete(head.uri.query(), headers, content_type, form)
}

/// Reads the body of rows that take a form; leaves the body of rows that stream one.
async fn form_of(
    plane: &DataPlane,
    kind: BodyKind,
    headers: &HeaderMap,
    body: ClientBody,
) -> Flow<(Option<Bytes>, Option<ClientBody>)> {
    let announced = announces_body(headers);
    match kind {
        BodyKind::Stream | BodyKind::Json => ControlFlow::Continue((None, Some(body))),
        BodyKind::None | BodyKind::Form if !announced => ControlFlow::Continue((None, None)),
        BodyKind::None => refuse(takes_no_body()),
        BodyKind::Form => match Box::pin(collect_within(body, plane.parts.form_limit_bytes)).await {
            Ok(form) => ControlFlow::Continue((Some(form), None)),
            Err(error) => refuse(body_problem(&error)),
        },
    }
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

fn takes_no_body() -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Network, "this operation takes no body")
}

/// How long a body that is read into memory may take.
const BODY_LIMIT: Duration = Duration::from_secs(60);

async fn collect_within(body: ClientBody, limit_bytes: usize) -> Result<Bytes, BodyError> {
    timeout(BODY_LIMIT, collect(body, limit_bytes))
        .await
        .unwrap_or(Err(BodyError::TooSlow { limit: BODY_LIMIT }))
}

fn body_problem(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { .. } => Problem::new(ProblemKind::TooLarge, Layer::Network, error.to_string()),
        BodyError::TooSlow { .. } => Problem::new(ProblemKind::TooSlow, Layer::Network, error.to_string()),
        BodyError::Revoked { .. }
        | BodyError::Broken(_)
        | BodyError::Trailers
        | BodyError::Credential
        | BodyError::NotBase64 => Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "the request body is malformed or ended early",
        ),
    }
}

pub(crate) fn parameter_problem(fault: &ParameterError) -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Network, fault.to_string())
}

/// What policy is told beside who, what and on what, short of second factors.
async fn facts(plane: &DataPlane, caller: &Caller, asked: &Asked, query: Option<&str>) -> Facts {
    let principal = &caller.principal;
    let settings = &plane.parts.settings;
    let resource = asked.resource();
    let facts = Facts {
        mfa_off: !settings.mfa_step_up(),
        mfa_required: settings.mfa_required(),
        own_object: match asked {
            Asked::Rack { .. } | Asked::Service { .. } => false,
            Asked::Own { route, body, form } => {
                let question = OwnQuestion { principal, route, query, form, body };
                plane.parts.control.is_own(question).await
            }
        },
        destructive_allowed: settings.destructive_actions(resource.app_name()),
        external_builds_allowed: settings.external_builds(resource.app_name()),
        sensitive_parameters: match asked {
            Asked::Rack { request, .. } => request.sensitive_parameters(),
            Asked::Own { .. } | Asked::Service { .. } => Default::default(),
        },
        networks: plane.parts.networks.named.of(caller.source_ip),
        ..Facts::default()
    };
    plane.circumstances().of(principal, &resource, facts)
}

impl Asked {
    /// Whether a parameter is a text that is scanned for secrets before it is logged.
    pub(super) fn holds_scanned_text(&self) -> bool {
        match self {
            Asked::Rack { request, .. } => {
                request.parameters().iter().any(|parameter| parameter.secrecy == Secrecy::Scanned)
            }
            Asked::Own { .. } | Asked::Service { .. } => false,
        }
    }

    /// Whether its body streams upstream.
    pub(super) fn is_streamed(&self) -> bool {
        match self {
            Asked::Rack { body, .. } => body.is_some(),
            Asked::Service { body, .. } => !body.is_end_stream(),
            Asked::Own { .. } => false,
        }
    }

    /// What a step-up for this request is bound to: method and path, and a digest of what else is asked.
    /// For the rack it is keyed, since values may be secret and guessable.
    pub(super) fn target(&self, plane: &DataPlane, head: &http::request::Parts) -> String {
        match self {
            Asked::Rack { request, .. } => {
                let upstream = request.serialise();
                let (path, query) = upstream.target.split_once('?').unwrap_or((&upstream.target, ""));
                let form = match &upstream.body {
                    UpstreamBody::Form(form) => form.as_slice(),
                    UpstreamBody::Stream { .. } | UpstreamBody::None => &[],
                };
                let place = format!("{} {path}", upstream.method);
                if query.is_empty() && form.is_empty() && upstream.headers.is_empty() {
                    return place;
                }
                let key = plane.parts.store.derive_key(TARGET_KEY);
                let mut digest = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
                for (name, value) in &upstream.headers {
                    digest.update(format!("{name}:{value}\n").as_bytes());
                }
                digest.update(format!("?{query}\n").as_bytes());
                digest.update(form);
                format!(
                    "{place} with values {}",
                    HEXLOWER.encode(digest.sign().as_ref().get(..16).unwrap_or_default())
                )
            }
            Asked::Service { request, .. } => {
                format!("{} {} {}", request.service.name, request.method, request.target)
            }
            Asked::Own { body, form, .. } => {
                let place = format!("{} {}", head.method, head.uri.path());
                if body.is_empty() && form.is_empty() {
                    return place;
                }
                let mut text = form_urlencoded::Serializer::new(String::new());
                text.extend_pairs(form);
                // Keyed too: a body may hold the new value of a secret, and what is kept must not tell a guess.
                let key = plane.parts.store.derive_key(TARGET_KEY);
                let mut digest = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
                digest.update(body);
                digest.update(text.finish().as_bytes());
                let digest = digest.sign();
                format!(
                    "{place} with values {}",
                    HEXLOWER.encode(digest.as_ref().get(..16).unwrap_or_default())
                )
            }
        }
    }
}

/// The parameters as the log keeps them: secret ones as handles.
pub(crate) fn logged_parameters(plane: &DataPlane, asked: &Asked) -> BTreeMap<String, String> {
    match asked {
        Asked::Own { route, .. } => route.parameters.iter().cloned().collect(),
        Asked::Service { request, .. } => request
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), gateway_audit::bounded(value)))
            .collect(),
        // To derive a key takes longer than all else here.
        Asked::Rack { request, .. } if request.parameters().iter().all(is_plain) => request
            .parameters()
            .iter()
            .map(|parameter| (parameter.name.clone(), gateway_audit::bounded(&parameter.value)))
            .collect(),
        Asked::Rack { request, .. } => {
            let resource = request.resource();
            let scope = resource.app_name().unwrap_or(RACK_SCOPE);
            let key = log_key(plane, scope);
            let known = plane.known.of(scope);
            request
                .parameters()
                .iter()
                .map(|parameter| {
                    let value = match parameter.secrecy {
                        Secrecy::Plain => parameter.value.clone(),
                        Secrecy::Scanned => scanned(&key, &known, parameter),
                        Secrecy::Secret if parameter.name == "env" => {
                            mask_env_for_log(&key, &plane.plain_keys(resource.app_name()), &parameter.value)
                        }
                        Secrecy::Secret => mask_for_log(&key, &parameter.name, &parameter.value),
                        Secrecy::SecretValues => masked_map(&key, request, parameter),
                    };
                    (parameter.name.clone(), gateway_audit::bounded(&value))
                })
                .collect()
        }
    }
}

/// What makes handles for the log. They have a scope of their own: else a refused request with a guess in it would
/// tell, by its event, whether the guess is the value behind a handle in a reply.
pub(crate) fn log_key(plane: &DataPlane, scope: &str) -> HandleKey {
    plane.parts.keyring.scope(&format!("log/{scope}"))
}

fn is_plain(parameter: &Parameter) -> bool {
    match parameter.secrecy {
        Secrecy::Plain => true,
        Secrecy::Scanned | Secrecy::Secret | Secrecy::SecretValues => false,
    }
}

/// A text that may hold secrets: known values are masked, and what is likely to be one whatever is known.
fn scanned(key: &HandleKey, known: &KnownValues, parameter: &Parameter) -> String {
    match parameter.name.as_str() {
        "build-args" => mask_assignments(key, &parameter.value),
        "url" if parameter.value.contains('@') => mask_for_log(key, "url", &parameter.value),
        // The log shows no secret in whatever spelling.
        _ => Masker::new(known).mask(&parameter.value),
    }
}

/// `NAME=value,…` with handles for the values: build arguments often carry registry tokens.
fn mask_assignments(key: &HandleKey, text: &str) -> String {
    let masked: Vec<String> = text
        .split(',')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", mask_for_log(key, name, value)),
            None => pair.to_owned(),
        })
        .collect();
    masked.join(",")
}

/// The scope of handles of values that belong to no app. No app can be called so.
pub(crate) const RACK_SCOPE: &str = ":rack";

fn masked_map(key: &HandleKey, request: &RackRequest, parameter: &Parameter) -> String {
    let pairs = request.map(&parameter.name).unwrap_or_default();
    let masked: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", mask_for_log(key, name, value))).collect();
    masked.join("&")
}
