//! The header value, there and back.

use super::*;
use crate::merkle::leaf_hash;

#[test]
fn receipts_round_trip() {
    let mut receipt = Receipt { index: 7, leaf_hash: leaf_hash(b"x"), checkpoint: None };
    let bare = receipt.header_value();
    assert_eq!(bare, format!("index=7, leaf=:{}:", leaf_hash(b"x")));
    assert_eq!(Receipt::parse(&bare), Ok(receipt.clone()));
    receipt.checkpoint = Some("origin\n1\n—\n".to_owned());
    let value = receipt.header_value();
    assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "fit for a header");
    assert_eq!(Receipt::parse(&value), Ok(receipt));
}

fn check_refused(value: &str, expected: ReceiptError) {
    assert_eq!(Receipt::parse(value), Err(expected), "{value}");
}

#[test]
fn other_values_are_refused() {
    let leaf = format!("leaf=:{}:", leaf_hash(b"x"));
    check_refused("", ReceiptError::BadMember { position: 1 });
    check_refused("index=1", ReceiptError::Missing { name: "leaf" });
    check_refused(&leaf, ReceiptError::Missing { name: "index" });
    check_refused(&format!("index=-1, {leaf}"), ReceiptError::BadMember { position: 1 });
    check_refused(&format!("index=1, {leaf}, index=2"), ReceiptError::BadMember { position: 3 });
    check_refused(&format!("index=1, {leaf}, other=2"), ReceiptError::BadMember { position: 3 });
    check_refused(&format!("index=1, {}", leaf.replace(':', "")), ReceiptError::BadMember { position: 2 });
    check_refused(&format!("index=1, {leaf}, checkpoint=:!:"), ReceiptError::BadMember { position: 3 });
    check_refused(&format!("index=1, {leaf}, checkpoint=:/w==:"), ReceiptError::BadMember { position: 3 });
}
