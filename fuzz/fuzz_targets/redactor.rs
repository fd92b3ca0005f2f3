//! A rack's reply of any bytes: the redactor never panics, what it passes on is JSON again, and a value that
//! stands under a labelled key is not in it.
#![no_main]

use std::sync::LazyLock;

use gateway_secrets::{HandleKeyring, KnownValues, Labels, PlainKeys, Redaction, redact_json};
use gateway_types::Secret;
use libfuzzer_sys::fuzz_target;

const CANARY: &str = "canary-7f3b9c1d2e5a";

static KEYRING: LazyLock<HandleKeyring> = LazyLock::new(|| HandleKeyring::new(&Secret::new(vec![7; 32])));
static LABELS: LazyLock<Labels> = LazyLock::new(|| Labels::parse("env").expect("a label"));
static PLAIN: LazyLock<PlainKeys> = LazyLock::new(|| PlainKeys::new(Vec::new()).expect("no key is plain"));

fuzz_target!(|data: &[u8]| {
    let known = KnownValues::default();
    let redaction = Redaction {
        labels: &LABELS,
        keyring: &KEYRING,
        scope: "myapp",
        item_scope_field: None,
        plain: &PLAIN,
        known: &known,
    };
    if let Ok(redacted) = redact_json(data, &redaction) {
        serde_json::from_slice::<serde::de::IgnoredAny>(&redacted.body).expect("JSON again");
        // A number may be beyond what a reader holds (RFC 8259, 6): who could read the reply can still read it.
        if serde_json::from_slice::<serde_json::Value>(data).is_ok() {
            serde_json::from_slice::<serde_json::Value>(&redacted.body).expect("as readable as before");
        }
    }
    // Any text as the value of a secret variable.
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(['\n', '\r', '\0']) || text.contains(CANARY) {
        return;
    }
    let body = serde_json::json!({ "id": "R1", "env": format!("KEY={text}{CANARY}\nPORT=1") }).to_string();
    match redact_json(body.as_bytes(), &redaction) {
        Ok(redacted) => {
            let shown = String::from_utf8(redacted.body).expect("text");
            assert!(!shown.contains(CANARY), "{shown}");
        }
        Err(_) => {}
    }
});
