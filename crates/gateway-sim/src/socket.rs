//! The rack's sockets: upgraded first, authenticated afterwards, errors as text, an empty binary frame at the
//! end, and then nobody closes (API.md 2.3). Pings are answered only while the command reads.

mod exec;
mod handshake;
mod logs;
mod stream;

use tokio::io::{AsyncRead, AsyncWrite};

pub use exec::EXIT_MARKER;
pub(crate) use handshake::answer as handshake;
pub(crate) use stream::{Input, SocketIo};

use crate::auth;
use crate::call::Call;
use crate::fault::Fault;
use crate::options::Flavour;
use crate::refusal::Refusal;
use crate::state::RackState;

/// What a socket route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SocketKind {
    AppLogs,
    BuildLogs,
    ProcessLogs,
    ServiceLogs,
    SystemLogs,
    Exec,
    Shell,
    Console,
    Proxy,
}

impl SocketKind {
    /// Whether faults for execs fit it.
    pub(crate) const fn is_exec(self) -> bool {
        matches!(self, Self::Exec | Self::Shell)
    }
}

/// Why a socket ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The rack says why, in text.
    Refused(Refusal),
    /// The connection is to be dropped: the peer is gone, or a test wants it so.
    Dropped,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Dropped
    }
}

/// What a socket handler gives.
pub(crate) type Outcome = Result<(), Ended>;

/// Serves an upgraded socket until the client is gone or the handler drops it.
pub(crate) async fn serve<R, W>(
    kind: SocketKind,
    mut call: Call,
    state: &RackState,
    mut io: SocketIo<R, W>,
    fault: Option<Fault>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    match run(kind, &mut call, state, &mut io, fault).await {
        Ok(()) if kind == SocketKind::Proxy => return,
        Ok(()) => {}
        Err(Ended::Dropped) => return,
        Err(Ended::Refused(refusal)) => {
            if io.text(format!("ERROR: {refusal}\n")).await.is_err() {
                return;
            }
        }
    }
    if io.end().await.is_ok() {
        io.until_closed().await;
    }
}

async fn run<R, W>(
    kind: SocketKind,
    call: &mut Call,
    state: &RackState,
    io: &mut SocketIo<R, W>,
    fault: Option<Fault>,
) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    call.rights = auth::authenticate(&call.head, &state.lock())?;
    // v2 racks forgot this check: a reader may exec there.
    let executes = match kind {
        SocketKind::Exec | SocketKind::Shell | SocketKind::Console | SocketKind::Proxy => true,
        SocketKind::AppLogs
        | SocketKind::BuildLogs
        | SocketKind::ProcessLogs
        | SocketKind::ServiceLogs
        | SocketKind::SystemLogs => false,
    };
    let flavour = state.lock().flavour;
    if executes && flavour == Flavour::V3 {
        call.must_write()?;
    }
    match kind {
        SocketKind::BuildLogs => logs::build(call, state, io).await,
        SocketKind::AppLogs | SocketKind::ProcessLogs | SocketKind::ServiceLogs | SocketKind::SystemLogs => {
            logs::lines(kind, call, state, io).await
        }
        SocketKind::Exec | SocketKind::Shell => exec::exec(kind, call, state, io, fault).await,
        SocketKind::Console => exec::console(call, state, io).await,
        SocketKind::Proxy => proxy(call, flavour, io).await,
    }
}

/// Echoes, as the far end of the recordings does. A v3 rack will not dial itself or the cloud's metadata service.
async fn proxy<R, W>(call: &Call, flavour: Flavour, io: &mut SocketIo<R, W>) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let host = call.var("host").to_ascii_lowercase();
    if flavour == Flavour::V3 && is_forbidden(&host) {
        return Err(Refusal::InvalidProxyHost.into());
    }
    call.var("port").parse::<u16>().map_err(|_| Refusal::Invalid("port"))?;
    loop {
        match io.input().await? {
            Input::Data(bytes) => io.text(bytes).await?,
            Input::End => return Ok(()),
        }
    }
}

fn is_forbidden(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let by_address = bare.parse::<std::net::IpAddr>().is_ok_and(|address| match address {
        std::net::IpAddr::V4(four) => four.is_loopback() || four.is_link_local() || four.is_unspecified(),
        std::net::IpAddr::V6(six) => six.is_loopback() || six.is_unicast_link_local() || six.is_unspecified(),
    });
    by_address
        || matches!(bare, "localhost" | "metadata" | "metadata.google.internal")
        || bare.ends_with(".localhost")
}
