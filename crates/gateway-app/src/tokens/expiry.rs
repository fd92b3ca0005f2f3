//! When a token ends, and how long a rotated secret is good too, as people write it.

use std::str::FromStr;
use std::time::Duration;

use gateway_types::Timestamp;

use crate::error::PeopleError;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The life of a token of which nobody says when it ends.
pub const USUAL_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The longest life of a token that ends: a leap year.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long the secret before a rotation is good too, unless somebody says.
pub const USUAL_OVERLAP: Duration = Duration::from_secs(3600);

/// The longest overlap.
pub const LONGEST_OVERLAP: Duration = DAY;

/// `90d`, or a duration of the configuration (`12h`).
pub(crate) fn days_or_duration(text: &str) -> Option<Duration> {
    let days = text.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit()));
    match days {
        Some(days) => days.parse::<u32>().ok().and_then(|days| DAY.checked_mul(days)),
        None => gateway_config::duration::parse_duration(text),
    }
}

/// When a token ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expiry {
    /// After [`USUAL_LIFE`].
    #[default]
    Usual,
    /// So long after it is made.
    After(Duration),
    /// At this moment.
    At(Timestamp),
    /// Not at all.
    Never,
}

impl FromStr for Expiry {
    type Err = PeopleError;

    /// `90d`, a duration of the configuration (`12h`), RFC 3339, or `never`.
    fn from_str(text: &str) -> Result<Self, PeopleError> {
        if text == "never" {
            return Ok(Expiry::Never);
        }
        let duration = days_or_duration(text);
        let moment = || Timestamp::parse_rfc3339(text).map(Expiry::At);
        duration.map(Expiry::After).or_else(moment).ok_or(PeopleError::BadExpiry)
    }
}

impl Expiry {
    /// The moment, for a token that is made or changed `now`; `None` = never.
    ///
    /// # Errors
    /// [`PeopleError::BadExpiry`] when it is not after `now` or more than [`LONGEST_LIFE`] away.
    pub fn end(self, now: Timestamp) -> Result<Option<Timestamp>, PeopleError> {
        let latest = now.saturating_add(LONGEST_LIFE);
        let end = match self {
            Expiry::Never => return Ok(None),
            Expiry::Usual => now.saturating_add(USUAL_LIFE),
            Expiry::After(life) => now.saturating_add(life),
            Expiry::At(moment) => moment,
        };
        if end > now && end <= latest { Ok(Some(end)) } else { Err(PeopleError::BadExpiry) }
    }
}

/// Reads an overlap: `0s` to `24h`.
///
/// # Errors
/// [`PeopleError::BadOverlap`].
pub fn overlap(text: &str) -> Result<Duration, PeopleError> {
    let overlap = gateway_config::duration::parse_duration(text).ok_or(PeopleError::BadOverlap)?;
    if overlap <= LONGEST_OVERLAP { Ok(overlap) } else { Err(PeopleError::BadOverlap) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Option<u64>>) {
        let now = Timestamp::from_micros(1_795_306_558_000_000);
        let end = text.parse::<Expiry>().and_then(|expiry| expiry.end(now));
        let seconds = end.ok().map(|end| end.map(|end| end.checked_since(now).unwrap().as_secs()));
        assert_eq!(seconds, expected, "{text:?}");
    }

    #[test]
    fn ends_are_read_and_bounded() {
        check("90d", Some(Some(90 * 86_400)));
        check("12h", Some(Some(43_200)));
        check("366d", Some(Some(366 * 86_400)));
        check("never", Some(None));
        check(&Timestamp::from_micros(1_795_306_559_000_000).to_rfc3339(), Some(Some(1)));
        for bad in ["", "d", "0d", "0s", "367d", "-1d", "+1d", "90", "forever", "99999999999d", "2020-01-01"]
        {
            check(bad, None);
        }
        check(&Timestamp::from_micros(1_795_306_558_000_000).to_rfc3339(), None);
        check("2020-01-01T00:00:00Z", None);
        check("2999-01-01T00:00:00Z", None);
    }

    #[test]
    fn overlaps_are_bounded() {
        assert_eq!(overlap("0s").unwrap(), Duration::ZERO);
        assert_eq!(overlap("24h").unwrap(), LONGEST_OVERLAP);
        for bad in ["", "0", "25h", "24h1s", "-1h", "1d"] {
            assert!(overlap(bad).is_err(), "{bad}");
        }
    }
}
