//! A gRPC service as tonic serves it, without generated code.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinHandle;
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// The one message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Word {
    #[prost(string, tag = "1")]
    pub(super) text: String,
}

impl Word {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

type Words<'a> = BoxStream<'a, Result<Word, Status>>;

/// Answers `fail` with a status, and anything else with what it was told.
async fn say(request: Request<Word>) -> Result<Response<Word>, Status> {
    let timeout = request.metadata().get("grpc-timeout").map(|value| format!("{value:?}"));
    let tint = request.metadata().get("x-tint").map(|value| format!("{value:?}"));
    let text = request.into_inner().text;
    if text == "fail" {
        return Err(Status::failed_precondition("100 % — no"));
    }
    let mut response = Response::new(Word::of(format!("{text} {timeout:?} {tint:?}")));
    response.metadata_mut().insert("x-told", "initial".parse().expect("a value"));
    Ok(response)
}

/// Counts up to the number that it is told; `endless` is one.
async fn count(request: Request<Word>) -> Result<Response<Words<'static>>, Status> {
    let text = request.into_inner().text;
    let up_to = if text == "endless" { u64::MAX } else { text.parse().unwrap_or_default() };
    let counting = stream::unfold(0u64, move |number| async move {
        let more = number < up_to;
        if up_to == u64::MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        more.then(|| (Ok(Word::of(number.to_string())), number + 1))
    });
    Ok(Response::new(counting.boxed()))
}

/// Answers each word as it comes.
async fn talk(request: Request<Streaming<Word>>) -> Result<Response<Words<'static>>, Status> {
    let words = request.into_inner().map(|word| word.map(|word| Word::of(word.text.to_uppercase())));
    Ok(Response::new(words.boxed()))
}

#[derive(Clone)]
struct Serving;

impl NamedService for Serving {
    const NAME: &'static str = "test.Words";
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<tonic::body::Body>, Infallible>> + Send>>;

impl tower::Service<http::Request<tonic::body::Body>> for Serving {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Answering {
        Box::pin(async move {
            let codec = ProstCodec::<Word, Word>::default();
            Ok(match request.uri().path() {
                "/test.Words/Say" => Grpc::new(codec).unary(service_fn(say), request).await,
                "/test.Words/Count" => Grpc::new(codec).server_streaming(service_fn(count), request).await,
                "/test.Words/Talk" => Grpc::new(codec).streaming(service_fn(talk), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A service that ends with the test.
pub(super) struct WordsServer {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl WordsServer {
    pub(super) fn start() -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = incoming.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            Server::builder().add_service(Serving).serve_with_incoming(incoming).await.expect("a server");
        });
        Self { address, task }
    }
}

impl Drop for WordsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
