//! How one authority follows another: prepare, distribute, activate, taint, retire. A pure state machine over roots
//! and issuers alike; a rehearsal is a plan that is not carried out.
//!
//! - *prepared*: members are told of it, it issues nothing. It can be abandoned.
//! - *active*: it issues. There is exactly one.
//! - *outgoing*: it issued until now; what it issued holds. The step back makes it active again.
//! - *tainted*: what it issued still holds, and members renew at once.
//! - *retired*: it is not trusted any more.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use gateway_types::{Timestamp, ZoneMemberId};

use crate::der::KeyId;

/// Which authorities are rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The issuer, under the same root.
    Issuer,
    /// The root, and the issuer with it.
    Root,
}

/// Where an authority stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Told of, not used.
    Prepared,
    /// Issues.
    Active,
    /// Issued until now.
    Outgoing,
    /// Everything that it issued is being replaced.
    Tainted,
    /// Not trusted.
    Retired,
}

impl Phase {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Prepared => "prepared",
            Phase::Active => "active",
            Phase::Outgoing => "outgoing",
            Phase::Tainted => "tainted",
            Phase::Retired => "retired",
        }
    }
}

/// The text names no phase or step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the steps are prepare, activate, taint, retire, roll-back and abandon")]
pub struct NotAStep;

impl FromStr for Phase {
    type Err = NotAStep;

    fn from_str(text: &str) -> Result<Self, NotAStep> {
        let all = [Phase::Prepared, Phase::Active, Phase::Outgoing, Phase::Tainted, Phase::Retired];
        all.into_iter().find(|phase| phase.name() == text).ok_or(NotAStep)
    }
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Make the next one and tell members of it.
    Prepare,
    /// Issue with the next one.
    Activate,
    /// Have everything that the outgoing one issued replaced.
    Taint,
    /// Trust the tainted one no more.
    Retire,
    /// Issue with the outgoing one again.
    RollBack,
    /// Forget the prepared one.
    Abandon,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 6] =
        [Step::Prepare, Step::Activate, Step::Taint, Step::Retire, Step::RollBack, Step::Abandon];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Prepare => "prepare",
            Step::Activate => "activate",
            Step::Taint => "taint",
            Step::Retire => "retire",
            Step::RollBack => "roll-back",
            Step::Abandon => "abandon",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = NotAStep;

    fn from_str(text: &str) -> Result<Self, NotAStep> {
        Step::ALL.into_iter().find(|step| step.name() == text).ok_or(NotAStep)
    }
}

/// An authority, as far as rotation looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The name of its key.
    pub key: KeyId,
    /// Its root; `None` for a root.
    pub root: Option<KeyId>,
    /// Where it stands.
    pub phase: Phase,
    /// The sequence of the bundle that told of this phase.
    pub since: u64,
}

/// A member, as far as rotation looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberStanding {
    /// Which.
    pub member: ZoneMemberId,
    /// The newest bundle that it acknowledged.
    pub seen: u64,
    /// The key that issued its leaf.
    pub issuer: KeyId,
    /// Until when its leaf holds.
    pub not_after: Timestamp,
}

/// What a step would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// A new authority is made.
    pub makes: bool,
    /// Authorities that change their phase.
    pub moves: Vec<(KeyId, Phase)>,
}

/// Why a step cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RotationFault {
    /// There is a rotation under way.
    #[error("a rotation is under way: {key} is {}", phase.name())]
    UnderWay {
        /// Whose.
        key: KeyId,
        /// Where it stands.
        phase: Phase,
    },
    /// There is none to do this to.
    #[error("there is no {} authority", wanted.name())]
    None {
        /// In which phase it would have to be.
        wanted: Phase,
    },
    /// Members have not acknowledged the bundle.
    #[error("{} members have not acknowledged the bundle that tells of it: {}", .members.len(), listed(members))]
    NotAcknowledged {
        /// Which.
        members: Vec<ZoneMemberId>,
    },
    /// Members still show leaves of it.
    #[error("{} members still show leaves of it: {}", .members.len(), listed(members))]
    InUse {
        /// Which.
        members: Vec<ZoneMemberId>,
    },
}

/// The first few.
fn listed(members: &[ZoneMemberId]) -> String {
    let mut text: Vec<String> = members.iter().take(5).map(ToString::to_string).collect();
    if members.len() > text.len() {
        text.push("…".to_owned());
    }
    text.join(", ")
}

/// What a step would do now. Members whose leaf is over do not count: they have to enrol again in any case.
///
/// # Errors
/// [`RotationFault`].
pub fn plan(
    kind: Kind,
    step: Step,
    authorities: &[Standing],
    members: &[MemberStanding],
    now: Timestamp,
) -> Result<Plan, RotationFault> {
    let active_root = authorities.iter().find(|one| one.root.is_none() && one.phase == Phase::Active);
    let of_kind = |standing: &&Standing| match kind {
        // Only those of the active root: those of another move with it.
        Kind::Issuer => standing.root.is_some() && standing.root == active_root.map(|root| root.key.clone()),
        Kind::Root => standing.root.is_none(),
    };
    let all: Vec<&Standing> = authorities.iter().filter(of_kind).collect();
    let the = |wanted: Phase| {
        all.iter().find(|one| one.phase == wanted).copied().ok_or(RotationFault::None { wanted })
    };
    let live: Vec<&MemberStanding> = members.iter().filter(|member| member.not_after >= now).collect();
    let moves = match step {
        Step::Prepare => {
            // Of either kind: two rotations at once would make it unclear what a member acknowledged.
            let under_way = authorities
                .iter()
                .find(|one| matches!(one.phase, Phase::Prepared | Phase::Outgoing | Phase::Tainted));
            if let Some(one) = under_way {
                return Err(RotationFault::UnderWay { key: one.key.clone(), phase: one.phase });
            }
            the(Phase::Active)?;
            return Ok(Plan { makes: true, moves: Vec::new() });
        }
        Step::Activate => {
            let (next, now_active) = (the(Phase::Prepared)?, the(Phase::Active)?);
            acknowledged(&live, next.since)?;
            vec![(next, Phase::Active), (now_active, Phase::Outgoing)]
        }
        Step::RollBack => {
            let (before, now_active) = (the(Phase::Outgoing)?, the(Phase::Active)?);
            vec![(before, Phase::Active), (now_active, Phase::Prepared)]
        }
        Step::Taint => vec![(the(Phase::Outgoing)?, Phase::Tainted)],
        Step::Abandon => {
            // It may have issued before a step back.
            let next = the(Phase::Prepared)?;
            unused(&live, authorities, next)?;
            vec![(next, Phase::Retired)]
        }
        Step::Retire => {
            let old = the(Phase::Tainted)?;
            acknowledged(&live, old.since)?;
            unused(&live, authorities, old)?;
            vec![(old, Phase::Retired)]
        }
    };
    let moves = moves
        .into_iter()
        .flat_map(|(standing, to)| {
            let from = standing.phase;
            // A root takes along the issuers that stand where it stands.
            below(authorities, standing)
                .filter(move |key| authorities.iter().any(|one| &one.key == *key && one.phase == from))
                .map(move |key| (key.clone(), to))
        })
        .collect();
    Ok(Plan { makes: false, moves })
}

fn below<'a>(authorities: &'a [Standing], one: &'a Standing) -> impl Iterator<Item = &'a KeyId> {
    let issuers = authorities.iter().filter(|other| other.root.as_ref() == Some(&one.key));
    std::iter::once(&one.key).chain(issuers.map(|other| &other.key))
}

fn unused(live: &[&MemberStanding], all: &[Standing], one: &Standing) -> Result<(), RotationFault> {
    let its: BTreeSet<&KeyId> = below(all, one).collect();
    let in_use: Vec<ZoneMemberId> =
        live.iter().filter(|member| its.contains(&member.issuer)).map(|member| member.member).collect();
    if in_use.is_empty() { Ok(()) } else { Err(RotationFault::InUse { members: in_use }) }
}

fn acknowledged(live: &[&MemberStanding], since: u64) -> Result<(), RotationFault> {
    let behind: Vec<ZoneMemberId> =
        live.iter().filter(|member| member.seen < since).map(|member| member.member).collect();
    if behind.is_empty() { Ok(()) } else { Err(RotationFault::NotAcknowledged { members: behind }) }
}
