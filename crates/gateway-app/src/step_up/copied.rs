//! Telling a person that the counter of a passkey of theirs went back: somebody may have a copy of it. As an event and a
//! mail, each time that it happens.

use std::net::IpAddr;

use gateway_audit::bounded;
use gateway_store::Store;
use gateway_types::{FactorId, Layer, UserId};

use crate::notify::{Notice, Notices};
use crate::{Operator, record};

/// The action of these events.
const COPIED: &str = "gateway:factor:copied";

/// Whose passkey it is, and from where it was used.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: &'a str,
    /// The passkey.
    pub factor: FactorId,
    /// From which address.
    pub source_ip: Option<IpAddr>,
}

/// Tells of it. What goes wrong is logged: the refusal stands either way.
pub async fn tell_of_copy(store: &Store, notices: &dyn Notices, operator: &Operator<'_>, copied: Copied<'_>) {
    let name = match store.factors().list(copied.user).await {
        Ok(factors) => factors.into_iter().find(|known| known.id == copied.factor).map(|known| known.name),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the name of a passkey cannot be read");
            None
        }
    };
    let name = name.unwrap_or_else(|| copied.factor.to_string());
    let mut event = operator.event(COPIED);
    event.parameters.insert("user".to_owned(), copied.user.to_string());
    event.parameters.insert("email".to_owned(), bounded(copied.email));
    event.parameters.insert("factor".to_owned(), copied.factor.to_string());
    event.parameters.insert("name".to_owned(), bounded(&name));
    event.reason = Some("the passkey's counter went back, so there may be a copy of it".to_owned());
    event.layer = Some(Layer::Mfa);
    if let Err(error) = record(store, event).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a passkey's counter was not recorded");
    }
    notices
        .notify(Notice::PasskeyCopied { email: copied.email.to_owned(), factor: name, ip: copied.source_ip })
        .await;
}
