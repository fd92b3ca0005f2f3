use std::time::Duration;

use gateway_types::{ApprovalId, Secret, Timestamp};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    Act, Bot, Channel, Event, EventFault, Interaction, InteractionFault, Message, Outcome, Posted, Requested,
    SignatureFault, SigningSecret, Slack, escape,
};
use crate::http::Failure;
use crate::scripted::{Reply, Scripted};

/// The example of "Verifying requests from Slack".
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const AT: &str = "1531420618";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

const APPROVAL: &str = "0197d1a0-0000-7000-8000-000000000001";

fn secret(text: &str) -> SigningSecret {
    SigningSecret::new(Secret::new(text.to_owned())).unwrap()
}

#[test]
fn signatures() {
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let check =
        |timestamp: &str, signature: &str, body: &[u8], now: i64, expected: Result<(), SignatureFault>| {
            assert_eq!(secret(SECRET).verify(timestamp, signature, body, at(now)), expected);
        };
    let now = 1_531_420_618;
    check(AT, SIGNATURE, BODY, now, Ok(()));
    check(AT, &SIGNATURE.to_uppercase().replace("V0", "v0"), BODY, now, Ok(()));
    check(AT, SIGNATURE, BODY, now + 300, Ok(()));
    check(AT, SIGNATURE, BODY, now - 300, Ok(()));
    check(AT, SIGNATURE, BODY, now + 301, Err(SignatureFault::Stale));
    check(AT, SIGNATURE, BODY, now - 301, Err(SignatureFault::Stale));
    check(AT, SIGNATURE, b"token=other", now, Err(SignatureFault::Mismatch));
    check("1531420619", SIGNATURE, BODY, now, Err(SignatureFault::Mismatch));
    check(AT, &SIGNATURE.replace('a', "b"), BODY, now, Err(SignatureFault::Mismatch));
    check(AT, &SIGNATURE.replace("v0=", "v1="), BODY, now, Err(SignatureFault::Form));
    check(AT, &SIGNATURE[..65], BODY, now, Err(SignatureFault::Form));
    check(AT, "v0=", BODY, now, Err(SignatureFault::Form));
    check(AT, "", BODY, now, Err(SignatureFault::Form));
    check("", SIGNATURE, BODY, now, Err(SignatureFault::Timestamp));
    check("+1531420618", SIGNATURE, BODY, now, Err(SignatureFault::Timestamp));
    check("1531420618.0", SIGNATURE, BODY, now, Err(SignatureFault::Timestamp));
    check("99999999999999999999", SIGNATURE, BODY, now, Err(SignatureFault::Timestamp));
    check("9223372036854775807", SIGNATURE, BODY, now, Err(SignatureFault::Stale));
    let other = secret("other").verify(AT, SIGNATURE, BODY, at(now));
    assert_eq!(other, Err(SignatureFault::Mismatch));
    assert_eq!(SigningSecret::new(Secret::new(String::new())).err(), Some(SignatureFault::NoSecret));
    assert!(!format!("{:?}", secret(SECRET)).contains(SECRET));
}

fn payload() -> Value {
    json!({
        "type": "block_actions", "api_app_id": "A02", "token": "Shh", "trigger_id": "1.2",
        "team": {"id": "T9TK3CUKW", "domain": "example"},
        "user": {"id": "UA8RXUSPL", "username": "ann", "team_id": "T9TK3CUKW"},
        "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": "CBR2V3XEX"},
        "channel": {"id": "CBR2V3XEX", "name": "deploys"},
        "response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
        "actions": [{"action_id": "approve", "block_id": "b", "value": APPROVAL, "type": "button",
                     "action_ts": "1548426417.840180"}]
    })
}

fn form(payload: &Value) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

#[test]
fn interactions() {
    let Ok(Interaction::Pressed(pressed)) = Interaction::parse(&form(&payload())) else {
        panic!("not pressed")
    };
    assert_eq!(pressed.act, Act::Approve);
    assert_eq!(pressed.approval.to_string(), APPROVAL);
    assert_eq!((pressed.team.as_str(), pressed.user.as_str()), ("T9TK3CUKW", "UA8RXUSPL"));
    assert_eq!(pressed.message, Some(("CBR2V3XEX".to_owned(), "1548261231.000200".to_owned())));
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut payload = payload();
        edit(&mut payload);
        Interaction::parse(&form(&payload))
    };
    let act = |id: &str| match edited(&|it| it["actions"][0]["action_id"] = id.into()) {
        Ok(Interaction::Pressed(pressed)) => Some(pressed.act),
        Ok(Interaction::Other) => None,
        Err(fault) => panic!("{fault}"),
    };
    assert_eq!(
        [act("approve"), act("reject"), act("open"), act("x")],
        [Some(Act::Approve), Some(Act::Reject), Some(Act::Open), None]
    );
    let fails =
        |edit: &dyn Fn(&mut Value), expected: InteractionFault| assert_eq!(edited(edit), Err(expected));
    assert_eq!(edited(&|it| it["type"] = "view_submission".into()), Ok(Interaction::Other));
    fails(&|it| it["actions"][0]["value"] = "1".into(), InteractionFault::Approval);
    fails(&|it| it["actions"][0]["value"] = Value::Null, InteractionFault::Approval);
    fails(&|it| it["actions"] = json!([]), InteractionFault::Payload);
    fails(&|it| it["actions"] = json!([it["actions"][0], it["actions"][0]]), InteractionFault::Payload);
    fails(&|it| it["user"] = Value::Null, InteractionFault::Payload);
    fails(&|it| it["team"] = Value::Null, InteractionFault::Payload);
    fails(&|it| drop(it.as_object_mut().unwrap().remove("type")), InteractionFault::Payload);
    let parse = |body: &[u8], expected: InteractionFault| assert_eq!(Interaction::parse(body), Err(expected));
    parse(b"", InteractionFault::Form);
    parse(b"other=1", InteractionFault::Form);
    parse(b"payload={}&payload={}", InteractionFault::Form);
    parse(b"payload=x", InteractionFault::Payload);
    parse(&vec![b'a'; 300_000], InteractionFault::TooLarge);
}

#[test]
fn channels() {
    for good in ["#deploys", "#späte-nacht_1", "C0123456789", "G0123456789"] {
        assert_eq!(good.parse::<Channel>().unwrap().as_str(), good);
    }
    for bad in ["", "deploys", "#", "#A B", "c0123456789", "C01", "#a=#b"] {
        assert!(bad.parse::<Channel>().is_err(), "{bad}");
    }
}

#[test]
fn events() {
    let check = |body: &[u8], expected: Result<Event, EventFault>| assert_eq!(Event::parse(body), expected);
    let challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P".to_owned();
    let asked = json!({"token": "x", "challenge": challenge, "type": "url_verification"}).to_string();
    check(asked.as_bytes(), Ok(Event::Verification { challenge }));
    check(br#"{"type":"event_callback","event":{"type":"app_mention"}}"#, Ok(Event::Other));
    check(br#"{"type":"url_verification"}"#, Err(EventFault::Form));
    let long = json!({"type": "url_verification", "challenge": "a".repeat(501)}).to_string();
    check(long.as_bytes(), Err(EventFault::Form));
    check(b"[]", Err(EventFault::Form));
    check(b"", Err(EventFault::Form));
    check(&vec![b' '; 300_000], Err(EventFault::TooLarge));
}

fn requested<'a>(page: &'a url::Url, ci: Option<&'a url::Url>, message: &'a str) -> Requested<'a> {
    Requested {
        approval: APPROVAL.parse::<ApprovalId>().unwrap(),
        page,
        rack: "production",
        app: "shop",
        commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        branch: Some("main"),
        requester: "ann <a&b>",
        message,
        pull_request: None,
        ci,
    }
}

#[test]
fn messages_lead_to_the_page_and_are_escaped() {
    let page = "https://gw.example.com/app/approvals/1".parse().unwrap();
    let ci = "https://ci.example.com/a|b>c?d=1&e=2".parse().unwrap();
    let message = Message::requested(&requested(
        &page,
        Some(&ci),
        "<!channel> *hi*\n> quote <https://evil.example|here>",
    ));
    let blocks = serde_json::to_string(&message.blocks).unwrap();
    assert!(blocks.contains("&lt;!channel&gt; hi &gt; quote &lt;https://evil.example|here&gt;"), "{blocks}");
    assert!(blocks.contains("*By* ann &lt;a&amp;b&gt;"), "{blocks}");
    assert!(blocks.contains("<https://ci.example.com/a%7Cb%3Ec?d=1&amp;e=2|CI job>"), "{blocks}");
    let buttons = message.blocks[2]["elements"].as_array().unwrap();
    let urls: Vec<&str> = buttons.iter().map(|button| button["url"].as_str().unwrap()).collect();
    assert_eq!(
        urls,
        [format!("{page}?decision=approve"), format!("{page}?decision=reject"), page.to_string()]
    );
    assert!(buttons.iter().all(|button| button["value"] == APPROVAL));
    let script = "javascript:alert(1)".parse().unwrap();
    let blocks = Message::requested(&requested(&page, Some(&script), "")).blocks;
    assert!(!serde_json::to_string(&blocks).unwrap().contains("javascript"));
    let long = "<".repeat(10_000);
    for block in Message::requested(&requested(&page, None, &long)).blocks {
        assert!(block["text"]["text"].as_str().unwrap_or_default().chars().count() <= 3000);
    }
    assert_eq!(escape("<a & b>"), "&lt;a &amp; b&gt;");
}

#[test]
fn decided_messages_offer_no_decision() {
    let page = "https://gw.example.com/app/approvals/1".parse().unwrap();
    let check = |outcome: Outcome<'_>, expected: &str| {
        let message = Message::decided(&requested(&page, None, "x"), outcome);
        assert!(message.text.starts_with(expected), "{}", message.text);
        let blocks = serde_json::to_string(&message.blocks).unwrap();
        assert!(!blocks.contains("\"approve\"") && !blocks.contains("\"reject\""));
    };
    check(Outcome::Approved("bob <x>"), "Approved by bob &lt;x&gt;: shop");
    check(Outcome::Rejected("bob"), "Rejected by bob: shop");
    check(Outcome::Expired, "Expired: shop");
    check(Outcome::Withdrawn, "Withdrawn: shop");
    check(Outcome::Deploying, "Being deployed: shop");
    check(Outcome::Deployed, "Deployed: shop");
}

fn slack() -> Slack {
    Slack::new(super::API.parse().unwrap(), Secret::new("xoxb-canary".to_owned())).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn sending() {
    let ok = json!({"ok": true, "channel": "C0123456789", "ts": "1503435956.000247", "message": {}});
    let mut world = Scripted::default();
    world.json("POST /api/chat.postMessage", ok.clone()).json("POST /api/chat.update", ok);
    let channel: Channel = "#deploys".parse().unwrap();
    let posted = wait(slack().post(&world, &channel, &Message::note("hi"))).unwrap();
    assert_eq!(posted, Posted { channel: "C0123456789".to_owned(), ts: "1503435956.000247".to_owned() });
    let body = world.body("POST /api/chat.postMessage");
    assert_eq!(
        (&body["channel"], &body["text"], &body["parse"]),
        (&"#deploys".into(), &"hi".into(), &"none".into())
    );
    wait(slack().update(&world, &posted, &Message::note("done"))).unwrap();
    assert_eq!(world.body("POST /api/chat.update")["ts"], "1503435956.000247");
    let mut world = Scripted::default();
    world.json("POST /api/chat.postMessage", json!({"ok": true, "channel": "C0123456789", "ts": "2"}));
    wait(slack().reply(&world, &posted, &Message::note("seen"))).unwrap();
    assert_eq!(world.body("POST /api/chat.postMessage")["thread_ts"], "1503435956.000247");
    assert!(world.headers("authorization").iter().all(|value| value == "Bearer xoxb-canary"));
}

#[test]
fn whispering_and_asking_who() {
    let mut world = Scripted::default();
    world.json("POST /api/chat.postEphemeral", json!({"ok": true, "message_ts": "1"}));
    world
        .json("POST /api/auth.test", json!({"ok": true, "user": "gateway", "team": "acme", "user_id": "U1"}));
    let page = "https://gw.example.com/app/approvals/1?decision=approve".parse().unwrap();
    let way = Message::way("Decide <here>", "Open", &page);
    wait(slack().whisper(&world, "C0123456789", "U1", &way)).unwrap();
    let body = world.body("POST /api/chat.postEphemeral");
    assert_eq!((&body["channel"], &body["user"]), (&"C0123456789".into(), &"U1".into()));
    assert_eq!(body["text"], "Decide &lt;here&gt;");
    assert_eq!(body["blocks"][1]["elements"][0]["url"], page.as_str());
    let known = Bot { user: "gateway".to_owned(), team: "acme".to_owned() };
    assert_eq!(wait(slack().who(&world)).unwrap(), known);
    for (reply, expected) in [
        (Reply::Json(200, json!({"ok": false, "error": "invalid_auth"})), "invalid_auth"),
        (Reply::Json(200, json!({"ok": true})), "no user and team"),
        (Reply::Json(200, json!({"ok": false})), "no reason given"),
        (Reply::Raw(200, Vec::new(), b"<html>".to_vec()), "another form"),
        (Reply::Lost, "no connection"),
    ] {
        let mut world = Scripted::default();
        world.on("POST /api/auth.test", reply.clone()).on("POST /api/chat.postEphemeral", reply);
        let failure = wait(slack().who(&world)).unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
        let whispered = wait(slack().whisper(&world, "C0123456789", "U1", &way));
        assert_eq!(whispered.is_ok(), expected == "no user and team");
    }
}

#[test]
fn refusals_say_whether_to_try_again() {
    let check = |reply: Reply, retry: bool, expected: &str| {
        let mut world = Scripted::default();
        world.on("POST /api/chat.postMessage", reply);
        let at = Posted { channel: "C0123456789".to_owned(), ts: "1".to_owned() };
        let failure: Failure = wait(slack().reply(&world, &at, &Message::note("x"))).unwrap_err();
        assert_eq!(failure.retry, retry, "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
        assert!(!format!("{failure:?}").contains("canary"));
        failure.after
    };
    check(Reply::Json(200, json!({"ok": false, "error": "channel_not_found"})), false, "channel_not_found");
    check(Reply::Json(200, json!({"ok": false, "error": "ratelimited"})), true, "ratelimited");
    check(Reply::Json(200, json!({"ok": false})), false, "no reason given");
    check(Reply::Json(200, json!({"ok": true})), false, "no channel and ts");
    check(Reply::Json(200, json!({})), false, "another form");
    check(Reply::Json(404, json!({})), false, "answered 404");
    check(Reply::Json(500, json!({})), true, "answered 500");
    check(Reply::Timeout, true, "in time");
    check(Reply::Raw(302, Vec::new(), Vec::new()), false, "has moved");
    let after = check(Reply::Raw(429, vec![("retry-after", "30")], Vec::new()), true, "answered 429");
    assert_eq!(after, Some(Duration::from_secs(30)));
}
