//! Seals: keyed digests of what the gateway wrote, so that a row that somebody else wrote does not count. The key comes
//! from `APP_SECRET_KEY`; whoever has only the database cannot make one.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use gateway_approvals::state::State;
use gateway_store::{Approval, ApprovalChange, KeptSignature, NewApproval, Store};
use gateway_types::{ApprovalId, Timestamp, UserId};

const KEY: &str = "approval-seal/v1";

/// What of a row is not in its core, and changes.
struct Moving<'a> {
    state: State,
    extended: bool,
    version: i64,
    bound: &'a str,
}

/// Whether a row is as the gateway wrote it.
pub(super) fn is_right(store: &Store, row: &Approval) -> bool {
    let moving = Moving { state: row.state, extended: row.extended, version: row.version, bound: &row.bound };
    is_same_text(&of_row(store, row, &moving), &row.bound_seal)
}

/// Seals what a row will be after this change.
pub(super) fn seal(store: &Store, row: &Approval, change: &mut ApprovalChange) {
    let version = row.version.saturating_add(1);
    let moving = Moving { state: change.state, extended: change.extended, version, bound: &change.bound };
    change.bound_seal = of_row(store, row, &moving);
}

fn of_row(store: &Store, row: &Approval, moving: &Moving<'_>) -> String {
    let core = Core {
        id: row.id,
        app: &row.app,
        commit: &row.commit,
        requester: &row.requester,
        person: row.person,
        request: &row.request,
        created: row.created,
        answer_by: row.answer_by,
    };
    core.sealed(store, moving)
}

/// The seal of a draft.
pub(super) fn of_new(store: &Store, new: &NewApproval) -> String {
    let core = Core {
        id: new.id,
        app: &new.app,
        commit: &new.commit,
        requester: &new.requester,
        person: new.person,
        request: &new.request,
        created: new.created,
        answer_by: new.answer_by,
    };
    core.sealed(store, &Moving { state: State::Pending, extended: false, version: 1, bound: &new.bound })
}

/// What of a row never changes.
struct Core<'a> {
    id: ApprovalId,
    app: &'a str,
    commit: &'a str,
    requester: &'a str,
    person: Option<UserId>,
    request: &'a str,
    created: Timestamp,
    answer_by: Timestamp,
}

impl Core<'_> {
    fn sealed(&self, store: &Store, moving: &Moving<'_>) -> String {
        let person = self.person.map(|person| person.to_string()).unwrap_or_default();
        of(
            store,
            &[
                "row",
                &self.id.to_string(),
                self.app,
                self.commit,
                self.requester,
                &person,
                self.request,
                &self.created.micros().to_string(),
                &self.answer_by.micros().to_string(),
                moving.state.name(),
                if moving.extended { "extended" } else { "" },
                &moving.version.to_string(),
                moving.bound,
            ],
        )
    }
}

/// The seal of a signature.
pub(super) fn of_signature(store: &Store, approval: ApprovalId, signature: &KeptSignature) -> String {
    let user: UserId = signature.user;
    let (made, expires) = (signature.made.micros().to_string(), signature.expires.micros().to_string());
    of(
        store,
        &[
            "signature",
            &approval.to_string(),
            &user.to_string(),
            &signature.purpose,
            &signature.name,
            &signature.method,
            &signature.statement,
            signature.proof.as_deref().unwrap_or_default(),
            signature.reason.as_deref().unwrap_or_default(),
            &made,
            &expires,
        ],
    )
}

/// Whether a signature is as the gateway wrote it.
pub(super) fn is_right_signature(store: &Store, approval: ApprovalId, signature: &KeptSignature) -> bool {
    is_same_text(&of_signature(store, approval, signature), &signature.seal)
}

fn of(store: &Store, parts: &[&str]) -> String {
    let key = store.derive_key(KEY);
    let mut seal = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in parts {
        // The lengths keep ("ab", "c") and ("a", "bc") apart.
        seal.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        seal.update(part.as_bytes());
    }
    HEXLOWER.encode(seal.sign().as_ref())
}

/// Whether two seals are the same; in constant time, since one of them may be somebody's guess.
fn is_same_text(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
