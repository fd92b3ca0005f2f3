//! A syslog server, over TCP or TLS.
//!
//! Syslog has no answers. What comes nearest is the end of the connection: each delivery has one, and counts when the
//! server ended it too, behind the last message (RFC 5425, section 4.4: a receiver replies to `close_notify`). A server
//! that dies with unread messages resets the connection instead, and gets them again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway_config::{SyslogServer, SyslogTransport};
use gateway_sinks::{Record, Source, syslog};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::SinkSetupError;
use super::receiver::DeliveryError;
use crate::fetch::{FetchSetupError, authorities};

/// How long one delivery may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A syslog server.
pub(super) struct Syslog {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    source: Arc<Source>,
}

impl Syslog {
    pub(super) fn new(server: &SyslogServer, source: Arc<Source>) -> Result<Self, SinkSetupError> {
        let tls = match &server.transport {
            SyslogTransport::Tcp => None,
            SyslogTransport::Tls { ca_file } => {
                let name = ServerName::try_from(server.host.clone())
                    .map_err(|_bad| SinkSetupError::ServerName { host: server.host.clone() })?;
                Some((connector(ca_file.as_deref())?, name))
            }
        };
        Ok(Self { host: server.host.clone(), port: server.port, tls, source })
    }

    pub(super) async fn deliver(&self, records: &[Record]) -> Result<(), DeliveryError> {
        let mut frames = Vec::new();
        for record in records {
            frames.extend_from_slice(&syslog::frame(record, &self.source)?);
        }
        match timeout(LIMIT, self.exchange(&frames)).await {
            Ok(result) => {
                result.map_err(|source| DeliveryError::Connection { host: self.host.clone(), source })
            }
            Err(_elapsed) => Err(DeliveryError::Slow { host: self.host.clone(), limit: LIMIT }),
        }
    }

    async fn exchange(&self, frames: &[u8]) -> io::Result<()> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => send(stream, frames).await,
            Some((connector, name)) => send(connector.connect(name.clone(), stream).await?, frames).await,
        }
    }
}

/// Sends, ends, and waits for the other end. What a server says is read and forgotten.
async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, frames: &[u8]) -> io::Result<()> {
    stream.write_all(frames).await?;
    stream.shutdown().await?;
    let mut said = [0; 256];
    loop {
        match stream.read(&mut said).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // TLS was ended without `close_notify`, as some servers do; TCP ended in order.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, FetchSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(ca_file)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
