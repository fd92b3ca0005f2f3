//! Durations as Go writes them (`1h30m`, `5s`, `1.5h`), with Go's own error texts: the rack passes them on.

use std::time::Duration;

/// Why a text is no Go duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DurationError {
    /// No number where one must be.
    #[error("time: invalid duration \"{0}\"")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration \"{0}\"")]
    MissingUnit(String),
    /// A unit that is none.
    #[error("time: unknown unit \"{unit}\" in duration \"{text}\"")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a Go duration. Negative ones count as zero: nothing here looks into the future.
///
/// # Errors
/// As Go's `time.ParseDuration` (source: the Go standard library's documentation).
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let letters = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let seconds = match unit {
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
        };
        total += number * seconds;
        rest = next;
    }
    let positive = if text.starts_with('-') { 0.0 } else { total };
    Duration::try_from_secs_f64(positive).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_and_others_refused_in_go_s_words() {
        let good =
            [("5m0s", 300_000), ("1h0m0s", 3_600_000), ("1.5s", 1500), ("300ms", 300), ("0", 0), ("-3s", 0)];
        for (text, millis) in good {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let bad = [
            ("zzz", "time: invalid duration \"zzz\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
        ];
        for (text, words) in bad {
            assert_eq!(parse(text).unwrap_err().to_string(), words);
        }
    }
}
