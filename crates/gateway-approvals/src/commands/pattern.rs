//! Regular expressions that an operator wrote, for commands and for images.

use regex::{Regex, RegexBuilder};

/// Memory of one compiled expression; a larger one is refused when its rule is read.
const MOST_COMPILED_BYTES: usize = 1024 * 1024;

/// How deep groups may be nested.
const MOST_NESTING: u32 = 50;

/// The expression for the whole text and no part of it.
///
/// # Security
///
/// It must also stand alone: `a)|(b` would else close the group around it and escape from the anchors. The regex crate
/// needs time linear in the text, so a hostile text costs no more than its length.
///
/// # Errors
///
/// If it is no expression, or compiles to more than 1 MiB.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    bounded(pattern)?;
    bounded(&format!(r"\A(?:{pattern})\z"))
}

fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(MOST_COMPILED_BYTES)
        .dfa_size_limit(MOST_COMPILED_BYTES)
        .nest_limit(MOST_NESTING)
        .build()
}
