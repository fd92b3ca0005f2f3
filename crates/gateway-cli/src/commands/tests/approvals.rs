//! `approvals` against a gateway that says what the test wants.

use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;

use clap::Parser as _;

use super::stub::{Stub, good, problem};
use super::{WRITTEN, listing, write};
use crate::Context;
use crate::arguments::{Arguments, Command};
use crate::commands::approvals;
use crate::failure::{Exit, Failure};
use crate::output::Format;

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
