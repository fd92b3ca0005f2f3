//! The rack's credential where it is kept outside: a file, Vault or AWS. It is read again and again, and exchanged without
//! a restart; while it cannot be read the last value holds, and an alarm says so. Of tokens in its place the alarm is the
//! same.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use gateway_app::rack_credential::{
    Access, Looking, NotRefreshed, RackCredentialKeeper, RoleToken, Standing, Tokens,
};
use gateway_audit::{Actor, Event, EventId, Phase, bounded};
use gateway_services::SecretRef;
use gateway_store::Store;
use gateway_types::{ActionName, Clock, Entropy, Resource, Secret, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use crate::services::{STORE_FRESH, SecretReader, ServiceUpstreams};
use crate::upstream::{Exchanged, Upstream};

/// How often a file is looked at: as often as anything is.
const FILE_POLL: Duration = Duration::from_secs(2);

/// How much of a fingerprint is shown, in bytes.
const FINGERPRINT_BYTES: usize = 8;

/// What the composition root provides.
#[derive(Debug)]
pub struct RackCredentialParts {
    /// The way to the rack.
    pub upstream: Arc<Upstream>,
    /// Where it is kept, when that can change while the gateway runs.
    pub reference: Option<SecretRef>,
    /// It at the start; empty until Vault or AWS was asked.
    pub password: Secret<String>,
    /// The log.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Holds the rack's credential, and looks where it is kept.
pub struct RackCredential {
    upstream: Arc<Upstream>,
    reference: Option<SecretRef>,
    secrets: Arc<SecretReader>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// What fingerprints are made with: the same on all instances.
    key: hmac::Key,
    /// Held during a look.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

impl fmt::Debug for RackCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RackCredential").field("reference", &self.reference).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    asked: Option<Instant>,
    fingerprint: String,
    since: Timestamp,
    read: Option<Timestamp>,
    refused: Option<Timestamp>,
    fault: Option<(Timestamp, String)>,
    token_fault: Option<String>,
}

/// What is worth an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Exchanged,
    CannotBeRead,
    ReadAgain,
    CannotMint,
    MintsAgain,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Change::Exchanged => "exchanged",
            Change::CannotBeRead => "cannot_be_read",
            Change::ReadAgain => "read_again",
            Change::CannotMint => "cannot_mint_tokens",
            Change::MintsAgain => "mints_tokens_again",
        }
    }
}

impl RackCredential {
    /// Holds the credential of `parts`, and reads it as credentials of services are read.
    pub fn new(parts: RackCredentialParts, services: &ServiceUpstreams) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, parts.store.derive_key("rack-credential/v1").expose());
        let state = State {
            asked: None,
            fingerprint: fingerprint(&key, &parts.password),
            since: parts.clock.now(),
            read: None,
            refused: None,
            fault: None,
            token_fault: None,
        };
        Self {
            upstream: parts.upstream,
            reference: parts.reference,
            secrets: Arc::clone(&services.secrets),
            store: parts.store,
            clock: parts.clock,
            entropy: parts.entropy,
            key,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look again. A file is looked at each time; Vault and AWS after a while.
    fn is_due(&self, reference: &SecretRef) -> bool {
        match reference {
            SecretRef::Env(_) | SecretRef::File(_) => true,
            SecretRef::Vault { .. } | SecretRef::Aws { .. } => {
                self.state().asked.is_none_or(|asked| asked.elapsed() >= STORE_FRESH)
            }
        }
    }

    /// Looks whether the credential is another one now, when that is due. Returns what an operator has to know of it.
    pub(crate) async fn tend(&self) -> Option<String> {
        // The rack may have been given another one a moment before the place where it is kept.
        let refused = self.upstream.take_refusal();
        if refused {
            self.state().refused = Some(self.clock.now());
        }
        if let Some(reference) = &self.reference
            && (refused || self.is_due(reference))
        {
            let _turn = self.turn.lock().await;
            self.look(reference).await;
        }
        let minting = self.tend_tokens();
        let reading = self.state().fault.as_ref().map(|(_, fault)| fault.clone());
        match (reading, minting) {
            (Some(reading), Some(minting)) => Some(format!("{reading}; {minting}")),
            (reading, minting) => reading.or(minting),
        }
    }

    /// Reads it where it is kept, and signs in with it from then on.
    async fn look(&self, reference: &SecretRef) {
        let read = self.secrets.follow(reference).await.map_err(|error| with_causes(&error));
        let exchanged = read.and_then(|secret| {
            let exchanged = self.upstream.sign_in_with(&secret).map_err(|error| with_causes(&error))?;
            Ok((exchanged, fingerprint(&self.key, &secret)))
        });
        let now = self.clock.now();
        let (before, change) = {
            let mut state = self.state();
            // What could not be read is tried again at the next look.
            state.asked = exchanged.is_ok().then(Instant::now);
            let before = state.fingerprint.clone();
            let change = match &exchanged {
                Ok((exchanged, fingerprint)) => {
                    state.read = Some(now);
                    let had_fault = state.fault.take().is_some();
                    match exchanged {
                        Exchanged::Yes => {
                            state.fingerprint.clone_from(fingerprint);
                            state.since = now;
                            Some(Change::Exchanged)
                        }
                        Exchanged::No => had_fault.then_some(Change::ReadAgain),
                    }
                }
                Err(fault) => {
                    let since = state.fault.as_ref().map(|(since, _)| *since);
                    state.fault = Some((since.unwrap_or(now), fault.clone()));
                    since.is_none().then_some(Change::CannotBeRead)
                }
            };
            (before, change)
        };
        match (change, &exchanged) {
            (Some(Change::CannotBeRead), Err(fault)) => {
                tracing::error!(%reference, %fault, "the rack's credential cannot be read; the last one holds");
            }
            (Some(change), _) => tracing::info!(%reference, change = change.name(), "the rack's credential"),
            (None, _) => {}
        }
        if let Some(change) = change {
            self.tell(&before, change);
        }
    }

    /// Whether tokens could not be minted when one was needed last.
    fn tend_tokens(&self) -> Option<String> {
        let fault = self.upstream.tokens_shown()?.fault;
        let (before, fingerprint) = {
            let mut state = self.state();
            (std::mem::replace(&mut state.token_fault, fault.clone()), state.fingerprint.clone())
        };
        match (&before, &fault) {
            (None, Some(fault)) => {
                tracing::error!(%fault, "the rack mints no token for the gateway");
                self.tell(&fingerprint, Change::CannotMint);
            }
            (Some(_), None) => self.tell(&fingerprint, Change::MintsAgain),
            (None, None) | (Some(_), Some(_)) => {}
        }
        fault
    }

    fn tell(&self, before: &str, change: Change) {
        let (now, action) = (self.clock.now(), ActionName::new("gateway:rack:credential"));
        let id = EventId::new(now, &*self.entropy);
        let mut event = Event::new(now, id, action, Resource::rack(), Actor::system());
        event.phase = Phase::Single;
        if let Some(reference) = &self.reference {
            event.parameters.insert("source".to_owned(), bounded(&reference.to_string()));
        }
        event.before = Some(json!({ "fingerprint": before }));
        event.after =
            Some(json!({ "state": change.name(), "fingerprint": self.state().fingerprint.clone() }));
        self.store.audit().queue(event);
    }

    /// With what the store that keeps it is asked.
    fn access(&self) -> Option<Access> {
        match self.reference.as_ref()? {
            SecretRef::Env(_) | SecretRef::File(_) => None,
            SecretRef::Vault { .. } => {
                let renews = self.secrets.vault_renewal().map(|left| self.clock.now().saturating_add(left));
                Some(Access { kind: "Vault token", expires: None, renews })
            }
            SecretRef::Aws { .. } => self.secrets.aws_renewal().map(|renewal| Access {
                kind: renewal.source.name(),
                expires: renewal.expires,
                renews: renewal.next,
            }),
        }
    }
}

impl RackCredentialKeeper for RackCredential {
    fn standing(&self) -> Standing {
        let pause = self.reference.as_ref().map(|reference| match reference {
            SecretRef::Env(_) | SecretRef::File(_) => FILE_POLL,
            SecretRef::Vault { .. } | SecretRef::Aws { .. } => STORE_FRESH,
        });
        let tokens = self.upstream.tokens_shown().map(|shown| Tokens {
            roles: shown
                .roles
                .into_iter()
                .map(|(role, minted, renews, expires)| RoleToken {
                    role: role.name(),
                    minted,
                    renews,
                    expires,
                })
                .collect(),
            fault: shown.fault,
        });
        let access = self.access();
        let state = self.state();
        // What could not be read is tried again at the next look.
        let pause = pause.map(|pause| if state.fault.is_some() { FILE_POLL } else { pause });
        Standing {
            source: self.reference.as_ref().map(ToString::to_string),
            fingerprint: state.fingerprint.clone(),
            since: state.since,
            read: state.read,
            next_read: pause.map(|pause| state.read.unwrap_or(state.since).saturating_add(pause)),
            fault: state.fault.clone(),
            refused: state.refused,
            access,
            tokens,
        }
    }

    fn refresh(&self) -> Looking<'_> {
        Box::pin(async move {
            let had_tokens = self.upstream.forget_tokens();
            let Some(reference) = &self.reference else {
                return if had_tokens { Ok(()) } else { Err(NotRefreshed::Configured) };
            };
            let _turn = self.turn.lock().await;
            self.look(reference).await;
            match &self.state().fault {
                None => Ok(()),
                Some((_, fault)) => Err(NotRefreshed::Unreadable { fault: fault.clone() }),
            }
        })
    }
}

/// What a credential looks like to people; empty while there is none.
fn fingerprint(key: &hmac::Key, password: &Secret<String>) -> String {
    if password.expose().is_empty() {
        return String::new();
    }
    let tag = hmac::sign(key, password.expose().as_bytes());
    HEXLOWER.encode(tag.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default())
}

/// No text of these errors holds a part of a secret.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
