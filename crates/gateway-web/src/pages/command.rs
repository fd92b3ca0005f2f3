//! Commands that pages show for copying.

/// `text` as one word of a POSIX shell: as it is when plain, else in single quotes.
///
/// # Security
/// The text may be somebody else's: what a person copies from a page must not run more than it shows.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%_+=:,./-".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        for (text, expected) in [
            ("anna@example.com", "anna@example.com"),
            ("", "''"),
            ("a b", "'a b'"),
            ("x'; rm -rf ~ #", r"'x'\''; rm -rf ~ #'"),
            ("convox:build:*", "'convox:build:*'"),
            ("-x", "'-x'"),
            ("$(id)", "'$(id)'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
