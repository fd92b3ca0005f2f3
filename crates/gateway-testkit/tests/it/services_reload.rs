//! Connections to instances across a change of the declaration: what is under way ends as it would, what comes next goes
//! where the new one says, and nothing is kept open to an address that is no service's any more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_testkit::{RawClient, TestGateway};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::service_kit::{Instance, ask, get, request, wiki};

/// What became of a connection to the instance that is slow.
#[derive(PartialEq, Eq, Debug)]
enum Told {
    /// A request, by its first line.
    Asked(String),
    /// The gateway closed it.
    Closed,
}

/// An instance that sends half of each reply, and the other half once it is let.
struct Slow {
    addr: SocketAddr,
    go_on: Arc<Notify>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (go_on, (tell, told)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let let_on = go_on.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (go_on, tell) = (let_on.clone(), tell.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    loop {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            let _test_ended = tell.send(Told::Closed);
                            return;
                        }
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        let line =
                            String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                        let _test_ended = tell.send(Told::Asked(line));
                        head.clear();
                        let _gone =
                            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold").await;
                        go_on.notified().await;
                        let _gone = stream.write_all(b"est").await;
                    }
                });
            }
        });
        Self { addr, go_on, told }
    }

    async fn next(&mut self) -> Told {
        timeout(Duration::from_secs(20), self.told.recv()).await.expect("in time").expect("a word")
    }
}

#[tokio::test]
async fn a_request_under_way_ends_where_it_began_and_the_next_goes_to_the_new_address() {
    let (mut slow, new, steady) =
        (Slow::start().await, Instance::saying("new").await, Instance::saying("steady").await);
    let beside = format!(
        "[[service]]\nname = \"shop\"\nprefix = \"/shop\"\nupstreams = [{{ url = \"{}\" }}]\n",
        steady.url()
    );
    let file = |url: String| format!("{}{beside}", wiki(&[url], ""));
    let gateway = TestGateway::builder().file(&file(format!("http://{}", slow.addr))).start().await;
    assert_eq!(shop(&gateway).await, 200);
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(&gateway, "GET", "/page", "", "")).await;
    assert_eq!(slow.next().await, Told::Asked("GET /page HTTP/1.1".to_owned()));
    gateway.write_file(&file(new.url()));
    gateway.read_file_again().await;
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/next").await.text(), "new");
        assert_eq!(ask(&gateway, "POST", "/next", "", "x").await.text(), "new");
    }
    slow.go_on.notify_one();
    let reply = client.reply().await.expect("the reply that had begun");
    assert_eq!((reply.status, reply.text().as_str()), (200, "oldest"), "whole, from where it began");
    // The same connection of the client goes on, to the new address.
    client.send(request(&gateway, "GET", "/again", "", "")).await;
    assert_eq!(client.reply().await.unwrap().text(), "new");
    assert_eq!(slow.next().await, Told::Closed, "nothing is kept open to what is not declared");
    // What did not change kept its connection.
    assert_eq!(shop(&gateway).await, 200);
    assert!(steady.seen().iter().all(|seen| seen.connection == 0), "{:?}", steady.seen());
    assert!(new.seen().iter().all(|seen| seen.connection == 0), "{:?}", new.seen());
    gateway.finish().await;
}

#[tokio::test]
async fn a_connection_that_rests_is_closed_when_its_address_is_gone() {
    let (mut slow, new) = (Slow::start().await, Instance::saying("new").await);
    let gateway = TestGateway::builder().file(&wiki(&[format!("http://{}", slow.addr)], "")).start().await;
    slow.go_on.notify_one();
    assert_eq!(get(&gateway, "/page").await.text(), "oldest");
    assert_eq!(slow.next().await, Told::Asked("GET /page HTTP/1.1".to_owned()));
    gateway.write_file(&wiki(&[new.url()], ""));
    gateway.read_file_again().await;
    assert_eq!(get(&gateway, "/page").await.text(), "new");
    assert_eq!(slow.next().await, Told::Closed);
    gateway.finish().await;
}

/// A visit of the service that stays as it is.
async fn shop(gateway: &TestGateway) -> u16 {
    let mut client = RawClient::connect(gateway.addr()).await;
    let token = gateway.token(gateway_types::Role::Viewer);
    client
        .send(format!(
            "GET /shop/x HTTP/1.1\r\nHost: gateway.example.com\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
        .await;
    client.reply().await.expect("a reply").status
}
