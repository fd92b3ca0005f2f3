//! Whether a control API lets somebody in who shows no identity: by TLS without a certificate, and in the clear.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_pki::tls::knocking_settings;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long each step has.
const STEP: Duration = Duration::from_secs(3);
/// How long somebody who greets first has.
const GREETING: Duration = Duration::from_millis(500);
/// What is said in the clear: a request that changes nothing.
const LINE: &[u8] = b"HEAD / HTTP/1.0\r\n\r\n";
/// The first byte of an alert of TLS (RFC 8446, 5.1): a server that says no in its own language.
const ALERT: u8 = 21;

/// What came of a knock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Knocked {
    /// Nobody is let in without an identity, or nothing takes connections.
    Refused,
    /// Somebody is.
    LetIn {
        /// How.
        how: &'static str,
    },
    /// It could not be told.
    Unclear,
}

/// By which address of this machine that place is reached; nothing is sent. `None` = there is no way there.
pub async fn source_of(place: SocketAddr) -> Option<IpAddr> {
    let any = if place.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(place).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Knocks once, as somebody without an identity who asks for the member of this DNS name.
pub async fn knock(place: SocketAddr, name: &str) -> Knocked {
    let tcp = match timeout(STEP, TcpStream::connect(place)).await {
        Ok(Ok(tcp)) => tcp,
        // Whoever takes no connection lets nobody in.
        Ok(Err(_)) | Err(_) => return Knocked::Refused,
    };
    let (Ok(settings), Ok(name)) = (knocking_settings(), ServerName::try_from(name.to_owned())) else {
        return Knocked::Unclear;
    };
    match timeout(STEP, TlsConnector::from(Arc::new(settings)).connect(name, tcp)).await {
        Ok(Ok(tls)) => listen(tls).await,
        Ok(Err(error)) => match said(&error) {
            Said::No => Knocked::Refused,
            Said::OtherLanguage => in_the_clear(place).await,
            Said::Nothing => Knocked::Unclear,
        },
        // It took the connection and waits for something that is no handshake.
        Err(_silent) => in_the_clear(place).await,
    }
}

/// What a broken handshake says of the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    /// It speaks TLS and refuses.
    No,
    /// It speaks no TLS, or hung up without a word.
    OtherLanguage,
    /// Nothing about who is let in: there is no version or cipher that both have.
    Nothing,
}

fn said(error: &io::Error) -> Said {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(_)) => Said::No,
        Some(rustls::Error::InvalidMessage(_)) | None => Said::OtherLanguage,
        Some(_other) => Said::Nothing,
    }
}

/// The handshake is over for the client before a server of TLS 1.3 has seen that there is no certificate: it says so now, or does
/// not mind.
async fn listen(mut tls: tokio_rustls::client::TlsStream<TcpStream>) -> Knocked {
    let let_in = Knocked::LetIn { how: "it lets TLS in without a certificate" };
    let mut byte = [0u8; 1];
    match timeout(STEP, tls.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => Knocked::Refused,
        // It says something by itself, or waits for a request.
        Ok(Ok(_)) | Err(_) => let_in,
    }
}

/// Whether somebody answers who is spoken to without TLS.
async fn in_the_clear(place: SocketAddr) -> Knocked {
    let let_in = Knocked::LetIn { how: "it answers without TLS" };
    let Ok(Ok(mut tcp)) = timeout(STEP, TcpStream::connect(place)).await else { return Knocked::Refused };
    let mut byte = [0u8; 1];
    match timeout(GREETING, tcp.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => return Knocked::Refused,
        Ok(Ok(_greeted)) => return if byte == [ALERT] { Knocked::Refused } else { let_in },
        Err(_waits) => {}
    }
    if tcp.write_all(LINE).await.is_err() {
        return Knocked::Refused;
    }
    match timeout(STEP, tcp.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => Knocked::Refused,
        Ok(Ok(_answered)) => {
            if byte == [ALERT] {
                Knocked::Refused
            } else {
                let_in
            }
        }
        Err(_silent) => Knocked::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use gateway_pki::tls::{Callers, LiveLeaf, provider, server_settings};
    use gateway_types::Secret;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Who serves each connection in this way.
    async fn server<F, W>(serve: F) -> SocketAddr
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        place
    }

    fn acceptor(callers: Callers) -> TlsAcceptor {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["dns.svc.prod.internal".to_owned()]).unwrap();
        let leaf = Arc::new(LiveLeaf::default());
        leaf.show(&provider(), vec![cert.der().clone()], &Secret::new(signing_key.serialize_der())).unwrap();
        TlsAcceptor::from(Arc::new(server_settings(provider(), leaf, callers).unwrap()))
    }

    async fn of_tls(callers: Callers) -> Knocked {
        let acceptor = acceptor(callers);
        let place = server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(mut tls) = acceptor.accept(stream).await {
                    // It waits for a request.
                    let _ended = tls.read(&mut [0; 100]).await;
                }
            }
        });
        knock(place.await, "dns.svc.prod.internal").await
    }

    #[tokio::test]
    async fn a_member_that_wants_a_certificate_lets_nobody_in() {
        assert_eq!(of_tls(Callers::Show).await, Knocked::Refused);
    }

    #[tokio::test]
    async fn a_server_that_wants_none_does() {
        let how = "it lets TLS in without a certificate";
        assert_eq!(of_tls(Callers::MayShow).await, Knocked::LetIn { how });
    }

    #[tokio::test]
    async fn whoever_answers_in_the_clear_does() {
        let in_the_clear = Knocked::LetIn { how: "it answers without TLS" };
        // As HTTP servers do: something that is no request is told so, or the connection ends.
        let place = server(async |mut stream: TcpStream| {
            let mut head = [0; 5];
            if stream.read_exact(&mut head).await.is_ok() && &head == b"HEAD " {
                let _best_effort = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
            }
        });
        assert_eq!(knock(place.await, "dns").await, in_the_clear);
        let place = server(async |mut stream: TcpStream| {
            let _best_effort = stream.write_all(b"220 mail\r\n").await;
            let _ended = stream.read(&mut [0; 100]).await;
        });
        assert_eq!(knock(place.await, "dns").await, in_the_clear);
    }

    #[tokio::test]
    async fn whoever_hangs_up_or_is_not_there_lets_nobody_in() {
        assert_eq!(knock(server(async |_stream| {}).await, "dns").await, Knocked::Refused);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(knock(nobody, "dns").await, Knocked::Refused);
        assert_eq!(source_of(nobody).await, Some(IpAddr::from([127, 0, 0, 1])));
    }
}
