//! The rack's credential where it is kept outside: a file or Vault. It is read again and again, and exchanged without a
//! restart; while it cannot be read the last value holds, and an alarm says so.

use std::sync::{Mutex, PoisonError};

use gateway_audit::{Actor, Event, EventId, Phase, bounded};
use gateway_services::SecretRef;
use gateway_types::{ActionName, Resource, Secret};
use serde_json::json;
use tokio::time::Instant;

use crate::plane::DataPlane;
use crate::services::{SecretReader, VAULT_FRESH};
use crate::upstream::Exchanged;

/// What is known of the place where the credential is kept.
#[derive(Debug, Default)]
pub(crate) struct RackCredential(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    asked: Option<Instant>,
    fault: Option<String>,
}

/// What is worth an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Exchanged,
    CannotBeRead,
    ReadAgain,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Change::Exchanged => "exchanged",
            Change::CannotBeRead => "cannot_be_read",
            Change::ReadAgain => "read_again",
        }
    }
}

impl RackCredential {
    fn fault(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    /// Whether it is time to look again. A file is looked at each time; Vault after a while.
    fn is_due(&self, reference: &SecretRef) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).asked;
        match reference {
            SecretRef::Env(_) | SecretRef::File(_) => true,
            SecretRef::Vault { .. } => asked.is_none_or(|asked| asked.elapsed() >= VAULT_FRESH),
        }
    }

    /// Notes what a look came to; returns the fault before.
    fn looked(&self, fault: Option<String>) -> Option<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be read is tried again at the next look.
        state.asked = fault.is_none().then(Instant::now);
        std::mem::replace(&mut state.fault, fault)
    }
}

/// Looks whether the credential is another one now. Returns why it cannot be read, while it cannot.
pub(crate) async fn tend(
    plane: &DataPlane,
    reader: &SecretReader,
    credential: &RackCredential,
) -> Option<String> {
    let reference = plane.parts.rack_credential.as_ref()?;
    // The rack may have been given another one a moment before the place where it is kept.
    let refused = plane.parts.upstream.take_refusal();
    if !refused && !credential.is_due(reference) {
        return credential.fault();
    }
    let read = reader.follow(reference).await.map_err(|error| with_causes(&error));
    let exchanged = match read {
        Ok(secret) => exchange(plane, &secret),
        Err(fault) => Err(fault),
    };
    let before = credential.looked(exchanged.as_ref().err().cloned());
    match (&exchanged, before) {
        (Ok(Exchanged::Yes), _) => {
            tracing::info!(%reference, "the rack's credential is another one from now on");
            tell(plane, reference, Change::Exchanged);
        }
        (Ok(Exchanged::No), Some(_)) => {
            tracing::info!(%reference, "the rack's credential can be read again");
            tell(plane, reference, Change::ReadAgain);
        }
        (Ok(Exchanged::No), None) | (Err(_), Some(_)) => {}
        (Err(fault), None) => {
            tracing::error!(%reference, %fault, "the rack's credential cannot be read; the last one holds");
            tell(plane, reference, Change::CannotBeRead);
        }
    }
    exchanged.err()
}

fn exchange(plane: &DataPlane, secret: &Secret<String>) -> Result<Exchanged, String> {
    plane.parts.upstream.sign_in_with(secret).map_err(|error| with_causes(&error))
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

fn tell(plane: &DataPlane, reference: &SecretRef, change: Change) {
    let parts = &plane.parts;
    let (now, action) = (parts.clock.now(), ActionName::new("gateway:rack:credential"));
    let id = EventId::new(now, &*parts.entropy);
    let mut event = Event::new(now, id, action, Resource::rack(), Actor::system());
    event.phase = Phase::Single;
    event.parameters.insert("source".to_owned(), bounded(&reference.to_string()));
    event.after = Some(json!({ "state": change.name() }));
    parts.store.audit().queue(event);
}
