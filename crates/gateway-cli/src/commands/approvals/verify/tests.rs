use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{VerifyArguments, run};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::Format;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

thread_local! {
    static WRITTEN: RefCell<String> = const { RefCell::new(String::new()) };
}

fn write(line: &str) -> io::Result<()> {
    WRITTEN.with_borrow_mut(|written| written.push_str(line));
    Ok(())
}

/// What a gateway writes when somebody approved with a one-time code.
fn evidence(state: &str) -> Value {
    let statement = json!({
        "version": 1, "gateway": "gw", "approval": "0199", "purpose": "approve", "app": "shop", "commit": COMMIT,
        "manifest": "convox.yml", "requester": "token:1", "environment": [{ "key": "A\u{1b}", "change": "removed" }],
        "commands": ["bin/migrate"], "quorum": 1, "expires": "2026-11-22T00:00:00Z", "nonce": "0",
    });
    json!({
        "format": "rack-gateway/approval-evidence/v1", "gateway": "gw", "approval": "0199", "state": state,
        "signatures": [{
            "approver": "1", "name": "ann", "method": "code", "made": "2026-11-22T00:00:00Z",
            "statement": statement.to_string(),
        }],
        "bound": {},
    })
}

fn arguments(file: &Path) -> VerifyArguments {
    VerifyArguments { file: file.to_owned(), app: None, commit: None, accept_codes: false }
}

/// Whether it ended with 0, and the document.
fn verified(arguments: &VerifyArguments) -> Result<Value, Failure> {
    let mut context = Context::for_tests();
    context.output.write = write;
    context.output.format = Format::Json;
    let code = run(&context, arguments)?;
    let answer: Value = serde_json::from_str(&WRITTEN.take()).unwrap();
    let expected = if answer["verified"] == true { ExitCode::SUCCESS } else { Exit::Refused.code() };
    assert_eq!(format!("{code:?}"), format!("{expected:?}"));
    Ok(answer)
}

fn reasons(answer: &Value) -> Vec<&str> {
    answer["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_code_is_not_enough_unless_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("approval.json");
    std::fs::write(&file, evidence("approved").to_string()).unwrap();
    let answer = verified(&arguments(&file)).unwrap();
    assert_eq!(reasons(&answer), ["0 of 1 people's passkeys signed; with --accept-codes it would be enough"]);
    assert_eq!(answer["statement"]["app"], "shop");
    let accepting = VerifyArguments { accept_codes: true, ..arguments(&file) };
    assert_eq!(verified(&accepting).unwrap()["verified"], true);
    let fitting =
        VerifyArguments { app: Some("shop".to_owned()), commit: Some(COMMIT.to_owned()), ..accepting };
    assert_eq!(verified(&fitting).unwrap()["verified"], true);
    let other = VerifyArguments {
        app: Some("bank".to_owned()),
        commit: Some("f".repeat(40)),
        accept_codes: true,
        ..arguments(&file)
    };
    let answer = verified(&other).unwrap();
    assert_eq!(reasons(&answer).len(), 2, "{answer}");
}

#[test]
fn what_was_called_off_or_forged_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let check = |document: &Value, reason: &str| {
        let file = directory.path().join("approval.json");
        std::fs::write(&file, document.to_string()).unwrap();
        let accepting = VerifyArguments { accept_codes: true, ..arguments(&file) };
        let answer = verified(&accepting).unwrap();
        assert!(reasons(&answer).iter().any(|said| said.contains(reason)), "{reason}: {answer}");
    };
    check(&evidence("rejected"), "it was rejected");
    check(&evidence("withdrawn"), "it was withdrawn");
    check(&evidence("done"), "an approval is pending");
    let mut nobody = evidence("approved");
    nobody["signatures"] = json!([]);
    check(&nobody, "0 of 1 people's approvals");
    let mut forged = evidence("approved");
    forged["approval"] = json!("0200");
    check(&forged, "0 of 1 people's approvals");
    let mut unsigned = evidence("approved");
    unsigned["signatures"][0]["method"] = json!("passkey");
    check(&unsigned, "0 of 1 people's approvals");
}

#[test]
fn the_text_steers_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("approval.json");
    std::fs::write(&file, evidence("approved").to_string()).unwrap();
    let mut context = Context::for_tests();
    context.output.write = write;
    run(&context, &arguments(&file)).unwrap();
    let text = WRITTEN.take();
    assert!(text.starts_with("not verified: 0 of 1 people's passkeys signed\n"), "{text}");
    assert!(text.contains("env       A\u{fffd} removed\n") && !text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("by        ann approved with a one-time code"), "{text}");
    run(&context, &VerifyArguments { accept_codes: true, ..arguments(&file) }).unwrap();
    let text = WRITTEN.take();
    let said = "verified: 1 of 1 people approved, 0 of them with a passkey's signature\n";
    assert!(text.starts_with(said), "{text}");
}

#[test]
fn another_file_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("approval.json");
    assert_eq!(verified(&arguments(&file)).unwrap_err().exit(), Exit::Failed);
    let mut other = evidence("approved");
    other["format"] = json!("rack-gateway/approval-evidence/v9");
    for text in [String::new(), "{}".to_owned(), other.to_string()] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(verified(&arguments(&file)).unwrap_err().exit(), Exit::Failed);
    }
}
