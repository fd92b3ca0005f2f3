//! Several instances: shares, failures, and that no connection is used again after something went wrong on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_testkit::{RawClient, eventually};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::service_kit::{Answer, Instance, ask, gateway, get, reply, request};

fn weighted(instance: &Instance, weight: u32) -> String {
    format!("{{ url = \"{}\", weight = {weight} }}", instance.url())
}

#[tokio::test]
async fn shares_follow_weights_and_a_drained_instance_gets_none() {
    let (one, three, none) =
        (Instance::saying("1").await, Instance::saying("3").await, Instance::saying("0").await);
    let gateway = gateway(&[weighted(&one, 1), weighted(&three, 3), weighted(&none, 0)], "").await;
    for _ in 0..40 {
        assert_eq!(get(&gateway, "/page").await.status, 200);
    }
    assert_eq!((one.seen().len(), three.seen().len(), none.seen().len()), (10, 30, 0));
    gateway.finish().await;
}

#[tokio::test]
async fn a_killed_instance_costs_no_idempotent_request() {
    let (stays, dies) = (Instance::saying("stays").await, Instance::saying("dies").await);
    let gateway = Arc::new(gateway(&[stays.url(), dies.url()], "").await);
    let dying = dies.addr;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let mut client = RawClient::connect(gateway.addr()).await;
                let mut statuses = Vec::new();
                for _ in 0..100 {
                    client.send(request(&gateway, "GET", "/page", "", "")).await;
                    statuses.push(client.reply().await.unwrap().status);
                }
                statuses
            })
        })
        .collect();
    eventually("load", || async { (dies.seen().len() > 20).then_some(()) }).await;
    drop(dies);
    for client in clients {
        let statuses = client.await.unwrap();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    // Left out: nobody even knocks there any more, so that a change is not lost either.
    let listener = TcpListener::bind(dying).await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&gateway, "POST", "/page", "", "x").await.text(), "stays");
    }
    assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err());
    // Once the time is over it is asked again.
    gateway.clock.advance(Duration::from_secs(600));
    let back = Instance::on(listener, |_| reply("200 OK", "", "back"));
    for _ in 0..4 {
        get(&gateway, "/page").await;
    }
    assert!(!back.seen().is_empty());
    Arc::into_inner(gateway).unwrap().finish().await;
}

#[tokio::test]
async fn a_change_is_not_repeated_once_it_may_have_arrived() {
    let broken = Instance::start(|_| Answer::Close(Vec::new())).await;
    let good = Instance::saying("good").await;
    let gateway = gateway(&[weighted(&broken, 100), weighted(&good, 1)], "").await;
    let reply = ask(&gateway, "POST", "/page", "", "pay").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!((broken.seen().len(), good.seen().len()), (1, 0), "sent once, to one");
    // What may be done twice is.
    assert_eq!(get(&gateway, "/page").await.text(), "good");
    gateway.finish().await;
}

#[tokio::test]
async fn instances_that_answer_with_errors_are_left_out_but_never_all() {
    let fails = Arc::new(AtomicBool::new(true));
    let flag = fails.clone();
    let sick = Instance::start(move |_| match flag.load(Ordering::Relaxed) {
        true => reply("503 Service Unavailable", "", "sick"),
        false => reply("200 OK", "", "sick"),
    })
    .await;
    let well = Instance::saying("well").await;
    let gateway = gateway(&[sick.url(), well.url()], "").await;
    for _ in 0..20 {
        get(&gateway, "/page").await;
    }
    assert_eq!(sick.seen().len(), 5, "left out after five in a row");
    drop(well);
    fails.store(false, Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/page").await.text(), "sick", "the last one is asked whatever it did");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn checks_leave_out_what_is_not_healthy() {
    let healthy = Arc::new(AtomicBool::new(false));
    let flag = healthy.clone();
    let checked = Instance::start(move |seen| match (seen.line(), flag.load(Ordering::Relaxed)) {
        ("GET /healthz", false) => reply("500 Internal Server Error", "", ""),
        _ => reply("200 OK", "", "checked"),
    })
    .await;
    let other = Instance::saying("other").await;
    let gateway =
        gateway(&[checked.url(), other.url()], "health = { path = \"/healthz\", interval = \"100ms\" }")
            .await;
    eventually("two failed checks", || async { (checked.seen().len() >= 3).then_some(()) }).await;
    for _ in 0..6 {
        assert_eq!(get(&gateway, "/page").await.text(), "other");
    }
    healthy.store(true, Ordering::Relaxed);
    eventually("a healthy instance", || async {
        (get(&gateway, "/page").await.text() == "checked").then_some(())
    })
    .await;
    let check = checked.seen().into_iter().find(|seen| seen.line() == "GET /healthz").unwrap();
    assert_eq!((check.header("authorization"), check.header("gateway-token")), (None, None));
    gateway.finish().await;
}

#[tokio::test]
async fn connections_are_used_again() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "").await;
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/page").await.status, 200);
    }
    assert!(instance.seen().iter().all(|seen| seen.connection == 0), "{:?}", instance.seen());
    gateway.finish().await;
}

#[tokio::test]
async fn i5_a_reply_cut_at_each_byte_is_a_problem_and_ends_its_connection() {
    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext";
    let head = WHOLE.len() - 4;
    let instance = Instance::start(|seen| {
        let cut: usize = seen.line().rsplit('/').next().unwrap().parse().unwrap();
        Answer::Close(WHOLE.as_bytes()[..cut].to_vec())
    })
    .await;
    let gateway = gateway(&[instance.url()], "").await;
    for cut in 0..head {
        let reply = ask(&gateway, "POST", &format!("/cut/{cut}"), "", "x").await;
        assert_eq!(reply.status, 502, "{cut}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        gateway.clock.advance(Duration::from_secs(1000));
    }
    // Behind the head the status is out already; the client sees that the body is not complete.
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(&gateway, "POST", &format!("/cut/{}", head + 2), "", "x")).await;
    let (mut stream, _) = client.into_parts();
    let mut bytes = Vec::new();
    let _reset = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.ends_with("text"), "{text}");
    let mut connections: Vec<usize> = instance.seen().iter().map(|seen| seen.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), instance.seen().len(), "none is used twice");
    gateway.finish().await;
    crate::corpus::count("I5", head + 1);
}

#[tokio::test]
async fn i5_what_is_no_http_is_a_problem_and_ends_its_connection() {
    let instance = Instance::start(|seen| {
        Answer::Keep(match seen.line() {
            "POST /noise" => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n".to_vec(),
            "POST /old" => b"HTTP/0.9 200 OK\r\n\r\n".to_vec(),
            "POST /bare" => b"HTTP/1.1 200 OK\r\nBroken Header\r\n\r\n".to_vec(),
            "POST /lengths" => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ntext".to_vec()
            }
            "POST /line" => {
                let mut reply = b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec();
                reply.resize(1024 * 1024, b'a');
                reply.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
                reply
            }
            "POST /many" => {
                let mut reply = b"HTTP/1.1 200 OK\r\n".to_vec();
                (0..500).for_each(|index| reply.extend_from_slice(format!("X-{index}: 1\r\n").as_bytes()));
                reply.extend_from_slice(b"Content-Length: 0\r\n\r\n");
                reply
            }
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        })
    })
    .await;
    let gateway = gateway(&[instance.url()], "").await;
    for path in ["/noise", "/old", "/bare", "/lengths", "/line", "/many"] {
        let reply = ask(&gateway, "POST", path, "", "x").await;
        assert_eq!(reply.status, 502, "{path}: {}", reply.text());
        let bad = instance.seen().last().unwrap().connection;
        assert_eq!(ask(&gateway, "POST", "/fine", "", "x").await.text(), "ok");
        assert_ne!(instance.seen().last().unwrap().connection, bad, "{path}");
    }
    gateway.finish().await;
    crate::corpus::count("I5", 6);
}

#[tokio::test]
async fn i5_a_hang_ends_at_the_declared_time_and_a_huge_body_streams() {
    let instance = Instance::start(|seen| match seen.line() {
        "GET /hang" => Answer::Hang,
        _ => {
            let size = 20 * 1024 * 1024;
            let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
            reply.resize(reply.len() + size, b'x');
            Answer::Keep(reply)
        }
    })
    .await;
    let gateway = gateway(&[instance.url()], "reply_timeout = \"200ms\"").await;
    let reply = get(&gateway, "/hang").await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert_eq!(get(&gateway, "/huge").await.body.len(), 20 * 1024 * 1024);
    assert_eq!(instance.seen().iter().filter(|seen| seen.line() == "GET /hang").count(), 1, "not repeated");
    gateway.finish().await;
    crate::corpus::count("I5", 2);
}

#[tokio::test]
async fn i5_nobody_there_is_a_problem_that_says_which_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gateway = gateway(std::slice::from_ref(&url), "connect_timeout = \"2s\"").await;
    let reply = get(&gateway, "/page").await;
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("wiki") && !reply.text().contains(&url[7..]), "{}", reply.text());
    gateway.finish().await;
    crate::corpus::count("I5", 1);
}

#[tokio::test]
async fn c4_an_early_reply_ends_an_upload_and_its_connection() {
    let addr = early().await;
    let gateway = gateway(&[format!("http://{addr}")], "").await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(&gateway, "POST", "/upload", "Content-Length: 1000000\r\n", "")).await;
    client.send(vec![b'x'; 1000]).await;
    let reply = client.reply().await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (403, "no"));
    drop(client);
    // The next request finds a connection of its own: on the one before it would wait forever.
    assert_eq!(ask(&gateway, "POST", "/upload", "", "x").await.status, 403);
    gateway.finish().await;
}

/// Answers 403 after the first head of a connection, reads no body for what it is, and answers nothing more.
async fn early() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while !buffer.windows(4).any(|four| four == b"\r\n\r\n") {
                    if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _gone = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
                while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    addr
}
