//! Short-lived tokens of the rack in place of its password: one for each of its roles, minted when it is first needed and
//! again before it ends (API.md 2.1, `POST /system/jwt/token`).
//!
//! # Security
//! A request carries no more than its row needs. The password goes to the rack with the minting alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gateway_convox::RackRole;
use gateway_types::{Clock, Secret, Timestamp};
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Credential, Upstream, UpstreamError};
use crate::body::{BodyError, RequestBody, collect};
use crate::phases::forward::ACTOR_HEADER;

/// For how long tokens are minted: the rack's shortest.
const LIFE: Duration = Duration::from_secs(3600);

/// How old one becomes before another is minted.
const FRESH: Duration = Duration::from_secs(45 * 60);

/// How soon after a minting that failed the next is tried, while the present token is still good.
const PAUSE: Duration = Duration::from_secs(30);

/// How long the rack may take to mint one.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest answer to a minting, in bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// Whose request the minting is, in the rack's log.
const ACTOR: HeaderValue = HeaderValue::from_static("rack-gateway");

/// The tokens at hand.
#[derive(Debug)]
pub(super) struct RackTokens {
    clock: Arc<dyn Clock>,
    slots: [Slot; 3],
    fault: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held while one is minted, so that one request mints for all.
    turn: tokio::sync::Mutex<()>,
    token: ArcSwapOption<Token>,
}

/// A token, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) credential: Arc<Credential>,
    minted: Timestamp,
    renews: Timestamp,
    expires: Timestamp,
}

/// What may be told of tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TokensShown {
    /// Role, when it was minted, when another is, until when it is good.
    pub(crate) roles: Vec<(RackRole, Timestamp, Timestamp, Timestamp)>,
    /// Why the last one could not be minted.
    pub(crate) fault: Option<String>,
}

#[derive(Deserialize)]
struct Minted {
    token: String,
}

impl RackTokens {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Default::default(), fault: Mutex::default() }
    }

    const fn slot(&self, role: RackRole) -> &Slot {
        let [read, write, admin] = &self.slots;
        match role {
            RackRole::Read => read,
            RackRole::Write => write,
            RackRole::Admin => admin,
        }
    }

    /// A token of this role that is good now. The one at hand is used to its end while no other can be minted.
    pub(super) async fn of(&self, role: RackRole, upstream: &Upstream) -> Result<Arc<Token>, UpstreamError> {
        let slot = self.slot(role);
        if let Some(token) = self.fresh(slot) {
            return Ok(token);
        }
        let Ok(_turn) = timeout(LIMIT, slot.turn.lock()).await else {
            return Err(UpstreamError::MintTimeout { limit: LIMIT });
        };
        if let Some(token) = self.fresh(slot) {
            return Ok(token);
        }
        let minted = timeout(LIMIT, mint(role, upstream)).await;
        let now = self.clock.now();
        match minted.unwrap_or(Err(UpstreamError::MintTimeout { limit: LIMIT })) {
            Ok(credential) => {
                let token = Arc::new(Token {
                    credential: Arc::new(credential),
                    minted: now,
                    renews: now.saturating_add(FRESH),
                    expires: now.saturating_add(LIFE),
                });
                slot.token.store(Some(Arc::clone(&token)));
                self.note(None);
                Ok(token)
            }
            Err(error) => {
                self.note(Some(error.to_string()));
                let old = slot.token.load_full().filter(|old| now < old.expires).ok_or(error)?;
                let old = Arc::new(Token { renews: now.saturating_add(PAUSE), ..(*old).clone() });
                slot.token.store(Some(Arc::clone(&old)));
                Ok(old)
            }
        }
    }

    fn fresh(&self, slot: &Slot) -> Option<Arc<Token>> {
        let now = self.clock.now();
        slot.token.load_full().filter(|token| now < token.renews)
    }

    /// Forgets a token that the rack refused, unless another is there already.
    pub(super) fn refused(&self, role: RackRole, refused: &Arc<Token>) {
        let slot = &self.slot(role).token;
        let present = slot.load_full();
        if present.as_ref().is_some_and(|present| Arc::ptr_eq(present, refused)) {
            slot.compare_and_swap(&present, None);
        }
    }

    /// Forgets all: each is minted anew when it is needed.
    pub(super) fn forget(&self) {
        for slot in &self.slots {
            slot.token.store(None);
        }
    }

    /// Whether one of them is in `text`.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.token.load().as_ref().is_some_and(|token| token.credential.is_in(text)))
    }

    pub(super) fn shown(&self) -> TokensShown {
        let of = |role: RackRole| {
            let token = self.slot(role).token.load_full()?;
            Some((role, token.minted, token.renews, token.expires))
        };
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        TokensShown { roles: RackRole::ALL.into_iter().filter_map(of).collect(), fault }
    }

    fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

async fn mint(role: RackRole, upstream: &Upstream) -> Result<Credential, UpstreamError> {
    let hours = LIFE.as_secs() / 3600;
    let form = format!("role={}&durationInHour={hours}", role.name());
    let mut request = Request::new(RequestBody::Whole(Full::new(form.into())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(PathAndQuery::from_static("/system/jwt/token"));
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACTOR_HEADER, ACTOR);
    upstream.sign(&mut request, &upstream.credential.load());
    let response = upstream.pool.send(&upstream.connector, request).await?;
    let status = response.status().as_u16();
    if status == 401 {
        upstream.note_refusal();
    }
    if status != 200 {
        return Err(UpstreamError::NotMinted { role: role.name(), status });
    }
    let body = collect(response.into_body().map_err(BodyError::Broken), ANSWER_LIMIT_BYTES).await;
    let body = body.map_err(|_broken| UpstreamError::TokenForm)?;
    let minted: Minted = serde_json::from_slice(&body).map_err(|_other| UpstreamError::TokenForm)?;
    let token = Secret::new(minted.token);
    // Of v2 racks an unknown role gets an empty one.
    if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UpstreamError::TokenForm);
    }
    Credential::new("jwt", &token)
}
