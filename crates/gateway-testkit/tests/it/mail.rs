//! Mail from a whole gateway: what happens at a page, or through the proxy, arrives at other people's SMTP server.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gateway_app::{Operator, factors};
use gateway_sim::Flavour;
use gateway_store::{JobFilter, NewUser};
use gateway_testkit::{Authenticator, RawClient, Reply, TestGateway, TestGatewayBuilder, Visitor};
use gateway_types::{OsEntropy, Role, RoleSet};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// An SMTP server of somebody else's making.
pub(crate) struct Sink {
    _child: Child,
    /// It ends with its input.
    _input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) port: String,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/smtp-sink.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node; run ./scripts/test, which installs it");
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut sink = Self { _child: child, _input: input, lines, port: String::new() };
        sink.port = sink.next().await["port"].to_string();
        sink
    }

    /// The next line that it writes: a mail.
    pub(crate) async fn next(&mut self) -> Value {
        let line = timeout(Duration::from_secs(60), self.lines.next_line()).await;
        let line = line
            .expect("a line in time")
            .unwrap()
            .expect("a line; `npm ci --prefix tests/peers` installs the sink");
        serde_json::from_str(&line).unwrap()
    }

    /// The next mail to this address.
    pub(crate) async fn next_to(&mut self, address: &str) -> Value {
        loop {
            let mail = self.next().await;
            if mail["to"].to_string().contains(address) {
                return mail;
            }
        }
    }

    /// A gateway that mails here.
    fn gateway(&self) -> TestGatewayBuilder {
        TestGateway::builder()
            .idp()
            .env("SMTP_HOST", "127.0.0.1")
            .env("SMTP_PORT", &self.port)
            .env("SMTP_TLS", "off")
            .env("MAIL_FROM", "gateway@example.com")
    }
}

/// How many mails there were to send so far, sent or not.
async fn mails(gateway: &TestGateway) -> usize {
    let filter = JobFilter { limit: 1000, ..JobFilter::default() };
    gateway.store().jobs().list(&filter).await.unwrap().items.len()
}

#[tokio::test]
async fn an_invitation_is_mailed_to_whom_it_is_about() {
    let mut sink = Sink::start().await;
    let gateway = sink.gateway().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    // The sign-in of somebody who has a mail address may be mailed first.
    let code = phone.next(&gateway);
    let new = [("email", "new@example.com"), ("role", "viewer"), ("_code", code.as_str())];
    let invited = admin.post("/app/users", &new).await;
    assert_eq!(invited.status, 303, "{}", invited.text());
    let mail = sink.next_to("new@example.com").await;
    assert_eq!(mail["from"], "gateway@example.com");
    for part in ["text", "html"] {
        assert!(mail[part].as_str().is_some_and(|text| text.contains("viewer")), "{part}: {mail}");
    }
    // Neither the mail nor the row of the job holds a secret.
    assert!(!mail.to_string().contains("rgw_") && !mail.to_string().contains("rgs_"));
    gateway.finish().await;
}

/// G5: the last three backup codes are told of, each once, whichever way they are spent.
#[tokio::test]
async fn g5_whoever_runs_out_of_backup_codes_is_told() {
    let mut sink = Sink::start().await;
    let gateway = sink.gateway().start().await;
    Authenticator::enrol(&gateway, Role::Ops).await;
    let user = gateway.person(Role::Ops).id;
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let operator = Operator::local("tester", &*gateway.clock, &OsEntropy);
    let codes = factors::new_backup_codes(gateway.store(), &operator, user).await.unwrap();
    let before = mails(&gateway).await;
    let restart = "/apps/myapp/services/web/restart";
    for (number, code) in codes.iter().enumerate().take(7) {
        let credential = format!("{}.backup.{}", gateway.session(Role::Ops).await, code.expose());
        let mut client = RawClient::connect(gateway.addr()).await;
        let reply = client.ask("POST", restart, &credential, &[], b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = mails(&gateway).await - before;
        assert_eq!(told, usize::from(number == 6), "after {} codes", number + 1);
        // The one that was spent is none, and tells nobody.
        let again = format!("{}.backup.{}", gateway.session(Role::Ops).await, code.expose());
        assert_eq!(client.ask("POST", restart, &again, &[], b"").await.status, 401);
        assert_eq!(mails(&gateway).await - before, told);
    }
    let mail = loop {
        let mail = sink.next_to("ops@example.com").await;
        if mail["subject"].to_string().contains("backup code") {
            break mail;
        }
    };
    assert!(mail["subject"].to_string().contains("you have 3 backup codes left"), "{mail}");

    // The page of a step-up.
    let page = person.post("/step-up/window", &[("code", codes[7].expose())]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(mails(&gateway).await - before, 2);
    // The rack's own client in console mode.
    let credential = format!("{}.backup.{}", gateway.session(Role::Ops).await, codes[8].expose());
    let mut client = RawClient::connect(gateway.addr()).await;
    let headers = [("Session", "")];
    let confirmed = client.ask("POST", "/session", &credential, &headers, b"").await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(mails(&gateway).await - before, 3);
    for left in ["you have 2 backup codes left", "you have 1 backup code left"] {
        let mail = sink.next_to("ops@example.com").await;
        assert!(mail["subject"].to_string().contains(left), "{mail}");
        for code in &codes {
            assert!(!mail.to_string().contains(code.expose()), "a mail holds no code");
        }
    }
    gateway.finish().await;
}

async fn put_system(gateway: &TestGateway, credential: &str, form: &str) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("User-Agent", "convox.go/dev")];
    RawClient::connect(gateway.addr())
        .await
        .ask("PUT", "/system", credential, &headers, form.as_bytes())
        .await
}

/// Parameters of the rack: the admins read which were changed, nobody reads the values, and the intent has the
/// difference.
#[tokio::test]
async fn changed_parameters_of_the_rack_are_mailed_and_recorded() {
    let mut sink = Sink::start().await;
    let gateway = sink.gateway().flavour(Flavour::V2).start().await;
    let second = NewUser {
        email: "second@example.com".to_owned(),
        name: "Second".to_owned(),
        roles: RoleSet::of(Role::Admin),
    };
    gateway.store().users().create(second).await.unwrap();
    let token = gateway.critical_token().await;
    // Refused: by policy, for what is no parameter, and without a credential.
    for credential in [gateway.token(Role::Deployer), gateway.token(Role::Admin), ""] {
        assert!(matches!(put_system(&gateway, credential, "parameters=A%3D1").await.status, 401 | 403));
    }
    assert_eq!(put_system(&gateway, &token, "parameter=A%3D1").await.status, 400);
    assert_eq!(mails(&gateway).await, 0, "nobody is told of what was refused");
    assert!(gateway.rack.requests().is_empty());

    let reply = put_system(&gateway, &token, "parameters=A%3Dfirst-value%26B%3Dother-value").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = [sink.next().await, sink.next().await];
    for address in ["second@example.com", "admin@example.com"] {
        assert!(told.iter().any(|mail| mail["to"].to_string().contains(address)), "{told:?}");
    }
    for mail in told {
        assert!(mail["subject"].to_string().contains("parameters of the rack were changed"), "{mail}");
        for part in ["text", "html"] {
            let text = mail[part].as_str().unwrap_or_default();
            assert!(text.contains("A, B") && text.contains("token admin for tests"), "{part}: {text}");
        }
        assert!(!mail.to_string().contains("first-value"), "a mail holds no value");
    }
    // What stays as it is, also as the handle that a reader has, is no change.
    let seen = RawClient::connect(gateway.addr()).await.ask("GET", "/system", &token, &[], b"").await.json();
    let handle = seen["parameters"]["A"].as_str().expect("a handle");
    assert!(handle.starts_with("rgw-hidden-"), "{handle}");
    let count = mails(&gateway).await;
    let same = format!("parameters=A%3D{handle}%26B%3Dother-value");
    assert_eq!(put_system(&gateway, &token, &same).await.status, 200);
    assert_eq!(mails(&gateway).await, count, "nothing was changed");
    let changed = format!("parameters=A%3D{handle}%26B%3Dthird-value");
    assert_eq!(put_system(&gateway, &token, &changed).await.status, 200);
    let text = sink.next_to("second@example.com").await["text"].to_string();
    assert!(text.contains("Parameters: B"), "{text}");

    let events = gateway.events().await;
    let written = format!("{events:?}");
    for value in ["first-value", "other-value", "third-value"] {
        assert!(!written.contains(value), "the log has handles");
    }
    let changes: Vec<(&Value, &Value)> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "convox:rack:update")
        .filter_map(|(_, event)| Some((event.before.as_ref()?, event.after.as_ref()?)))
        .collect();
    let [(none, first), (same_before, same_after), (before, after)] = changes[..] else {
        panic!("{changes:?}")
    };
    assert!(none["A"].is_null() && first["A"].as_str().is_some_and(|text| text.starts_with("rgw-hidden-")));
    assert!(same_before.as_object().unwrap().is_empty() && same_after.as_object().unwrap().is_empty());
    assert_eq!((before["B"].as_str(), before.get("A")), (first["B"].as_str(), None));
    assert_ne!(after["B"], before["B"]);
    gateway.finish().await;
}

/// A rack that does not take the change leaves nobody told; one that cannot tell its present values is not asked to
/// change them.
#[tokio::test]
async fn parameters_that_the_rack_did_not_take_are_not_mailed() {
    let sink = Sink::start().await;
    let gateway = sink.gateway().start().await;
    let token = gateway.critical_token().await;
    // A v3 rack answers 501.
    assert_eq!(put_system(&gateway, &token, "parameters=A%3D1").await.status, 501);
    assert_eq!(mails(&gateway).await, 0);
    gateway.finish().await;
}
