//! One HTTP/2 connection: its settings, its streams as tasks, and when it ends.

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::counted::{CountedStream, Ended, Observer};
use super::delivery::{Delivered, Pulse};
use super::{Activity, FAREWELL, Peer, head, head_limits};
use crate::body::ReplyBody;
use crate::guarded::ViolationSlot;
use crate::pipeline::handle;
use crate::plane::DataPlane;

/// How much of a body one stream may send unread, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// How much all streams of a connection may send unread, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// How much of a reply is kept for a stream whose client does not read, in bytes.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams that were cancelled before they were looked at, and streams that were refused as malformed: with more
/// of them the connection ends.
const MOST_CANCELLED: usize = 20;
const MOST_MALFORMED: usize = 100;

/// How often a silent client is asked whether it is there, and how long it has for the answer.
const PROBE_EVERY: Duration = Duration::from_secs(30);
const PROBE_LIMIT: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// The pulse of the stream whose task this is.
    static PULSE: Pulse;
}

/// Serves an HTTP/2 connection.
pub(super) async fn serve<S>(plane: Arc<DataPlane>, stream: S, peer: Peer, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let address = peer.address;
    let limits = head_limits(&plane);
    let activity = Activity::new();
    let observer = Watcher { plane: plane.clone(), address: address.ip() };
    let stream = CountedStream::new(stream, observer, plane.parts.head_limit);
    let service = {
        let (plane, activity) = (plane.clone(), activity.clone());
        service_fn(move |request: Request<Incoming>| {
            let (plane, busy) = (plane.clone(), activity.begin());
            let wants_head_only = request.method() == Method::HEAD;
            let (request, violation) = head::normalise(request, &limits);
            let is_stand_in = violation.is_some();
            let peer = Peer { violation: ViolationSlot::holding(violation), ..peer.clone() };
            async move {
                let mut response = handle(plane, peer, request).await;
                response.headers_mut().remove(CONNECTION);
                if wants_head_only {
                    // Over HTTP/1.1 hyper leaves the body out by itself.
                    let (whole, body) = without_body(response);
                    response = whole;
                    if is_stand_in {
                        // It did not say HEAD, so its outcome waits for the body of its refusal to be read.
                        drop(body.collect().await);
                    }
                }
                let pulse = PULSE.try_with(Pulse::clone).unwrap_or_default();
                Ok::<_, Infallible>(response.map(|body| Delivered::new(body, pulse, busy)))
            }
        })
    };
    let connection = builder(&plane).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            Some(connection.await)
        }
        () = idle(&activity, plane.parts.idle_limit) => {
            // What is left may be bytes that the client will never take.
            connection.as_mut().graceful_shutdown();
            timeout(FAREWELL, connection).await.ok()
        }
    };
    if let Some(Err(error)) = served {
        if broke_the_protocol(&error) {
            plane.refuse_unread(address.ip(), &malformed("the HTTP/2 connection broke the protocol"));
        }
        tracing::debug!(%address, error = &error as &dyn Error, "an HTTP/2 connection ended early");
    }
}

fn builder(plane: &DataPlane) -> http2::Builder<Streams> {
    let head_bytes = u32::try_from(plane.parts.head_limit_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(Streams { send_limit: plane.parts.send_limit });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(plane.parts.http2.streams)
        // A little more than a head may have, so that a head that is a little too large is refused in words.
        .max_header_list_size(head_bytes.saturating_add(head_bytes / 4))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MOST_CANCELLED)
        .max_local_error_reset_streams(MOST_MALFORMED)
        .keep_alive_interval(PROBE_EVERY)
        .keep_alive_timeout(PROBE_LIMIT);
    builder
}

/// A reply to HEAD: what the body would be is told, and it is not sent (RFC 9110, section 9.3.2).
fn without_body(response: Response<ReplyBody>) -> (Response<ReplyBody>, ReplyBody) {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    (Response::from_parts(head, ReplyBody::empty()), body)
}

/// Ends once no request was open for `limit`.
async fn idle(activity: &Activity, limit: Duration) {
    loop {
        let left = limit.saturating_sub(activity.idle_for().unwrap_or_default());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

/// Whether it was our parser that ended the connection, and not the network or the client.
fn broke_the_protocol(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|error| !error.is_io() && error.is_library())
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, Layer::Network, detail)
}

/// Runs each stream as a task, which ends when its client leaves the reply unread.
#[derive(Clone, Debug)]
struct Streams {
    send_limit: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pulse = Pulse::default();
        let unread = pulse.unread_for(self.send_limit);
        tokio::spawn(async move {
            tokio::select! {
                () = PULSE.scope(pulse, stream) => {}
                () = unread => {}
            }
        });
    }
}

/// Writes down what the pipeline does not see.
#[derive(Debug)]
struct Watcher {
    plane: Arc<DataPlane>,
    address: IpAddr,
}

impl Observer for Watcher {
    fn refused_streams(&self, count: u32) {
        for _each in 0..count {
            self.plane.refuse_unread(self.address, &malformed("the HTTP/2 request is malformed"));
        }
    }

    fn refused_heads(&self, count: u32) {
        let detail = "the head of the HTTP/2 request is too large";
        let problem = Problem::new(ProblemKind::HeadersTooLarge, Layer::Network, detail);
        for _each in 0..count {
            self.plane.refuse_unread(self.address, &problem);
        }
    }

    fn ended(&self, why: Ended) {
        let kind = match why {
            Ended::Flood(_) => ProblemKind::TooManyRequests,
            Ended::Slow => ProblemKind::TooSlow,
        };
        self.plane.refuse_unread(self.address, &Problem::new(kind, Layer::Network, why.to_string()));
    }
}
