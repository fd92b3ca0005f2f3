//! Who may read and write which zone. The gateway says who calls; which zones that opens is said here.

use rack_gateway_verify::GatewayIdentity;

/// Whoever has one of these.
///
/// Names are not among them: an API token is named by whoever makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Permit {
    /// A role at the gateway.
    Role(String),
    /// A person or token, by its id at the gateway, which never becomes another's.
    Subject(String),
}

impl Permit {
    /// Reads `role:NAME` or `subject:ID`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, what) = text.split_once(':')?;
        let is_plain = !what.is_empty() && what.bytes().all(|byte| byte.is_ascii_graphic());
        match kind {
            "role" if is_plain => Some(Permit::Role(what.to_owned())),
            "subject" if is_plain => Some(Permit::Subject(what.to_owned())),
            _ => None,
        }
    }
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// Somebody whom the gateway names.
    Gateway(GatewayIdentity),
    /// Somebody on this machine, where the configuration trusts everybody there.
    Loopback,
}

impl Caller {
    /// For people.
    pub fn name(&self) -> &str {
        match self {
            Caller::Gateway(identity) => &identity.name,
            Caller::Loopback => "loopback",
        }
    }

    /// The id at the gateway.
    pub fn subject(&self) -> &str {
        match self {
            Caller::Gateway(identity) => &identity.subject,
            Caller::Loopback => "",
        }
    }

    /// The request's id at the gateway.
    pub fn request_id(&self) -> &str {
        match self {
            Caller::Gateway(identity) => &identity.request_id,
            Caller::Loopback => "",
        }
    }
}

/// What somebody may do in a zone. Later ones hold the earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Right {
    /// Nothing, also not know of it.
    Nothing,
    /// Read.
    Read,
    /// Write.
    Write,
}

/// Who may what in one zone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// Who reads.
    pub read: Vec<Permit>,
    /// Who writes, and reads.
    pub write: Vec<Permit>,
}

impl Access {
    /// What this caller may.
    pub fn of(&self, caller: &Caller) -> Right {
        let identity = match caller {
            Caller::Gateway(identity) => identity,
            Caller::Loopback => return Right::Write,
        };
        let has = |permit: &Permit| match permit {
            Permit::Role(role) => identity.has_role(role),
            Permit::Subject(subject) => identity.subject == *subject,
        };
        if self.write.iter().any(has) {
            Right::Write
        } else if self.read.iter().any(has) {
            Right::Read
        } else {
            Right::Nothing
        }
    }
}
