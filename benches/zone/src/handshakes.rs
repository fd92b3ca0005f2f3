//! How many handshakes two members make with each other: a connection each, nothing resumed, both ends checked.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use gateway_pki::peer::Allowed;
use gateway_pki::{Role, check};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::processor::{Done, spent};
use crate::zone::{KeyExchange, Zone, now};

/// How long one end waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Handshakes of one thread at each end, as openssl's programs have it.
pub(crate) fn rate(zone: &Zone, exchange: KeyExchange, length: Duration) -> Result<Done> {
    let server = zone.member(zone.domain.service("wiki")?)?;
    let client = zone.member(zone.domain.gateway())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    let settings = zone.server(&server, exchange)?;
    let calling = zone.client(&client, &server.id, exchange)?;
    let name = ServerName::try_from(server.id.dns_name())?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            spent(|| {
                let allowed = [client.id.clone()];
                loop {
                    let (stream, _) = listener.accept()?;
                    if is_over.load(Ordering::SeqCst) {
                        return Ok(0);
                    }
                    let mut tls = accept(stream, &settings)?;
                    check_peer(&tls, zone, Allowed::Exactly(&allowed))?;
                    // The client counts once it has heard that it was let in.
                    tls.write_all(b"!")?;
                    tls.flush()?;
                }
            })
        });
        let began = Instant::now();
        let called = spent(|| {
            let mut count = 0;
            while began.elapsed() < length {
                let mut tls = connect(at, &calling, &name)?;
                tls.read_exact(&mut [0])?;
                count += 1;
            }
            Ok(count)
        });
        is_over.store(true, Ordering::SeqCst);
        // One more connection wakes the other end.
        let _woken = TcpStream::connect(at);
        let served = serving.join().map_err(|_| anyhow!("the server panicked"))??;
        let called = called?;
        Ok(Done { processor: called.processor + served.processor, ..called })
    })
}

pub(crate) fn connect(
    at: SocketAddr,
    settings: &Arc<ClientConfig>,
    name: &ServerName<'static>,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = patient(|| TcpStream::connect(at))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ClientConnection::new(Arc::clone(settings), name.clone())?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).context("the client's handshake")?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// Tries again while the listener's queue is full.
fn patient(connect: impl Fn() -> std::io::Result<TcpStream>) -> Result<TcpStream> {
    let began = Instant::now();
    loop {
        match connect() {
            Ok(stream) => return Ok(stream),
            Err(error)
                if began.elapsed() < PATIENCE
                    && matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn accept(
    mut stream: TcpStream,
    settings: &Arc<ServerConfig>,
) -> Result<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ServerConnection::new(Arc::clone(settings))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).context("the server's handshake")?;
    }
    Ok(StreamOwned::new(tls, stream))
}

pub(crate) fn check_peer(
    tls: &StreamOwned<ServerConnection, TcpStream>,
    zone: &Zone,
    allowed: Allowed<'_>,
) -> Result<gateway_pki::Peer> {
    let chain = tls.conn.peer_certificates().context("no certificate")?;
    Ok(check(chain, Role::Client, allowed, &zone.bundle, now())?)
}
