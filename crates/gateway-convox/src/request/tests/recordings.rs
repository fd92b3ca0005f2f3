//! What the real client sent, command by command, must be identified, completed and written back.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::error::RouteError;
use crate::table::{BodyKind, RequestKind, RouteTable};
use crate::upstream::{UpstreamBody, UpstreamRequest};
use crate::urlencoded::{self, RawBytes};

/// Recorded requests that a gateway refuses, each with the reason.
const REFUSED: [(&str, &str, &str); 2] = [
    ("87-rack-access", "POST /system/jwt/token", "mints a token of the rack: refused unless switched on"),
    (
        "d38-access-key-rotate",
        "PUT /system/jwt/rotate",
        "rotates the rack's signing key: refused unless switched on",
    ),
];

const PREFIX: &str = "/api/v1/rack-proxy";

struct Recorded {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Recorded {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn kind(&self) -> RequestKind {
        if self.header("upgrade").is_some() { RequestKind::Socket } else { RequestKind::Plain }
    }

    fn path_and_query(&self) -> (&str, Option<&str>) {
        let target = self.target.strip_prefix(PREFIX).unwrap_or(&self.target);
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
    }

    fn is_refused_in(&self, recording: &str) -> bool {
        let route = format!("{} {}", self.method, self.path_and_query().0);
        REFUSED.iter().any(|(name, refused, _)| *name == recording && *refused == route)
    }
}

fn client_requests(file: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut requests: Vec<Recorded> = Vec::new();
    let mut last_of = BTreeMap::new();
    for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if line["from"] != "client" {
            continue;
        }
        let connection = line["conn"].as_u64().unwrap();
        let string = |value: &Value| value.as_str().unwrap().to_owned();
        match line["kind"].as_str().unwrap() {
            "request" => {
                last_of.insert(connection, requests.len());
                let headers = line["headers"].as_array().unwrap();
                requests.push(Recorded {
                    method: string(&line["method"]),
                    target: string(&line["target"]),
                    headers: headers.iter().map(|pair| (string(&pair[0]), string(&pair[1]))).collect(),
                    body: None,
                });
            }
            "body" => {
                let body = BASE64_STANDARD.decode(string(&line["data_b64"])).unwrap();
                requests[last_of[&connection]].body = Some(body);
            }
            _ => {}
        }
    }
    requests
}

fn pass_through(table: &RouteTable, recorded: &Recorded) -> Result<UpstreamRequest, RouteError> {
    let (path, query) = recorded.path_and_query();
    let identified = table.identify(&recorded.method, path, recorded.kind())?;
    let form = match identified.body_kind() {
        BodyKind::Stream | BodyKind::Json => None,
        BodyKind::Form | BodyKind::None => recorded.body.as_deref(),
    };
    let headers = recorded.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let request = identified.complete(query, headers, recorded.header("content-type"), form).unwrap();
    Ok(request.serialise())
}

fn sorted_pairs(text: &[u8]) -> Vec<(String, String)> {
    let mut pairs = urlencoded::pairs(text, RawBytes::Utf8).unwrap();
    pairs.retain(|(name, _)| name != "ack_by");
    pairs.sort();
    pairs
}

/// Nothing but `ack_by` and a form that the rack ignores may be lost on the way.
fn assert_same_meaning(recorded: &Recorded, sent: &UpstreamRequest, label: &str) {
    let (path, query) = recorded.path_and_query();
    let (sent_path, sent_query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    assert_eq!((sent.method, sent_path), (recorded.method.as_str(), path), "{label}");
    assert_eq!(
        sorted_pairs(sent_query.as_bytes()),
        sorted_pairs(query.unwrap_or_default().as_bytes()),
        "{label}"
    );
    for (name, value) in &sent.headers {
        assert_eq!(recorded.header(name), Some(value.as_str()), "{label}");
    }
    match &sent.body {
        UpstreamBody::Form(form) => {
            let body = recorded.body.as_deref().unwrap_or_default();
            assert_eq!(sorted_pairs(form), sorted_pairs(body), "{label}");
        }
        UpstreamBody::Stream { .. } => assert!(recorded.body.is_some(), "{label}"),
        UpstreamBody::None => {
            let ignored = path == "/certificates";
            assert!(ignored || recorded.body.as_ref().is_none_or(Vec::is_empty), "{label}");
        }
    }
}

#[test]
fn the_recorded_client_passes() {
    let table = RouteTable::builtin().unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-testkit/transcripts");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let (mut passed, mut refused) = (0, 0);
    for file in &files {
        let recording = file.file_stem().unwrap().to_str().unwrap();
        for recorded in client_requests(file) {
            let label = format!("{recording}: {} {}", recorded.method, recorded.target);
            match pass_through(&table, &recorded) {
                Ok(sent) => {
                    assert_same_meaning(&recorded, &sent, &label);
                    passed += 1;
                }
                Err(error) => {
                    assert!(recorded.is_refused_in(recording), "{label}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, REFUSED.len());
    assert!(files.len() > 150 && passed > 350, "{} recordings, {passed} requests", files.len());
}
