//! Ids: UUIDv7 (RFC 9562) with one Rust type for each kind of thing, and the randomness they are made of.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;

/// Where random bytes come from. Tests pass a seeded one.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with random bytes.
    ///
    /// # Security
    /// An implementation for production must be a CSPRNG and must abort the process rather than
    /// return predictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The most bytes that are taken from those fetched ahead: ids and nonces. Secrets are longer.
const SMALL_BYTES: usize = 16;

/// How many bytes are fetched ahead by each thread.
const AHEAD_BYTES: usize = 512;

/// The operating system's generator.
///
/// Each call of it takes about a microsecond, and a request needs several ids: what is no longer than an id or a
/// nonce comes from bytes that the thread fetched ahead. Each byte is handed out once and then forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AHEAD_BYTES], left: 0 }) };
}

/// Random bytes that nobody has had yet: the last `left` ones.
struct Ahead {
    bytes: [u8; AHEAD_BYTES],
    left: usize,
}

impl Ahead {
    fn take(&mut self, wanted: &mut [u8]) {
        if self.left < wanted.len() {
            from_system(&mut self.bytes);
            self.left = AHEAD_BYTES;
        }
        let start = AHEAD_BYTES - self.left;
        for (byte, fresh) in wanted.iter_mut().zip(self.bytes.iter_mut().skip(start)) {
            *byte = std::mem::take(fresh);
        }
        self.left -= wanted.len();
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let is_small = bytes.len() <= SMALL_BYTES;
        // A thread that is ending has no bytes ahead any more.
        if !is_small || AHEAD.try_with(|ahead| ahead.borrow_mut().take(bytes)).is_err() {
            from_system(bytes);
        }
    }
}

fn from_system(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // A gateway without randomness would issue guessable credentials: stopping is the safe answer.
        std::process::abort();
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id for this moment.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy))
            }

            /// The id as a UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0u8; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

uuid_id!(
    /// A session in the rack, and what was recorded of it.
    RecordingId
);

uuid_id!(
    /// The id stamped into a gateway's database; the audience of its tokens, receipts and checkpoints.
    GatewayId
);
uuid_id!(
    /// One request, and so its audit events and its problem's `instance`.
    RequestId
);
uuid_id!(
    /// One event of the audit log.
    EventId
);
uuid_id!(
    /// A person.
    UserId
);
uuid_id!(
    /// An API token's row (never its secret).
    TokenId
);
uuid_id!(
    /// A session's row (never its secret).
    SessionId
);
uuid_id!(
    /// A second factor of a person.
    FactorId
);
uuid_id!(
    /// A step-up challenge: what was refused for want of a second factor.
    ChallengeId
);
uuid_id!(
    /// A job of the gateway's own queue.
    JobId
);
uuid_id!(
    /// A workload's short token (never its secret).
    WorkloadId
);
uuid_id!(
    /// One use of the break-glass codes.
    BreakGlassId
);
uuid_id!(
    /// An elevation: a role for a while.
    ElevationId
);
uuid_id!(
    /// An approval of a deploy.
    ApprovalId
);
uuid_id!(
    /// A time in which one credential reads an app's values in plaintext.
    RevealId
);
uuid_id!(
    /// A grant of a role to a person or a group.
    RoleGrantId
);
uuid_id!(
    /// A sign-in that waits for the identity provider.
    SignInId
);
uuid_id!(
    /// A device that waits to be let in.
    DeviceSignInId
);
uuid_id!(
    /// A session of a person at an identity provider, from which sessions here come.
    ProviderSessionId
);
uuid_id!(
    /// A browser that needs no second factor to sign in.
    TrustedDeviceId
);
uuid_id!(
    /// A search of the audit log that somebody kept.
    SavedSearchId
);
uuid_id!(
    /// A link by which somebody without an account reads a part of the audit log.
    AuditShareId
);
uuid_id!(
    /// A member of the trust zone: one enrolment of a service, and all leaves that were issued to it.
    ZoneMemberId
);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bytes_fetched_ahead_are_handed_out_once() {
        // Sizes that do and do not divide what is fetched at once, and one that is not fetched ahead.
        for size in [10, SMALL_BYTES, SMALL_BYTES + 1] {
            let mut seen = HashSet::new();
            for _ in 0..1000 {
                let mut bytes = vec![0; size];
                OsEntropy.fill(&mut bytes);
                assert!(bytes.iter().any(|byte| *byte != 0), "a place that was taken before");
                assert!(seen.insert(bytes), "bytes that were handed out before");
            }
        }
    }
}
