//! What the log says about signing in. Never a code, a state or a token.

use gateway_audit::{Actor, ActorKind, Event, bounded};
use gateway_store::User;
use gateway_types::{Channel, Layer};

use super::{SignInError, Visitor};
use crate::{App, Operator, record};

/// The action of everything that signs a person in through a browser.
pub(crate) const LOGIN: &str = "gateway:auth:login";

/// The action of a command line's or device's session.
pub(crate) const TOKEN: &str = "gateway:auth:token";

/// The action of a sign-in with a device or from an address that is new for its person.
pub(crate) const NEW_DEVICE: &str = "gateway:auth:new_device";

/// The context of an event of somebody who is not signed in yet.
pub(crate) fn stranger<'a>(app: &'a App, channel: Channel, visitor: &Visitor<'_>) -> Operator<'a> {
    Operator {
        actor: Actor::anonymous(),
        channel,
        request_id: Some(visitor.request_id),
        source_ip: Some(visitor.source_ip),
        clock: &*app.clock,
        entropy: &*app.entropy,
    }
}

/// The same, once it is known who it is.
pub(crate) fn known<'a>(operator: &Operator<'a>, user: &User) -> Operator<'a> {
    let actor = Actor {
        credential_id: None,
        id: Some(user.id.to_string()),
        kind: ActorKind::User,
        name: bounded(&user.email),
        on_behalf_of: None,
    };
    Operator { actor, ..operator.clone() }
}

/// An event with these parameters.
pub(crate) fn event(operator: &Operator<'_>, action: &str, parameters: &[(&str, &str)]) -> Event {
    let mut event = operator.event(action);
    for (name, value) in parameters {
        event.parameters.insert((*name).to_owned(), bounded(value));
    }
    event
}

/// Records that somebody was not signed in. The sign-in failed already: what goes wrong here is only logged.
pub(crate) async fn failed(
    app: &App,
    operator: &Operator<'_>,
    action: &str,
    parameters: &[(&str, &str)],
    error: &SignInError,
) {
    refused(app, event(operator, action, parameters), &error.reason()).await;
}

/// The same for any reason.
pub(crate) async fn refused(app: &App, mut event: Event, reason: &str) {
    event.reason = Some(bounded(reason));
    event.layer = Some(Layer::Authentication);
    event.end = Some(gateway_audit::End::Refused);
    if let Err(error) = record(&app.store, event).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a failed sign-in was not recorded");
    }
}

/// Records that an event's intent came to nothing.
pub(crate) async fn record_refused(app: &App, event: Event, error: &SignInError) {
    refused(app, event, &error.reason()).await;
}
