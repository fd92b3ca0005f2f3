//! The words of each notice.

use std::net::IpAddr;

use gateway_app::Notice;
use gateway_types::{RoleSet, Timestamp};

use super::{clean, moment};
use crate::job::Audience;

/// What to do when somebody reads of their own account what they did not do.
const NOT_YOU: &str = "If this was not you, sign in, end your sessions, and tell an admin at once.";
/// The same, for what an admin did.
const UNEXPECTED: &str = "If you did not expect this, ask an admin.";
/// For admins.
const CHECK: &str = "If nobody should have done this, look at the audit log.";

const AUDIT: &str = "/app/audit";
const ACCOUNT: &str = "/app/account";
const APPROVALS: &str = "/app/approvals";
const ELEVATIONS: &str = "/app/elevations";
const REVEALS: &str = "/app/reveals";
const ZONE: &str = "/app/zone";
const FACTORS: &str = "/app/account/factors";
const HOME: &str = "/app";
const TOKENS: &str = "/app/tokens";
const BREAK_GLASS: &str = "/app/break-glass";
const USERS: &str = "/app/users";

/// The words of one letter. `subject` and the facts may hold other people's text; `intro` holds `{rack}`.
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) intro: &'static str,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) advice: &'static str,
    pub(super) page: Option<&'static str>,
}

pub(super) fn of(notice: &Notice, audience: Audience) -> Words {
    match notice {
        Notice::Invited { email, roles, by } => invited(audience, email, *roles, by),
        Notice::RolesChanged { before, after, by, email: _ } => Words {
            subject: "your roles were changed".to_owned(),
            intro: "What you may do at Rack Gateway of the rack {rack} was changed.",
            facts: vec![("Before", names(*before)), ("Now", names(*after)), ("Changed by", by.clone())],
            advice: UNEXPECTED,
            page: Some(ACCOUNT),
        },
        Notice::Locked { reason, by, email: _ } => locked(reason.as_deref(), by),
        Notice::Unlocked { by, email: _ } => Words {
            subject: "your access is unlocked".to_owned(),
            intro: "You may use Rack Gateway of the rack {rack} again. Sign in anew.",
            facts: vec![("Unlocked by", by.clone())],
            advice: UNEXPECTED,
            page: Some(HOME),
        },
        Notice::Removed { email, by } => removed(audience, email, by),
        Notice::FactorEnrolled { factor, email: _ } => Words {
            subject: "a second factor was added to your account".to_owned(),
            intro: "Your account at Rack Gateway of the rack {rack} has a new second factor.",
            facts: vec![("Second factor", factor.clone())],
            advice: NOT_YOU,
            page: Some(FACTORS),
        },
        Notice::FactorRemoved { factor, by, email: _ } => Words {
            subject: "a second factor was removed from your account".to_owned(),
            intro: "Your account at Rack Gateway of the rack {rack} has one second factor less.",
            facts: vec![("Second factor", factor.clone()), ("Removed by", by.clone())],
            advice: NOT_YOU,
            page: Some(FACTORS),
        },
        Notice::FactorsReset { by, email: _ } => Words {
            subject: "your second factors were reset".to_owned(),
            intro: "All second factors of your account at Rack Gateway of the rack {rack} were taken away. Enrol a new one when you next sign in.",
            facts: vec![("Reset by", by.clone())],
            advice: UNEXPECTED,
            page: Some(FACTORS),
        },
        Notice::FactorsLocked { until, ip, email: _ } => Words {
            subject: "too many of your second factors were wrong".to_owned(),
            intro: "Too many codes were tried and wrong for your account at Rack Gateway of the rack {rack}. For now no more are looked at, except in sessions where you confirmed with one before.",
            facts: vec![
                ("Until", moment(*until)),
                ("Address", ip.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())),
            ],
            advice: NOT_YOU,
            page: Some(FACTORS),
        },
        Notice::PasskeyCopied { factor, ip, email: _ } => Words {
            subject: "there may be a copy of a passkey of yours".to_owned(),
            intro: "The counter of a passkey of your account at Rack Gateway of the rack {rack} went back, so there may be a copy of it. It was not accepted. Remove the passkey and enrol another.",
            facts: vec![
                ("Passkey", factor.clone()),
                ("Address", ip.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())),
            ],
            advice: NOT_YOU,
            page: Some(FACTORS),
        },
        Notice::BackupCodesMade { email: _ } => Words {
            subject: "new backup codes were made".to_owned(),
            intro: "Your account at Rack Gateway of the rack {rack} has new backup codes. Those from before are void.",
            facts: Vec::new(),
            advice: NOT_YOU,
            page: Some(FACTORS),
        },
        Notice::BackupCodesLow { left, email: _ } => backup_codes_low(*left),
        Notice::NewSignIn { device, ip, at, email: _ } => new_sign_in(device, *ip, *at),
        Notice::TokenCreated { token, owner, roles, expires, by, for_somebody_else } => {
            let facts = vec![
                ("Token", token.clone()),
                ("Roles", names(*roles)),
                ("Ends", expires.map_or_else(|| "never".to_owned(), moment)),
                ("Made by", by.clone()),
            ];
            token_created(audience, owner, facts, *for_somebody_else)
        }
        Notice::TokenEnding { token, expires, last_used, owner: _ } => Words {
            subject: format!("your API token {} ends soon", clean(token)),
            intro: "An API token of yours ends soon, and what uses it will then be refused by Rack Gateway of the rack {rack}. Make a new one in time, or a trust rule in place of it.",
            facts: vec![
                ("Token", token.clone()),
                ("Ends", moment(*expires)),
                ("Last used", last_used.map_or_else(|| "never".to_owned(), moment)),
            ],
            advice: "If nothing needs it any more, revoke it.",
            page: Some(TOKENS),
        },
        Notice::GlassBroken { person, reason, scope, ends, ip } => Words {
            subject: format!("break-glass codes were used for {}", clean(scope)),
            intro: "Somebody used the offline codes for emergencies of Rack Gateway of the rack {rack}.",
            facts: vec![
                ("Person", person.clone()),
                ("Reason", reason.clone()),
                ("Scope", scope.clone()),
                ("Ends", moment(*ends)),
                ("Address", ip.map_or_else(|| "the server's own machine".to_owned(), |ip| ip.to_string())),
            ],
            advice: "If nobody should have done this, end it at once and make new codes.",
            page: Some(BREAK_GLASS),
        },
        Notice::RackBypassed { changes } => Words {
            subject: "somebody went around the gateway".to_owned(),
            intro: "The rack {rack} has changes that nobody asked for through Rack Gateway: somebody used the rack's own password, or somebody at the provider's console did it.",
            facts: vec![("Changes", changes.join("; "))],
            advice: "If you do not know who this was, change the rack's password and look at who can reach the rack.",
            page: Some(AUDIT),
        },
        Notice::Exposed { vantage, targets } => Words {
            subject: "something answers past the gateway".to_owned(),
            intro: "Something that only the gateway should reach takes connections from elsewhere, as the vantage points of Rack Gateway of the rack {rack} find.",
            facts: vec![("Seen from", vantage.clone()), ("What", targets.join("; "))],
            advice: "Close it: let the firewall, the load balancer or the service itself admit the gateway only. Then look at who used it meanwhile.",
            page: Some(ZONE),
        },
        Notice::VantageSilent { vantage, last } => Words {
            subject: format!("the vantage point {} is silent", clean(vantage)),
            intro: "A probe agent of Rack Gateway of the rack {rack} has not reported for three of its intervals. What is reachable there is not known meanwhile.",
            facts: vec![("Vantage point", vantage.clone()), ("Last report", moment(*last))],
            advice: "Look at the machine that it runs on. If it is not used any more, remove it.",
            page: Some(ZONE),
        },
        Notice::GlassEnded { person, scope, opened, ended, by } => Words {
            subject: format!("break-glass for {} is over", clean(scope)),
            intro: "What the offline codes for emergencies gave at Rack Gateway of the rack {rack} is over. An admin has to look at what was done and close the review.",
            facts: vec![
                ("Person", person.clone()),
                ("Scope", scope.clone()),
                ("Began", moment(*opened)),
                ("Ended", moment(*ended)),
                ("Ended by", by.clone().unwrap_or_else(|| "itself".to_owned())),
            ],
            advice: CHECK,
            page: Some(BREAK_GLASS),
        },
        Notice::ElevationAsked { email, role, app, length, reason } => {
            let facts = vec![
                ("Person", email.clone()),
                ("Role", role.to_string()),
                ("On", place(app.as_deref())),
                ("For", length.clone()),
                ("Reason", reason.clone()),
            ];
            elevation_asked(audience, email, facts)
        }
        Notice::ElevationDecided { role, app, approved, ends, by, email: _ } => {
            let mut facts = vec![("Role", role.to_string()), ("On", place(app.as_deref()))];
            facts.extend(ends.map(|ends| ("Ends", moment(ends))));
            facts.push((if *approved { "Approved by" } else { "Rejected by" }, by.clone()));
            elevation_decided(*approved, facts)
        }
        Notice::ApprovalAsked { email, app, commit, message } => {
            let mut facts =
                vec![("Asked by", email.clone()), ("App", app.clone()), ("Commit", commit.clone())];
            facts.extend(message.clone().map(|message| ("Message", message)));
            approval_asked(audience, email, app, facts)
        }
        Notice::ApprovalDecided { app, commit, approved, by, email: _ } => {
            let facts = vec![
                ("App", app.clone()),
                ("Commit", commit.clone()),
                (if *approved { "Approved by" } else { "Rejected by" }, by.clone()),
            ];
            approval_decided(*approved, app, facts)
        }
        Notice::ValuesRevealed { by, app, what, length, reason, email: _ } => {
            let mut facts = vec![("By", by.clone()), ("App", app.clone()), ("Values", what.clone())];
            facts.extend(length.clone().map(|length| ("For", length)));
            facts.push(("Reason", reason.clone()));
            values_revealed(audience, app, facts)
        }
        Notice::RackParametersChanged { by, names, email: _ } => {
            parameters_changed(audience, vec![("Parameters", names.join(", ")), ("Changed by", by.clone())])
        }
    }
}

fn values_revealed(audience: Audience, app: &str, facts: Vec<(&'static str, String)>) -> Words {
    Words {
        subject: format!("values of {} were revealed", clean(app)),
        intro: "Somebody sees values of an app of the rack {rack} in plaintext. Which ones, and why, is in the audit log.",
        facts,
        advice: match audience {
            Audience::Person => NOT_YOU,
            Audience::Admin => CHECK,
        },
        page: Some(REVEALS),
    }
}

fn parameters_changed(audience: Audience, facts: Vec<(&'static str, String)>) -> Words {
    Words {
        subject: "parameters of the rack were changed".to_owned(),
        intro: "Parameters of the rack {rack} were changed through Rack Gateway. The audit log has the difference, with handles in place of the values.",
        facts,
        advice: match audience {
            Audience::Person => NOT_YOU,
            Audience::Admin => CHECK,
        },
        page: Some(AUDIT),
    }
}

fn place(app: Option<&str>) -> String {
    app.map_or_else(|| "the rack and every app".to_owned(), |app| format!("the app {app}"))
}

fn elevation_asked(audience: Audience, email: &str, facts: Vec<(&'static str, String)>) -> Words {
    match audience {
        Audience::Person => Words {
            subject: "you asked for a higher role for a while".to_owned(),
            intro: "Your request at Rack Gateway of the rack {rack} waits for an admin. You are told when it is decided.",
            facts,
            advice: NOT_YOU,
            page: Some(ELEVATIONS),
        },
        Audience::Admin => Words {
            subject: format!("{} asks for a higher role for a while", clean(email)),
            intro: "Somebody asks for a role at the rack {rack} that ends by itself. Approve or reject it; nobody can approve their own.",
            facts,
            advice: CHECK,
            page: Some(ELEVATIONS),
        },
    }
}

fn approval_asked(audience: Audience, who: &str, app: &str, facts: Vec<(&'static str, String)>) -> Words {
    match audience {
        Audience::Person => Words {
            subject: format!("a deploy of {} waits for its approval", clean(app)),
            intro: "Your request at Rack Gateway of the rack {rack} waits for somebody else. You are told when it is decided.",
            facts,
            advice: NOT_YOU,
            page: Some(APPROVALS),
        },
        Audience::Admin => Words {
            subject: format!("{} asks to deploy {}", clean(who), clean(app)),
            intro: "A deploy at the rack {rack} waits for its approval. Look at what it would change, and approve or reject it; nobody can approve their own.",
            facts,
            advice: CHECK,
            page: Some(APPROVALS),
        },
    }
}

fn approval_decided(approved: bool, app: &str, facts: Vec<(&'static str, String)>) -> Words {
    let what = if approved { "was approved" } else { "was rejected" };
    Words {
        subject: format!("the deploy of {} {what}", clean(app)),
        intro: if approved {
            "The deploy that you asked for at the rack {rack} can go on, for as long as its approval lasts."
        } else {
            "The deploy that you asked for at the rack {rack} cannot go on."
        },
        facts,
        advice: UNEXPECTED,
        page: Some(APPROVALS),
    }
}

fn elevation_decided(approved: bool, facts: Vec<(&'static str, String)>) -> Words {
    Words {
        subject: if approved {
            "your elevation is live".to_owned()
        } else {
            "your elevation was rejected".to_owned()
        },
        intro: if approved {
            "You have a higher role at the rack {rack} from now on, and it ends by itself."
        } else {
            "The role that you asked for at the rack {rack} was not given."
        },
        facts,
        advice: UNEXPECTED,
        page: Some(ELEVATIONS),
    }
}

fn invited(audience: Audience, email: &str, roles: RoleSet, by: &str) -> Words {
    match audience {
        Audience::Person => Words {
            subject: "you have access".to_owned(),
            intro: "You may use Rack Gateway, the way in to the rack {rack}, from now on. Sign in with the account of this address.",
            facts: vec![("Your roles", names(roles)), ("Invited by", by.to_owned())],
            advice: UNEXPECTED,
            page: Some(HOME),
        },
        Audience::Admin => Words {
            subject: format!("{} was invited", clean(email)),
            intro: "Somebody was given access to the rack {rack}.",
            facts: vec![("Person", email.to_owned()), ("Roles", names(roles)), ("Invited by", by.to_owned())],
            advice: CHECK,
            page: Some(USERS),
        },
    }
}

fn locked(reason: Option<&str>, by: &str) -> Words {
    let mut facts = vec![("Locked by", by.to_owned())];
    facts.extend(reason.map(|reason| ("Reason", reason.to_owned())));
    Words {
        subject: "your access is locked".to_owned(),
        intro: "You are locked out of Rack Gateway of the rack {rack}: your sessions have ended and your tokens do not work.",
        facts,
        advice: UNEXPECTED,
        page: None,
    }
}

fn removed(audience: Audience, email: &str, by: &str) -> Words {
    match audience {
        Audience::Person => Words {
            subject: "your access was removed".to_owned(),
            intro: "You may no longer use Rack Gateway of the rack {rack}: your sessions have ended and your tokens do not work.",
            facts: vec![("Removed by", by.to_owned())],
            advice: UNEXPECTED,
            page: None,
        },
        Audience::Admin => Words {
            subject: format!("{} was removed", clean(email)),
            intro: "Somebody's access to the rack {rack} was removed.",
            facts: vec![("Person", email.to_owned()), ("Removed by", by.to_owned())],
            advice: CHECK,
            page: Some(USERS),
        },
    }
}

fn backup_codes_low(left: u32) -> Words {
    Words {
        subject: match left {
            0 => "you have no backup codes left".to_owned(),
            1 => "you have 1 backup code left".to_owned(),
            more => format!("you have {more} backup codes left"),
        },
        intro: "One of your backup codes for Rack Gateway of the rack {rack} was used, and few are left. Make new ones before you need them.",
        facts: vec![("Codes left", left.to_string())],
        advice: NOT_YOU,
        page: Some(FACTORS),
    }
}

fn new_sign_in(device: &str, ip: Option<IpAddr>, at: Timestamp) -> Words {
    Words {
        subject: "new sign-in to your account".to_owned(),
        intro: "Somebody signed in to your account at Rack Gateway of the rack {rack} with a device or from an address that was not seen before.",
        facts: vec![
            ("Device", device.to_owned()),
            ("Address", ip.map_or_else(|| "not known".to_owned(), |ip| ip.to_string())),
            ("Signed in", moment(at)),
        ],
        advice: NOT_YOU,
        page: Some(ACCOUNT),
    }
}

fn token_created(
    audience: Audience,
    owner: &str,
    mut facts: Vec<(&'static str, String)>,
    for_somebody_else: bool,
) -> Words {
    match audience {
        Audience::Person => Words {
            subject: if for_somebody_else {
                "an API token was made for you".to_owned()
            } else {
                "an API token of yours was made".to_owned()
            },
            intro: "There is a new API token with your rights at Rack Gateway of the rack {rack}.",
            facts,
            advice: NOT_YOU,
            page: Some(TOKENS),
        },
        Audience::Admin => {
            facts.insert(0, ("Owner", owner.to_owned()));
            Words {
                subject: format!("an API token was made for {}", clean(owner)),
                intro: "Somebody made an API token of the rack {rack} for another person.",
                facts,
                advice: CHECK,
                page: Some(TOKENS),
            }
        }
    }
}

/// `deployer, auditor`.
fn names(roles: RoleSet) -> String {
    if roles.is_empty() {
        return "none".to_owned();
    }
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
