//! Kept connections to the rack, each driven by whoever uses it.
//!
//! A connection has no task of its own: the task of the request that uses it reads and writes it, until the reply's
//! body has ended, and then puts it back. So a request wakes one task and not two, which is most of what a hop costs
//! (ADR 0010). While a connection rests nobody looks at it; whether the rack closed it meanwhile is found out when it
//! is taken, and a request that did not go out goes out over another one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{Connector, RackStream, UpstreamError};
use crate::body::RequestBody;

/// How long a connection may rest. Below the rack's own idle limit of 120 s (API.md 2.3).
const MOST_REST: Duration = Duration::from_secs(90);

/// How many connections rest at the most.
const MOST_RESTING: usize = 512;

/// Connections that rest, those used last at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Kept, Instant)>>);

/// A connection and the way to ask over it.
struct Kept {
    sender: http1::SendRequest<RequestBody>,
    connection: Pin<Box<http1::Connection<TokioIo<RackStream>, RequestBody>>>,
    has_ended: bool,
}

/// How an exchange came to nothing.
enum Failure {
    /// Nothing of the request went out.
    Unsent(Box<Request<RequestBody>>),
    Failed(UpstreamError),
}

impl Pool {
    /// Sends the request over a connection that rests, or over a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        connector: &Connector,
        request: Request<RequestBody>,
    ) -> Result<Response<RackBody>, UpstreamError> {
        let uploads = matches!(request.body(), RequestBody::Stream { .. });
        let mut request = Box::new(request);
        loop {
            let rested = self.take().await;
            let is_new = rested.is_none();
            let mut kept = match rested {
                Some(kept) => kept,
                None => Kept::connect(connector).await?,
            };
            match kept.exchange(*request).await {
                Ok(response) => {
                    return Ok(response.map(|body| RackBody::new(body, kept, self.clone(), uploads)));
                }
                // The rack closed it while it rested.
                Err(Failure::Unsent(unsent)) if !is_new => request = unsent,
                Err(Failure::Unsent(_)) => return Err(UpstreamError::BrokeOff),
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
    }

    /// A connection that is still open.
    async fn take(&self) -> Option<Kept> {
        loop {
            let (mut kept, since) = self.lock().pop()?;
            if since.elapsed() < MOST_REST && poll_fn(|context| Poll::Ready(kept.is_usable(context))).await {
                return Some(kept);
            }
        }
    }

    fn put(&self, kept: Kept) {
        let mut resting = self.lock();
        if resting.len() < MOST_RESTING {
            resting.push((kept, Instant::now()));
        }
    }

    /// Closes connections that have rested for long. Called each minute.
    pub(super) fn tidy(&self) {
        self.lock().retain(|(_, since)| since.elapsed() < MOST_REST);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Kept, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    async fn connect(connector: &Connector) -> Result<Self, UpstreamError> {
        let stream = connector.connect().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(UpstreamError::Exchange)?;
        Ok(Self { sender, connection: Box::pin(connection), has_ended: false })
    }

    /// Reads and writes what there is.
    fn drive(&mut self, context: &mut Context<'_>) {
        // How it ended is told by the exchange that it ended within.
        self.has_ended = self.has_ended || self.connection.as_mut().poll(context).is_ready();
    }

    fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context);
        !self.has_ended && matches!(self.sender.poll_ready(context), Poll::Ready(Ok(())))
    }

    async fn exchange(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Failure> {
        let sending = self.sender.try_send_request(request);
        tokio::pin!(sending);
        let (connection, has_ended) = (&mut self.connection, &mut self.has_ended);
        let sent = poll_fn(|context| {
            *has_ended = *has_ended || connection.as_mut().poll(context).is_ready();
            match sending.as_mut().poll(context) {
                // An ended connection has answered whoever waited for it, or never will.
                Poll::Pending if *has_ended => Poll::Ready(None),
                polled => polled.map(Some),
            }
        });
        match sent.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(unsent) => Failure::Unsent(Box::new(unsent)),
                None => Failure::Failed(UpstreamError::Exchange(error.into_error())),
            }),
            None => Err(Failure::Failed(UpstreamError::BrokeOff)),
        }
    }
}

/// The body of a rack's reply, which drives its connection while it is read.
pub(crate) struct RackBody {
    body: Source,
    /// `None` once it was given back.
    kept: Option<Kept>,
    pool: Option<Arc<Pool>>,
    /// The client's body may still be on its way up.
    uploads: bool,
}

/// Where a reply comes from.
enum Source {
    /// The rack's connection.
    Rack(Incoming),
    /// It was read already.
    Read(Full<Bytes>),
}

impl Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Source::Rack(body) => Pin::new(body).poll_frame(context),
            Source::Read(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Source::Rack(body) => body.is_end_stream(),
            Source::Read(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Rack(body) => body.size_hint(),
            Source::Read(body) => body.size_hint(),
        }
    }
}

impl RackBody {
    /// A body that was read already.
    pub(crate) fn read(body: Bytes) -> Self {
        Self { body: Source::Read(Full::new(body)), kept: None, pool: None, uploads: false }
    }

    fn new(body: Incoming, kept: Kept, pool: Arc<Pool>, uploads: bool) -> Self {
        let body = Source::Rack(body);
        let mut body = Self { body, kept: Some(kept), pool: Some(pool), uploads };
        if !uploads {
            body.give_back_at_end();
        }
        body
    }

    /// A body whose connection has a task of its own.
    pub(crate) fn alone(body: Incoming) -> Self {
        Self { body: Source::Rack(body), kept: None, pool: None, uploads: false }
    }

    /// Once nothing more comes of it, somebody else may have the connection; but not one whose rack answered
    /// before it took the whole body, which nobody would go on with.
    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(kept) = self.kept.take()
            && !kept.has_ended
            && (!self.uploads || kept.sender.is_ready())
            && let Some(pool) = &self.pool
        {
            pool.put(kept);
        }
    }
}

impl Body for RackBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut polled = this.body.poll_frame(context);
        if polled.is_pending()
            && let Some(kept) = &mut this.kept
        {
            kept.drive(context);
            polled = this.body.poll_frame(context);
        }
        if this.body.is_end_stream() {
            if this.uploads
                && let Some(kept) = &mut this.kept
            {
                kept.drive(context);
            }
            this.give_back_at_end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for RackBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RackBody(…)")
    }
}
