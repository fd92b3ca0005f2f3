//! Services in a real browser: one sign-in opens apps on two hosts and one behind a prefix, one sign-out closes all.

use std::process::Stdio;

use gateway_audit::Event;
use gateway_testkit::browser::peers;
use gateway_testkit::{Journey, TestGateway};
use gateway_types::Role;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What the gateway signs in to the app with. No browser may ever see it.
const CANARY: &str = "CANARY5b1d9e0c7a3f2846";
const CREDENTIAL: &str = "credential = { kind = \"bearer\", secret = \"env:DASHBOARD_SECRET\" }\n";

/// A web app that knows nothing of the gateway (`tests/peers/dashboard.mjs`). It ends when this is dropped.
struct Dashboard {
    url: String,
    _child: Child,
}

impl Dashboard {
    async fn start() -> Self {
        let mut child = Command::new("node")
            .arg(peers().join("dashboard.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node; ./scripts/test installs it");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("a line").expect("its port");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        Self { url: format!("http://127.0.0.1:{}", said["port"]), _child: child }
    }
}

#[tokio::test]
async fn one_sign_in_opens_all_services_and_one_sign_out_closes_them() {
    let app = Dashboard::start().await;
    let upstreams =
        format!("upstreams = [{{ url = \"{}\" }}]\nidentity = \"headers\"\n{CREDENTIAL}", app.url);
    let gateway = TestGateway::builder()
        .idp()
        .env("DASHBOARD_SECRET", CANARY)
        // Shorter than the pause in the app's event stream, and than its WebSocket rests.
        .env("IDLE_TIMEOUT", "2s")
        .env("SEND_TIMEOUT", "2s")
        .env("BODY_TIMEOUT", "2s")
        .file(&format!(
            "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.localhost\"]\n{upstreams}\
             [[service]]\nname = \"chart\"\nhosts = [\"chart.localhost\"]\n{upstreams}\
             [[service]]\nname = \"dash\"\nprefix = \"/dash\"\nstrip_prefix = true\nwebsocket = true\nopenapi = \"/openapi.json\"\n\
             upstreams = [{{ url = \"{}\" }}, {{ url = \"http://127.0.0.1:9\", weight = 0 }}]\nidentity = \"headers\"\n{CREDENTIAL}",
            app.url
        ))
        .start()
        .await;
    let url = format!("http://localhost:{}", gateway.addr().port());
    let looked = Journey::of("services.mjs", &url, "ops@example.com", "services", &["--canary", CANARY])
        .end(async |question, _| panic!("nobody knows {question}"))
        .await;
    assert_eq!(looked.pages, 8);
    assert!(looked.paths.contains("/.rack-gateway/sign-out"), "{looked:?}");
    // Each service saw the person under their name, and the log knows which service each request was for.
    let events = gateway.events().await;
    for action in ["service:wiki:read", "service:chart:read", "service:dash:read", "service:dash:socket"] {
        let is_it = |event: &Event| {
            event.action.as_str() == action && event.actor.name == gateway.person(Role::Ops).email
        };
        assert!(events.iter().any(|(_, event)| is_it(event)), "no event of {action}");
    }
    gateway.finish().await;
}
