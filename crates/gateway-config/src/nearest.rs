//! The known name most like an unknown one, for the hint in a fault.

/// The candidate that takes the fewest edits to reach from `name`, if they are few for its length.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let most = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance: insertions, deletions and replacements of one character.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, from_char) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = deleted + 1;
        next.push(left);
        for (to_char, pair) in to.iter().zip(row.windows(2)) {
            let (diagonal, above) = match pair {
                [diagonal, above] => (*diagonal, *above),
                _ => (left, left),
            };
            left = (diagonal + usize::from(from_char != *to_char)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn only_likely_names_are_offered() {
        let names = ["listener.port", "listener.tls", "rack.host"];
        assert_eq!(nearest("listener.prot", names), Some("listener.port".to_owned()));
        assert_eq!(nearest("rack.hots", names), Some("rack.host".to_owned()));
        assert_eq!(nearest("colour", names), None);
    }
}
