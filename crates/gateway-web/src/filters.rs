//! Filters of the templates, beside those of askama. A module with a template says `use crate::filters;`.

#![expect(unreachable_pub, reason = "what the attribute of filters writes is public, whatever the filter is")]

use std::fmt::{Display, Write as _};
use std::time::Duration;

use askama::filters::Safe;
use askama::{Result, Values};
use gateway_audit::text::is_hazard;
use gateway_types::Timestamp;

/// A moment: the minute in UTC for everybody, the microsecond in `datetime` for the script.
#[askama::filter_fn]
pub(crate) fn moment(at: &Timestamp, _: &dyn Values) -> Result<Safe<String>> {
    let exact = at.to_rfc3339();
    Ok(Safe(match (exact.get(..10), exact.get(11..16)) {
        (Some(day), Some(minute)) => {
            format!(r#"<time datetime="{exact}" title="{exact}">{day} {minute}&nbsp;UTC</time>"#)
        }
        // Only a number is printed so: a moment outside the calendar.
        _ => exact,
    }))
}

/// A span of time in words: `45 s`, `10 min`, `1 h 30 min`, `3 days`.
#[askama::filter_fn]
pub(crate) fn span(length: &Duration, _: &dyn Values) -> Result<String> {
    Ok(in_words(*length))
}

/// [`span`] for Rust.
pub(crate) fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".to_owned(),
        (1, hours, _) => format!("1 day {hours} h"),
        (days, _, _) => format!("{days} days"),
    }
}

/// A regular expression that matches exactly this text: for `pattern` of a field in which a name must be
/// typed. Understood with the flag `u` and with `v`.
#[askama::filter_fn]
pub(crate) fn pattern(text: impl Display, _: &dyn Values) -> Result<Safe<String>> {
    let mut pattern = String::new();
    for c in text.to_string().chars() {
        if c.is_ascii_alphanumeric() {
            pattern.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(pattern, "\\u{{{:x}}}", u32::from(c));
        }
    }
    Ok(Safe(pattern))
}

/// A name from outside as one segment of an address. A name that is not spelled plainly is none: what browsers make of
/// `..`, in whatever spelling, would be another address than the page means, also of a form. Such an address is not found.
#[askama::filter_fn]
pub(crate) fn segment(name: impl Display, _: &dyn Values) -> Result<String> {
    Ok(in_path(&name.to_string()).to_owned())
}

/// [`segment`] for Rust.
pub(crate) fn in_path(name: &str) -> &str {
    if gateway_policy::is_plain_segment(name) { name } else { "~" }
}

/// The value of a hidden field that must come back as it is: escaped, and what pages otherwise make
/// visible kept as character references.
#[askama::filter_fn]
pub(crate) fn kept(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
    let mut kept = String::new();
    for c in value.to_string().chars() {
        if is_hazard(c) || matches!(c, '&' | '<' | '>' | '"' | '\'') {
            let _ = write!(kept, "&#{};", u32::from(c));
        } else {
            kept.push(c);
        }
    }
    Ok(Safe(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_words() {
        let check = |seconds, words: &str| assert_eq!(in_words(Duration::from_secs(seconds)), words);
        check(0, "0 s");
        check(59, "59 s");
        check(600, "10 min");
        check(3600, "1 h");
        check(5400, "1 h 30 min");
        check(86_400, "1 day");
        check(90_000, "1 day 1 h");
        check(86_400 * 30, "30 days");
    }
}
