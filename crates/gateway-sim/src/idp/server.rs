//! Connections and requests of a development provider, on the simulated rack's own listener.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_types::Timestamp;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::authorize::Grant;
use super::key::SigningKey;
use super::{DevPerson, IdpFault, IdpOptions, authorize, documents, token};
use crate::call::{form_fields, split_target};
use crate::reply::Reply;
use crate::server::{read_body, write};
use crate::wire::{Head, HeadKind, Wire};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    issuer: String,
    pub(super) options: IdpOptions,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) key: Arc<SigningKey>,
    pub(super) faults: Vec<IdpFault>,
    /// Codes that were given out and not yet presented.
    pub(super) grants: HashMap<String, Grant>,
    /// Access tokens that were given out, and about whom.
    pub(super) access: HashMap<String, Access>,
    /// How often each path was asked for.
    pub(super) asked: BTreeMap<String, usize>,
}

impl State {
    pub(super) fn breaks(&self, rule: &IdpFault) -> bool {
        self.faults.contains(rule)
    }
}

impl Shared {
    pub(super) fn new(issuer: String, options: IdpOptions, key: SigningKey) -> Self {
        let state = State {
            key: Arc::new(key),
            faults: options.faults.clone(),
            grants: HashMap::new(),
            access: HashMap::new(),
            asked: BTreeMap::new(),
        };
        Self { issuer, options, state: Mutex::new(state) }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }
}

/// What an access token stands for.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) person: DevPerson,
    pub(super) given_at: Timestamp,
}

/// A request with its parameters.
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) query: Vec<(String, String)>,
    pub(super) form: Vec<(String, String)>,
}

/// What becomes of a request.
enum Outcome {
    Answered(Reply),
    /// The connection stays open and nothing comes.
    Hung,
}

/// Serves one connection to its end.
pub(super) async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut wire = Wire::new(reader);
    while let Ok(Some(head)) = wire.head(HeadKind::Request).await {
        let Some((path, query)) = split_target(&head.second) else { break };
        let Ok(body) = read_body(&mut wire, &head).await else { break };
        let request = Request { form: form_fields(&head, &body), head, query };
        match answer(&shared, &path, &request) {
            Outcome::Answered(reply) => {
                let last = request.head.has_token("connection", "close") || request.head.third == "HTTP/1.0";
                if send(&mut writer, &request.head, reply).await.is_err() || last {
                    break;
                }
            }
            Outcome::Hung => return wire.until_closed().await,
        }
    }
    let _ = writer.shutdown().await;
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, head: &Head, reply: Reply) -> std::io::Result<()> {
    // What stands in an answer is for the one who asked, now.
    write::reply(writer, head, reply.with("Cache-Control", "no-store"), None).await
}

fn answer(shared: &Shared, path: &str, request: &Request) -> Outcome {
    let broken = {
        let mut state = shared.state();
        *state.asked.entry(path.to_owned()).or_default() += 1;
        state.faults.iter().find_map(|fault| broken(fault, path))
    };
    broken.unwrap_or_else(|| Outcome::Answered(route(shared, path, request)))
}

/// What a fault of the whole path makes of the request.
fn broken(fault: &IdpFault, path: &str) -> Option<Outcome> {
    match fault {
        IdpFault::Hang(at) if *at == path => Some(Outcome::Hung),
        IdpFault::Status(at, status) if *at == path => {
            Some(Outcome::Answered(Reply::text(*status, "out of order\n")))
        }
        IdpFault::Body(at, text) if *at == path => {
            let reply = Reply::new(200, text.as_bytes().to_vec());
            Some(Outcome::Answered(reply.with("Content-Type", "application/json")))
        }
        IdpFault::Redirect(at, to) if *at == path => {
            Some(Outcome::Answered(Reply::empty(302).with("Location", to.clone())))
        }
        _ => None,
    }
}

fn route(shared: &Shared, path: &str, request: &Request) -> Reply {
    match (request.head.first.as_str(), path) {
        ("GET", "/.well-known/openid-configuration") => documents::discovery(&shared.issuer, &shared.state()),
        ("GET", "/keys") => documents::keys(&shared.state()),
        ("GET", "/authorize") => authorize::page(shared, request),
        ("POST", "/authorize") => authorize::chosen(shared, request),
        ("GET", "/style.css") => authorize::style(),
        ("POST", "/token") => token::exchange(shared, request),
        ("GET", "/userinfo") => token::user_info(shared, request),
        (
            _,
            "/.well-known/openid-configuration"
            | "/keys"
            | "/authorize"
            | "/style.css"
            | "/token"
            | "/userinfo",
        ) => Reply::text(405, "method not allowed\n"),
        _ => Reply::text(404, "not found\n"),
    }
}

/// The value of a parameter that comes once. Twice is none: which of the two holds is anybody's guess.
/// Source: RFC 6749, section 3.1.
pub(super) fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_str());
    values.next().filter(|value| !value.is_empty() && values.next().is_none())
}
