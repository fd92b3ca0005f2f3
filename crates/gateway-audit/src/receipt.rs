//! The receipt a changing reply carries: where its intent is in the log, and the newest checkpoint.
//!
//! A client keeps it; that entry can then never be moved, altered or dropped unnoticed.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::Hash;

/// The response header a receipt travels in.
pub const RECEIPT_HEADER: &str = "audit-receipt";

/// Proof that an entry was promised: keep it, and ask for its inclusion proof later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The entry's index.
    pub index: u64,
    /// The entry's leaf hash.
    pub leaf_hash: Hash,
    /// The newest signed checkpoint when the entry was made; it may not cover the entry yet.
    pub checkpoint: Option<String>,
}

/// A header value that is no receipt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A member is missing.
    #[error("the receipt has no `{name}`")]
    Missing {
        /// The member's name.
        name: &'static str,
    },
    /// A member is not of its type, or unknown, or there twice.
    #[error("the receipt's member {position} is not acceptable")]
    BadMember {
        /// Counted from 1.
        position: usize,
    },
}

impl Receipt {
    /// The header value: a dictionary of RFC 9651 with the members `index`, `leaf` and `checkpoint`.
    pub fn header_value(&self) -> String {
        let mut value = format!("index={}, leaf=:{}:", self.index, self.leaf_hash);
        if let Some(note) = &self.checkpoint {
            value.push_str(", checkpoint=:");
            STANDARD.encode_string(note, &mut value);
            value.push(':');
        }
        value
    }

    /// Reads a header value as [`Receipt::header_value`] writes it.
    ///
    /// # Errors
    /// [`ReceiptError`]. The checkpoint is not verified here.
    pub fn parse(value: &str) -> Result<Self, ReceiptError> {
        let (mut index, mut leaf_hash, mut checkpoint) = (None, None, None);
        for (member, position) in value.split(',').zip(1..) {
            let bad = ReceiptError::BadMember { position };
            let (name, text) = member.trim_matches(' ').split_once('=').ok_or(bad.clone())?;
            let bytes = text.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
            let fresh = match name {
                "index" => text.parse().ok().is_some_and(|number: u64| index.replace(number).is_none()),
                "leaf" => bytes
                    .and_then(|text| text.parse().ok())
                    .is_some_and(|hash: Hash| leaf_hash.replace(hash).is_none()),
                "checkpoint" => bytes
                    .and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok())
                    .is_some_and(|note| checkpoint.replace(note).is_none()),
                _ => false,
            };
            if !fresh {
                return Err(bad);
            }
        }
        Ok(Self {
            index: index.ok_or(ReceiptError::Missing { name: "index" })?,
            leaf_hash: leaf_hash.ok_or(ReceiptError::Missing { name: "leaf" })?,
            checkpoint,
        })
    }
}
