use gateway_types::Secret;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::handle::HandleKey;

const HANDLE: &str = "rgw-hidden-abcdefghijklmn27";

struct Setting {
    keyring: HandleKeyring,
    plain: PlainKeys,
    known: KnownValues,
}

impl Setting {
    fn new() -> Self {
        let keyring = HandleKeyring::new(&Secret::new(vec![9; 32]));
        Self { keyring, plain: PlainKeys::default(), known: KnownValues::default() }
    }

    fn key(&self) -> HandleKey {
        self.keyring.scope("myapp")
    }

    fn redact(
        &self,
        column: &str,
        body: &[u8],
        item_scope_field: Option<&str>,
    ) -> Result<Redacted, RedactError> {
        redact_json(
            body,
            &Redaction {
                labels: &Labels::parse(column).unwrap(),
                keyring: &self.keyring,
                scope: "myapp",
                item_scope_field,
                plain: &self.plain,
                known: &self.known,
            },
        )
    }
}

/// `§KEY:VALUE§` in `expected` stands for the handle of the value under the key.
fn check(column: &str, body: &str, expected: &str) {
    let setting = Setting::new();
    let redacted = setting.redact(column, body.as_bytes(), None).unwrap();
    let mut wanted = String::new();
    for (position, piece) in expected.split('§').enumerate() {
        match piece.split_once(':').filter(|_| position % 2 == 1) {
            Some((key, value)) => wanted.push_str(&setting.key().handle(key, value)),
            None => wanted.push_str(piece),
        }
    }
    assert_eq!(String::from_utf8(redacted.body).unwrap(), wanted, "{column} {body}");
    assert_eq!(redacted.replaced, expected.matches('§').count() / 2, "{column} {body}");
}

fn refused(column: &str, body: impl AsRef<[u8]>) -> RedactError {
    Setting::new().redact(column, body.as_ref(), None).unwrap_err()
}

#[test]
fn environments_become_handles() {
    check(
        "env,manifest~",
        "{\n  \"id\": \"R1\", \"env\": \"A=secret-a\\nPORT=1\" ,\n \"x\":12345678901234567890}\n",
        "{\n  \"id\": \"R1\", \"env\": \"A=§A:secret-a§\\nPORT=1\" ,\n \"x\":12345678901234567890}\n",
    );
    check("env", r#"{"env":"PORT=1"}"#, r#"{"env":"PORT=1"}"#);
    check("env", r#"{"env":"A=\u003c&ä"}"#, r#"{"env":"A=§A:<&ä§"}"#);
    check("env", r#"{"env":""}"#, r#"{"env":""}"#);
    check("env", r#"{"env":null,"ENV":"A=x"}"#, r#"{"env":null,"ENV":"A=§A:x§"}"#);
    check("env", r#"{"env":"no environment"}"#, r#"{"env":"env=§env:no environment§"}"#);
    check(
        "[].env",
        r#"[{"env":"A=x"},{"id":1},{"env":"A=x"}, null]"#,
        r#"[{"env":"A=§A:x§"},{"id":1},{"env":"A=§A:x§"}, null]"#,
    );
}

#[test]
fn an_environment_that_cannot_be_read_cannot_be_overwritten_by_chance() {
    let redacted = Setting::new().redact("env", br#"{"env":"export A=secret-a"}"#, None).unwrap();
    let shown: Value = serde_json::from_slice(&redacted.body).unwrap();
    let posted = EnvText::parse(&format!("{}\nB=new", shown["env"].as_str().unwrap())).unwrap();
    assert_eq!(posted.restore(|_, _| None).unwrap_err().keys, ["env"]);
    assert!(redacted.envs.is_empty());
}

#[test]
fn manifests_lose_the_secrets_of_their_release() {
    check(
        "[].env,[].manifest~",
        r#"[{"manifest":"x: secret-a\ny: sec\n<","env":"A=secret-a\nB=sec"}]"#,
        r#"[{"manifest":"x: §A:secret-a§\ny: sec\n\u003c","env":"A=§A:secret-a§\nB=§B:sec§"}]"#,
    );
    check(
        "env,manifest~",
        r#"{"env":"PORT=123456","manifest":"123456"}"#,
        r#"{"env":"PORT=123456","manifest":"123456"}"#,
    );
    check(
        "env,manifest~",
        r#"{"env":"bad\nA=secret-a","manifest":"-secret-a-"}"#,
        r#"{"env":"env=§env:bad
A=secret-a§","manifest":"-§env:bad
A=secret-a§-"}"#,
    );
    check("manifest~", r#"{"manifest":"\u0026 stays as it is"}"#, r#"{"manifest":"\u0026 stays as it is"}"#);
}

#[test]
fn known_values_are_found_in_scanned_texts() {
    let mut setting = Setting::new();
    setting.known.insert("topsecret", HANDLE);
    let body = br#"[{"command":"psql topsecret","args":["topsecret"],"x":"topsecret"}]"#;
    let redacted = setting.redact("[].command~,[].args~", body, None).unwrap();
    let expected = format!(r#"[{{"command":"psql {HANDLE}","args":["{HANDLE}"],"x":"topsecret"}}]"#);
    assert_eq!(String::from_utf8(redacted.body).unwrap(), expected);
    assert_eq!(redacted.replaced, 2);
}

#[test]
fn addresses_lose_their_password() {
    check(
        "url",
        r#"{"url":"postgres://app:dbpa55@db:5432/app"}"#,
        r#"{"url":"postgres://app:§url:dbpa55§@db:5432/app"}"#,
    );
    check("[].url", r#"[{"url":"redis://h/0"},{"url":""}]"#, r#"[{"url":"§url:redis://h/0§"},{"url":""}]"#);
    check(
        "repository",
        r#"{"repository":"https://convox:s3cret@api.test/a?x\u0026y"}"#,
        r#"{"repository":"https://convox:§repository:s3cret§@api.test/a?x\u0026y"}"#,
    );
}

#[test]
fn map_values_become_handles_unless_plain() {
    check(
        "parameters.*,outputs.*",
        r#"{"parameters":{"HttpProxy":"http://u:p@h","InstanceType":"t3","Password":"****","E":""},"outputs":{"O":"o"}}"#,
        r#"{"parameters":{"HttpProxy":"§HttpProxy:http://u:p@h§","InstanceType":"t3","Password":"****","E":""},"outputs":{"O":"§O:o§"}}"#,
    );
    check("parameters.*", r#"{"parameters":null}"#, r#"{"parameters":null}"#);
    check("parameters.*", "{}", "{}");
    check(
        "parameters.*",
        r#"{"parameters":{"PORT":1,"A":2,"B":{"PORT":"c"}}}"#,
        r#"{"parameters":{"PORT":1,"A":"§A:2§","B":{"PORT":"§PORT:c§"}}}"#,
    );
}

#[test]
fn other_labels_hide_the_whole_text() {
    check("value", r#"{"name":"n","value":"v"}"#, r#"{"name":"n","value":"§value:v§"}"#);
    check(
        "[].password",
        r#"[{"server":"s","password":"p"}]"#,
        r#"[{"server":"s","password":"§password:p§"}]"#,
    );
    check("private-key", r#"{"Private-Key":"k\nl"}"#, "{\"Private-Key\":\"§private-key:k\nl§\"}");
    check("token", &format!(r#"{{"token":"{HANDLE}"}}"#), &format!(r#"{{"token":"{HANDLE}"}}"#));
    check("token", r#"{"token":12,"x":{"token":"y"}}"#, r#"{"token":"§token:12§","x":{"token":"y"}}"#);
    check("token", r#"{"token":true}"#, r#"{"token":true}"#);
}

#[test]
fn the_names_of_masked_variables_are_shown() {
    check(
        "[].value",
        r#"[{"name":"cli-env-mask","value":"A,B"},{"name":"foo","value":"A,B"}]"#,
        r#"[{"name":"cli-env-mask","value":"A,B"},{"name":"foo","value":"§value:A,B§"}]"#,
    );
    check("value", r#"{"name":"cli-env-mask","value":"A,B"}"#, r#"{"name":"cli-env-mask","value":"A,B"}"#);
    check(
        "value",
        r#"{"name":"cli-env-mask","value":"v","name":"foo"}"#,
        r#"{"name":"cli-env-mask","value":"§value:v§","name":"foo"}"#,
    );
    check("value,name", r#"{"name":"n","value":"v"}"#, r#"{"name":"§name:n§","value":"§value:v§"}"#);
    check(
        "token",
        r#"{"name":"cli-env-mask","token":"t"}"#,
        r#"{"name":"cli-env-mask","token":"§token:t§"}"#,
    );
}

#[test]
fn a_list_without_brackets_in_its_labels_is_walked_item_by_item() {
    let setting = Setting::new();
    let body = br#"[{"name":"a","parameters":{"P":"x"}},{"name":"b","parameters":{"P":"x"}}]"#;
    let redacted = setting.redact("parameters.*", body, Some("name")).unwrap();
    let handle = |scope: &str| setting.keyring.scope(scope).handle("P", "x");
    let expected = format!(
        r#"[{{"name":"a","parameters":{{"P":"{}"}}}},{{"name":"b","parameters":{{"P":"{}"}}}}]"#,
        handle("a"),
        handle("b")
    );
    assert_eq!(String::from_utf8(redacted.body).unwrap(), expected);
    for unclear in [r#"[{"parameters":{}}]"#, r#"[{"name":1}]"#, r#"[{"name":"a","Name":"b"}]"#] {
        let error = setting.redact("parameters.*", unclear.as_bytes(), Some("name")).unwrap_err();
        assert_eq!(error, RedactError::UnclearScope { field: "name".to_owned(), offset: 1 }, "{unclear}");
    }
}

#[test]
fn doubled_and_oddly_written_names_are_all_hidden() {
    check(
        "token",
        r#"{"token":"a","TOKEN":"b","to\u212aen":"c","token":null,"\u0074oken":"d"}"#,
        r#"{"token":"§token:a§","TOKEN":"§token:b§","to\u212aen":"§token:c§","token":null,"\u0074oken":"§token:d§"}"#,
    );
}

#[test]
fn unexpected_types_hide_all_they_hold() {
    check(
        "env",
        r#"{"env":{"A":"x","B":["y",1,null,true,""]}}"#,
        r#"{"env":{"A":"§A:x§","B":["§B:y§","§B:1§",null,true,""]}}"#,
    );
    check("[].env", r#"[{"env":["A=x"]}]"#, r#"[{"env":["§env:A=x§"]}]"#);
    check("url", r#"{"url":[{"a":"b"}]}"#, r#"{"url":[{"a":"§a:b§"}]}"#);
}

#[test]
fn labels_that_lead_nowhere_are_refused() {
    for (column, body) in [
        ("[].env", r#"{"env":"A=x"}"#),
        ("env", r#""A=x""#),
        ("env", "[[{}]]"),
        ("env", "1"),
        ("env", r#"["A=x"]"#),
        ("parameters.*", r#"{"parameters":["x"]}"#),
        ("parameters.*", r#"{"parameters":"x"}"#),
        ("parameters.*", r#"{"parameters":7}"#),
    ] {
        let error = refused(column, body);
        assert!(matches!(error, RedactError::UnexpectedShape { .. }), "{column} {body} {error:?}");
    }
}

#[test]
fn what_is_not_one_json_value_is_refused() {
    for body in [
        "",
        " ",
        "{",
        "{}x",
        "{} {}",
        "ok\n",
        "{\"a\":NaN}",
        "{'a':1}",
        "{\"a\":1,}",
        "\u{0}",
        "[1 2]",
        "{\"a\":01}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\q\"}",
    ] {
        assert!(matches!(refused("env", body), RedactError::NotJson { .. }), "{body:?}");
    }
    assert_eq!(refused("env", "\u{feff}{}"), RedactError::ByteOrderMark);
    assert_eq!(refused("env", b"{\"a\":\"\xff\"}"), RedactError::NotUtf8 { offset: 6 });
    assert_eq!(refused("env", r#"{"env":"A=\ud800"}"#), RedactError::NotText { offset: 7 });
    assert_eq!(refused("env", r#"{"\ud800":1}"#), RedactError::NotText { offset: 0 });
}

#[test]
fn unlabelled_values_may_be_odd() {
    check(
        "env",
        r#"{ "n" : 9007199254740993, "f": 1e999, "s" : "\ud800", "o": {"a":1,"a":2}, "z":-0.0, "env":"A=x"}"#,
        r#"{ "n" : 9007199254740993, "f": 1e999, "s" : "\ud800", "o": {"a":1,"a":2}, "z":-0.0, "env":"A=§A:x§"}"#,
    );
    check("env", " \n{\"env\":\"PORT=1\"}\r\n\t", " \n{\"env\":\"PORT=1\"}\r\n\t");
}

#[test]
fn depth_is_bounded_only_where_it_is_walked() {
    let nested = |depth: usize| format!("{}\"s3cret\"{}", "[".repeat(depth), "]".repeat(depth));
    let deep = format!(r#"{{"x":{},"env":"PORT=1"}}"#, nested(100_000));
    check("env", &deep, &deep);
    for column in ["env", "env~"] {
        let error = refused(column, format!(r#"{{"env":{}}}"#, nested(65)));
        assert_eq!(error, RedactError::TooDeep { limit: 64 }, "{column}");
        assert!(
            Setting::new().redact(column, format!(r#"{{"env":{}}}"#, nested(64)).as_bytes(), None).is_ok()
        );
    }
    assert!(matches!(refused("env", nested(100_000)), RedactError::UnexpectedShape { .. }));
}

#[test]
fn environments_are_handed_out_with_their_release() {
    let setting = Setting::new();
    let body = br#"[{"id":"R1","app":"myapp","env":"A=x"},{"env":"PORT=1"},{"id":"R3","ID":"R4","env":"bad"},{"id":5,"env":""}]"#;
    let found = setting.redact("[].env", body, None).unwrap().envs;
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.release.as_deref(), found.app.as_deref(), found.env.to_text()))
        .collect();
    assert_eq!(
        found,
        [(Some("R1"), Some("myapp"), "A=x".to_owned()), (None, None, "PORT=1".to_owned())],
        "texts that are no environment, and empty ones, are left out"
    );
}

#[test]
fn no_labels_no_change() {
    check("", r#"{"env":"A=x"}"#, r#"{"env":"A=x"}"#);
}

/// A JSON document in which every member named here is reached by [`COLUMN`].
const COLUMN: &str = "[].env,[].manifest~,[].url,[].parameters.*,[].password,[].command~";

fn secret() -> impl Strategy<Value = String> {
    "[A-Z0-9!@#$%^&*()_+<>:;,./?ä-]{6,14}"
}

fn item() -> impl Strategy<Value = (Vec<String>, Value)> {
    (proptest::collection::vec(secret(), 6), "[a-z \"\\\\<]{0,9}", 0..5usize).prop_map(|(secrets, text, shape)| {
        let [a, b, c, d, e, _] = secrets.as_slice() else { unreachable!() };
        let env = match shape {
            0 => Value::from(format!("A={a}\nPORT=1\nB={b}")),
            1 => serde_json::json!({ "A": a, "list": [b] }),
            2 => Value::from(format!("no environment {a}\nB={b}")),
            3 => Value::from(format!("A=first\n{a}\nB={b}")),
            _ => serde_json::json!([a, { "x": b }]),
        };
        let item = serde_json::json!({
            "id": text, "env": env, "manifest": format!("{text}{b}{text}"), "url": format!("postgres://u:{c}@host/db"),
            "PARAMETERS": { "P": d, "PORT": text }, "Password": e, "command": format!("run {b}"), "n": 1.5,
        });
        (secrets.iter().take(5).cloned().collect(), item)
    })
}

proptest! {
    #[test]
    fn no_secret_is_left_and_nothing_else_changes(items in proptest::collection::vec(item(), 0..4), pretty: bool) {
        let mut setting = Setting::new();
        let values: Vec<&Value> = items.iter().map(|(_, value)| value).collect();
        for (secrets, _) in &items {
            setting.known.insert(&secrets[1], HANDLE);
        }
        let body = if pretty { serde_json::to_vec_pretty(&values) } else { serde_json::to_vec(&values) }.unwrap();
        let redacted = setting.redact(COLUMN, &body, None).unwrap();
        let after: Vec<Value> = serde_json::from_slice(&redacted.body).unwrap();
        prop_assert_eq!(after.len(), items.len());
        for ((secrets, before), after) in items.iter().zip(&after) {
            let mut shown = String::new();
            texts(after, &mut shown);
            for secret in secrets {
                prop_assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
            }
            prop_assert_eq!((&before["id"], &before["n"]), (&after["id"], &after["n"]));
        }
        let again = setting.redact(COLUMN, &redacted.body, None);
        prop_assert_eq!(again.map(|again| (again.body, again.replaced)), Ok((redacted.body, 0)), "redacting is idempotent");
    }

    #[test]
    fn bytes_outside_labelled_values_stay(before in "[ \n]{0,3}", after in ".{0,12}", number in any::<u64>()) {
        let text = serde_json::to_string(&after).unwrap();
        let body = format!("{before}{{\"n\":{number}e3 ,{before}\"x\":{text},\"token\" : \"s3cret\",\"y\":[{text}]}}{before}");
        let redacted = Setting::new().redact("token", body.as_bytes(), None).unwrap();
        let handle = Setting::new().key().handle("token", "s3cret");
        let expected = body.replacen("\"token\" : \"s3cret\"", &format!("\"token\" : \"{handle}\""), 1);
        prop_assert_eq!(String::from_utf8(redacted.body).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..40), text in "[\\[\\]{}\":,a-e0-9 ]{0,30}") {
        for bytes in [body.as_slice(), text.as_bytes()] {
            let _ = Setting::new().redact("a,b.*,c~", bytes, None);
            let _ = Setting::new().redact("[].env", bytes, None);
        }
    }
}

/// All strings and numbers of a document, one a line.
fn texts(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(members) => members.values().for_each(|member| texts(member, out)),
        Value::Number(number) => out.push_str(&format!("{number}\n")),
        Value::Null | Value::Bool(_) => {}
    }
}
