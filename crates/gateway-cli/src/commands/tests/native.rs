//! The Convox commands against the recordings of the real client: the same requests, in the same order, with the same
//! parameters; how often is looked again apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser as _;
use gateway_sim::transcript::Transcript;
use serde::Deserialize;
use tempfile::TempDir;

use super::recorded::{Recorded, asked};
use super::{WRITTEN, write};
use crate::arguments::{Arguments, Command};
use crate::failure::{Exit, Failure};
use crate::output::Format;
use crate::terminal::Terminal;
use crate::{Context, commands};

/// Recordings that no command here is compared with, by the beginning of their names, and why.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "sessions are compared by themselves",
        &[
            "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "52", "55", "69", "90",
            "a6", "b1", "b2", "d27", "d55",
        ],
    ),
    (
        "env goes through the gateway's own API, which keeps what is secret",
        &["07", "08", "09", "10", "51", "a1", "d24", "d25", "d29", "d54", "d62"],
    ),
    ("the official client makes no request of a rack", &["95", "96", "a5"]),
    ("it needs, shows or changes a credential of the rack itself", &["33", "87", "d35", "d38", "d52"]),
    ("local development", &["a4"]),
    ("ports are tested by themselves", &["97", "b4"]),
    (
        "the official client stores standard input in place of what is named; here it is what is named",
        &["d53"],
    ),
];

/// Commands that are spelled otherwise here. What is not named is spelled as the official client has it.
const SPELLED: &[(&str, &str)] = &[
    ("01", "rack info"),
    ("11", "rack info"),
    ("56", "rack info"),
    ("d68", "rack info"),
    ("63", "registries add reg.example.test bob"),
    ("93", "configs set foo -a myapp --value="),
    ("d09", "budget reset myapp --force-clear-cooldown"),
    ("d13", "configs get foo -a myapp"),
];

/// Sessions that end with another exit code here, and why.
const BETTER_CODES: &[(&str, u8, &str)] = &[
    ("23", 1, "a process that is not there is no success, though the rack says 0"),
    ("28", 0, "the official client cannot find the marker behind bytes that are no text"),
];

#[derive(Deserialize)]
struct Head {
    argv: Vec<String>,
    exit_code: i32,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-testkit/transcripts")
}

fn head(name: &str) -> Head {
    let text = std::fs::read_to_string(directory().join(format!("{name}.jsonl"))).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// The directory that the client was called in.
fn working_directory(head: &Head) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Dockerfile", "FROM scratch\n"),
        ("convox.yml", "services:\n  web:\n    build: .\n    port: 3000\n"),
        ("index.html", "hello\n"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    for (name, content) in &head.files {
        std::fs::write(directory.path().join(name), STANDARD.decode(content).unwrap()).unwrap();
    }
    directory
}

/// What is typed here for a recorded command, with the paths of its files.
fn words(number: &str, head: &Head, here: &Path) -> Vec<String> {
    let spelled = SPELLED.iter().find(|(known, _)| *known == number);
    let mut words: Vec<String> = match spelled {
        Some((_, line)) => line.split_whitespace().map(str::to_owned).collect(),
        None => head
            .argv
            .iter()
            .skip_while(|word| word.as_str() == "convox" || word.ends_with("/convox"))
            .cloned()
            .collect(),
    };
    let command = words.first().cloned().unwrap_or_default();
    let mut after_file_flag = false;
    for word in words.iter_mut().skip(1) {
        let is_path = after_file_flag
            || head.files.contains_key(word)
            || (command == "cp" && ["index.html", "motd", "."].contains(&word.as_str()));
        after_file_flag = word == "-f";
        if is_path {
            *word = here.join(&*word).display().to_string();
        }
    }
    if ["build", "deploy"].contains(&command.as_str()) {
        words.push(here.display().to_string());
    }
    words
}

/// Runs a command against the gateway at this address; returns what it wrote.
pub(in crate::commands) async fn run(
    context: Context,
    address: &str,
    token: &str,
    words: &[String],
) -> Result<String, Failure> {
    let all = ["rack-gateway".to_owned()].into_iter().chain(words.iter().cloned());
    let arguments = Arguments::try_parse_from(all).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let mut context = context;
    context.output.write = write;
    context.output.format = if arguments.json { Format::Json } else { Format::Text };
    context.code = arguments.code;
    context.environment.url = Some(address.to_owned().into());
    context.environment.token = Some(Ok(token.to_owned().into()));
    let ended = match arguments.command {
        Command::Native(command) => commands::native::run(&context, command).await,
        Command::Rack(arguments) => commands::racks::current(&context, arguments).await,
        Command::Services(arguments) => commands::services::run(&context, arguments).await,
        other => panic!("{other:?}"),
    };
    let written = WRITTEN.take();
    ended.map(|_| written)
}

async fn run_at(recorded: &Recorded, words: &[String]) -> Result<String, Failure> {
    let mut context = Context::for_tests();
    if words.first().is_some_and(|word| word == "registries") {
        context.terminal = Terminal { is_there: true, ask: |_| Ok(Some("pw".to_owned())) };
    }
    run(context, &recorded.address.to_string(), "rgs_token", words).await
}

fn number(name: &str) -> &str {
    name.split('-').next().unwrap()
}

async fn played(transcript: &Transcript, more: &[&str]) -> (Recorded, Result<String, Failure>, i32) {
    let head = head(&transcript.name);
    let here = working_directory(&head);
    let recorded = Recorded::of(transcript).await;
    let mut words = words(number(&transcript.name), &head, here.path());
    words.extend(more.iter().map(|&word| word.to_owned()));
    let ended = run_at(&recorded, &words).await;
    (recorded, ended, head.exit_code)
}

fn recording(wanted: &str) -> Transcript {
    let all = Transcript::read_all(&directory()).unwrap();
    all.into_iter().find(|transcript| number(&transcript.name) == wanted).unwrap()
}

#[tokio::test]
async fn each_recorded_command_makes_the_requests_of_the_real_client() {
    let all = Transcript::read_all(&directory()).unwrap();
    let (mut covered, mut left_out, mut surprises) = (0, 0, Vec::new());
    for transcript in &all {
        if LEFT_OUT.iter().any(|(_, numbers)| numbers.contains(&number(&transcript.name))) {
            left_out += 1;
            continue;
        }
        let (recorded, ended, exit_code) = played(transcript, &[]).await;
        let (seen, expected) = (recorded.seen(), asked(transcript));
        if seen != expected || seen.is_empty() {
            surprises.push(format!("{}:\n  seen {seen:#?}\n  not  {expected:#?}", transcript.name));
        }
        // 130: the recorder stopped it, and here the connection ends.
        if exit_code != 130 && ended.is_ok() != (exit_code == 0) {
            surprises.push(format!("{}: {ended:?} for {exit_code}", transcript.name));
        }
        covered += 1;
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    assert_eq!((covered, left_out, all.len()), (120, 44, 164));
}

/// Sessions: what is asked for and with which options, and the exit code. Their bytes are `it/exec.rs` and `gateway-client`.
#[tokio::test]
async fn each_recorded_session_is_asked_for_as_the_real_client_does() {
    let all = Transcript::read_all(&directory()).unwrap();
    let (mut covered, mut surprises) = (0, Vec::new());
    for wanted in ["19", "20", "22", "23", "27", "28", "29", "30", "52", "55", "69", "90", "b1", "d27", "d55"]
    {
        let transcript = all.iter().find(|transcript| number(&transcript.name) == wanted).unwrap();
        let head = head(&transcript.name);
        let recorded = Recorded::of(transcript).await;
        let words = words(wanted, &head, Path::new("."));
        let ended = session(&recorded, &words).await;
        let (seen, mut expected) = (recorded.seen(), asked(transcript));
        // What the answer was needed for is not done here: an SSH key of the rack's is none of the client's.
        expected.retain(|one| one != "GET /system");
        if seen != expected {
            surprises.push(format!("{}:\n  seen {seen:#?}\n  not  {expected:#?}", transcript.name));
        }
        let better = BETTER_CODES.iter().find(|(known, ..)| *known == wanted);
        let code = better.map_or(u8::try_from(head.exit_code).unwrap(), |(_, code, _why)| *code);
        if ended.as_ref().ok() != Some(&ExitCode::from(code)) {
            surprises.push(format!("{}: {ended:?} for {code}", transcript.name));
        }
        covered += 1;
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    assert_eq!(covered, 15);
}

async fn session(recorded: &Recorded, words: &[String]) -> Result<ExitCode, Failure> {
    let all = ["rack-gateway".to_owned()].into_iter().chain(words.iter().cloned());
    let arguments = Arguments::try_parse_from(all).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let mut context = Context::for_tests();
    context.output.write = write;
    context.environment.url = Some(recorded.address.to_string().into());
    context.environment.token = Some(Ok("rgs_token".to_owned().into()));
    match arguments.command {
        Command::Exec(arguments) => commands::exec::exec(&context, arguments).await,
        Command::Run(arguments) => commands::exec::run_process(&context, *arguments).await,
        Command::Native(command) => commands::native::run(&context, command).await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_listing_is_an_array_for_programs() {
    for wanted in [
        "02", "04", "05", "13", "14", "37", "60", "62", "65", "67", "71", "83", "92", "94", "d04", "d21",
        "d36",
    ] {
        let transcript = recording(wanted);
        let (_, ended, _) = played(&transcript, &["--json"]).await;
        let value: serde_json::Value = serde_json::from_str(&ended.unwrap()).unwrap();
        let is_listing = value.is_array();
        assert!(is_listing, "{}: {value}", transcript.name);
    }
}

#[tokio::test]
async fn a_deploy_says_how_far_it_is() {
    let (_, ended, _) = played(&recording("31"), &[]).await;
    let text = ended.unwrap();
    insta::assert_snapshot!(text, @r"
    Packaging source... OK, 3 files, 191 B
    Uploading source... OK
    Starting build... OK, BYBBEAXRRLU
    Step 1/5 : building myapp
    Step 2/5 : building myapp
    Step 3/5 : building myapp
    Step 4/5 : building myapp
    Step 5/5 : building myapp
    Build complete
    Promoting RAYVLYLJCDO...
    OK
    ");
}

#[tokio::test]
async fn a_script_gets_the_release_alone() {
    let (_, ended, _) = played(&recording("d60"), &[]).await;
    assert_eq!(ended.unwrap(), "RAYVLYLJCDO\n");
    let (_, ended, _) = played(&recording("31"), &["--id"]).await;
    assert_eq!(ended.unwrap(), "RAYVLYLJCDO\n");
    let (_, ended, _) = played(&recording("32"), &["--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&ended.unwrap()).unwrap();
    assert_eq!(value, serde_json::json!({ "build": "BYBBEAXRRLU", "release": "RAYVLYLJCDO" }));
}

#[tokio::test]
async fn listings_look_like_those_of_the_real_client() {
    let mut shown = String::new();
    for wanted in ["02", "04", "05", "14", "37", "60", "67", "71", "d21"] {
        let (_, ended, _) = played(&recording(wanted), &[]).await;
        shown.push_str(&format!("{}\n", ended.unwrap()));
    }
    insta::assert_snapshot!(shown, @r"
    APP    STATUS   RELEASE
    myapp  running  RSEED00001
    other  running  RSEED00002

    ID                            SERVICE  STATUS   RELEASE     STARTED           COMMAND
    myapp-web-7d9f8b6c5-aaaa0     web      running  RSEED00001  2026-11-20 00:12  -
    myapp-worker-7d9f8b6c5-aaaa1  worker   running  RSEED00001  2026-11-20 00:12  -

    ID          STATUS  BUILD       CREATED           DESCRIPTION
    RSEED00001  active  BSEED00001  2026-11-20 00:11  build abc123 first

    ID          STATUS    RELEASE     STARTED           ENDED             DESCRIPTION
    BSEED00001  complete  RSEED00001  2026-11-20 00:09  2026-11-20 00:10  build abc123 first

    SERVICE  DESIRED  RUNNING  CPU  MEMORY  GPU  MIN  MAX
    web      1        1        250  512     -    -    -
    worker   1        1        250  512     -    -    -

    NAME  TYPE      URL
    db    postgres  postgres://app:dbpa55@resource-db.testrack-myapp.svc.cluster.local:5432/app

    ID      STATUS   STARTED           PS  CPU     MEM    PUBLIC  PRIVATE
    node-1  running  2026-11-20 00:11  4   25.00%  0.01%  -       10.1.0.5

    SERVICE  DOMAIN                  PORTS
    web      web.myapp.example.test  443:3000
    worker   -                       -

    ENDPOINT  CERTIFICATE  DOMAIN          EXPIRES
    web:443   cert-1       *.example.test  2027-02-20 00:12
    ");
}

#[tokio::test]
async fn a_rack_that_says_no_is_quoted_and_a_slip_is_a_slip() {
    let (_, ended, _) = played(&recording("99"), &[]).await;
    let failure = ended.unwrap_err();
    assert_eq!(
        (failure.exit(), failure.to_string().as_str()),
        (Exit::Failed, "error: the rack says: app is not updating\n")
    );
    let recorded = Recorded::of(&recording("02")).await;
    for line in [
        "scale --count 2 -a myapp",
        "scale web -a myapp",
        "apps info a -a b",
        "build --external -a myapp",
        "ps stop .. -a myapp",
    ] {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(run_at(&recorded, &words).await.unwrap_err().exit(), Exit::Usage, "{line}");
    }
    assert!(recorded.seen().is_empty(), "{:?}", recorded.seen());
}

#[tokio::test]
async fn two_kinds_of_services_live_under_one_word() {
    let parsed = |line: &str| Arguments::try_parse_from(line.split_whitespace()).map(|_| ());
    for line in [
        "rack-gateway services",
        "rack-gateway services -a web",
        "rack-gateway services restart web -a shop",
        "rack-gateway services list",
        "rack-gateway services show grafana",
        "rack-gateway rack",
        "rack-gateway rack --forget-log",
        "rack-gateway rack params set A=1",
        "rack-gateway rack ps -a",
    ] {
        assert!(parsed(line).is_ok(), "{line}");
    }
    let slip = parsed("rack-gateway relases").unwrap_err().to_string();
    assert!(slip.contains("releases"), "{slip}");
    assert!(
        parsed("rack-gateway registries add server user password").is_err(),
        "no secret in a command line"
    );
}
