//! Durations as people write them: `90s`, `10m`, `1h30m`, `250ms`.

use std::time::Duration;

/// Reads numbers with units, largest first as one writes them; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let unit_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_length)?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// The shortest text that [`parse_duration`] reads back; whole milliseconds only.
pub fn format_duration(duration: Duration) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut millis = duration.as_millis();
    let mut text = String::new();
    for (unit, size) in units {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<u64>) {
        assert_eq!(parse_duration(text), seconds.map(Duration::from_secs), "{text:?}");
    }

    #[test]
    fn durations() {
        check("10m", Some(600));
        check("1h30m", Some(5400));
        check("0s", Some(0));
        check("2000ms", Some(2));
        check("", None);
        check("10", None);
        check("m", None);
        check("-1s", None);
        check("1d", None);
        check("1 m", None);
        check("99999999999999999999s", None);
        check("18446744073709551615h", None);
        assert_eq!(format_duration(Duration::from_millis(5_400_250)), "1h30m250ms");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }
}
