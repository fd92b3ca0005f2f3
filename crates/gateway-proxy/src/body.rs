//! Bodies: what goes up, what comes down, and how both are counted.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;

use crate::approving::Scan;
use crate::outcome::{End, OutcomeGuard};
use crate::phases::service::grpc_web::{GrpcWeb, TextDecoder};
use crate::services::body::{Lent, ServiceReplyBody, ServiceRequestBody};
use crate::sessions::Transfer;
use crate::upstream::RackBody;

mod pace;

pub use pace::{ClientBody, Pace};

/// What can go wrong with a body on its way.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The other side broke off or sent a malformed body.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
    /// The body did not come in time.
    #[error("the body did not come within {limit:?}")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// Fields followed the body. None of them could be passed on, so none is left out silently.
    #[error("fields follow the body")]
    Trailers,
    /// The caller may no longer have it.
    #[error("the caller may no longer have this: {reason}")]
    Revoked {
        /// Why.
        reason: String,
    },
    /// The reply repeats the credential that the gateway holds for the service.
    #[error("the reply repeats the gateway's own credential")]
    Credential,
    /// The text form of gRPC-Web is not well-formed.
    #[error("the body is no base64")]
    NotBase64,
    /// More bytes than the phase allows.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
}

/// How much of a body that can be broken off is handed over at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// The body of a request to the rack.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// A complete body that we serialised.
    Whole(Full<Bytes>),
    /// The client's body, passed on as it comes.
    Stream {
        /// The client's body.
        body: ClientBody,
        /// Bytes passed on so far.
        counter: Arc<AtomicU64>,
        /// Who reads it beside.
        scan: Option<Scan>,
        /// What sums it.
        transfer: Option<Transfer>,
    },
    /// What goes up to a service.
    Service(Box<ServiceRequestBody>),
    /// The same, in gRPC-Web's text form, decoded as it comes.
    GrpcWebText(Box<TextDecoder<ServiceRequestBody>>),
    /// A body that is lent to one try, and comes back when it was not touched.
    Lent(Lent),
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestBody::Empty => "Empty",
            RequestBody::Whole(_) => "Whole(…)",
            RequestBody::Stream { .. } => "Stream(…)",
            RequestBody::Service(_) => "Service(…)",
            RequestBody::GrpcWebText(_) => "GrpcWebText(…)",
            RequestBody::Lent(_) => "Lent(…)",
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            RequestBody::Stream { body, counter, scan, transfer } => {
                if let Some(scan) = scan {
                    ready!(scan.poll_ready(context));
                }
                let polled = Pin::new(&mut *body).poll_frame(context);
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Some(data) = frame.data_ref() {
                            counter.fetch_add(data.len() as u64, Ordering::Relaxed);
                            if let Some(transfer) = transfer {
                                transfer.up(data);
                            }
                            if let Some(scan) = scan {
                                scan.feed(data.clone());
                                // Nobody asks again once the announced length is there.
                                if body.is_end_stream() || body.size_hint().exact() == Some(0) {
                                    scan.end();
                                }
                            }
                        }
                    }
                    Poll::Ready(None) => {
                        if let Some(scan) = scan {
                            scan.end();
                        }
                    }
                    Poll::Ready(Some(Err(_))) | Poll::Pending => {}
                }
                polled
            }
            RequestBody::Service(body) => Pin::new(&mut **body).poll_frame(context),
            RequestBody::GrpcWebText(body) => Pin::new(&mut **body).poll_frame(context),
            RequestBody::Lent(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(body) => body.is_end_stream(),
            // Whoever reads beside has to see the end too.
            RequestBody::Stream { body, scan: None, .. } => body.is_end_stream(),
            RequestBody::Stream { scan: Some(_), .. } => false,
            RequestBody::Service(body) => body.is_end_stream(),
            RequestBody::GrpcWebText(body) => body.is_end_stream(),
            RequestBody::Lent(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(body) => body.size_hint(),
            RequestBody::Stream { body, .. } => body.size_hint(),
            RequestBody::Service(body) => body.size_hint(),
            RequestBody::GrpcWebText(body) => body.size_hint(),
            RequestBody::Lent(body) => body.size_hint(),
        }
    }
}

/// The body of a reply to the client. It carries the outcome guard, so that the outcome is written
/// when the last byte went out, or when the client left before.
pub struct ReplyBody {
    source: Source,
    /// Set when the source is gRPC and the client reads gRPC-Web.
    grpc_web: Option<GrpcWeb>,
    /// Ready, with the reason, when the caller may no longer have the rest.
    revoked: Option<Pin<Box<dyn Future<Output = String> + Send>>>,
    /// Why the rest does not come; told once what came before went out.
    broken: Option<BodyError>,
    guard: Option<OutcomeGuard>,
}

enum Source {
    Empty(Empty<Bytes>),
    Whole(Full<Bytes>),
    /// A complete body that goes out in pieces, so that it can be broken off.
    Pieces(Bytes),
    Upstream(RackBody),
    /// What the gateway itself says, as it comes.
    Feed(Bytes, mpsc::Receiver<Bytes>),
    Service(Box<ServiceReplyBody>),
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyBody(…)")
    }
}

impl ReplyBody {
    /// No body.
    pub fn empty() -> Self {
        Self { source: Source::Empty(Empty::new()), grpc_web: None, revoked: None, broken: None, guard: None }
    }

    /// A complete body.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            source: Source::Whole(Full::new(bytes.into())),
            grpc_web: None,
            revoked: None,
            broken: None,
            guard: None,
        }
    }

    /// A complete body that can be broken off while it goes out.
    pub(crate) fn pieces(bytes: Bytes) -> Self {
        Self { source: Source::Pieces(bytes), grpc_web: None, revoked: None, broken: None, guard: None }
    }

    /// What the gateway itself says: a beginning, and what follows it as it comes.
    pub(crate) fn feed(first: Bytes, rest: mpsc::Receiver<Bytes>) -> Self {
        let source = Source::Feed(first, rest);
        Self { source, grpc_web: None, revoked: None, broken: None, guard: None }
    }

    /// The rack's body, passed on as it comes.
    pub(crate) fn upstream(body: RackBody) -> Self {
        Self { source: Source::Upstream(body), grpc_web: None, revoked: None, broken: None, guard: None }
    }

    /// A service's body, passed on as it comes but for what must not be in it.
    pub(crate) fn service(body: ServiceReplyBody) -> Self {
        Self {
            source: Source::Service(Box::new(body)),
            grpc_web: None,
            revoked: None,
            broken: None,
            guard: None,
        }
    }

    /// Whether it goes out bit by bit, so that its end may be far off.
    pub(crate) fn is_streamed(&self) -> bool {
        match self.source {
            Source::Empty(_) | Source::Whole(_) => false,
            Source::Pieces(_) | Source::Feed(..) | Source::Upstream(_) | Source::Service(_) => true,
        }
    }

    /// Writes the body as gRPC-Web.
    pub(crate) fn write_as(&mut self, call: GrpcWeb) {
        self.grpc_web = Some(call);
    }

    /// Breaks the body off as soon as `revoked` is ready, with the reason that it gives.
    pub(crate) fn until(&mut self, revoked: impl Future<Output = String> + Send + 'static) {
        self.revoked = Some(Box::pin(revoked));
    }

    /// Hands the outcome guard over: from here on it is the body's end that decides the outcome.
    pub fn guarded(&mut self, guard: OutcomeGuard) {
        self.guard = Some(guard);
        if self.is_end_stream() {
            self.finish(End::Completed);
        }
    }

    fn finish(&mut self, end: End) {
        if let Some(guard) = self.guard.take() {
            guard.finish(end);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(Poll::Ready(reason)) = this.revoked.as_mut().map(|revoked| revoked.as_mut().poll(context))
        {
            this.revoked = None;
            if let Some(guard) = this.guard.as_mut() {
                guard.note(reason.clone());
            }
            this.finish(End::Refused);
            return Poll::Ready(Some(Err(BodyError::Revoked { reason })));
        }
        if let Some(error) = this.broken.take() {
            this.finish(End::UpstreamLost);
            return Poll::Ready(Some(Err(error)));
        }
        let polled = match &mut this.source {
            Source::Empty(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Source::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Source::Pieces(rest) if rest.is_empty() => Poll::Ready(None),
            Source::Pieces(rest) => {
                Poll::Ready(Some(Ok(Frame::data(rest.split_to(rest.len().min(PIECE_BYTES))))))
            }
            Source::Upstream(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Broken),
            Source::Feed(first, rest) if first.is_empty() => {
                rest.poll_recv(context).map(|more| more.map(|bytes| Ok(Frame::data(bytes))))
            }
            Source::Feed(first, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(first))))),
            Source::Service(body) => Pin::new(&mut **body).poll_frame(context),
        };
        let polled = match &this.grpc_web {
            Some(call) => polled.map_ok(|frame| call.frame(frame)),
            None => polled,
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(guard)) = (frame.data_ref(), this.guard.as_mut()) {
                    guard.sent(data);
                }
                // hyper stops polling once the announced length went out, so the end is noticed here.
                if this.is_end_stream() {
                    this.finish(End::Completed);
                }
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            Poll::Ready(None) => this.finish(End::Completed),
        }
        match polled {
            // hyper drops what it has not sent yet as soon as it learns of a fault, which may be the head and all
            // that came: it is given a turn to send that first.
            Poll::Ready(Some(Err(error))) => {
                this.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty(_) => true,
            Source::Whole(body) => body.is_end_stream(),
            Source::Pieces(rest) => rest.is_empty(),
            Source::Upstream(body) => body.is_end_stream(),
            // Its end is not known before it comes.
            Source::Feed(..) => false,
            Source::Service(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.grpc_web.is_some() {
            return SizeHint::default();
        }
        match &self.source {
            Source::Empty(body) => body.size_hint(),
            Source::Whole(body) => body.size_hint(),
            Source::Pieces(rest) => SizeHint::with_exact(rest.len() as u64),
            Source::Upstream(body) => body.size_hint(),
            Source::Feed(..) => SizeHint::default(),
            Source::Service(body) => body.size_hint(),
        }
    }
}

/// Reads a whole body into memory.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as more than `limit_bytes` came; what was read is dropped.
pub async fn collect<B>(mut body: B, limit_bytes: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if joined.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        match first.take() {
            // Most bodies are one piece, which is then not copied.
            None if joined.is_empty() => first = Some(data),
            None => joined.extend_from_slice(&data),
            Some(piece) => {
                joined.extend_from_slice(&piece);
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}
