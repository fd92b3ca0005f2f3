//! Seals: keyed digests of what the gateway wrote, so that a row that somebody else wrote does not count. The key comes
//! from `APP_SECRET_KEY`; whoever has only the database cannot make one.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use gateway_store::{Approval, KeptSignature, NewApproval, Store};
use gateway_types::{ApprovalId, UserId};

const KEY: &str = "approval-seal/v1";

/// The seal of a row, over all that counts of it but its state, which signatures and time decide.
pub(super) fn of_row(store: &Store, row: &Approval, bound: &str) -> String {
    let person = row.person.map(|person| person.to_string());
    let created = row.created.micros().to_string();
    of(
        store,
        &[
            "row",
            &row.id.to_string(),
            &row.app,
            &row.commit,
            &row.requester,
            person.as_deref().unwrap_or_default(),
            &row.request,
            &created,
            bound,
        ],
    )
}

/// The same of a draft.
pub(super) fn of_new(store: &Store, new: &NewApproval) -> String {
    let person = new.person.map(|person| person.to_string());
    let created = new.created.micros().to_string();
    of(
        store,
        &[
            "row",
            &new.id.to_string(),
            &new.app,
            &new.commit,
            &new.requester,
            person.as_deref().unwrap_or_default(),
            &new.request,
            &created,
            &new.bound,
        ],
    )
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
pub(super) fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
