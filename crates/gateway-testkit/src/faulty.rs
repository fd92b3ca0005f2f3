//! A TCP proxy that breaks connections when a test says so, as networks and balancers do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Which connections are reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// Those over which nothing came back yet. What stands behind a balancer can only be asked again elsewhere
    /// until its reply has begun.
    Unanswered,
    /// All.
    All,
}

/// A proxy before one address. Dropping it stops it, and resets what is open.
#[derive(Debug)]
pub struct FaultyProxy {
    addr: SocketAddr,
    resets: watch::Sender<Reset>,
    away: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl FaultyProxy {
    /// Starts one on a free port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (resets, _) = watch::channel(Reset::Unanswered);
        let away = Arc::<AtomicBool>::default();
        let task = tokio::spawn(accept(listener, target, resets.clone(), Arc::clone(&away)));
        Self { addr, resets, away, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Resets connections (RST, not an orderly end).
    pub fn reset(&self, which: Reset) {
        self.resets.send_replace(which);
    }

    /// While it is away each connection is reset, those that are open and those that come.
    pub fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        if away {
            self.reset(Reset::All);
        }
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    resets: watch::Sender<Reset>,
    away: Arc<AtomicBool>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (resets, away) = (resets.subscribe(), Arc::clone(&away));
                open.spawn(async move {
                    match TcpStream::connect(target).await {
                        Ok(server) if !away.load(Ordering::SeqCst) => relay(client, server, resets).await,
                        _ => reset(&client),
                    }
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// Makes the end of the connection a reset.
fn reset(stream: &TcpStream) {
    // Without it the end is an orderly one, which breaks the connection as well.
    let _as_it_is = stream.set_zero_linger();
}

/// Carries both ways until both have ended, or a reset.
async fn relay(mut client: TcpStream, mut server: TcpStream, resets: watch::Receiver<Reset>) {
    let is_cut = carry(&mut client, &mut server, resets).await;
    if is_cut {
        reset(&client);
        reset(&server);
    }
}

/// Whether a reset was what ended it.
async fn carry(client: &mut TcpStream, server: &mut TcpStream, mut resets: watch::Receiver<Reset>) -> bool {
    let answered = AtomicBool::new(false);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let forth = async {
        let _broken = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _broken = to_server.shutdown().await;
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            answered.store(true, Ordering::SeqCst);
            if to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        let _broken = to_client.shutdown().await;
    };
    let cut = async {
        while resets.changed().await.is_ok() {
            if *resets.borrow_and_update() == Reset::All || !answered.load(Ordering::SeqCst) {
                return true;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        is_cut = cut => is_cut,
        _ = async { tokio::join!(forth, back) } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// What a client reads that asked, and whose connection is then reset so.
    async fn read_after(which: Reset, answer: &'static [u8]) -> Result<usize, ErrorKind> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultyProxy::start(listener.local_addr().unwrap()).await;
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(b"question").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut question = [0; 8];
        server.read_exact(&mut question).await.unwrap();
        server.write_all(answer).await.unwrap();
        let mut seen = vec![0; answer.len()];
        client.read_exact(&mut seen).await.unwrap();
        proxy.reset(which);
        // Only a connection that is still there carries this.
        let _reset_meanwhile = server.write_all(b"more").await;
        client.read(&mut [0; 8]).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn resets_are_resets_and_spare_what_is_answered_when_told_so() {
        assert_eq!(read_after(Reset::All, b"yes").await, Err(ErrorKind::ConnectionReset));
        assert_eq!(read_after(Reset::Unanswered, b"").await, Err(ErrorKind::ConnectionReset));
        assert_eq!(read_after(Reset::Unanswered, b"yes").await, Ok(4));
    }
}
