//! Three-way merge of environments, for two people who change one environment at a time.

use crate::env::EnvText;
use crate::error::MergeConflict;

/// What becomes of one variable. `None` inside means that it is not set.
enum Outcome<'a> {
    Agreed(Option<&'a str>),
    Conflict,
}

fn outcome<'a>(base: Option<&'a str>, theirs: Option<&'a str>, mine: Option<&'a str>) -> Outcome<'a> {
    if mine == base || mine == theirs {
        Outcome::Agreed(theirs)
    } else if theirs == base {
        Outcome::Agreed(mine)
    } else {
        Outcome::Conflict
    }
}

/// Joins what `mine` and `theirs` changed since `base`, variable by variable: what I left alone is as they
/// have it, what only I changed is as I have it, what we changed alike is that.
///
/// The order is that of `mine`, then the variables that only `theirs` has.
///
/// # Errors
/// With all variables that both changed, but differently. Deleting is a change.
pub fn merge(base: &EnvText, theirs: &EnvText, mine: &EnvText) -> Result<EnvText, MergeConflict> {
    let (in_base, in_theirs, in_mine) = (base.by_name(), theirs.by_name(), mine.by_name());
    let names = mine
        .entries()
        .iter()
        .chain(theirs.entries().iter().filter(|(name, _)| !in_mine.contains_key(name.as_str())));
    let mut merged = Vec::new();
    let mut keys = Vec::new();
    for (name, _) in names {
        let key = name.as_str();
        let (base, theirs, mine) = (in_base.get(key), in_theirs.get(key), in_mine.get(key));
        match outcome(base.copied(), theirs.copied(), mine.copied()) {
            Outcome::Agreed(Some(value)) => merged.push((name.clone(), value.to_owned())),
            Outcome::Agreed(None) => {}
            Outcome::Conflict => keys.push(name.clone()),
        }
    }
    if keys.is_empty() { Ok(EnvText::from_trusted(merged)) } else { Err(MergeConflict { keys }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(text: &str) -> EnvText {
        EnvText::parse(&text.replace(' ', "\n")).unwrap()
    }

    fn check(base: &str, theirs: &str, mine: &str, expected: Result<&str, &[&str]>) {
        let merged = merge(&env(base), &env(theirs), &env(mine));
        let merged = merged.map(|env| env.to_text().replace('\n', " ")).map_err(|conflict| conflict.keys);
        let expected =
            expected.map(str::to_owned).map_err(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        assert_eq!(merged, expected, "{base} | {theirs} | {mine}");
    }

    #[test]
    fn each_variable_is_merged_by_itself() {
        check("", "", "", Ok(""));
        check("A=1 B=2", "A=1 B=3", "A=9 B=2", Ok("A=9 B=3"));
        check("A=1", "A=1 X=1", "B=1 A=1", Ok("B=1 A=1 X=1"));
        check("A=1 B=2", "B=2", "A=1 B=3", Ok("B=3"));
        check("A=1 B=2", "A=1 B=3", "B=2", Ok("B=3"));
        check("A=1", "", "", Ok(""));
        check("A=1", "A=2", "A=2", Ok("A=2"));
        check("", "N=1", "N=1", Ok("N=1"));
        check("A=1", "A=", "A=1", Ok("A="));
    }

    #[test]
    fn different_changes_of_one_variable_conflict() {
        check("A=1", "A=2", "A=3", Err(&["A"]));
        check("A=1", "", "A=3", Err(&["A"]));
        check("A=1", "A=2", "", Err(&["A"]));
        check("", "N=1", "N=2", Err(&["N"]));
        check("A=1 B=1", "A=2 B=2 C=2", "B=3 A=3 C=2", Err(&["B", "A"]));
    }

    fn environment() -> impl Strategy<Value = EnvText> {
        proptest::collection::btree_map("[A-F]", "[xyz]{0,1}", 0..6)
            .prop_map(|map| EnvText::from_trusted(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn one_sided_changes_are_taken_as_they_are(base in environment(), other in environment()) {
            prop_assert_eq!(merge(&base, &base, &other).unwrap(), other.clone());
            prop_assert_eq!(merge(&base, &other, &base).unwrap(), other.clone());
            prop_assert_eq!(merge(&base, &other, &other).unwrap(), other);
        }

        #[test]
        fn sides_are_equal(base in environment(), theirs in environment(), mine in environment()) {
            let sorted = |result: Result<EnvText, MergeConflict>| result.map_err(|conflict| {
                let mut keys = conflict.keys;
                keys.sort();
                keys
            });
            prop_assert_eq!(sorted(merge(&base, &theirs, &mine)), sorted(merge(&base, &mine, &theirs)));
        }

        #[test]
        fn disjoint_changes_all_survive(
            base in environment(),
            theirs in proptest::collection::btree_map("[A-C]", "[xyz]", 0..3),
            mine in proptest::collection::btree_map("[D-F]", "[xyz]", 0..3),
        ) {
            let with = |changes: &[&std::collections::BTreeMap<String, String>]| {
                let mut all: std::collections::BTreeMap<String, String> = base.entries().iter().cloned().collect();
                for change in changes {
                    all.extend((*change).clone());
                }
                EnvText::from_trusted(all.into_iter().collect())
            };
            let merged = merge(&base, &with(&[&theirs]), &with(&[&mine])).unwrap();
            prop_assert_eq!(merged, with(&[&theirs, &mine]));
        }
    }
}
