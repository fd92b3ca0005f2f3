//! The life of a request, phase by phase. [`phases`] names them in order and does nothing else.

use std::sync::Arc;

use gateway_app::control::Arrived;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::ReplyBody;
use crate::connection::Peer;
use crate::flow::Flow;
use crate::metrics::Stage;
use crate::outcome::OutcomeGuard;
use crate::phases::{admit, authenticate, authorize, forward, identify, inspect, limit, record};
use crate::plane::DataPlane;
use crate::reply::{Asker, render};
use crate::sign_on;

/// Answers one request.
pub async fn handle(
    plane: Arc<DataPlane>,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Response<ReplyBody> {
    let mut outcome = OutcomeGuard::begin(&plane, peer.address.ip());
    outcome.trace(request.headers());
    let mut asker = Asker::of(&mut request, &peer.place);
    let (tls, version) = (peer.secured.is_some(), request.version());
    request.extensions_mut().insert(Arrived { peer: peer.address, tls, version });
    let flow = phases(&plane, &peer, request, &mut outcome, &mut asker).await;
    let flow = sign_on::lead(&plane, flow, &asker, &mut outcome).await;
    render(&plane, flow, asker, outcome)
}

async fn phases(
    plane: &Arc<DataPlane>,
    peer: &Peer,
    request: Request<Incoming>,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let admitted = admit::admit(plane, peer, request, outcome, asker)?;
    let identified = identify::identify(plane, admitted, outcome, asker)?;
    outcome.passed(Stage::Admit);
    if let Some(preflight) = identify::preflight(&identified, outcome) {
        return Flow::Continue(preflight);
    }
    let authenticated = authenticate::authenticate(plane, identified, outcome, asker).await?;
    outcome.passed(Stage::Authenticate);
    let limited = limit::limit(plane, authenticated, outcome, asker)?;
    let inspected = inspect::inspect(plane, limited, outcome, asker).await?;
    outcome.passed(Stage::Inspect);
    let authorized = authorize::authorize(plane, inspected, outcome).await?;
    outcome.passed(Stage::Policy);
    let recorded = record::record(plane, authorized, outcome).await?;
    outcome.passed(Stage::Audit);
    let reply = forward::forward(plane, recorded, outcome, asker).await;
    outcome.passed(Stage::Upstream);
    reply
}
