//! Slack: what it is told of an approval and in which order, and what of that which claims to be Slack's is taken.

use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use gateway_testkit::{Database, RawClient, Reply};
use gateway_types::{Clock as _, Role};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::hub::Hub;
use super::shown;
use crate::approvals::{COMMIT, World};

const BOT: &str = "xoxb-canary-bot-token";
const SECRET: &str = "canary-signing-secret";
const POST: &str = "POST /chat.postMessage";
const UPDATE: &str = "POST /chat.update";
const WHISPER: &str = "POST /chat.postEphemeral";
const EVENTS: &str = "!/api/v1/integrations/slack/events";
const FORM: &str = "application/x-www-form-urlencoded";
const TS: &str = "1503435956.000247";

/// A gateway with a Slack app.
async fn with_slack(database: Database, hub: &Hub, more: &[(&str, &str)]) -> World {
    let url = hub.url();
    let mut variables = vec![
        ("SLACK_BOT_TOKEN", BOT),
        ("SLACK_SIGNING_SECRET", SECRET),
        ("SLACK_API_URL", url.as_str()),
        ("DOMAIN", "gateway.example.com"),
        ("RGW_SETTING_APPROVAL_LIFE", "12h"),
    ];
    variables.extend_from_slice(more);
    World::start_with(database, &variables).await
}

/// All of Slack's methods do what they are asked.
fn good(hub: &Hub) {
    let posted = json!({"ok": true, "channel": "C0123456789", "ts": TS}).to_string();
    for call in [POST, UPDATE, WHISPER] {
        hub.set(call, 200, &posted);
    }
}

/// Waits until what became of telling Slack says this, while time passes.
async fn said(world: &World, id: &Value, good: bool, text: &str) {
    let mut last = Value::Null;
    for _ in 0..200 {
        let one = shown(world, id).await;
        let found = one["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["what"].as_str().is_some_and(|what| what.starts_with("Slack")));
        if let Some(found) = found {
            last = found.clone();
            if found["good"] == good && found["said"].as_str().unwrap().contains(text) {
                return;
            }
        }
        world.gateway.clock.advance(Duration::from_secs(60));
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{text} was not said, but {last}");
}

async fn told(database: Database) {
    let hub = Hub::start().await;
    good(&hub);
    hub.set(POST, 500, "{}");
    let world = with_slack(database, &hub, &[("RGW_SETTING_SLACK_CHANNEL", "#deploys")]).await;
    // A secret of the app, which the approval's page knows by name.
    let canary = json!({ "set": { "STRIPE_KEY": "canary-of-the-environment" } }).to_string();
    let (admin, json) = (world.gateway.token(Role::Admin).to_owned(), ("Content-Type", "application/json"));
    let set = world.ask_as(&admin, "PUT", "!/api/v1/apps/myapp/env", &[json], canary.as_bytes()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let id = world.request("myapp", COMMIT).await["id"].clone();
    // Each way in which Slack can fail is shown, and tried again.
    said(&world, &id, false, "answered 500").await;
    hub.set(POST, 200, r#"{"ok":false,"error":"ratelimited"}"#);
    said(&world, &id, false, "ratelimited").await;
    hub.set(POST, 429, "");
    said(&world, &id, false, "answered 429").await;
    good(&hub);
    said(&world, &id, true, "Waits for approval, in #deploys").await;
    let posts = hub.bodies(POST);
    let first = posts.last().unwrap();
    assert_eq!((&first["channel"], first.get("thread_ts")), (&json!("#deploys"), None));
    let page = format!("https://gateway.example.com/app/approvals/{}", id.as_str().unwrap());
    let blocks = first["blocks"].to_string();
    for part in [format!("{page}?decision=approve"), format!("{page}?decision=reject"), COMMIT.to_owned()] {
        assert!(blocks.contains(&part), "{part}: {blocks}");
    }

    // The decision is a reply, and the first message shows it. A reply that was taken is not sent again.
    let before = posts.len();
    hub.set(UPDATE, 503, "");
    world.approve(&id).await;
    said(&world, &id, false, "answered 503").await;
    good(&hub);
    said(&world, &id, true, "Approved by").await;
    let posts = hub.bodies(POST);
    assert_eq!(posts.len(), before + 1, "{posts:?}");
    let reply = posts.last().unwrap();
    assert_eq!((&reply["channel"], &reply["thread_ts"]), (&json!("C0123456789"), &json!(TS)));
    let updated = hub.bodies(UPDATE).pop().unwrap();
    assert_eq!(updated["ts"], TS);
    let blocks = updated["blocks"].to_string();
    assert!(blocks.contains("Approved by") && !blocks.contains("decision="), "{blocks}");

    // What cannot get better is not tried again.
    let bad = hub.set(POST, 200, r#"{"ok":false,"error":"channel_not_found"}"#);
    let other = world.request("myapp", &"f".repeat(40)).await["id"].clone();
    said(&world, &other, false, "channel_not_found").await;
    let tries = hub.bodies(POST).len();
    for _ in 0..5 {
        world.gateway.clock.advance(Duration::from_secs(600));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hub.bodies(POST).len(), tries);
    hub.set(POST, 200, "<html>");
    world.decide(&other, "reject").await;
    said(&world, &other, false, "another form").await;
    hub.put(POST, bad);

    // No credential is in the log, in a job or in a message.
    let events = format!("{:?}", world.gateway.events().await);
    let jobs = world.ask_as(&world.admin, "GET", "!/api/v1/approvals", &[], b"").await.text();
    let sent = format!("{:?} {:?}", hub.bodies(POST), hub.bodies(UPDATE));
    for text in [&events, &jobs, &sent] {
        assert!(!text.contains(BOT) && !text.contains(SECRET), "{text}");
        assert!(!text.contains("canary-of-the-environment"), "{text}");
    }
    assert!(!sent.contains("STRIPE_KEY"), "{sent}");
    assert!(hub.tokens().iter().all(|token| *token == format!("Bearer {BOT}")));
    world.gateway.finish().await;
}

#[tokio::test]
async fn slack_is_told_once_and_in_a_thread_on_sqlite() {
    told(Database::Sqlite).await;
}

#[tokio::test]
async fn slack_is_told_once_and_in_a_thread_on_postgres() {
    told(Database::Postgres).await;
}

/// The channel is the app's own, and so is what is told in it.
#[tokio::test]
async fn the_settings_of_an_app_say_what_is_told_where() {
    let hub = Hub::start().await;
    good(&hub);
    let more = [
        ("RGW_SETTING_SLACK_CHANNEL", "#deploys"),
        ("RGW_APP_MYAPP_SETTING_SLACK_CHANNEL", "#myapp"),
        ("RGW_APP_MYAPP_SETTING_SLACK_EVENTS", "decided"),
    ];
    let world = with_slack(Database::Sqlite, &hub, &more).await;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    world.decide(&id, "reject").await;
    said(&world, &id, true, "Rejected by").await;
    let posts = hub.bodies(POST);
    assert_eq!((posts.len(), &posts[0]["channel"]), (1, &json!("#myapp")), "{posts:?}");
    assert!(!posts[0]["blocks"].to_string().contains("decision="));
    world.gateway.finish().await;
}

struct Sender<'w> {
    world: &'w World,
}

impl Sender<'_> {
    fn now(&self) -> i64 {
        self.world.gateway.clock.now().micros() / 1_000_000
    }

    fn sign(secret: &str, at: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("v0:{at}:{body}").as_bytes());
        format!("v0={}", HEXLOWER.encode(tag.as_ref()))
    }

    async fn send(&self, kind: &str, at: &str, signature: &str, body: &str) -> Reply {
        let headers =
            [("Content-Type", kind), ("X-Slack-Request-Timestamp", at), ("X-Slack-Signature", signature)];
        self.raw(&headers, body).await
    }

    async fn raw(&self, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut client = RawClient::connect(self.world.gateway.addr()).await;
        client.ask("POST", EVENTS, "", headers, body.as_bytes()).await
    }

    /// As Slack does it.
    async fn slack(&self, kind: &str, body: &str) -> Reply {
        let at = self.now();
        self.send(kind, &at.to_string(), &Self::sign(SECRET, at, body), body).await
    }
}

fn press(id: &str) -> String {
    let payload = json!({
        "type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U1"},
        "container": {"type": "message", "message_ts": TS}, "channel": {"id": "C0123456789"},
        "response_url": "https://evil.example/", "trigger_id": "1.2",
        "actions": [{"action_id": "approve", "value": id, "type": "button"}]
    })
    .to_string();
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload).finish()
}

#[tokio::test]
async fn what_slack_says_decides_nothing_and_what_is_not_slacks_is_refused() {
    let hub = Hub::start().await;
    good(&hub);
    let world = with_slack(Database::Sqlite, &hub, &[]).await;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    let sender = Sender { world: &world };
    let body = press(id.as_str().unwrap());

    // A press shows that person the way to the page, and changes nothing.
    let at = sender.now();
    let signature = Sender::sign(SECRET, at, &body);
    let pressed = sender.send(FORM, &at.to_string(), &signature, &body).await;
    assert_eq!((pressed.status, pressed.text().as_str()), (200, ""));
    let whispered = hub.bodies(WHISPER);
    let page = format!("https://gateway.example.com/app/approvals/{}?decision=approve", id.as_str().unwrap());
    assert_eq!(whispered.len(), 1);
    assert_eq!((&whispered[0]["channel"], &whispered[0]["user"]), (&json!("C0123456789"), &json!("U1")));
    assert!(whispered[0]["blocks"].to_string().contains(&page), "{whispered:?}");
    let after = shown(&world, &id).await;
    assert_eq!(
        (after["state"].as_str(), after["signatures"].as_array().unwrap().len()),
        (Some("pending"), 0)
    );

    // The very same again, also with its digits written otherwise; forged; of another body; old; of the future.
    let again = sender.send(FORM, &at.to_string(), &signature, &body).await;
    assert_eq!(again.status, 401, "{}", again.text());
    let shouted = format!("v0={}", signature["v0=".len()..].to_uppercase());
    assert_eq!(sender.send(FORM, &at.to_string(), &shouted, &body).await.status, 401);
    let forged = Sender::sign("another secret", at, &body);
    let (old, ahead) = (at - 301, at + 301);
    let empty = Sender::sign("", at, &body);
    for (time, signature) in [
        (at.to_string(), forged),
        (at.to_string(), empty),
        (at.to_string(), Sender::sign(SECRET, at, "payload={}")),
        (old.to_string(), Sender::sign(SECRET, old, &body)),
        (ahead.to_string(), Sender::sign(SECRET, ahead, &body)),
        ((at + 1).to_string(), signature.clone()),
        (at.to_string(), signature.replace("v0=", "v1=")),
        (at.to_string(), "v0=".to_owned()),
        ("now".to_owned(), signature.clone()),
    ] {
        let reply = sender.send(FORM, &time, &signature, &body).await;
        assert_eq!(reply.status, 401, "{time} {signature}: {}", reply.text());
        assert!(!reply.text().contains(SECRET));
    }
    let time = at.to_string();
    let once = [("X-Slack-Request-Timestamp", time.as_str()), ("X-Slack-Signature", signature.as_str())];
    assert_eq!(sender.raw(&once[..1], &body).await.status, 401);
    assert_eq!(sender.raw(&once[1..], &body).await.status, 401);
    let twice = [once[0], once[1], once[1]];
    assert_ne!(sender.raw(&twice, &body).await.status, 200);
    assert_eq!(hub.bodies(WHISPER).len(), 1, "none of these set anything off");
    let mut admin = RawClient::connect(world.gateway.admin_addr()).await;
    admin.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let metrics = admin.reply().await.unwrap().text();
    let counted =
        |line: &&str| line.starts_with("rack_gateway_refusals_total") && line.contains("\"unauthenticated\"");
    let counts: Vec<u64> = metrics
        .lines()
        .filter(counted)
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(counts.iter().sum::<u64>() >= 13, "{counts:?}");

    // The check of the address; what there is no use for; what is signed and still nonsense.
    let json = "application/json";
    let asked = sender.slack(json, r#"{"type":"url_verification","challenge":"abc"}"#).await;
    assert_eq!((asked.status, asked.json()), (200, json!({"challenge": "abc"})));
    assert_eq!(sender.slack(json, r#"{"type":"event_callback","event":{}}"#).await.status, 200);
    assert_eq!(sender.slack(FORM, "payload=%7B%22type%22%3A%22view_submission%22%7D").await.status, 200);
    assert_eq!(sender.slack(json, "{").await.status, 400);
    assert_eq!(sender.slack(FORM, "payload=x").await.status, 400);
    assert_eq!(sender.slack(json, &" ".repeat(300_000)).await.status, 413);

    // A Slack that does not take the answer changes nothing either; of what is over, the press says so.
    hub.set(WHISPER, 500, "");
    assert_eq!(sender.slack(FORM, &press("0197d1a0-0000-7000-8000-000000000001")).await.status, 200);
    good(&hub);
    world.decide(&id, "reject").await;
    world.gateway.clock.advance(Duration::from_secs(1));
    assert_eq!(sender.slack(FORM, &body).await.status, 200);
    let last = hub.bodies(WHISPER).pop().unwrap();
    assert!(last["text"].as_str().unwrap().contains("rejected by now"), "{last}");
    assert!(!last.to_string().contains("decision="), "{last}");
    world.gateway.finish().await;
}

/// Without a Slack app nothing is Slack's, whatever it is signed with.
#[tokio::test]
async fn without_a_slack_app_nothing_is_slacks() {
    let world = World::start_with(Database::Sqlite, &[]).await;
    let sender = Sender { world: &world };
    let body = r#"{"type":"url_verification","challenge":"abc"}"#;
    for secret in ["", SECRET] {
        let at = sender.now();
        let signature = Sender::sign(secret, at, body);
        let reply = sender.send("application/json", &at.to_string(), &signature, body).await;
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    world.gateway.finish().await;
}
