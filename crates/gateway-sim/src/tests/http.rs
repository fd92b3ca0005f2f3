//! Requests and answers.

use super::client::{AUTH, Client, ask, form};
use super::rack;
use crate::upload::Upload;
use crate::{Flavour, Seed, SeenRequest, SimOptions, SimRack};

const WRONG: &str = "Authorization: Basic Y29udm94Ondyb25n\r\n";

async fn raw(rack: &SimRack, request: &str) -> (u16, Option<String>, String) {
    let mut client = Client::connect(rack.addr()).await;
    client.send(request).await;
    let (head, body) = client.answer().await.unwrap();
    let challenge = head.header("www-authenticate").map(str::to_owned);
    (head.second.parse().unwrap(), challenge, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn routing_comes_before_authentication() {
    let rack = rack().await;
    let cases = [
        ("GET /machines", "", 404, ""),
        ("DELETE /apps", "", 405, ""),
        ("GET //apps", AUTH, 404, ""),
        ("GET /apps/", AUTH, 404, ""),
        ("GET /apps", "", 401, "invalid authentication\n"),
        ("GET /apps", WRONG, 401, "invalid authentication\n"),
        ("GET /apps", "Authorization: Bearer secret\r\n", 401, "invalid authentication\n"),
        ("GET /check", "", 200, "ok\n"),
        ("GET /auth", AUTH, 200, "ok\n"),
        ("GET /apps/%zz", AUTH, 400, "400 Bad Request"),
        ("GET /apps/nosuch", AUTH, 404, "app not found: nosuch\n"),
    ];
    for (line, auth, status, text) in cases {
        let got =
            raw(&rack, &format!("{line} HTTP/1.1\r\nHost: rack\r\n{auth}Connection: close\r\n\r\n")).await;
        assert_eq!((got.0, got.2.as_str()), (status, text), "{line}");
        assert_eq!(got.1.is_some(), status == 401, "{line}");
    }
}

#[tokio::test]
async fn errors_are_json_only_where_asked_and_only_on_v3() {
    let v3 = rack().await;
    let v2 = SimRack::start(SimOptions { flavour: Flavour::V2, ..SimOptions::for_tests() }).await.unwrap();
    let wants = "Accept: application/json\r\n";
    assert_eq!(
        ask(v3.addr(), "GET", "/apps/x", wants, "").await.1,
        "{\n  \"error\": \"app not found: x\"\n}\n"
    );
    assert_eq!(ask(v2.addr(), "GET", "/apps/x", wants, "").await.1, "app not found: x\n");
    let (_, challenge, _) = raw(&v2, "GET /apps HTTP/1.1\r\nHost: rack\r\n\r\n").await;
    assert_eq!(challenge, None);
}

#[tokio::test]
async fn the_decoded_path_is_routed() {
    let rack = rack().await;
    let plain = ask(rack.addr(), "GET", "/apps/myapp/builds", "", "").await;
    let encoded = ask(rack.addr(), "GET", "/apps/myapp%2Fbuilds?", "", "").await;
    assert_eq!(plain, encoded);
    let targets: Vec<String> = rack.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/apps/myapp/builds", "/apps/myapp%2Fbuilds?"], "targets are kept verbatim");
}

#[tokio::test]
async fn parameters_are_taken_from_all_their_homes() {
    let rack = rack().await;
    let releases = "/apps/myapp/releases";
    form(rack.addr(), "POST", &format!("{releases}?env=QUERY=1"), "env=BODY%3D1").await;
    assert_eq!(rack.state().env_of("myapp"), "BODY=1", "the body beats the query");
    form(rack.addr(), "POST", &format!("{releases}?env=QUERY=1"), "").await;
    assert_eq!(rack.state().env_of("myapp"), "QUERY=1");
    form(rack.addr(), "POST", releases, "description=x").await;
    assert_eq!(rack.state().env_of("myapp"), "QUERY=1", "absent keeps");
    form(rack.addr(), "POST", releases, "env=").await;
    assert_eq!(rack.state().env_of("myapp"), "", "empty clears");
    let (status, text) =
        ask(rack.addr(), "POST", "/registries", "Server: s\r\nUsername: u\r\nPassword: p\r\n", "").await;
    assert_eq!((status, text.contains("\"server\": \"s\"")), (200, true), "headers are a home too");
    let part = "--b\r\nContent-Disposition: form-data; name=\"env\"\r\n\r\nPART=1\r\n--b--\r\n";
    ask(rack.addr(), "POST", releases, "Content-Type: multipart/form-data; boundary=b\r\n", part).await;
    assert_eq!(rack.state().env_of("myapp"), "PART=1", "and multipart bodies");
}

#[tokio::test]
async fn an_upload_labelled_as_a_form_is_eaten() {
    let rack = rack().await;
    let (status, _) = form(rack.addr(), "POST", "/apps/myapp/objects/tmp/a.tgz", "precious").await;
    assert_eq!((status, rack.state().objects("myapp")[0].length), (200, 0));
    ask(rack.addr(), "POST", "/apps/myapp/objects/tmp/a.tgz", "", "precious").await;
    assert_eq!(rack.state().objects("myapp")[0].sha256, Upload::whole(b"precious").sha256);
    let (status, text) = ask(rack.addr(), "POST", "/apps/myapp/objects/a/../b", "", "x").await;
    assert_eq!((status, text.as_str()), (400, "invalid object key\n"));
    let (_, text) = ask(rack.addr(), "POST", "/apps/myapp/objects/", "", "x").await;
    assert_eq!(text.len(), "{\n  \"Url\": \"object://myapp/tmp/.tgz\"\n}\n".len() - 4 + 30);
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let rack = rack().await;
    let mut client = Client::connect(rack.addr()).await;
    let size = 20_usize << 20;
    let head = format!(
        "POST /apps/myapp/objects/big HTTP/1.1\r\nHost: rack\r\n{AUTH}Content-Length: {size}\r\n\r\n"
    );
    client.send(head).await;
    let piece = vec![0; 1 << 20];
    for _ in 0..20 {
        client.send(&piece).await;
    }
    assert_eq!(client.answer().await.unwrap().0.second, "200");
    let seen = rack.requests().pop().unwrap();
    let zeros = Upload::whole(&vec![0; size]);
    assert_eq!(
        (seen.body.len(), seen.body_bytes, seen.body_sha256.as_str()),
        (0, 20 << 20, zeros.sha256.as_str())
    );
    assert_eq!(rack.state().objects("myapp")[0].sha256, zeros.sha256);
    let path = format!("/apps/myapp/objects/tmp/zeros-{size}.bin");
    client.send(format!("GET {path} HTTP/1.1\r\nHost: rack\r\n{AUTH}\r\n")).await;
    let (head, body) = client.answer().await.unwrap();
    assert!(head.has_token("transfer-encoding", "chunked"));
    assert_eq!(Upload::whole(&body).sha256, zeros.sha256);
}

#[tokio::test]
async fn what_was_seen_can_be_read_and_is_not_seen_itself() {
    let rack = rack().await;
    ask(rack.addr(), "GET", "/apps?", "Convox-Actor: bob\r\nX-Twice: 1\r\nx-twice: 2\r\n", "").await;
    let (status, text) = ask(rack.addr(), "GET", "/_sim/requests", "", "").await;
    let listed: Vec<SeenRequest> = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &listed), (200, &rack.requests()));
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].actor.as_deref(), listed[0].status), (Some("bob"), Some(200)));
    let twice = listed[0].headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-twice")).count();
    assert_eq!(twice, 2);
    let (status, ..) = raw(&rack, "GET /_sim/requests HTTP/1.1\r\nHost: rack\r\n\r\n").await;
    assert_eq!(status, 401);
    rack.clear_requests();
    assert_eq!(rack.requests(), []);
}

#[tokio::test]
async fn a_read_token_reads_everything_and_changes_nothing() {
    let rack = rack().await;
    let mint = |role| format!("role={role}&durationInHour=1");
    let (_, text) = form(rack.addr(), "POST", "/system/jwt/token", &mint("read")).await;
    let token =
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["token"].as_str().unwrap().to_owned();
    let auth = format!(
        "Authorization: Basic {}\r\n",
        data_encoding::BASE64.encode(format!("jwt:{token}").as_bytes())
    );
    for (line, status) in
        [("GET /registries", 200), ("HEAD /apps/myapp/objects/x", 401), ("DELETE /apps/myapp", 401)]
    {
        let request = format!("{line} HTTP/1.1\r\nHost: rack\r\n{auth}\r\n");
        let mut client = Client::connect(rack.addr()).await;
        client.send(request).await;
        assert_eq!(client.head().await.unwrap().second, status.to_string(), "{line}");
    }
    let (status, _) = form(rack.addr(), "POST", "/system/jwt/token", &mint("king")).await;
    assert_eq!(status, 400);
    ask(rack.addr(), "PUT", "/system/jwt/rotate", "", "").await;
    let (status, ..) = raw(&rack, &format!("GET /apps HTTP/1.1\r\nHost: rack\r\n{auth}\r\n")).await;
    assert_eq!(status, 401, "a rotated key ends all tokens");
}

#[tokio::test]
async fn v2_racks_answer_as_v2_racks() {
    let rack = SimRack::start(SimOptions { flavour: Flavour::V2, ..SimOptions::for_tests() }).await.unwrap();
    let cases = [
        ("GET", "/apps/myapp/budget", 404),
        ("GET", "/apps/myapp/configs", 404),
        ("GET", "/apps/myapp/resources/db/data", 404),
        ("GET", "/system/sync/whitelist/instances/ip", 200),
        ("GET", "/rds/snapshots/s-1", 200),
        ("DELETE", "/rds/db", 200),
        ("PUT", "/system", 200),
    ];
    for (method, target, status) in cases {
        assert_eq!(ask(rack.addr(), method, target, "", "").await.0, status, "{target}");
    }
    let (_, list) = ask(rack.addr(), "GET", "/apps/myapp/releases", "", "").await;
    let (_, one) = ask(rack.addr(), "GET", "/apps/myapp/releases/RSEED00001", "", "").await;
    assert!(list.contains("\"env\": \"\"") && one.contains("s3cr3t-myapp"));
}

#[tokio::test]
async fn promotes_update_and_refuse_as_a_rack_does() {
    let rack = rack().await;
    let newer = rack.state().insert_release("myapp", "NEW=1").unwrap();
    assert_eq!(rack.state().insert_release("nosuch", "A=1"), None);
    let promote = |id: &str| format!("/apps/myapp/releases/{id}/promote");
    assert!(rack.state().set_updating("myapp", true));
    let (status, text) = form(rack.addr(), "POST", &promote(&newer), "force=false").await;
    assert_eq!((status, text.as_str()), (403, "app is currently updating\n"));
    assert_eq!(form(rack.addr(), "POST", &promote(&newer), "force=true").await.0, 200);
    assert_eq!(
        (rack.state().active_release("myapp"), rack.state().active_env_of("myapp")),
        (newer, "NEW=1".into())
    );
    assert_eq!(
        form(rack.addr(), "POST", &promote("RSEED00001"), "").await.0,
        400,
        "older than the active one"
    );
    assert_eq!(form(rack.addr(), "POST", &promote("RNOSUCH"), "").await.0, 404);
}

#[tokio::test]
async fn the_demo_is_alive() {
    let rack = SimRack::start(SimOptions { seed: Seed::Demo, ..SimOptions::for_tests() }).await.unwrap();
    assert_eq!(rack.state().apps(), ["shop", "wiki"]);
    let services = |rack: &SimRack| -> Vec<String> {
        rack.state().processes("shop").into_iter().map(|process| process.name).collect()
    };
    assert_eq!(services(&rack), ["web", "worker", "web"]);
    form(rack.addr(), "PUT", "/apps/shop/services/worker", "count=3").await;
    assert_eq!(services(&rack), ["web", "worker", "web", "worker", "worker"]);
    form(rack.addr(), "PUT", "/apps/shop/services/web", "count=1").await;
    assert_eq!(services(&rack), ["web", "worker", "worker", "worker"]);
    let pid = rack.state().processes("shop")[0].id.clone();
    ask(rack.addr(), "DELETE", &format!("/apps/shop/processes/{pid}"), "", "").await;
    assert_eq!(
        services(&rack).iter().filter(|name| *name == "web").count(),
        1,
        "the scheduler makes a new one"
    );
    assert_eq!(rack.state().releases("shop").len(), 3);
}

#[tokio::test]
async fn a_stopped_rack_is_gone_and_its_port_can_be_taken_again() {
    let rack = rack().await;
    let addr = rack.addr();
    let mut client = Client::connect(addr).await;
    client.ask("GET", "/apps", "", "").await;
    rack.stop().await;
    assert!(client.answer().await.is_err());
    let again = SimRack::start(SimOptions { listen: addr, ..SimOptions::for_tests() }).await.unwrap();
    assert_eq!(ask(addr, "GET", "/apps", "", "").await.0, 200);
    let mut cut = Client::connect(addr).await;
    cut.ask("GET", "/apps", "", "").await;
    again.sever();
    assert!(cut.answer().await.is_err());
    assert_eq!(ask(addr, "GET", "/apps", "", "").await.0, 200, "new connections are taken");
}

#[tokio::test]
async fn measurements_are_of_the_time_that_is_asked_for() {
    let rack = rack().await;
    let json = async |target: &str| -> serde_json::Value {
        let (status, text) = ask(rack.addr(), "GET", target, "", "").await;
        assert_eq!(status, 200, "{target}: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let hour = "/system/metrics?start=20261120.100000.000000000&end=20261120.110000.000000000&period=60";
    let measured = json(hour).await;
    assert_eq!(measured[0]["values"].as_array().unwrap().len(), 60);
    assert_eq!(measured[0]["values"][0]["time"], "2026-11-20T10:00:00.000000Z");
    assert_eq!(json(hour).await, measured);
    assert_eq!(json("/apps/myapp/metrics?metrics=mem").await[0]["name"], "mem");
    assert_eq!(json("/apps/myapp/metrics-by-service?services=web").await[0]["name"], "web");
    for wrong in ["period=0", "period=-1", "start=yesterday", "start=20261120.100000"] {
        let (status, _) = ask(rack.addr(), "GET", &format!("/system/metrics?{wrong}"), "", "").await;
        assert_eq!(status, 400, "{wrong}");
    }
}
