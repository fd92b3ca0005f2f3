//! When a certificate is got, renewed, asked about. Pure: the time and randomness are passed in.

use std::time::Duration;

use gateway_types::Timestamp;

/// The first pause after a failure. Five failures in the first hour: what public servers allow for a name.
const FIRST_PAUSE: Duration = Duration::from_secs(120);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// How often a server is asked for its suggestion, whatever it says itself (RFC 9773, section 4.3.2).
const ASK_INTERVAL: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// What is due for a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// The server is asked when to renew.
    Ask,
    /// A certificate is ordered.
    Order,
}

/// The present certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Present {
    /// The server that is asked now issued it.
    pub(super) of_this_server: bool,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// When the server suggested to renew it.
    pub(super) renew_at: Option<Timestamp>,
    /// When the server is asked next; `None` = it was not asked yet.
    pub(super) ask_again: Option<Timestamp>,
}

/// What is due. A failed attempt holds off the next one, and nothing else.
pub(super) fn due(present: Option<&Present>, next_try: Option<Timestamp>, now: Timestamp) -> Due {
    let wanted = match present {
        None => Due::Order,
        Some(present) if !present.of_this_server || renewal(present) <= now => Due::Order,
        Some(present) if present.ask_again.is_none_or(|ask| ask <= now) => Due::Ask,
        Some(_) => Due::Nothing,
    };
    let held_off = wanted == Due::Order && next_try.is_some_and(|next| now < next);
    if held_off { Due::Nothing } else { wanted }
}

/// When a certificate is renewed: when its server suggested it, but never in the last tenth of its life; else
/// at two thirds of it.
fn renewal(present: &Present) -> Timestamp {
    let at = |part: i64, of: i64| {
        let life = present.not_after.micros().saturating_sub(present.not_before.micros());
        Timestamp::from_micros(present.not_before.micros().saturating_add(life / of * part))
    };
    match present.renew_at {
        Some(suggested) => suggested.min(at(9, 10)),
        None => at(2, 3),
    }
}

/// The pause after this many failures in a row: twice as long each time, and up to a quarter more, so that
/// many gateways do not come back at the same moment.
pub(super) fn pause(failures: u32, random: u64) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
    let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    let quarter = u64::try_from(pause.as_micros() / 4).unwrap_or(u64::MAX).max(1);
    pause.saturating_add(Duration::from_micros(random % quarter))
}

/// A moment of a suggested window (RFC 9773, section 4.2), any with the same chance; its start when it ends
/// before it begins.
pub(super) fn within(start: Timestamp, end: Timestamp, random: u64) -> Timestamp {
    match end.checked_since(start) {
        None => start,
        Some(width) => {
            let micros = u64::try_from(width.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
            start.saturating_add(Duration::from_micros(random % micros))
        }
    }
}

/// When the server is asked again that said `after`.
pub(super) fn ask_again(now: Timestamp, after: Duration) -> Timestamp {
    now.saturating_add(after.clamp(ASK_INTERVAL.0, ASK_INTERVAL.1))
}

/// When a server without suggestions is asked again: it may learn.
pub(super) fn ask_later(now: Timestamp) -> Timestamp {
    now.saturating_add(ASK_INTERVAL.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(hours * 3_600_000_000)
    }

    fn present(renew_at: Option<i64>, ask_again: Option<i64>) -> Present {
        Present {
            of_this_server: true,
            not_before: at(0),
            not_after: at(90),
            renew_at: renew_at.map(at),
            ask_again: ask_again.map(at),
        }
    }

    #[test]
    fn what_is_due() {
        let check = |present: Option<Present>, next_try: Option<i64>, now: i64, expected: Due| {
            let found = due(present.as_ref(), next_try.map(at), at(now));
            assert_eq!(found, expected, "{present:?} {next_try:?} {now}");
        };
        check(None, None, 0, Due::Order);
        check(None, Some(1), 0, Due::Nothing);
        check(None, Some(1), 1, Due::Order);
        check(Some(present(None, None)), None, 1, Due::Ask);
        check(Some(present(None, Some(24))), None, 1, Due::Nothing);
        check(Some(present(None, Some(24))), None, 24, Due::Ask);
        // Two thirds.
        check(Some(present(None, Some(999))), None, 59, Due::Nothing);
        check(Some(present(None, Some(999))), None, 60, Due::Order);
        check(Some(present(None, Some(999))), Some(61), 60, Due::Nothing);
        check(Some(present(None, None)), None, 60, Due::Order);
        // The server's word, earlier and later, and never too late.
        check(Some(present(Some(2), Some(999))), None, 2, Due::Order);
        check(Some(present(Some(70), Some(999))), None, 69, Due::Nothing);
        check(Some(present(Some(999), Some(9999))), None, 80, Due::Nothing);
        check(Some(present(Some(999), Some(9999))), None, 81, Due::Order);
        // A failed renewal does not keep from asking.
        check(Some(present(None, None)), Some(50), 1, Due::Ask);
        let of_another = Present { of_this_server: false, ..present(Some(70), Some(999)) };
        check(Some(of_another), None, 1, Due::Order);
        // The clock moved back before the certificate began.
        check(Some(present(None, Some(999))), None, -5, Due::Nothing);
    }

    #[test]
    fn pauses_grow() {
        let minutes = |failures| pause(failures, 0).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5, 20, u32::MAX].map(minutes), [2, 4, 8, 16, 32, 360, 360]);
        assert!(pause(1, u64::MAX) < Duration::from_secs(151));
        assert_eq!(pause(0, 0), FIRST_PAUSE);
    }

    #[test]
    fn windows() {
        assert_eq!(within(at(1), at(1), 77), at(1));
        assert_eq!(within(at(2), at(1), 77), at(2));
        for random in [0, 1, 12_345_678_901_234_567, u64::MAX] {
            let moment = within(at(1), at(3), random);
            assert!(at(1) <= moment && moment <= at(3), "{random}");
        }
        assert_eq!(ask_again(at(0), Duration::ZERO), at(0).saturating_add(ASK_INTERVAL.0));
        assert_eq!(ask_again(at(0), Duration::MAX), at(24));
        assert_eq!(ask_again(at(0), Duration::from_secs(3600)), at(1));
    }
}
