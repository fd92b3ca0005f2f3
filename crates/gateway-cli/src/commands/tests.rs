//! Commands against a gateway that says what the test wants: what they ask for, what they print, how they
//! end.

mod approvals;
mod candidates;
pub(in crate::commands) mod native;
mod recorded;
mod stub;

use std::cell::RefCell;
use std::io;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::environment::Keeping;
use crate::failure::{Exit, Failure};
use crate::output::Format;
use crate::{Context, commands};

use stub::{Stub, answer, good, problem};

thread_local! {
    /// What commands of this test wrote.
    static WRITTEN: RefCell<String> = const { RefCell::new(String::new()) };
}

fn write(line: &str) -> io::Result<()> {
    WRITTEN.with_borrow_mut(|written| {
        written.push_str(line);
        written.push('\n');
    });
    Ok(())
}

/// Runs a command as somebody with a token; returns what it wrote or how it failed.
async fn run(stub: &Stub, line: &str) -> Result<String, Failure> {
    let words = ["rack-gateway"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(words).unwrap();
    let mut context = Context::for_tests();
    context.output.write = write;
    context.output.format = if arguments.json { Format::Json } else { Format::Text };
    context.code = arguments.code;
    context.environment.url = Some(stub.address.to_string().into());
    context.environment.token = Some(Ok("rgs_token".to_owned().into()));
    let ended = match arguments.command {
        Command::Whoami => commands::whoami::run(&context).await,
        Command::Users(arguments) => commands::users::run(&context, arguments).await,
        Command::Sessions(arguments) => commands::sessions::run(&context, arguments).await,
        Command::Tokens(arguments) => commands::tokens::run(&context, arguments).await,
        Command::Integrations(arguments) => commands::integrations::run(&context, arguments).await,
        Command::Settings(arguments) => commands::settings::run(&context, arguments).await,
        Command::StepUp(arguments) => commands::step_up::run(&context, arguments).await,
        Command::Can(arguments) => commands::can::run(&context, arguments).await,
        Command::Audit(arguments) => commands::audit::run(&context, arguments).await,
        other => panic!("{other:?}"),
    };
    let written = WRITTEN.take();
    ended.map(|_| written)
}

const ANN: &str = r#"{"id":"0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88","email":"ann@example.com","name":"Ann\u001b[2J","roles":["viewer"],
    "locked":false,"created":"2026-11-22T04:13:00.000000Z","updated":"2026-11-22T04:13:00.000000Z","version":3,"more":1}"#;

fn listing(item: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!(r#","next":"{next}""#)).unwrap_or_default();
    good(&format!(r#"{{"items":[{item}]{next}}}"#))
}

#[tokio::test]
async fn a_listing_is_read_to_its_end_and_its_json_is_an_array() {
    let stub = Stub::answering(vec![listing(ANN, Some("p 2")), listing(ANN, None)]).await;
    let written = run(&stub, "users list --search an --json").await.unwrap();
    let users: Vec<serde_json::Value> = serde_json::from_str(&written).unwrap();
    assert_eq!((users.len(), users[0]["email"].as_str()), (2, Some("ann@example.com")));
    let seen = stub.seen().await;
    assert!(seen[0].starts_with("GET /api/v1/users?limit=200&q=an HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[1].starts_with("GET /api/v1/users?cursor=p+2&limit=200&q=an HTTP/1.1\r\n"), "{}", seen[1]);
}

#[tokio::test]
async fn m5_what_a_gateway_names_cannot_steer_a_terminal() {
    let stub = Stub::answering(vec![listing(ANN, None)]).await;
    let written = run(&stub, "users list").await.unwrap();
    assert!(written.contains("ann@example.com") && !written.contains('\u{1b}'), "{written:?}");
}

#[tokio::test]
async fn a_change_says_which_state_it_is_a_change_of() {
    let read = answer("200 OK", "application/json", "ETag: \"3\"\r\n", ANN);
    let stub = Stub::answering(vec![listing(ANN, None), read, good(ANN)]).await;
    run(&stub, "users roles Ann@Example.com ops auditor").await.unwrap();
    let seen = stub.seen().await;
    assert!(seen[2].starts_with("PUT /api/v1/users/0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88 "), "{}", seen[2]);
    assert!(seen[2].to_ascii_lowercase().contains("if-match: \"3\"\r\n"), "{}", seen[2]);
    assert!(seen[2].ends_with(r#"{"roles":["ops","auditor"]}"#), "{}", seen[2]);
}

#[tokio::test]
async fn a_code_goes_with_the_request_that_needs_it_and_no_other() {
    let wants = problem("401 Unauthorized", "step-up-required", "step_up_bound");
    let stub = Stub::answering(vec![wants, good(ANN)]).await;
    run(&stub, "users invite ann@example.com --role viewer --code 123456").await.unwrap();
    let seen: Vec<String> = stub.seen().await.iter().map(|request| request.to_ascii_lowercase()).collect();
    assert!(!seen[0].contains("x-mfa-totp") && seen[1].contains("x-mfa-totp: 123456\r\n"), "{}", seen[1]);
}

#[tokio::test]
async fn without_a_code_the_refusal_says_what_to_do() {
    let stub = Stub::answering(vec![problem("401 Unauthorized", "step-up-required", "step_up_bound")]).await;
    let failure = run(&stub, "users invite ann@example.com --role viewer").await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Refused);
    insta::assert_snapshot!(failure.to_string(), @r"
    error: no�, because
    hint: give the code of your second factor with --code; confirm it at https://g.example.com/step-up/1 or with `rack-gateway step-up https://g.example.com/step-up/1`; see why with `rack-gateway why 0199`
    ");
}

#[tokio::test]
async fn the_exit_code_says_what_kind_of_no_it_is() {
    for (status, kind, expected) in [
        ("401 Unauthorized", "unauthenticated", Exit::NotSignedIn),
        ("403 Forbidden", "refused", Exit::Refused),
        ("409 Conflict", "not-possible", Exit::Refused),
        ("404 Not Found", "not-found", Exit::Failed),
        ("412 Precondition Failed", "stale", Exit::Failed),
        ("500 Internal Server Error", "internal", Exit::Failed),
        ("502 Bad Gateway", "upstream-unreachable", Exit::Unreachable),
        ("503 Service Unavailable", "cannot-record", Exit::Unreachable),
        ("403 Forbidden", "of-the-future", Exit::Refused),
    ] {
        let stub = Stub::answering(vec![problem(status, kind, "role")]).await;
        let failure = run(&stub, "whoami").await.unwrap_err();
        assert_eq!(failure.exit(), expected, "{kind}: {failure}");
    }
    let stub =
        Stub::answering(vec![answer("503 Service Unavailable", "text/html", "", "<h1>nginx</h1>")]).await;
    assert_eq!(run(&stub, "whoami").await.unwrap_err().exit(), Exit::Unreachable);
    let gone = Stub::answering(Vec::new()).await.gone().await;
    assert_eq!(run(&gone, "whoami").await.unwrap_err().exit(), Exit::Unreachable);
}

#[tokio::test]
async fn nothing_is_lost_without_a_yes() {
    let read = answer("200 OK", "application/json", "ETag: \"3\"\r\n", ANN);
    let stub = Stub::answering(vec![listing(ANN, None), read]).await;
    let failure = run(&stub, "users remove ann@example.com").await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(failure.to_string().contains("--yes"), "{failure}");
    assert!(stub.seen().await.iter().all(|request| request.starts_with("GET ")));
}

#[tokio::test]
async fn a_token_is_shown_once_and_alone_when_that_is_wanted() {
    let made = r#"{"id":"0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88","name":"ci","state":"live","roles":["cicd"],
        "grants":[{"actions":"convox:build:*","apps":["web"],"critical":true}],"owner":"1","created":"2026-11-22T04:13:00Z",
        "version":1,"secret":"rgw_new"}"#;
    let stub = Stub::answering(vec![good(made), good(made)]).await;
    let line = "tokens create --name ci --role cicd --grant convox:build:*@web --critical --expires never";
    assert_eq!(run(&stub, &format!("{line} --quiet")).await.unwrap(), "rgw_new\n");
    let json: serde_json::Value =
        serde_json::from_str(&run(&stub, &format!("{line} --json")).await.unwrap()).unwrap();
    assert_eq!((json["token"].as_str(), json["name"].as_str()), (Some("rgw_new"), Some("ci")));
    let seen = stub.seen().await.remove(0);
    let expected = r#"{"name":"ci","roles":["cicd"],"grants":[{"actions":"convox:build:*","apps":["web"],"critical":true}],"expires":"never"}"#;
    assert!(seen.ends_with(expected), "{seen}");
}

#[tokio::test]
async fn a_setting_is_changed_from_the_state_that_was_read() {
    let setting = |value: &str, version: i64| {
        format!(
            r#"{{"key":"mfa_step_up","value":"{value}","source":{{"kind":"default"}},"default":"true","without_database":"true","range":"true or false",
            "description":"d","per_app":false,"own":false,"variable":"RGW_SETTING_MFA_STEP_UP","version":{version}}}"#
        )
    };
    let stub = Stub::answering(vec![listing(&setting("true", 7), None), good(&setting("false", 8))]).await;
    let written = run(&stub, "settings set mfa-step-up false").await.unwrap();
    assert!(written.contains("value     false"), "{written}");
    let seen = stub.seen().await.remove(1);
    assert!(seen.to_ascii_lowercase().contains("if-match: \"7\"\r\n"), "{seen}");
    assert!(seen.ends_with(r#"{"key":"mfa_step_up","value":"false"}"#), "{seen}");
}

#[tokio::test]
async fn a_window_is_opened_ahead() {
    let stub = Stub::answering(vec![good("{}"), answer("404 Not Found", "text/plain", "", "")]).await;
    let written = run(&stub, "step-up --code 123456").await.unwrap();
    assert!(written.starts_with("confirmed"), "{written}");
    let seen = stub.seen().await.remove(0);
    assert!(seen.starts_with("POST /step-up/window ") && seen.ends_with(r#"{"code":"123456"}"#), "{seen}");
}

#[tokio::test]
async fn a_link_of_another_place_is_not_confirmed() {
    let stub = Stub::answering(Vec::new()).await;
    for link in ["https://evil.example.com/step-up/1", "http://127.0.0.1:1/step-up/1", "javascript:1", "../x"]
    {
        let failure = run(&stub, &format!("step-up {link} --code 123456")).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "m1: {link}");
    }
    assert!(stub.seen().await.is_empty());
}

#[tokio::test]
async fn a_gateways_no_to_a_question_is_exit_code_4() {
    let body = r#"{"subject":"ann@example.com","action":"convox:app:delete","resource":"App::web","allowed":false,"layer":"mfa",
        "rules":["step-up"],"remedies":["step_up"],"reason":"a second factor","policy_version":"v"}"#;
    let stub = Stub::answering(vec![good(body)]).await;
    let written = run(&stub, "can convox:app:delete --app web").await.unwrap();
    assert!(
        written.starts_with("not without a second factor: ann@example.com convox:app:delete on App::web\n"),
        "{written}"
    );
    let seen = stub.seen().await.remove(0);
    assert!(seen.ends_with(r#"{"action":"convox:app:delete","app":"web","own":false}"#), "{seen}");
}

#[tokio::test]
async fn a_sign_in_is_kept_and_ended() {
    let home = tempfile::tempdir().unwrap();
    let discovery = r#"{"gateway_id":"g-1","rack":"prod","version":"1","checkpoint_key":"k"}"#;
    let begun = |address: &str| {
        format!(
            r#"{{"device_code":"dc","user_code":"ABCD-EFGH","verification_uri":"{address}/device","expires_in":600,"interval":1}}"#
        )
    };
    let token = r#"{"access_token":"rgs_new","token_type":"Bearer","expires_in":60,"gateway_id":"g-1","email":"ann@example.com"}"#;
    let stub = Stub::answering_with(move |address| {
        vec![good(discovery), good(&begun(address)), good(token), good("{}")]
    })
    .await;
    let mut context = Context::for_tests();
    context.output.write = write;
    context.environment.directory = Some(home.path().join("rack-gateway"));
    context.environment.keeping = Ok(Keeping::File);
    let line = format!("rack-gateway login {} --device", stub.address);
    let Command::Login(arguments) = Arguments::parse_from(line.split_whitespace()).command else { panic!() };
    commands::login::run(&context, arguments).await.unwrap();
    assert!(WRITTEN.take().contains("signed in: ann@example.com"));
    let racks = crate::racks::Racks::of(&context.environment).unwrap();
    let rack = racks.book().unwrap().current().unwrap().clone();
    assert_eq!(
        (rack.name.as_str(), rack.gateway_id.as_str(), rack.email.as_str()),
        ("prod", "g-1", "ann@example.com")
    );
    let arguments = commands::logout::LogoutArguments { all: true };
    commands::logout::run(&context, arguments).await.unwrap();
    let gone = racks.book().unwrap().current().unwrap().clone();
    assert!(gone.kept.is_none());
    assert!(racks.vault().find(&gone.url, rack.kept.unwrap()).unwrap().is_none());
    WRITTEN.take();
    let seen = stub.seen().await;
    assert!(seen[3].starts_with("POST /auth/logout ") && seen[3].contains("rgs_new"), "{}", seen[3]);
}
