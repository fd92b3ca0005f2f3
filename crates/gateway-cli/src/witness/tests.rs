use gateway_audit::leaf_hash;

use super::*;

#[test]
fn receipts_become_promises() {
    let receipt = Receipt { index: 7, leaf_hash: leaf_hash(b"a"), checkpoint: Some("note\n".to_owned()) };
    let kept = promise(&receipt.header_value()).unwrap();
    assert_eq!((kept.index, kept.leaf.parse()), (7, Ok(receipt.leaf_hash)));
    assert_eq!(kept.note.as_deref(), Some("note\n"));
    assert_eq!(promise("index=7"), None);
}

#[test]
fn hashes_have_one_spelling() {
    let proof = |path: &str| Proof { size: 1, leaf_hash: None, path: vec![path.to_owned()] };
    let hash = leaf_hash(b"a");
    assert_eq!(hashes(&proof(&hash.to_hex())), Ok(vec![hash]));
    assert_eq!(hashes(&proof(&hash.to_hex().to_uppercase())), Err(Fault::Garbled));
    assert_eq!(hashes(&proof("00")), Err(Fault::Garbled));
}
