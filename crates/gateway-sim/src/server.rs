//! The rack's listener: connections, requests, answers. HTTP/1.1 only, as a rack. Written by hand rather than on
//! an HTTP library, because the tests want to see requests byte for byte and to break answers at any byte.

pub(crate) mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auth::{self, Rights};
use crate::call::{Call, form_fields, split_target};
use crate::fault::{Fault, Faults};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::route::{self, Found, To};
use crate::seen::{Entry, Seen};
use crate::socket::{self, SocketIo};
use crate::state::RackState;
use crate::upload::{Sink, Upload};
use crate::wire::{Head, HeadKind, Length, Wire};

pub(crate) use write::reason;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: RackState,
    pub(crate) seen: Seen,
    pub(crate) faults: Faults,
    pub(crate) connections: AtomicU64,
}

/// Accepts connections for ever. Each change of `sever` cuts all connections that are open.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, sever: watch::Receiver<u64>) {
    accept_each(listener, sever, move |stream| {
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        connection(stream, Arc::clone(&shared), number)
    })
    .await;
}

/// Accepts connections for ever and serves each with `serve`. Each change of `sever` cuts all that are open.
pub(crate) async fn accept_each<F>(
    listener: TcpListener,
    mut sever: watch::Receiver<u64>,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    open.spawn(serve(stream));
                }
            }
            changed = sever.changed() => {
                if changed.is_err() {
                    return;
                }
                open.abort_all();
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// Whether a connection goes on after a request.
enum After {
    Next,
    Close,
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, number: u64) {
    // Small frames must not wait for each other.
    let _ = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut wire = Wire::new(reader);
    loop {
        match wire.head(HeadKind::Request).await {
            Ok(Some(head)) => match head_target(&head) {
                Some((path, query)) if is_upgrade(&head, &path, &shared) => {
                    upgraded(wire, writer, head, (path, query), &shared, number).await;
                    return;
                }
                Some(target) => match plain(&mut wire, &mut writer, head, target, &shared, number).await {
                    Ok(After::Next) => {}
                    Ok(After::Close) | Err(_) => break,
                },
                None => {
                    shared.seen.note(&head, number).0.status(400);
                    let _ = writer.write_all(write::BAD_REQUEST).await;
                    break;
                }
            },
            Ok(None) => return,
            Err(_) => {
                let _ = writer.write_all(write::BAD_REQUEST).await;
                break;
            }
        }
    }
    let _ = writer.shutdown().await;
}

/// The decoded path and query; `None` for what Go's server refuses.
fn head_target(head: &Head) -> Option<(String, Vec<(String, String)>)> {
    if head.third == "HTTP/1.1" && head.header("host").is_none() {
        return None;
    }
    split_target(&head.second)
}

/// Whether this request becomes a socket.
fn is_upgrade(head: &Head, path: &str, shared: &Shared) -> bool {
    let flavour = shared.state.lock().flavour;
    matches!(route::find(flavour, head, path), Found::Route(route, _) if matches!(route.to, To::Socket(_)))
}

/// Serves one ordinary request.
async fn plain<R, W>(
    wire: &mut Wire<R>,
    writer: &mut W,
    head: Head,
    (path, query): (String, Vec<(String, String)>),
    shared: &Shared,
    number: u64,
) -> std::io::Result<After>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if path == "/_sim/requests" {
        let reply = listing(&head, shared);
        write::reply(writer, &head, reply, None).await?;
        return Ok(After::Next);
    }
    let (entry, _open) = shared.seen.note(&head, number);
    let fault = shared.faults.take(&path, false);
    if head.has_token("expect", "100-continue") {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = read_body(wire, &head).await?;
    entry.body(&body);
    match &fault {
        Some(Fault::Hang) => {
            wire.until_closed().await;
            return Ok(After::Close);
        }
        Some(Fault::CloseBeforeReply) => return Ok(After::Close),
        _ => {}
    }
    let call = Call {
        form: form_fields(&head, &body),
        head,
        path,
        query,
        body,
        vars: Vec::new(),
        rights: Rights::Read,
    };
    let (call, reply) = answer(call, shared, fault.as_ref());
    entry.status(reply.status);
    write::reply(writer, &call.head, reply, fault.as_ref()).await?;
    let breaks = matches!(fault, Some(Fault::CloseMidChunk | Fault::CloseMidBody));
    let last = breaks || call.head.has_token("connection", "close") || call.head.third == "HTTP/1.0";
    Ok(if last { After::Close } else { After::Next })
}

pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    wire: &mut Wire<R>,
    head: &Head,
) -> std::io::Result<Upload> {
    let mut sink = Sink::default();
    wire.body(head.length(Length::Known(0))?, |piece| sink.take(piece)).await?;
    Ok(sink.finish())
}

/// The answer to a request: routed first, authenticated afterwards, then handled.
fn answer(mut call: Call, shared: &Shared, fault: Option<&Fault>) -> (Call, Reply) {
    let mut state = shared.state.lock();
    match fault {
        Some(Fault::Status(status)) => {
            let refusal = Refusal::Injected { status: *status };
            let reply = Reply::refusal(&refusal, state.flavour, call.header("accept"));
            return (call, reply);
        }
        Some(Fault::Redirect(to)) => return (call, Reply::empty(302).with("Location", to.clone())),
        _ => {}
    }
    let (route, vars) = match route::find(state.flavour, &call.head, &call.path) {
        Found::Route(route, vars) => (route, vars),
        Found::Nothing => return (call, Reply::router(404)),
        Found::WrongMethod => return (call, Reply::router(405)),
    };
    call.vars = vars;
    let open = route.pattern == "/check";
    let result = match (authorize(&mut call, &state), route.to) {
        (Err(refusal), _) if !open => Err(refusal),
        (_, To::Http(handler)) => handler(&call, &mut state),
        (_, To::Socket(_)) => return (call, Reply::router(404)),
    };
    let flavour = state.flavour;
    let reply = result.unwrap_or_else(|refusal| Reply::refusal(&refusal, flavour, call.header("accept")));
    let reply = if fault == Some(&Fault::Gzip) { reply.gzipped() } else { reply };
    (call, reply)
}

/// The outer check: a credential, and one that may write unless this is a GET.
fn authorize(call: &mut Call, state: &crate::state::State) -> Result<(), Refusal> {
    call.rights = auth::authenticate(&call.head, state)?;
    let reads = call.head.first == "GET";
    if reads || call.rights >= Rights::Write { Ok(()) } else { Err(Refusal::Unauthorized { status: 401 }) }
}

/// What was seen, for whoever has the rack's credential.
fn listing(head: &Head, shared: &Shared) -> Reply {
    let state = shared.state.lock();
    match auth::authenticate(head, &state) {
        Err(refusal) => Reply::refusal(&refusal, state.flavour, None),
        Ok(_) => Reply::json(&shared.seen.all()),
    }
}

/// Serves a request for a socket to its end.
async fn upgraded<R, W>(
    mut wire: Wire<R>,
    mut writer: W,
    head: Head,
    (path, query): (String, Vec<(String, String)>),
    shared: &Shared,
    number: u64,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let flavour = shared.state.lock().flavour;
    let Found::Route(route, vars) = route::find(flavour, &head, &path) else { return };
    let To::Socket(kind) = route.to else { return };
    let (entry, _open) = shared.seen.note(&head, number);
    let fault = shared.faults.take(&path, false);
    let refused = match fault {
        Some(Fault::Hang) => return wire.until_closed().await,
        Some(Fault::CloseBeforeReply) => return,
        Some(Fault::Status(status)) => Some(Reply::text(status, "refused\n")),
        Some(Fault::Redirect(to)) => Some(Reply::empty(302).with("Location", to)),
        _ => None,
    };
    let bytes = match refused.map_or_else(|| socket::handshake(&head), Err) {
        Ok(bytes) => bytes,
        Err(reply) => return refuse_socket(&mut writer, &head, reply, &entry).await,
    };
    entry.status(101);
    if writer.write_all(&bytes).await.is_err() {
        return;
    }
    let fault = if kind.is_exec() { shared.faults.take(&path, true) } else { None };
    let body = Upload::whole(b"");
    let call = Call { head, path, query, form: Vec::new(), body, vars, rights: Rights::Read };
    socket::serve(kind, call, &shared.state, SocketIo::new(wire, writer, entry), fault).await;
}

/// Answers a request for a socket with an HTTP status and closes.
async fn refuse_socket(writer: &mut (impl AsyncWrite + Unpin), head: &Head, reply: Reply, entry: &Entry) {
    entry.status(reply.status);
    let _ = write::reply(writer, head, reply, None).await;
    let _ = writer.shutdown().await;
}
