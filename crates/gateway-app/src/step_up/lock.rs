//! Telling a person that too many of their codes were wrong: once for each time that no more are looked at, as an
//! event and a mail, whichever way the codes came and on whichever instance.

use std::net::IpAddr;

use gateway_audit::bounded;
use gateway_store::Store;
use gateway_types::{Layer, SessionId, Timestamp, UserId};

use super::{TRIES, TRIES_OF_PERSON};
use crate::notify::{Notice, Notices};
use crate::{Operator, record};

/// The action of these events.
const LOCK: &str = "gateway:factor:lock";

/// Whose codes are not looked at any more, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Lock<'a> {
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: &'a str,
    /// With which session the codes were tried; `None` = while signing in.
    pub session: Option<SessionId>,
    /// Until when.
    pub until: Timestamp,
    /// From which address.
    pub source_ip: Option<IpAddr>,
}

/// Tells of it, when nobody did yet. What goes wrong is logged: the refusal stands either way.
pub async fn tell_of_lock(store: &Store, notices: &dyn Notices, operator: &Operator<'_>, lock: Lock<'_>) {
    match store.step_ups().tell_once(lock.user, lock.session, TRIES, TRIES_OF_PERSON).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a lock cannot be told of");
            return;
        }
    }
    let mut event = operator.event(LOCK);
    event.parameters.insert("user".to_owned(), lock.user.to_string());
    event.parameters.insert("email".to_owned(), bounded(lock.email));
    event.parameters.insert("until".to_owned(), lock.until.to_rfc3339());
    if let Some(session) = lock.session {
        event.parameters.insert("session".to_owned(), session.to_string());
    }
    event.reason = Some("too many second factors were wrong; no more are looked at for now".to_owned());
    event.layer = Some(Layer::Mfa);
    if let Err(error) = record(store, event).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a lock was not recorded");
    }
    notices
        .notify(Notice::FactorsLocked { email: lock.email.to_owned(), until: lock.until, ip: lock.source_ip })
        .await;
}
