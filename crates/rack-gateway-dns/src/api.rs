//! The control API: from a request to a reply. Start reading at [`Api::serve`].

mod body;
mod handlers;
mod health;
mod openapi;
mod problem;
mod route;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_types::Clock;
use http::{Request, Response};
use http_body_util::Full;
use rack_gateway_verify::GatewayIdentity;
use tokio::sync::watch;

use crate::access::{Access, Caller, Right};
use crate::name::DnsName;
use crate::reconcile::ZoneStatus;
use crate::record::TtlLimits;
use crate::rules::ZoneRules;
use crate::store::ZoneStore;

use problem::Problem;
use route::{Operation, Query, Target};

pub use health::{health, metrics};
pub use openapi::document;

/// A reply with a whole body.
pub type Reply = Response<Full<Bytes>>;

/// One zone, as the API sees it.
#[derive(Debug)]
pub struct ZoneApi {
    /// What is desired.
    pub store: ZoneStore,
    /// What holds.
    pub rules: ZoneRules,
    /// Who may what.
    pub access: Access,
    /// The back end's kind.
    pub backend: &'static str,
    /// How it stands.
    pub status: watch::Receiver<Arc<ZoneStatus>>,
}

/// What all requests share.
#[derive(Debug)]
pub struct Shared {
    /// The zones, by name.
    pub zones: BTreeMap<DnsName, ZoneApi>,
    /// The bounds of TTLs.
    pub ttl: TtlLimits,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Who is let in where no token says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WithoutToken {
    /// Nobody.
    Nobody,
    /// Everybody who asks for this machine by a name of its own, so that no web page reaches it by another (DNS rebinding).
    Loopback,
}

/// The API behind the check of tokens.
#[derive(Clone, Debug)]
pub struct Api {
    shared: Arc<Shared>,
    without_token: WithoutToken,
}

impl Api {
    /// One over these zones.
    pub fn new(shared: Arc<Shared>, without_token: WithoutToken) -> Self {
        Self { shared, without_token }
    }

    /// Answers one request.
    pub async fn serve<B>(self, request: Request<B>) -> Reply
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.try_serve(request).await {
            Ok(reply) => reply,
            Err(problem) => problem.reply(),
        }
    }

    async fn try_serve<B>(&self, request: Request<B>) -> Result<Reply, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let caller = self.caller(&request)?;
        let target = Target::of(request.method(), request.uri().path())?;
        let query = Query::of(target.operation, request.uri().query())?;
        let (head, body) = request.into_parts();
        match target.operation {
            Operation::Openapi => Ok(problem::json(http::StatusCode::OK, &document())),
            Operation::ListZones => handlers::zones(&self.shared, &caller),
            Operation::Drift => handlers::drift(&self.shared, &caller),
            Operation::ShowZone => handlers::zone(self.zone(&caller, &target, Right::Read)?, &caller),
            Operation::ListNames => handlers::names(self.zone(&caller, &target, Right::Read)?, &query),
            Operation::ShowName => handlers::name(self.zone(&caller, &target, Right::Read)?, &target),
            Operation::ShowChange => handlers::change(self.zone(&caller, &target, Right::Read)?, &target),
            Operation::PutName => {
                let zone = self.zone(&caller, &target, Right::Write)?;
                let sets = body::sets(&head.headers, body, self.shared.ttl).await?;
                let write = handlers::Write { zone, caller: &caller, clock: &*self.shared.clock };
                write.put(&target, sets, &head.headers, &query).await
            }
            Operation::DeleteName => {
                let zone = self.zone(&caller, &target, Right::Write)?;
                let write = handlers::Write { zone, caller: &caller, clock: &*self.shared.clock };
                write.delete(&target, &head.headers, &query).await
            }
        }
    }

    fn caller<B>(&self, request: &Request<B>) -> Result<Caller, Problem> {
        if let Some(identity) = request.extensions().get::<GatewayIdentity>() {
            return Ok(Caller::Gateway(identity.clone()));
        }
        match self.without_token {
            WithoutToken::Nobody => Err(Problem::NoToken),
            WithoutToken::Loopback if is_asked_for_loopback(request) => Ok(Caller::Loopback),
            WithoutToken::Loopback => Err(Problem::OtherHost),
        }
    }

    /// The zone, if the caller has this right in it. One that the caller cannot read looks like one that is not there.
    fn zone(&self, caller: &Caller, target: &Target, wanted: Right) -> Result<&ZoneApi, Problem> {
        let zone = DnsName::parse(&target.zone).ok().and_then(|name| self.shared.zones.get(&name));
        let zone = zone.ok_or(Problem::NoZone)?;
        match zone.access.of(caller) {
            Right::Nothing => Err(Problem::NoZone),
            right if right >= wanted => Ok(zone),
            Right::Read | Right::Write => Err(Problem::NotWritable(zone.rules.zone.clone())),
        }
    }
}

fn is_asked_for_loopback<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(http::header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    let name = authority.as_ref().map(|authority| authority.host().trim_matches(['[', ']']));
    hosts.next().is_none()
        && name.is_some_and(|name| {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
}

impl<B> tower_service::Service<Request<B>> for Api
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.serve(request).await) })
    }
}
