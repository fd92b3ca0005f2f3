//! What can be made to go wrong.

use super::client::{AUTH, Client, ask, open, talk};
use super::rack;
use crate::{EXIT_MARKER, Fault};

const EXEC: &str = "/apps/myapp/processes/web/exec";

#[tokio::test]
async fn http_faults_hit_the_next_real_request_once() {
    let rack = rack().await;
    rack.fault(Fault::Status(500));
    assert_eq!(ask(rack.addr(), "GET", "/machines", "", "").await.0, 404, "probes use nothing up");
    assert_eq!(ask(rack.addr(), "GET", "/apps", "", "").await.0, 500);
    assert_eq!(ask(rack.addr(), "GET", "/apps", "", "").await.0, 200);
    rack.fault_on("/builds", Fault::Status(503));
    assert_eq!(ask(rack.addr(), "GET", "/apps", "", "").await.0, 200);
    assert_eq!(ask(rack.addr(), "GET", "/apps/myapp/builds", "", "").await.0, 503);
    rack.fault(Fault::Redirect("http://elsewhere.example.test/".to_owned()));
    assert_eq!(ask(rack.addr(), "GET", "/apps", "", "").await.0, 302);
    rack.fault(Fault::Status(403));
    assert_eq!(open(rack.addr(), EXEC, AUTH).await.1.second, "403", "sockets too");
}

#[tokio::test]
async fn answers_break_where_they_should() {
    let rack = rack().await;
    let get = format!("GET /apps HTTP/1.1\r\nHost: rack\r\n{AUTH}\r\n");
    for fault in [Fault::CloseMidChunk, Fault::CloseMidBody, Fault::CloseBeforeReply] {
        rack.fault(fault.clone());
        let mut client = Client::connect(rack.addr()).await;
        client.send(&get).await;
        let error = client.answer().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{fault:?}");
    }
    rack.fault(Fault::Gzip);
    let mut client = Client::connect(rack.addr()).await;
    client.send(&get).await;
    let (head, body) = client.answer().await.unwrap();
    assert_eq!(
        (head.header("content-encoding"), body.get(..2)),
        (Some("gzip"), Some([0x1f, 0x8b].as_slice()))
    );
}

#[tokio::test]
async fn a_hanging_request_stays_open() {
    let rack = rack().await;
    rack.fault(Fault::Hang);
    let mut client = Client::connect(rack.addr()).await;
    client.send(format!("GET /apps HTTP/1.1\r\nHost: rack\r\n{AUTH}\r\n")).await;
    while rack.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let seen = rack.requests().pop().unwrap();
    assert_eq!((seen.open, seen.status), (true, None));
    drop(client);
    while rack.requests().pop().unwrap().open {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn execs_end_in_all_the_wrong_ways() {
    let rack = rack().await;
    let marker = format!("{EXIT_MARKER}0\\n");
    let (front, back) = marker.split_at(19);
    let cases = [
        (Fault::DropExec, "hi\\n|✂".to_owned()),
        (Fault::SplitMarker, format!("hi\\n|{front}|{back}")),
        (Fault::FragmentMarker, format!("hi\\n|<1:{front}>|<0:{back}>")),
        (Fault::CloseFrame(1011), "hi\\n|<8:\\x03\\xf3>|✂".to_owned()),
    ];
    for (fault, expected) in cases {
        rack.fault(fault.clone());
        assert_eq!(talk(rack.addr(), EXEC, "Command: echo hi\r\n", &[]).await, expected, "{fault:?}");
    }
    rack.fault(Fault::SessionBlob);
    let said = talk(rack.addr(), EXEC, "Command: echo hi\r\n", &[]).await;
    assert!(said.starts_with("\\x00{\\\"sessionId\\\":") && said.contains("tokenValue"), "{said}");
    rack.fault(Fault::DropExec);
    assert_eq!(
        talk(rack.addr(), EXEC, "Command: exit 3\r\n", &[]).await,
        "✂",
        "at the latest before the marker"
    );
}
