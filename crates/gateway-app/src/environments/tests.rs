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
