//! The client's side of a socket: one connection, or a stream that goes on over several.

use std::pin::Pin;
use std::sync::Arc;

use gateway_tunnel::{LinkStream, NATIVE_PROTOCOL};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, Response};
use hyper_util::rt::TokioIo;

use crate::body::ReplyBody;
use crate::connection::Place;
use crate::outcome::End;
use crate::phases::inspect::Inspected;
use crate::phases::standing::Standing;
use crate::plane::DataPlane;
use crate::reply::ClientSocket;
use crate::sessions::{Duplex, Holding, Over, Session, keep};

/// The client's side, which may not be open yet.
pub(in crate::phases) enum ClientEnd {
    /// One connection: the session ends with it.
    Connection(ClientSocket),
    /// A stream that outlives its connections.
    Resumable(LinkStream, Holding),
}

/// What is held as long as the client's side is used.
pub(in crate::phases) enum Lasting {
    Connection(Place),
    Resumable(Holding),
}

impl ClientEnd {
    /// The client's side of a session, with the answer that opens it. A client that can come back, and may, gets a stream
    /// that waits for it.
    pub(super) fn of(
        plane: &Arc<DataPlane>,
        socket: ClientSocket,
        session: Option<&Session>,
        inspected: &Inspected,
        is_native: bool,
    ) -> (Self, Response<ReplyBody>) {
        let mut reply = socket.switching();
        let patience = plane.parts.settings.session_resume(inspected.asked.resource().app_name());
        let credential = inspected.caller.principal.credential_id();
        let end = match (session, credential) {
            (Some(session), Some(credential)) if is_native && !patience.is_zero() => {
                reply.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(NATIVE_PROTOCOL));
                let standing = Standing::of(plane, inspected);
                let revoked = async move { drop(standing.revoked().await) };
                let (stream, holding) = keep(plane, session, credential, socket, patience, revoked);
                ClientEnd::Resumable(stream, holding)
            }
            (_, _) => ClientEnd::Connection(socket),
        };
        (end, reply)
    }

    /// Whether it outlives its connections.
    pub(super) const fn is_resumable(&self) -> bool {
        matches!(self, ClientEnd::Resumable(..))
    }

    /// Waits until it is open; `None` when the client left between its request and the 101.
    pub(super) async fn open(self) -> Option<(Pin<Box<dyn Duplex>>, Lasting)> {
        match self {
            ClientEnd::Connection(ClientSocket { upgrade, place, .. }) => {
                let upgraded = upgrade.await.ok()?;
                Some((Box::pin(TokioIo::new(upgraded)), Lasting::Connection(place)))
            }
            ClientEnd::Resumable(stream, holding) => Some((Box::pin(stream), Lasting::Resumable(holding))),
        }
    }
}

impl Lasting {
    /// The session is over.
    pub(super) fn ended(self, end: End) {
        match (self, end) {
            (Lasting::Connection(place), _) => drop(place),
            (Lasting::Resumable(holding), End::Refused) => holding.ended(Over::Decided),
            (Lasting::Resumable(holding), _) => holding.ended(Over::Told),
        }
    }
}
