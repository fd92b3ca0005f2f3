//! Ways out: a local port that leads to one member, by its exact id, so that a service without TLS reaches a database
//! that takes nobody but members that it names.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_pki::SpiffeId;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::member::Member;

/// A way out.
#[derive(Clone, Debug)]
pub struct Egress {
    /// The local port.
    pub listen: SocketAddr,
    /// To whom, exactly.
    pub to: SpiffeId,
    /// Where that is, host and port. It proves who it is, so the address need not be trusted.
    pub address: String,
}

/// A way out that is open.
pub(crate) struct Way {
    settings: Arc<ClientConfig>,
    to: SpiffeId,
    address: String,
}

impl Way {
    pub(crate) fn new(member: &Arc<Member>, to: SpiffeId, address: String) -> Result<Self, rustls::Error> {
        Ok(Self { settings: Arc::new(member.to(to.clone())?), to, address })
    }

    pub(crate) async fn serve(self, listener: TcpListener, stopping: CancellationToken, tasks: TaskTracker) {
        let way = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => return,
            };
            let Ok((local, _)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let (way, stopping) = (Arc::clone(&way), stopping.clone());
            tasks.spawn(async move {
                tokio::select! {
                    carried = way.carry(local) => if let Err(error) = carried {
                        tracing::warn!(error = &error as &dyn std::error::Error, to = %way.to, "a way out failed");
                    },
                    () = stopping.cancelled() => {}
                }
            });
        }
    }

    async fn carry(&self, mut local: TcpStream) -> std::io::Result<()> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.to.dns_name()).map_err(std::io::Error::other)?;
        let mut tls = TlsConnector::from(Arc::clone(&self.settings)).connect(name, tcp).await?;
        copy_bidirectional(&mut local, &mut tls).await?;
        Ok(())
    }
}
