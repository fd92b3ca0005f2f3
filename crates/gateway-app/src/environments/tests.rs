use super::*;

fn change(set: &[(&str, &str)], unset: &[&str]) -> Change {
    let value = |(key, value): &(&str, &str)| ((*key).to_owned(), Secret::new((*value).to_owned()));
    Change {
        set: set.iter().map(value).collect(),
        unset: unset.iter().map(|key| (*key).to_owned()).collect(),
        base: None,
    }
}

#[test]
fn names_are_noted_completely() {
    let clock = gateway_types::SystemClock;
    let operator = Operator::system(&clock, &gateway_types::OsEntropy);
    let check = |count: usize, parts: usize, whole: bool| {
        let names: Vec<String> = (0..count).map(|number| format!("SOME_LONG_NAME_{number:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut event = operator.event("gateway:secret:reveal");
        note_names(&mut event, "keys", &names);
        assert_eq!(event.parameters.len(), parts, "{count}");
        let key = |number| if number == 1 { "keys".to_owned() } else { format!("keys.{number}") };
        let noted: Vec<&str> = (1..=parts).map(|number| event.parameters[&key(number)].as_str()).collect();
        assert_eq!(noted.join(" ") == names.join(" "), whole, "{count}");
        assert!(noted.iter().map(|part| part.len()).sum::<usize>() < 12 * 1024);
    };
    check(0, 1, true);
    check(48, 1, true);
    check(49, 2, true);
    check(400, 9, true);
    check(1000, 10, false);
}

#[test]
fn a_change_says_each_key_once_and_each_value_in_one_line() {
    let refused = |change: Change, words: &str| {
        let fault = check(&change).expect_err("a fault").to_string();
        assert!(fault.contains(words), "{fault}");
        assert!(!fault.contains("s3cr3t"), "no value is repeated: {fault}");
    };
    assert!(check(&change(&[("A", "1"), ("B", "")], &["C"])).is_ok());
    refused(change(&[], &[]), "at least one key");
    refused(change(&[("A", "s3cr3t\nB=2")], &[]), "more than one line");
    refused(change(&[("A", "s3cr3t\r")], &[]), "more than one line");
    refused(change(&[("A", "s3cr3t")], &["A"]), "stands twice");
    refused(change(&[("A", "1"), ("A", "2")], &[]), "stands twice");
    for bad in ["", "A B", "A=B", "Ä", "A\n"] {
        refused(change(&[(bad, "s3cr3t")], &[]), "no name");
        refused(change(&[], &[bad]), "no name");
    }
    let many: Vec<String> = (0..=MOST_KEYS).map(|number| format!("K{number}")).collect();
    refused(change(&[], &many.iter().map(String::as_str).collect::<Vec<_>>()), "at most 1000");
}
