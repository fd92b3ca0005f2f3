//! `services candidates` and `services approve` against a gateway that says what the test wants.

use clap::Parser as _;

use super::stub::{Stub, good, problem};
use super::{WRITTEN, write};
use crate::Context;
use crate::arguments::{Arguments, Command};
use crate::commands::services;
use crate::failure::{Exit, Failure};

const SERVICE: &str =
    r#"{"name":"wiki","title":"wiki","source":"database","in_force":true,"may_use":true,"operations":[]}"#;

fn candidates(state: &str) -> String {
    format!(
        r#"{{"watched":true,"items":[{{"name":"wiki","container":"web","state":"{state}","faults":["no \u001b"],
        "differences":[{{"field":"hosts","after":["a.example"]}},{{"field":"role","before":"ops","after":"viewer"}}],"difference":"d1"}}]}}"#
    )
}

async fn run(stub: &Stub, words: &[&str]) -> Result<String, Failure> {
    let words = ["rack-gateway", "services"].iter().chain(words);
    let arguments = Arguments::try_parse_from(words).unwrap();
    let mut context = Context::for_tests();
    context.output.write = write;
    context.environment.url = Some(stub.address.to_string().into());
    context.environment.token = Some(Ok("rgs_token".to_owned().into()));
    let Command::Services(arguments) = arguments.command else { panic!("another command") };
    let ended = services::run(&context, arguments).await;
    let written = WRITTEN.take();
    ended.map(|_code| written)
}

#[tokio::test]
async fn candidates_are_shown_with_what_would_change() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("compose.yaml");
    std::fs::write(&file, "services: {}\n").unwrap();
    let stub = Stub::answering(vec![good(&candidates("new"))]).await;
    let written = run(&stub, &["candidates", "-f", file.to_str().unwrap()]).await.unwrap();
    assert!(written.contains(r#"hosts: nothing -> ["a.example"]"#), "{written}");
    assert!(written.contains(r#"role: "ops" -> "viewer""#) && !written.contains('\u{1b}'), "{written}");
    let seen = stub.seen().await.remove(0);
    assert!(seen.starts_with("POST /api/v1/service-candidates "), "{seen}");
    assert!(seen.ends_with(r#"{"compose":"services: {}\n"}"#), "{seen}");
    // Without a file, the one that the gateway watches.
    let stub = Stub::answering(vec![good(r#"{"watched":false,"items":[]}"#)]).await;
    assert!(run(&stub, &["candidates"]).await.unwrap().contains("--file"));
    assert!(stub.seen().await.remove(0).starts_with("GET /api/v1/service-candidates "));
}

#[tokio::test]
async fn an_approval_names_the_difference_that_was_shown() {
    let stub = Stub::answering(vec![good(&candidates("changed"))]).await;
    let failure = run(&stub, &["approve", "wiki"]).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage, "nobody is there to be asked");
    assert!(failure.to_string().contains("a.example"), "it is shown first: {failure}");
    assert_eq!(stub.seen().await.len(), 1, "nothing was approved");
    for (given, named) in [(&["--yes"][..], "d1"), (&["--yes", "--difference", "d0"][..], "d0")] {
        let stub = Stub::answering(vec![good(&candidates("changed")), good(SERVICE)]).await;
        let words: Vec<&str> = ["approve", "wiki"].iter().chain(given).copied().collect();
        assert!(run(&stub, &words).await.unwrap().contains("wiki is in force"));
        let seen = stub.seen().await.remove(1);
        assert!(seen.starts_with("POST /api/v1/service-candidates/wiki "), "{seen}");
        assert!(seen.ends_with(&format!(r#"{{"difference":"{named}"}}"#)), "{seen}");
    }
    let stub = Stub::answering(vec![good(&candidates("refused"))]).await;
    assert!(run(&stub, &["approve", "wiki", "--yes"]).await.unwrap_err().to_string().contains("no "));
    assert_eq!(stub.seen().await.len(), 1);
    let stub = Stub::answering(vec![good(&candidates("new"))]).await;
    assert!(run(&stub, &["approve", "blog", "--yes"]).await.unwrap_err().to_string().contains("blog"));
    let late = problem("412 Precondition Failed", "stale", "authorization");
    let stub = Stub::answering(vec![good(&candidates("new")), late]).await;
    assert_eq!(run(&stub, &["approve", "wiki", "--yes"]).await.unwrap_err().exit(), Exit::Failed);
}
