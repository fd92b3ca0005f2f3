//! What people are told about, after it happened: the seam between the changes and the mail.
//!
//! It knows what is worth a message and the plain facts of it; who gets it, and how it travels, is the
//! business of whoever implements [`Notices`]. Nothing here may hold a secret: a notice is kept in the
//! database and mailed.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use gateway_types::{Role, RoleSet, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that happened and that people are told about. Addresses are canonical; `by` is the shown name of
/// whoever did it.
///
/// # Security
/// Names, reasons and devices are other people's text: whoever shows them cleans and escapes them. There is no
/// field for a secret and none for a link that carries one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A person may use the gateway from now on. To the person and to the admins.
    Invited {
        /// The person.
        email: String,
        /// What they may be.
        roles: RoleSet,
        /// Who invited them.
        by: String,
    },
    /// A person's roles are others now. To the person.
    RolesChanged {
        /// The person.
        email: String,
        /// The roles before.
        before: RoleSet,
        /// The roles now.
        after: RoleSet,
        /// Who changed them.
        by: String,
    },
    /// A person is locked out. To the person.
    Locked {
        /// The person.
        email: String,
        /// Why, when that was said.
        reason: Option<String>,
        /// Who locked them.
        by: String,
    },
    /// A person is no longer locked out. To the person.
    Unlocked {
        /// The person.
        email: String,
        /// Who unlocked them.
        by: String,
    },
    /// A person may no longer use the gateway. To the person and to the admins.
    Removed {
        /// The person.
        email: String,
        /// Who removed them.
        by: String,
    },
    /// A second factor was enrolled and confirmed. To the person.
    FactorEnrolled {
        /// The person.
        email: String,
        /// What the person calls the factor.
        factor: String,
    },
    /// A second factor was removed. To the person.
    FactorRemoved {
        /// The person.
        email: String,
        /// What the person called the factor.
        factor: String,
        /// Who removed it.
        by: String,
    },
    /// All second factors of a person were taken away by an admin. To the person.
    FactorsReset {
        /// The person.
        email: String,
        /// Who did it.
        by: String,
    },
    /// Too many second factors of a person were wrong, and no more are looked at for now. To the person.
    FactorsLocked {
        /// The person.
        email: String,
        /// Until when.
        until: Timestamp,
        /// From which address the last one came.
        ip: Option<IpAddr>,
    },
    /// The counter of a passkey went back: there may be a copy of it. To the person.
    PasskeyCopied {
        /// The person.
        email: String,
        /// What the person calls the passkey.
        factor: String,
        /// From which address it was used.
        ip: Option<IpAddr>,
    },
    /// New backup codes were made; those before are void. To the person.
    BackupCodesMade {
        /// The person.
        email: String,
    },
    /// Few backup codes are left; see [`BACKUP_CODES_LOW`]. To the person.
    BackupCodesLow {
        /// The person.
        email: String,
        /// How many.
        left: u32,
    },
    /// A person signed in with a device or from an address that is new for them. To the person.
    NewSignIn {
        /// The person.
        email: String,
        /// The device, as the client told it.
        device: String,
        /// The address, when it is known.
        ip: Option<IpAddr>,
        /// When.
        at: Timestamp,
    },
    /// An API token was made. To its owner, and to the admins when somebody else made it.
    TokenCreated {
        /// Its name.
        token: String,
        /// Its owner.
        owner: String,
        /// What it may be.
        roles: RoleSet,
        /// When it ends by itself; `None` = never.
        expires: Option<Timestamp>,
        /// Who made it.
        by: String,
        /// Whether [`by`](Notice::TokenCreated::by) is somebody else than the owner.
        for_somebody_else: bool,
    },
    /// An API token ends soon. To its owner.
    TokenEnding {
        /// Its name.
        token: String,
        /// Its owner.
        owner: String,
        /// When it ends.
        expires: Timestamp,
        /// When it was last used; `None` = never.
        last_used: Option<Timestamp>,
    },
    /// The codes for emergencies were used. To the person and to the admins.
    GlassBroken {
        /// Who said to be it.
        person: String,
        /// Why.
        reason: String,
        /// For what.
        scope: String,
        /// When it ends by itself.
        ends: Timestamp,
        /// From which address; `None` = on the server's own machine.
        ip: Option<IpAddr>,
    },
    /// What the codes for emergencies gave is over. To the person and to the admins.
    GlassEnded {
        /// Who said to be it.
        person: String,
        /// For what.
        scope: String,
        /// When it began.
        opened: Timestamp,
        /// When it ended.
        ended: Timestamp,
        /// Who ended it; `None` = it ended by itself.
        by: Option<String>,
    },
    /// Something was changed in the rack that nobody asked for through the gateway. To the admins.
    RackBypassed {
        /// What, a sentence each.
        changes: Vec<String>,
    },
    /// Something answers at a vantage point that nobody should be able to reach there. To the admins.
    Exposed {
        /// The vantage point; `gateway` = the gateway itself.
        vantage: String,
        /// What answers, a sentence each.
        targets: Vec<String>,
    },
    /// The reports of a vantage point stay away. To the admins.
    VantageSilent {
        /// The vantage point.
        vantage: String,
        /// When it last reported.
        last: Timestamp,
    },
    /// A person asks for a role for a while. To the person, and to the admins, who approve it.
    ElevationAsked {
        /// The person.
        email: String,
        /// The role.
        role: Role,
        /// On which app; `None` = on the rack and every app.
        app: Option<String>,
        /// For how long, as people write it.
        length: String,
        /// Why.
        reason: String,
    },
    /// An elevation was approved or rejected. To the person.
    ElevationDecided {
        /// The person.
        email: String,
        /// The role.
        role: Role,
        /// On which app; `None` = on the rack and every app.
        app: Option<String>,
        /// Whether it was approved.
        approved: bool,
        /// When it ends by itself.
        ends: Option<Timestamp>,
        /// Who decided.
        by: String,
    },
    /// A deploy waits for its approval. To whoever asks, when that is a person, and to the admins.
    ApprovalAsked {
        /// Who asks: a person's address, or the name of a token or machine.
        email: String,
        /// The app.
        app: String,
        /// The commit.
        commit: String,
        /// What it is about.
        message: Option<String>,
    },
    /// A deploy was approved or rejected. To the person who asked, or made the token that asked.
    ApprovalDecided {
        /// The person.
        email: String,
        /// The app.
        app: String,
        /// The commit.
        commit: String,
        /// Whether it was approved.
        approved: bool,
        /// Who decided.
        by: String,
    },
    /// Values of an app were shown in plaintext, or can be read so for a while. To the person and to the admins.
    ValuesRevealed {
        /// The person, or whose token it was; the name of a machine that is nobody's.
        email: String,
        /// Who sees them.
        by: String,
        /// Which app's.
        app: String,
        /// Names of the keys, or what can be read.
        what: String,
        /// For how long, as people write it; `None` = once.
        length: Option<String>,
        /// Why.
        reason: String,
    },
    /// Parameters of the rack were changed. To whoever changed them and to the admins.
    RackParametersChanged {
        /// The person's address; `None` = no person is behind it whom a mail reaches.
        email: Option<String>,
        /// Who changed them.
        by: String,
        /// The names of those that are others now. Their values are nobody's to mail.
        names: Vec<String>,
    },
}

/// From how many unused backup codes on, counting down, a person is told that they run out.
pub const BACKUP_CODES_LOW: u32 = 3;

impl Notice {
    /// The address of the person it is about; `None` = it is for the admins alone.
    pub fn about(&self) -> Option<&str> {
        match self {
            Notice::RackParametersChanged { email, .. } => email.as_deref(),
            Notice::RackBypassed { .. } | Notice::Exposed { .. } | Notice::VantageSilent { .. } => None,
            Notice::Invited { email, .. }
            | Notice::RolesChanged { email, .. }
            | Notice::Locked { email, .. }
            | Notice::Unlocked { email, .. }
            | Notice::Removed { email, .. }
            | Notice::FactorEnrolled { email, .. }
            | Notice::FactorRemoved { email, .. }
            | Notice::FactorsReset { email, .. }
            | Notice::FactorsLocked { email, .. }
            | Notice::PasskeyCopied { email, .. }
            | Notice::BackupCodesMade { email }
            | Notice::BackupCodesLow { email, .. }
            | Notice::NewSignIn { email, .. }
            | Notice::TokenCreated { owner: email, .. }
            | Notice::TokenEnding { owner: email, .. }
            | Notice::GlassBroken { person: email, .. }
            | Notice::GlassEnded { person: email, .. }
            | Notice::ElevationAsked { email, .. }
            | Notice::ElevationDecided { email, .. }
            | Notice::ApprovalAsked { email, .. }
            | Notice::ApprovalDecided { email, .. }
            | Notice::ValuesRevealed { email, .. } => Some(email),
        }
    }

    /// Whether the admins are told as well.
    pub const fn for_admins(&self) -> bool {
        match self {
            Notice::Invited { .. }
            | Notice::Removed { .. }
            | Notice::GlassBroken { .. }
            | Notice::GlassEnded { .. }
            | Notice::ElevationAsked { .. }
            | Notice::ApprovalAsked { .. }
            | Notice::ValuesRevealed { .. }
            | Notice::RackBypassed { .. }
            | Notice::Exposed { .. }
            | Notice::VantageSilent { .. }
            | Notice::RackParametersChanged { .. } => true,
            Notice::TokenCreated { for_somebody_else, .. } => *for_somebody_else,
            Notice::RolesChanged { .. }
            | Notice::Locked { .. }
            | Notice::Unlocked { .. }
            | Notice::FactorEnrolled { .. }
            | Notice::FactorRemoved { .. }
            | Notice::FactorsReset { .. }
            | Notice::FactorsLocked { .. }
            | Notice::PasskeyCopied { .. }
            | Notice::BackupCodesMade { .. }
            | Notice::BackupCodesLow { .. }
            | Notice::NewSignIn { .. }
            | Notice::TokenEnding { .. }
            | Notice::ElevationDecided { .. }
            | Notice::ApprovalDecided { .. } => false,
        }
    }
}

/// What [`Notices::notify`] returns.
pub type Notifying<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Whoever tells people what happened. Called after the change; it never fails it.
pub trait Notices: fmt::Debug + Send + Sync {
    /// Takes a notice over, durably where it can. What goes wrong is logged and not returned: the change
    /// was made.
    fn notify(&self, notice: Notice) -> Notifying<'_>;
}

/// Nobody is told anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNotices;

impl Notices for NoNotices {
    fn notify(&self, _notice: Notice) -> Notifying<'_> {
        Box::pin(std::future::ready(()))
    }
}
