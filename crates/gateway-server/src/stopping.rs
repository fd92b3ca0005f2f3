//! Ways to stop, and how long each has patience. It must not know how a gateway stops.

use std::time::Duration;

/// How long a gateway whose successor waits for the database's lock still takes requests on connections that are open.
const SHORT_NOTICE: Duration = Duration::from_secs(1);

/// Why a gateway stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Somebody at its keyboard, or a test, ends it: nobody has to be told first.
    AtOnce,
    /// A supervisor ends it, and kills it when it takes too long.
    BySupervisor,
    /// `rack-gateway drain`: nobody waits with a kill.
    Drained,
    /// Another process has its listeners.
    HandedOver {
        /// The other cannot begin before this one let go of the database (SQLite).
        is_waited_for: bool,
    },
}

/// The times of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StopTimes {
    /// `limits.drain_notice`.
    pub(crate) notice: Duration,
    /// `limits.drain_timeout`.
    pub(crate) requests: Duration,
    /// `limits.hand_over_timeout`.
    pub(crate) hand_over: Duration,
}

/// How long a gateway that stops has patience with what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    /// Replies ask clients to connect anew, and everything still works.
    pub(crate) notice: Duration,
    /// Requests in hand.
    pub(crate) requests: Duration,
    /// Open sockets and tunnels.
    pub(crate) sockets: Duration,
}

impl Stop {
    /// How long it has patience with what.
    pub(crate) fn patience(self, times: &StopTimes) -> Patience {
        let StopTimes { notice, requests, hand_over } = *times;
        match self {
            Stop::AtOnce => Patience { notice: Duration::ZERO, requests, sockets: requests },
            Stop::BySupervisor => Patience { notice, requests, sockets: requests },
            Stop::Drained | Stop::HandedOver { is_waited_for: false } => {
                Patience { notice, requests, sockets: hand_over }
            }
            // Every client waits in the listener's queue meanwhile.
            Stop::HandedOver { is_waited_for: true } => {
                Patience { notice: notice.min(SHORT_NOTICE), requests, sockets: Duration::ZERO }
            }
        }
    }

    /// Whether what comes in is another process's from now on.
    pub(crate) const fn is_replaced(self) -> bool {
        matches!(self, Stop::HandedOver { .. })
    }

    /// For the log: why.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Stop::AtOnce | Stop::BySupervisor => "the gateway was told to stop",
            Stop::Drained => "the gateway was told to drain",
            Stop::HandedOver { .. } => "another process takes over",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn check(stop: Stop, notice: u64, requests: u64, sockets: u64) {
        let times = StopTimes { notice: seconds(5), requests: seconds(30), hand_over: seconds(600) };
        let patience =
            Patience { notice: seconds(notice), requests: seconds(requests), sockets: seconds(sockets) };
        assert_eq!(stop.patience(&times), patience, "{stop:?}");
    }

    #[test]
    fn patience_by_reason() {
        check(Stop::AtOnce, 0, 30, 30);
        check(Stop::BySupervisor, 5, 30, 30);
        check(Stop::Drained, 5, 30, 600);
        check(Stop::HandedOver { is_waited_for: false }, 5, 30, 600);
        check(Stop::HandedOver { is_waited_for: true }, 1, 30, 0);
    }
}
