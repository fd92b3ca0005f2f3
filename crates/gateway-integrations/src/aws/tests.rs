//! AWS as its documents describe it: what is asked of each service, what it answers, and what fails at each call.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response};
use gateway_types::{Clock, Secret, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::http::{Pending, Unreachable};

mod chain;
mod s3;
mod secrets_manager;
mod signing;

/// 2026-11-23T00:00:00Z.
const START: i64 = 1_795_392_000_000_000;

#[derive(Debug)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// How one call is answered; `None` = the connection is lost.
type Answered = Option<(u16, String)>;

/// AWS: answers by `METHOD URL`, or `Action` for STS, and remembers what it was asked.
#[derive(Debug, Default)]
struct Cloud {
    answers: Mutex<BTreeMap<String, Answered>>,
    asked: Mutex<Vec<(String, Request<Vec<u8>>)>>,
}

impl Cloud {
    fn on(&self, call: &str, status: u16, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(call.to_owned(), Some((status, body.into())));
    }

    fn lose(&self, call: &str) {
        self.answers.lock().unwrap().insert(call.to_owned(), None);
    }

    fn calls(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(call, _)| call.clone()).collect()
    }

    /// The header of the last request of this call.
    fn header(&self, call: &str, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        let (_, request) =
            asked.iter().rfind(|(name, _)| name == call).unwrap_or_else(|| panic!("no {call}"));
        request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn body(&self, call: &str) -> String {
        let asked = self.asked.lock().unwrap();
        let (_, request) =
            asked.iter().rfind(|(name, _)| name == call).unwrap_or_else(|| panic!("no {call}"));
        String::from_utf8(request.body().clone()).unwrap()
    }
}

fn name(request: &Request<Vec<u8>>) -> String {
    let body = String::from_utf8_lossy(request.body());
    match body.strip_prefix("Action=") {
        Some(form) => form.split('&').next().unwrap().to_owned(),
        None => format!("{} {}", request.method(), request.uri()),
    }
}

impl Http for Cloud {
    fn send<'a>(&'a self, request: Request<Vec<u8>>) -> Pending<'a> {
        let (call, host) = (name(&request), request.uri().host().unwrap_or_default().to_owned());
        self.asked.lock().unwrap().push((call.clone(), request));
        let answer = self.answers.lock().unwrap().get(&call).cloned();
        Box::pin(async move {
            match answer {
                Some(Some((status, body))) => {
                    Ok(Response::builder().status(status).body(body.into_bytes()).unwrap())
                }
                Some(None) | None => Err(Unreachable::Connect { host, source: None }),
            }
        })
    }
}

/// A machine in the cloud.
struct World {
    cloud: Arc<Cloud>,
    clock: Arc<TestClock>,
    chain: Arc<CredentialChain>,
}

impl World {
    fn new(variables: &[(&str, &str)]) -> Self {
        Self::with_role(variables, None)
    }

    fn with_role(variables: &[(&str, &str)], role: Option<AssumedRole>) -> Self {
        let cloud = Arc::new(Cloud::default());
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let given: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = AwsSettings::of_variables(|name| given.get(name).cloned().map(Secret::new), role);
        let ways = Ways { beyond: cloud.clone(), machine: cloud.clone() };
        let chain = Arc::new(CredentialChain::new(settings, ways, clock.clone()));
        Self { cloud, clock, chain }
    }

    async fn fault(&self) -> String {
        told(&self.chain.credentials().await.unwrap_err())
    }
}

/// The text with its causes.
fn told(fault: &AwsFault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn after(minutes: u64) -> String {
    Timestamp::from_micros(START).saturating_add(Duration::from_secs(60 * minutes)).to_rfc3339()
}

/// What agents and the metadata service answer with.
fn document(id: &str, minutes: u64) -> String {
    let key = format!("canary-key-of-{id}");
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": key,
        "Token": format!("canary-session-of-{id}"), "Expiration": after(minutes),
    })
    .to_string()
}

/// What STS answers with.
fn xml(action: &str, id: &str, minutes: u64) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/y</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>canary-key-of-{id}</SecretAccessKey>\
         <SessionToken>canary-session-of-{id}</SessionToken><Expiration>{}</Expiration></Credentials>\
         </{action}Result></{action}Response>",
        after(minutes)
    )
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}
