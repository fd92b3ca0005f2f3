//! `approvals` against a gateway that says what the test wants.

use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;

use clap::Parser as _;

use super::stub::{Stub, good, problem};
use super::{WRITTEN, listing, write};
use crate::Context;
use crate::arguments::{Arguments, Command};
use crate::commands::approvals;
use crate::environment::Keeping;
use crate::failure::{Exit, Failure};
use crate::output::Format;
use crate::racks::{Rack, Racks};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ID: &str = "0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88";

fn approval(state: &str) -> String {
    format!(
        r#"{{"id":"{ID}","app":"shop","commit":"{COMMIT}","requester":"token:ci\u001b","own":false,"order":"commit","manifest":"convox.yml","statement":"d1",
        "state":"{state}","created":"2026-11-22T04:13:00Z","answer_by":"2026-11-23T04:13:00Z","extended":false,
        "quorum":1,"signatures":[],"closed_by":"bob","more":1}}"#
    )
}

/// Runs a command as somebody with a token; returns how it ended and what it wrote.
async fn run(stub: &Stub, line: &str) -> Result<(ExitCode, String), Failure> {
    let words = ["rack-gateway", "approvals"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(words).unwrap();
    let mut context = Context::for_tests();
    context.output.write = write;
    context.output.format = if arguments.json { Format::Json } else { Format::Text };
    context.code = arguments.code;
    context.environment.url = Some(stub.address.to_string().into());
    context.environment.token = Some(Ok("rgs_token".to_owned().into()));
    let Command::Approvals(arguments) = arguments.command else { panic!("{line}") };
    let ended = approvals::run(&context, arguments).await;
    let written = WRITTEN.take();
    ended.map(|code| (code, written))
}

#[tokio::test]
async fn the_exit_code_of_waiting_tells_what_was_decided() {
    for (state, expected) in [
        ("approved", ExitCode::SUCCESS),
        ("deploying", ExitCode::SUCCESS),
        ("deployed", ExitCode::SUCCESS),
        ("rejected", Exit::Refused.code()),
        ("withdrawn", Exit::Refused.code()),
        ("expired", Exit::Refused.code()),
    ] {
        let stub = Stub::answering(vec![good(&approval(state))]).await;
        let (code, written) = run(&stub, &format!("wait {ID}")).await.unwrap();
        assert_eq!(format!("{code:?}"), format!("{expected:?}"), "{state}");
        assert!(written.starts_with(state) && written.contains("shop at 0123456789ab"), "{written}");
        let seen = stub.seen().await.remove(0);
        assert!(seen.starts_with(&format!("GET /api/v1/approvals/{ID} ")), "{seen}");
    }
    let stub = Stub::answering(vec![good(&approval("pending"))]).await;
    let failure = run(&stub, &format!("wait {ID} --timeout 0s")).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(failure.to_string().contains("nobody decided within 0s"), "{failure}");
    let stub = Stub::answering(vec![good(&approval("of-the-future"))]).await;
    assert_eq!(run(&stub, &format!("wait {ID}")).await.unwrap_err().exit(), Exit::Failed);
    let stub = Stub::answering(vec![problem("404 Not Found", "not-found", "role")]).await;
    assert_eq!(run(&stub, &format!("wait {ID}")).await.unwrap_err().exit(), Exit::Failed);
    let stub = Stub::answering(Vec::new()).await;
    assert_eq!(run(&stub, &format!("wait {ID} --timeout soon")).await.unwrap_err().exit(), Exit::Usage);
}

#[tokio::test]
async fn a_request_is_made_once_and_waited_for() {
    let stub = Stub::answering(vec![listing(&approval("pending"), None), good(&approval("pending"))]).await;
    let line = format!(
        "request --app shop --commit {COMMIT} --branch main --message Fix --command bin/migrate --meta a=b=c"
    );
    let (_, written) = run(&stub, &line).await.unwrap();
    assert!(written.contains(&format!("rack-gateway approvals approve {ID}")), "{written}");
    let seen = stub.seen().await;
    assert!(
        seen[0].starts_with("GET /api/v1/approvals?limit=200&app=shop&open=true&mine=true HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );
    assert!(seen[1].starts_with("POST /api/v1/approvals HTTP/1.1\r\n"), "{}", seen[1]);
    assert!(
        seen[1].contains(&format!(r#"{{"app":"shop","commit":"{COMMIT}","branch":"main","message":"Fix""#))
    );
    assert!(
        seen[1].contains(r#""commands":["bin/migrate"]"#) && seen[1].contains(r#""a":"b=c""#),
        "{}",
        seen[1]
    );
    // Whoever may not look asks all the same.
    let no = problem("403 Forbidden", "refused", "role");
    let stub = Stub::answering(vec![no, good(&approval("pending")), good(&approval("rejected"))]).await;
    let (code, _) = run(&stub, &format!("{line} --wait --json")).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", Exit::Refused.code()));
}

#[tokio::test]
async fn whoever_approves_is_shown_what_and_asked() {
    let stub = Stub::answering(vec![good(&approval("pending"))]).await;
    let failure = run(&stub, &format!("approve {ID}")).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(failure.to_string().contains(COMMIT) && failure.to_string().contains("--yes"), "{failure}");
    assert_eq!(stub.seen().await.len(), 1, "nothing was approved");
    for (word, path) in [("approve", "approve"), ("extend", "extend")] {
        let stub = Stub::answering(vec![good(&approval("pending")), good(&approval("approved"))]).await;
        run(&stub, &format!("{word} {ID} --yes --reason fine")).await.unwrap();
        let seen = stub.seen().await.remove(1);
        assert!(seen.starts_with(&format!("POST /api/v1/approvals/{ID}/{path} ")), "{seen}");
        assert!(seen.ends_with(r#"{"statement":"d1","reason":"fine"}"#), "{seen}");
    }
    for word in ["reject", "withdraw"] {
        let stub = Stub::answering(vec![good(&approval("rejected"))]).await;
        run(&stub, &format!("{word} {ID}")).await.unwrap();
        let seen = stub.seen().await.remove(0);
        assert!(seen.starts_with(&format!("POST /api/v1/approvals/{ID}/{word} ")), "{seen}");
        assert!(seen.ends_with("{}"), "{seen}");
    }
}

#[tokio::test]
async fn what_was_signed_is_written_for_oneself_and_over_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("approval.json");
    let line = format!("show {ID} --export {}", file.display());
    let evidence = good(r#"{"format":"rack-gateway/approval-evidence/v1","signatures":[]}"#);
    let stub = Stub::answering(vec![good(&approval("approved")), evidence.clone()]).await;
    let (_, written) = run(&stub, &line).await.unwrap();
    assert!(written.contains(COMMIT) && !written.contains('\u{1b}'), "{written}");
    let seen = stub.seen().await.remove(1);
    assert!(seen.starts_with(&format!("GET /api/v1/approvals/{ID}?evidence=true ")), "{seen}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("approval-evidence/v1"), "{kept}");
    let stub = Stub::answering(vec![good(&approval("approved")), evidence]).await;
    assert_eq!(run(&stub, &line).await.unwrap_err().exit(), Exit::Failed);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
}

#[tokio::test]
async fn approvals_are_listed() {
    let stub = Stub::answering(vec![listing(&approval("pending"), None)]).await;
    let (_, written) = run(&stub, "list --app shop --state pending --open --mine").await.unwrap();
    assert!(written.contains("0123456789ab") && written.contains("0 of 1"), "{written}");
    assert!(!written.contains('\u{1b}'), "{written:?}");
    let seen = stub.seen().await.remove(0);
    let query = "limit=200&app=shop&state=pending&open=true&mine=true";
    assert!(seen.starts_with(&format!("GET /api/v1/approvals?{query} HTTP/1.1\r\n")), "{seen}");
}

/// A machine on which somebody is signed in to these gateways.
async fn run_at(
    home: &std::path::Path,
    racks: &[(&str, &Stub)],
    line: &str,
) -> Result<(ExitCode, String), Failure> {
    let words = ["rack-gateway", "approvals"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(words).unwrap();
    let mut context = Context::for_tests();
    context.output.write = write;
    context.output.format = if arguments.json { Format::Json } else { Format::Text };
    context.rack = arguments.rack;
    context.environment.directory = Some(home.join("rack-gateway"));
    context.environment.keeping = Ok(Keeping::File);
    let known = Racks::of(&context.environment).unwrap();
    for (name, stub) in racks {
        let kept = known.vault().keep(&stub.address, &format!("rgs_{name}").into()).unwrap();
        let rack = Rack {
            name: (*name).to_owned(),
            url: stub.address.clone(),
            gateway_id: (*name).to_owned(),
            email: "ann@example.com".to_owned(),
            kept: Some(kept),
            ca_file: None,
            checkpoint: None,
            promises: Vec::new(),
        };
        known.change(|book| book.put(rack)).unwrap();
    }
    let Command::Approvals(arguments) = arguments.command else { panic!("{line}") };
    let ended = approvals::run(&context, arguments).await;
    let written = WRITTEN.take();
    match ended {
        Ok(code) => Ok((code, written)),
        Err(failure) if written.is_empty() => Err(failure),
        // What was written all the same.
        Err(failure) => Err(failure.hint(written)),
    }
}

const OTHER: &str = "0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e99";

fn other(state: &str) -> String {
    approval(state).replace(ID, OTHER).replace("04:13:00Z\",\"answer_by", "05:13:00Z\",\"answer_by")
}

#[tokio::test]
async fn several_racks_are_one_list_and_none_is_missing_in_silence() {
    let home = tempfile::tempdir().unwrap();
    let no_log = || problem("404 Not Found", "not-found", "role");
    let stubs = async || {
        let one = Stub::answering(vec![no_log(), listing(&approval("pending"), None)]).await;
        let two = Stub::answering(vec![no_log(), listing(&other("approved"), None)]).await;
        (one, two)
    };
    let (one, two) = stubs().await;
    let (code, written) =
        run_at(home.path(), &[("east", &one), ("west", &two)], "list --rack all").await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let lines: Vec<&str> = written.lines().filter(|line| line.contains("shop")).collect();
    assert!(lines.len() == 2 && lines[0].contains("west") && lines[1].contains("east"), "{written}");
    assert!(one.seen().await[1].contains("rgs_east"), "each gets its own session");
    assert!(two.seen().await[1].contains("rgs_west"));

    let (one, two) = stubs().await;
    let home = tempfile::tempdir().unwrap();
    let line = "list --json --rack west,east,west";
    let (_, written) = run_at(home.path(), &[("east", &one), ("west", &two)], line).await.unwrap();
    let all: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2, "{written}");
    assert_eq!((&all[0]["rack"], &all[0]["id"]), (&"west".into(), &OTHER.into()));

    // One does not answer: what the other says is there, and the exit code says that it is not all.
    let home = tempfile::tempdir().unwrap();
    let one = Stub::answering(vec![no_log(), listing(&approval("pending"), None)]).await;
    let gone = Stub::answering(Vec::new()).await.gone().await;
    let failure =
        run_at(home.path(), &[("east", &one), ("west", &gone)], "list --rack all").await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Unreachable);
    let text = failure.to_string();
    assert!(text.contains("west: ") && text.contains("0123456789ab"), "{text}");
    let unknown = run_at(home.path(), &[], "list --rack east,north").await.unwrap_err();
    assert!(unknown.to_string().contains("no rack is called `north`"), "{unknown}");
    let none = run_at(home.path(), &[], "list --rack ,").await.unwrap_err();
    assert_eq!(none.exit(), Exit::Usage);
    let request = format!("request --app shop --commit {COMMIT} --rack all");
    assert_eq!(run_at(home.path(), &[], &request).await.unwrap_err().exit(), Exit::Usage);
}

#[tokio::test]
async fn of_several_racks_the_one_that_has_it_is_asked() {
    let no_log = || problem("404 Not Found", "not-found", "role");
    let lacks = || problem("404 Not Found", "not-found", "role");
    let home = tempfile::tempdir().unwrap();
    let one = Stub::answering(vec![no_log(), lacks()]).await;
    let two = Stub::answering(vec![
        no_log(),
        good(&approval("pending")),
        good(&approval("pending")),
        good(&approval("approved")),
    ])
    .await;
    let line = format!("approve {ID} --yes --rack east,west");
    let (_, written) = run_at(home.path(), &[("east", &one), ("west", &two)], &line).await.unwrap();
    assert!(written.starts_with("approved"), "{written}");
    assert!(two.seen().await[3].starts_with(&format!("POST /api/v1/approvals/{ID}/approve ")));
    assert_eq!(one.seen().await.len(), 2, "the other one was only asked whether it has it");

    let home = tempfile::tempdir().unwrap();
    let one = Stub::answering(vec![no_log(), lacks()]).await;
    let two = Stub::answering(vec![no_log(), lacks()]).await;
    let line = format!("show {ID} --rack all");
    let failure = run_at(home.path(), &[("east", &one), ("west", &two)], &line).await.unwrap_err();
    assert!(failure.to_string().contains("none of these gateways has"), "{failure}");

    // It may be at the one that does not answer.
    let home = tempfile::tempdir().unwrap();
    let one = Stub::answering(vec![no_log(), lacks()]).await;
    let gone = Stub::answering(Vec::new()).await.gone().await;
    let line = format!("wait {ID} --rack all");
    let failure = run_at(home.path(), &[("east", &one), ("west", &gone)], &line).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Unreachable, "{failure}");
    let home = tempfile::tempdir().unwrap();
    let one = Stub::answering(vec![no_log(), good(&approval("rejected")), good(&approval("rejected"))]).await;
    let (code, _) = run_at(home.path(), &[("east", &one)], &format!("wait {ID} --rack all")).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", Exit::Refused.code()));
}
