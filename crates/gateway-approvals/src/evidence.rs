//! An approval as a file that anybody can check, without the gateway: who signed which statement, with what.
//!
//! A passkey's signature is checked here, against the public key that comes with it. Whose key that is, is the
//! gateway's word; `rack-gateway approvals verify` prints the key's fingerprint, so that it can be compared.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::chain::Bound;
use crate::proof::Proof;
use crate::statement::{Purpose, Statement};

/// What stands in `format`.
pub const FORMAT: &str = "rack-gateway/approval-evidence/v1";

/// How somebody confirmed that it is they who approve.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A passkey signed the statement.
    Passkey,
    /// A one-time code was given. Weaker: that the statement was meant is the gateway's word.
    Code,
    /// Second factors are switched off. Weaker still.
    None,
}

impl Method {
    /// The name in the database, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Passkey => "passkey",
            Method::Code => "code",
            Method::None => "none",
        }
    }

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Method::Passkey, Method::Code, Method::None].into_iter().find(|method| method.name() == name)
    }
}

/// A statement that somebody approved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The approver's id at the gateway.
    pub approver: String,
    /// Their name for people.
    pub name: String,
    /// How they confirmed it.
    pub method: Method,
    /// When, RFC 3339, as the gateway says.
    pub made: String,
    /// The exact text that was approved.
    pub statement: String,
    /// The passkey's signature over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Why the gateway itself does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// An approval with all that was signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`FORMAT`].
    pub format: String,
    /// The gateway's id.
    pub gateway: String,
    /// The approval's id.
    pub approval: String,
    /// Where it stood when this was written.
    pub state: String,
    /// What was signed.
    pub signatures: Vec<Signature>,
    /// What was done with it, as the gateway says.
    pub bound: Bound,
}

/// What came of one signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Who.
    pub name: String,
    /// How.
    pub method: Method,
    /// What for.
    pub purpose: Option<Purpose>,
    /// SHA-256 of the passkey's public key, in hexadecimal; `None` without one.
    pub fingerprint: Option<String>,
    /// Why it does not count.
    pub fault: Option<String>,
}

/// What came of all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Each signature.
    pub signatures: Vec<Checked>,
    /// How many different people's passkeys signed a good statement.
    pub signed: usize,
    /// How many different people count at all, those with one-time codes too.
    pub approved: usize,
    /// How many it takes.
    pub quorum: u32,
    /// What was signed, from the first good one.
    pub statement: Option<Statement>,
}

impl Evidence {
    /// Checks everything that can be checked without the gateway.
    pub fn verify(&self) -> Report {
        let (mut signed, mut approved, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut first: Option<Statement> = None;
        let mut signatures = Vec::new();
        for signature in &self.signatures {
            let checked = self.check(signature, first.as_ref());
            if let Ok(statement) = &checked {
                first.get_or_insert_with(|| statement.clone());
                // Whoever makes one last longer approves nothing.
                if statement.purpose == Purpose::Approve {
                    approved.insert(&signature.approver);
                    if signature.method == Method::Passkey {
                        signed.insert(&signature.approver);
                        keys.extend(signature.proof.as_ref().and_then(fingerprint));
                    }
                }
            }
            signatures.push(Checked {
                name: signature.name.clone(),
                method: signature.method,
                purpose: Statement::from_json(&signature.statement).ok().map(|read| read.purpose),
                fingerprint: signature.proof.as_ref().and_then(fingerprint),
                fault: checked.err(),
            });
        }
        Report {
            // Names are the file's word; a key is one person's.
            signed: signed.len().min(keys.len()),
            approved: approved.len(),
            quorum: first.as_ref().map_or(1, |statement| statement.quorum.max(1)),
            statement: first,
            signatures,
        }
    }

    fn check(&self, signature: &Signature, first: Option<&Statement>) -> Result<Statement, String> {
        let statement = Statement::from_json(&signature.statement).map_err(|fault| fault.to_string())?;
        if let Some(fault) = &signature.fault {
            return Err(fault.clone());
        }
        let archive = self.bound.uploaded.as_ref().map(crate::chain::Uploaded::artefact);
        if statement.artefact.is_some() && archive != statement.artefact {
            return Err("another archive was uploaded than was approved".to_owned());
        }
        if statement.gateway != self.gateway || statement.approval != self.approval {
            return Err("the statement is of another approval".to_owned());
        }
        if let Some(first) = first
            && !statement.is_about_the_same_as(first)
        {
            return Err("the statement is about something else than the first one".to_owned());
        }
        match (signature.method, &signature.proof) {
            (Method::Passkey, Some(proof)) => {
                proof.verify(&signature.statement).map_err(|fault| fault.to_string())?;
            }
            (Method::Passkey, None) => return Err("the passkey's signature is missing".to_owned()),
            (Method::Code | Method::None, Some(_)) => {
                return Err("a signature is there where none was made".to_owned());
            }
            (Method::Code | Method::None, None) => {}
        }
        Ok(statement)
    }
}

impl Statement {
    /// Whether two people who signed these approved the same: all but purpose, expiry and nonce.
    pub fn is_about_the_same_as(&self, other: &Statement) -> bool {
        let same = Statement {
            purpose: other.purpose,
            expires: other.expires.clone(),
            nonce: other.nonce.clone(),
            ..self.clone()
        };
        same == *other
    }
}

fn fingerprint(proof: &Proof) -> Option<String> {
    let key = serde_json::to_vec(&proof.key).ok()?;
    Some(HEXLOWER.encode(digest::digest(&digest::SHA256, &key).as_ref()))
}

impl Report {
    /// Whether enough different people's passkeys signed.
    pub fn is_signed(&self) -> bool {
        u32::try_from(self.signed).is_ok_and(|signed| signed >= self.quorum) && self.statement.is_some()
    }

    /// Whether enough different people count, those with one-time codes too.
    pub fn is_approved(&self) -> bool {
        u32::try_from(self.approved).is_ok_and(|approved| approved >= self.quorum) && self.statement.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Evidence, FORMAT, Method, Signature};
    use crate::chain::Bound;
    use crate::proof;
    use crate::statement::tests::statement;

    fn evidence(people: &[(&str, Method)]) -> Evidence {
        let text = statement().to_json().unwrap();
        let signatures = people
            .iter()
            .map(|(name, method)| Signature {
                approver: (*name).to_owned(),
                name: (*name).to_owned(),
                method: *method,
                made: "2026-11-22T00:00:00Z".to_owned(),
                statement: text.clone(),
                proof: (*method == Method::Passkey).then(|| proof::tests::signed(&text)),
                fault: None,
            })
            .collect();
        Evidence {
            format: FORMAT.to_owned(),
            gateway: "gw".to_owned(),
            approval: "0199".to_owned(),
            state: "approved".to_owned(),
            signatures,
            bound: Bound { uploaded: Some(crate::chain::tests::uploaded()), ..Bound::default() },
        }
    }

    #[test]
    fn a_passkey_counts_and_a_code_counts_less() {
        let signed = evidence(&[("ann", Method::Passkey)]).verify();
        assert!(signed.is_signed() && signed.is_approved());
        let coded = evidence(&[("ann", Method::Code)]).verify();
        assert!(!coded.is_signed() && coded.is_approved());
        assert!(!evidence(&[]).verify().is_approved());
    }

    #[test]
    fn forged_ones_do_not_count() {
        type Change = fn(&mut Signature);
        let cases: [(Change, &str); 6] = [
            (|s| s.proof = None, "the passkey's signature is missing"),
            (
                |s| s.statement = s.statement.replace("\"shop\"", "\"bank\""),
                "the passkey signed something else than this statement",
            ),
            (
                |s| s.statement = s.statement.replace("\"0199\"", "\"0200\""),
                "the statement is of another approval",
            ),
            (
                |s| s.statement = s.statement.replace("\"gw\"", "\"gx\""),
                "the statement is of another approval",
            ),
            (|s| s.method = Method::Code, "a signature is there where none was made"),
            (|s| s.statement.clear(), "the statement cannot be read"),
        ];
        for (change, fault) in cases {
            let mut forged = evidence(&[("ann", Method::Passkey)]);
            forged.signatures.iter_mut().for_each(change);
            let report = forged.verify();
            assert!(!report.is_signed() && !report.is_approved());
            assert_eq!(report.signatures[0].fault.as_deref(), Some(fault));
        }
    }

    #[test]
    fn l2_one_key_counts_once_whatever_the_names() {
        let mut twice = evidence(&[("ann", Method::Passkey), ("bob", Method::Passkey)]);
        assert_eq!(twice.verify().signed, 2);
        twice.signatures[1].proof = twice.signatures[0].proof.clone();
        assert_eq!(twice.verify().signed, 1, "the same signature under another name");
        twice.signatures[0].fault = Some("it was not written by this gateway".to_owned());
        assert_eq!(twice.verify().approved, 1, "what the gateway does not count");
        let mut other = evidence(&[("ann", Method::Passkey)]);
        other.bound = Bound::default();
        let report = other.verify();
        assert!(!report.is_approved());
        assert_eq!(
            report.signatures[0].fault.as_deref(),
            Some("another archive was uploaded than was approved")
        );
    }

    #[test]
    fn l2_one_person_counts_once_and_two_statements_are_of_one_thing() {
        let mut twice = evidence(&[("ann", Method::Passkey), ("ann", Method::Passkey)]);
        assert_eq!(twice.verify().signed, 1);
        let other = twice.signatures[1].statement.replace("\"main\"", "\"evil\"");
        twice.signatures[1].proof = Some(proof::tests::signed(&other));
        twice.signatures[1].statement = other;
        twice.signatures[1].approver = "bob".to_owned();
        let report = twice.verify();
        assert_eq!(report.signed, 1);
        assert_eq!(
            report.signatures[1].fault.as_deref(),
            Some("the statement is about something else than the first one")
        );
    }
}
