use gateway_types::Secret;
use proptest::prelude::*;

use super::*;
use crate::handle::HandleKeyring;

const HANDLE: &str = "rgw-hidden-abcdefghijklmn27";

fn key() -> HandleKey {
    HandleKeyring::new(&Secret::new(vec![3; 32])).scope("myapp")
}

fn pairs(env: &EnvText) -> Vec<(&str, &str)> {
    env.entries().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn check(text: &str, expected: Result<&[(&str, &str)], EnvError>) {
    let env = EnvText::parse(text);
    assert_eq!(env.as_ref().map(pairs).map_err(|error| *error), expected.map(<[_]>::to_vec), "{text:?}");
}

fn check_stored(text: &str, expected: Result<&[(&str, &str)], EnvError>) {
    let env = EnvText::parse_stored(text);
    assert_eq!(env.as_ref().map(pairs).map_err(|error| *error), expected.map(<[_]>::to_vec), "{text:?}");
}

#[test]
fn texts_without_loose_ends_read_alike() {
    for (text, expected) in [
        ("", &[] as &[_]),
        ("\n \n", &[]),
        ("A=1", &[("A", "1")]),
        ("B=2\nA=1\n", &[("B", "2"), ("A", "1")]),
        ("A=", &[("A", "")]),
        ("A=b=c==", &[("A", "b=c==")]),
        ("A= b ", &[("A", " b ")]),
        (" A =1", &[("A", "1")]),
        ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
        ("A=\"x\"", &[("A", "\"x\"")]),
        ("A=ä\u{0}\t", &[("A", "ä\u{0}\t")]),
        ("a.b-c/d:_e=1", &[("a.b-c/d:_e", "1")]),
        ("A=1\na=2", &[("A", "1"), ("a", "2")]),
    ] {
        check(text, Ok(expected));
        check_stored(text, Ok(expected));
    }
}

#[test]
fn loose_ends_of_posted_texts_are_refused_by_line() {
    check("A=1\nstray", Err(EnvError::NoEquals { line: 2 }));
    check("stray\nA=1", Err(EnvError::NoEquals { line: 1 }));
    check("# comment\nA=1", Err(EnvError::NoEquals { line: 1 }));
    check("\n\n=1", Err(EnvError::BadName { line: 3 }));
    check("# A=1", Err(EnvError::BadName { line: 1 }));
    check("export A=1", Err(EnvError::BadName { line: 1 }));
    check("\u{feff}A=1", Err(EnvError::BadName { line: 1 }));
    check("Ä=1", Err(EnvError::BadName { line: 1 }));
    check("A=1\n A=2", Err(EnvError::Duplicate { line: 2 }));
    check(&format!("{}=1", "A".repeat(1025)), Err(EnvError::BadName { line: 1 }));
}

#[test]
fn stored_texts_keep_what_the_rack_skips() {
    check_stored("A=1\nB=2\nA=3", Ok(&[("A", "3"), ("B", "2")]));
    check_stored("A=1\nstray\nB=2", Ok(&[("A", "1\nstray"), ("B", "2")]));
    check_stored("A=1\n\nB=\n\nC=", Ok(&[("A", "1"), ("B", ""), ("C", "")]));
    check_stored("stray\nA=1", Err(EnvError::NoEquals { line: 1 }));
    check_stored("A=1\n# B=2", Err(EnvError::BadName { line: 2 }));
    let pem =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B+/==\n-----END RSA PRIVATE KEY-----";
    check_stored(&format!("A=1\nK={pem}\nZ=2"), Ok(&[("A", "1"), ("K", pem), ("Z", "2")]));
    let stored = EnvText::parse_stored(&format!("A=1\nK={pem}\nPORT=2\nx")).unwrap();
    assert_eq!(stored.to_text(), format!("A=1\nK={pem}\nPORT=2\nx"));
    let shown = stored.redact(&key(), &PlainKeys::default());
    assert_eq!(shown.handles().len(), 3, "a plain name does not cover a second line: {}", shown.to_text());
    assert_eq!(EnvText::parse(&shown.to_text()).unwrap(), shown);
}

#[test]
fn errors_name_the_line_and_not_the_value() {
    let error = EnvText::parse("A=1\ntopsecret").unwrap_err().to_string();
    assert!(error.contains("line 2") && !error.contains("topsecret"), "{error}");
    assert_eq!(format!("{:?}", EnvText::parse("A=topsecret").unwrap()), "EnvText[\"A\"]");
}

#[test]
fn secrets_are_hidden_and_plain_values_shown() {
    let env = EnvText::parse(&format!("PORT=3000\nA=x\nB=x\nE=\nH={HANDLE}")).unwrap();
    let shown = env.redact(&key(), &PlainKeys::default());
    let (a, b) = (key().handle("A", "x"), key().handle("B", "x"));
    assert_eq!(shown.to_text(), format!("PORT=3000\nA={a}\nB={b}\nE=\nH={HANDLE}"));
    assert_eq!(shown.handles(), [("A", a.as_str()), ("B", b.as_str()), ("H", HANDLE)]);
    assert_eq!(shown.redact(&key(), &PlainKeys::default()), shown);
}

#[test]
fn handles_are_put_back() {
    let env = EnvText::parse(&format!("A={HANDLE}\nB=new")).unwrap();
    let lookup = |name: &str, handle: &str| (name == "A" && handle == HANDLE).then(|| "value".to_owned());
    assert_eq!(env.restore(lookup).unwrap().to_text(), "A=value\nB=new");
    let moved = EnvText::parse(&format!("B={HANDLE}\nA={HANDLE}")).unwrap();
    assert_eq!(moved.restore(lookup).unwrap_err().keys, ["B"], "a handle counts only under its own name");
}

#[test]
fn handles_in_other_spellings_are_refused() {
    for value in [
        format!("x{HANDLE}"),
        format!("postgres://u:{HANDLE}@h/d"),
        HANDLE.to_uppercase(),
        HANDLE.replace('-', "%2D"),
        format!("\"{HANDLE}\""),
        format!("{HANDLE} "),
        HANDLE[..20].to_owned(),
    ] {
        let env = EnvText::parse(&format!("OK=1\nA={value}")).unwrap();
        let refused = env.restore(|_, _| Some("value".to_owned())).unwrap_err();
        assert_eq!(refused.keys, ["A"], "{value}");
    }
    let name = EnvText::parse(&format!("{HANDLE}=1")).unwrap();
    assert_eq!(name.restore(|_, _| None).unwrap_err().keys, [HANDLE]);
}

#[test]
fn differing_variables_are_named() {
    let (a, b) = (EnvText::parse("A=1\nB=2\nC=3").unwrap(), EnvText::parse("C=3\nA=2\nD=").unwrap());
    assert_eq!(a.differing(&b, ["A", "B", "C", "D", "E"]), ["A", "B", "D"]);
    assert_eq!(a.get("B"), Some("2"));
    assert_eq!(a.get("b"), None);
    assert_eq!(a, EnvText::parse("C=3\nB=2\nA=1").unwrap());
    assert_ne!(a, b);
}

fn environment() -> impl Strategy<Value = EnvText> {
    let name = prop_oneof![Just("PORT".to_owned()), Just("A_ENABLED".to_owned()), "[!-<>-~]{1,8}"];
    proptest::collection::btree_map(name, "[^\r\n]{0,20}", 0..8)
        .prop_map(|map| EnvText::from_trusted(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn a_text_reads_back(env in environment()) {
        prop_assert_eq!(EnvText::parse(&env.to_text()).unwrap().entries().to_vec(), env.entries().to_vec());
        prop_assert_eq!(EnvText::parse_stored(&env.to_text()).unwrap().entries().to_vec(), env.entries().to_vec());
    }

    #[test]
    fn what_was_hidden_is_put_back(env in environment()) {
        let shown = EnvText::parse(&env.redact(&key(), &PlainKeys::default()).to_text()).unwrap();
        let lookup = |name: &str, handle: &str| {
            env.get(name).filter(|value| key().handle(name, value) == handle).map(str::to_owned)
        };
        prop_assert_eq!(shown.restore(lookup).unwrap().entries().to_vec(), env.entries().to_vec());
    }

    #[test]
    fn stored_texts_survive_hiding_and_putting_back(text in "([A-C]?=?[a-z=+/]{0,6}[\r\n]{0,2}){0,8}") {
        if let Ok(env) = EnvText::parse_stored(&text) {
            let shown = EnvText::parse(&env.redact(&key(), &PlainKeys::default()).to_text()).unwrap();
            let lookup = |name: &str, handle: &str| {
                env.get(name).filter(|value| key().handle(name, value) == handle).map(str::to_owned)
            };
            prop_assert_eq!(shown.restore(lookup).unwrap().entries().to_vec(), env.entries().to_vec());
        }
    }

    #[test]
    fn reading_never_fails_in_other_ways(text in any::<String>()) {
        if let Ok(env) = EnvText::parse(&text) {
            prop_assert_eq!(EnvText::parse_stored(&text).unwrap(), env);
        }
    }
}

#[test]
fn changes_keep_the_order() {
    let check = |env: &str, set: &str, unset: &[&str], expected: &str| {
        let parse = |text: &str| EnvText::parse(&text.replace(' ', "\n")).unwrap();
        let changed = parse(env).changed(&parse(set), unset.iter().copied());
        assert_eq!(changed.to_text().replace('\n', " "), expected);
        let names: Vec<&str> =
            expected.split(' ').filter_map(|pair| pair.split_once('=')).map(|pair| pair.0).collect();
        assert_eq!(changed.entries().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    };
    check("A=1 B=2 C=3", "B=9 D=4", &["A"], "B=9 C=3 D=4");
    check("A=1", "A=2", &["A", "X"], "A=2");
    check("A=1", "", &[], "A=1");
    let (one, other) = (EnvText::parse("A=1\nB=2\nD=1").unwrap(), EnvText::parse("D=1\nC=3\nB=3").unwrap());
    assert_eq!(one.difference(&other), ["A", "B", "C"]);
}
