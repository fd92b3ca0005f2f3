//! Where an approval stands, and what may become of it. The database holds the same table as triggers.

use std::fmt;
use std::str::FromStr;

/// Where an approval stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It waits for signatures.
    Pending,
    /// Enough people signed; nothing was done with it yet.
    Approved,
    /// Something was done with it.
    Deploying,
    /// Its release was promoted. Over.
    Deployed,
    /// Somebody said no. Over.
    Rejected,
    /// Its time is over.
    Expired,
    /// Whoever asked took it back. Over.
    Withdrawn,
}

/// What happens to an approval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// The last signature that it takes.
    Approve,
    /// The first step of the deploy.
    Begin,
    /// The promote was done.
    Finish,
    /// An approver says no, also afterwards.
    Reject,
    /// Time passed.
    Expire,
    /// Whoever asked takes it back.
    Withdraw,
}

/// Something that cannot become of an approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an approval that is {from} cannot be {wanted}")]
pub struct IllegalMove {
    /// Where it stands.
    pub from: State,
    /// What was wanted, as a participle.
    pub wanted: &'static str,
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] = [
        State::Pending,
        State::Approved,
        State::Deploying,
        State::Deployed,
        State::Rejected,
        State::Expired,
        State::Withdrawn,
    ];

    /// The name in the database, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Deploying => "deploying",
            State::Deployed => "deployed",
            State::Rejected => "rejected",
            State::Expired => "expired",
            State::Withdrawn => "withdrawn",
        }
    }

    /// Whether anything can still become of it.
    pub const fn is_open(self) -> bool {
        match self {
            State::Pending | State::Approved | State::Deploying => true,
            State::Deployed | State::Rejected | State::Expired | State::Withdrawn => false,
        }
    }

    /// What it is after `happening`.
    ///
    /// # Errors
    /// [`IllegalMove`]: nothing becomes of what is over, nothing is begun before it is approved, and nothing is
    /// approved twice.
    pub const fn after(self, happening: Move) -> Result<State, IllegalMove> {
        match (self, happening) {
            (State::Pending, Move::Approve) => Ok(State::Approved),
            (State::Approved, Move::Begin) => Ok(State::Deploying),
            (State::Deploying, Move::Finish) => Ok(State::Deployed),
            (State::Pending | State::Approved | State::Deploying, Move::Reject) => Ok(State::Rejected),
            (State::Pending | State::Approved | State::Deploying, Move::Expire) => Ok(State::Expired),
            (State::Pending | State::Approved | State::Deploying, Move::Withdraw) => Ok(State::Withdrawn),
            (
                State::Pending
                | State::Approved
                | State::Deploying
                | State::Deployed
                | State::Rejected
                | State::Expired
                | State::Withdrawn,
                Move::Approve | Move::Begin | Move::Finish | Move::Reject | Move::Expire | Move::Withdraw,
            ) => Err(IllegalMove { from: self, wanted: happening.participle() }),
        }
    }
}

impl Move {
    /// All of them.
    pub const ALL: [Move; 6] =
        [Move::Approve, Move::Begin, Move::Finish, Move::Reject, Move::Expire, Move::Withdraw];

    const fn participle(self) -> &'static str {
        match self {
            Move::Approve => "approved",
            Move::Begin => "used",
            Move::Finish => "deployed",
            Move::Reject => "rejected",
            Move::Expire => "expired",
            Move::Withdraw => "withdrawn",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an approval is pending, approved, deploying, deployed, rejected, expired or withdrawn")]
pub struct NotAState;

impl FromStr for State {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        State::ALL.into_iter().find(|state| state.name() == text).ok_or(NotAState)
    }
}

#[cfg(test)]
mod tests {
    use super::{Move, State};

    #[test]
    fn every_move_from_every_state() {
        use Move::{Approve, Begin, Expire, Finish, Reject, Withdraw};
        use State::{Approved, Deployed, Deploying, Expired, Pending, Rejected, Withdrawn};
        let legal = [
            (Pending, Approve, Approved),
            (Pending, Reject, Rejected),
            (Pending, Expire, Expired),
            (Pending, Withdraw, Withdrawn),
            (Approved, Begin, Deploying),
            (Approved, Reject, Rejected),
            (Approved, Expire, Expired),
            (Approved, Withdraw, Withdrawn),
            (Deploying, Finish, Deployed),
            (Deploying, Reject, Rejected),
            (Deploying, Expire, Expired),
            (Deploying, Withdraw, Withdrawn),
        ];
        for from in State::ALL {
            for happening in Move::ALL {
                let expected = legal.iter().find(|(f, h, _)| (*f, *h) == (from, happening));
                let found = from.after(happening).ok();
                assert_eq!(found, expected.map(|(_, _, to)| *to), "{from} {happening:?}");
                if !from.is_open() {
                    assert_eq!(found, None, "{from} is over");
                }
            }
        }
    }

    #[test]
    fn a_state_is_read_as_it_is_written() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert!("".parse::<State>().is_err() && "Approved".parse::<State>().is_err());
    }

    #[test]
    fn a_refusal_says_what_was_wanted() {
        let fault = State::Expired.after(Move::Approve).unwrap_err();
        assert_eq!(fault.to_string(), "an approval that is expired cannot be approved");
    }
}
