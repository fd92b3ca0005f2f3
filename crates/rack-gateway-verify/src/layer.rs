//! The layer: requests with a good token go on, all others are answered with 401.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::HEADER;
use crate::identity::GatewayIdentity;
use crate::verifier::{Verifier, VerifyError};

/// Tells the time, in seconds since 1970.
pub type Now = fn() -> i64;

/// Puts [`Verify`] before a service.
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    verifier: Arc<Verifier>,
    now: Now,
}

impl VerifyLayer {
    /// With the system's time.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier: Arc::new(verifier), now: system_time }
    }

    /// With another time, for tests.
    #[must_use]
    pub fn at(mut self, now: Now) -> Self {
        self.now = now;
        self
    }
}

#[expect(clippy::disallowed_methods, reason = "a service of its own has no other clock")]
fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, layer: self.clone() }
    }
}

/// A service that only requests through the gateway reach.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    layer: VerifyLayer,
}

impl<S> Verify<S> {
    fn check<B>(&self, request: &Request<B>) -> Result<GatewayIdentity, VerifyError> {
        let mut tokens = request.headers().get_all(HEADER).iter();
        let token = tokens.next().ok_or(VerifyError::Missing)?;
        if tokens.next().is_some() {
            return Err(VerifyError::MoreThanOne);
        }
        let token = token.to_str().map_err(|_| VerifyError::Malformed)?;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        self.layer.verifier.verify(token, request.method().as_str(), target, (self.layer.now)())
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Verified<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Nothing that came before this may stand for the gateway's word.
        request.extensions_mut().remove::<GatewayIdentity>();
        match self.check(&request) {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                Verified::Passed(Box::pin(self.inner.call(request)))
            }
            Err(fault) => Verified::Refused(ready(Ok(refusal(fault)))),
        }
    }
}

/// Why a token is refused is nobody's business who has no good one. The service learns it from the reply's extensions, for its
/// own log.
fn refusal<R: Default>(fault: VerifyError) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Gateway-Token"));
    response.extensions_mut().insert(fault);
    response
}

/// The reply of [`Verify`].
pub enum Verified<F, R, E> {
    /// The service's.
    Passed(Pin<Box<F>>),
    /// 401.
    Refused(Ready<Result<Response<R>, E>>),
}

impl<F, R, E> std::fmt::Debug for Verified<F, R, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verified::Passed(_) => "Passed(…)",
            Verified::Refused(_) => "Refused(…)",
        })
    }
}

impl<F, R, E> Future for Verified<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Verified::Passed(future) => future.as_mut().poll(context),
            Verified::Refused(ready) => Pin::new(ready).poll(context),
        }
    }
}
