use gateway_types::wire::environments::EnvironmentVariable;

use super::*;
use crate::terminal::Terminal;

fn variable(name: &str, value: &str, difference: &str) -> EnvironmentVariable {
    EnvironmentVariable {
        name: name.to_owned(),
        value: value.to_owned(),
        hidden: value.starts_with("rgw-hidden-"),
        protected: false,
        difference: difference.to_owned(),
        same_as: Vec::new(),
    }
}

fn environment() -> AppEnvironment {
    AppEnvironment {
        app: "web".to_owned(),
        release: Some("R2".to_owned()),
        active: Some("R1".to_owned()),
        compared: Some("R1".to_owned()),
        variables: vec![
            variable("A", "1", "same"),
            variable("SECRET", "rgw-hidden-abcdefghijklmn27", "changed"),
            EnvironmentVariable {
                same_as: vec!["SECRET".to_owned()],
                ..variable("TOKEN", "rgw-hidden-abcdefghijklmn22", "added")
            },
        ],
        removed: vec!["OLD".to_owned()],
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_different_is_sent_with_what_it_was_made_of() {
    let after = map(&[("A", "2"), ("SECRET", "rgw-hidden-abcdefghijklmn27"), ("NEW", "x")]);
    let change = input::change(&environment(), after);
    assert_eq!(change.set, map(&[("A", "2"), ("NEW", "x")]));
    assert_eq!(change.unset, ["TOKEN"]);
    assert_eq!(change.base.as_deref(), Some("R2"));
    let same = input::parse(&input::text(&environment()).unwrap()).unwrap();
    let nothing = input::change(&environment(), same);
    assert!(nothing.set.is_empty() && nothing.unset.is_empty());
}

#[test]
fn texts_are_read_as_they_stand() {
    let read = input::parse("# a remark\n\nA=1\n B = two words \nC=\"q\"=x\r\nD=\n").unwrap();
    assert_eq!(read, map(&[("A", "1"), ("B", " two words "), ("C", "\"q\"=x"), ("D", "")]));
    for (wrong, words) in
        [("A=1\ns3cr3t", "line 2 is not"), ("A=1\nA=2", "A stands twice"), ("=x", "no name")]
    {
        let fault = input::parse(wrong).unwrap_err().to_string();
        assert!(fault.contains(words) && !fault.contains("s3cr3t"), "{fault}");
    }
}

#[test]
fn a_bare_name_is_asked_for() {
    let terminal = Terminal { is_there: true, ask: |_| Ok(Some("typed".to_owned())) };
    let given = ["A=1=2".to_owned(), "B".to_owned()];
    assert_eq!(input::pairs(&given, terminal).unwrap(), map(&[("A", "1=2"), ("B", "typed")]));
    let nobody = Terminal { is_there: false, ask: |_| Ok(None) };
    let fault = input::pairs(&["A".to_owned(), "B".to_owned()], nobody).unwrap_err();
    assert_eq!(fault.exit(), Exit::Usage);
}

#[test]
fn a_difference_has_a_line_for_each_variable() {
    assert_eq!(
        difference(&environment()),
        "~ SECRET=rgw-hidden-abcdefghijklmn27\n+ TOKEN=rgw-hidden-abcdefghijklmn22\n- OLD\n= TOKEN has the same value as SECRET"
    );
    let nothing =
        AppEnvironment { variables: vec![variable("A", "1", "same")], removed: Vec::new(), ..environment() };
    assert_eq!(difference(&nothing), "nothing is different");
}
