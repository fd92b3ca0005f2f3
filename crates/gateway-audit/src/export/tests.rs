//! Exports there and back, and exports that must be refused.

use gateway_types::{Secret, Timestamp};

use super::*;
use crate::checkpoint::{Checkpoint, origin_of};
use crate::event::tests::{event, full_event, id};
use crate::merkle::{Frontier, leaf_hash};
use crate::note::NoteSigner;
use crate::verify::Report;
use crate::verify::tests::prune_event;

fn signer(gateway: u128, byte: u8) -> NoteSigner {
    let name = origin_of(id(gateway).into());
    NoteSigner::from_seed(&name, &Secret::new(vec![byte; 32])).unwrap()
}

/// An export of 12 entries, the first three pruned, signed at sizes 0, 5 and `signed`.
fn export(signed: u64) -> String {
    let (signer, gateway) = (signer(1, 1), GatewayId::from(id(1)));
    let leaves: Vec<_> = (0..11)
        .map(|number| if number == 8 { prune_event(8, 3) } else { event(number) })
        .chain([full_event()])
        .map(|event| event.to_leaf([9; 16]).unwrap())
        .collect();
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(leaf.hash));
    let header = ExportHeader::new(gateway, &signer.verifier(), &frontier.head());
    let mut writer = ExportWriter::new(Vec::new(), &header).unwrap();
    let mut frontier = Frontier::new();
    let sign = |frontier: &Frontier, writer: &mut ExportWriter<Vec<u8>>| {
        if [0, 5, signed].contains(&frontier.size()) {
            let checkpoint = Checkpoint::new(gateway, &frontier.head(), Timestamp::from_micros(1));
            writer.checkpoint(&signer.sign(&checkpoint)).unwrap();
        }
    };
    sign(&frontier, &mut writer);
    for (index, leaf) in (0..).zip(&leaves) {
        let bytes = (index >= 3).then_some(leaf.bytes.as_slice());
        writer.entry(index, bytes, &leaf.hash).unwrap();
        frontier.push(leaf.hash);
        sign(&frontier, &mut writer);
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn verify(export: &str) -> Result<Report, ExportError> {
    verify_export(export.as_bytes(), Some(&signer(1, 1).verifier()))
}

#[test]
fn exports_round_trip() {
    let report = verify(&export(12)).unwrap();
    assert_eq!((report.size, report.signed_size, report.checkpoints, report.pruned), (12, 12, 3, 3));
    assert_eq!(verify_export(export(12).as_bytes(), None).unwrap(), report);
    let behind = verify(&export(7)).unwrap();
    assert_eq!((behind.size, behind.signed_size), (12, 7), "the report says how far the signatures reach");
}

#[test]
fn the_form_is_known() {
    let export = export(12);
    let mut lines = export.lines();
    assert!(lines.next().unwrap().starts_with("{\"format\":\"rack-gateway-audit/1\",\"gateway_id\":\"0190"));
    assert!(lines.next().unwrap().starts_with("{\"checkpoint\":\"rack-gateway/0190"));
    assert!(lines.next().unwrap().starts_with("{\"index\":0,\"hash\":\""));
    assert!(lines.nth(2).unwrap().contains(",\"leaf\":\"{\\\"v\\\":1,\\\"nonce\\\":"));
    assert!(lines.last().unwrap().starts_with("{\"checkpoint\":\""));
}

fn check_refused(export: &str, expected: &str) {
    let text = format!("{:?}", verify(export).unwrap_err());
    assert!(text.contains(expected), "{text} is not {expected}");
}

fn without_lines(export: &str, drop: impl Fn(usize, &str) -> bool) -> String {
    let kept = export.lines().enumerate().filter(|(number, line)| !drop(*number, line));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn tampered_exports_are_refused() {
    let good = export(12);
    check_refused("", "BadLine { line: 1");
    check_refused(&good.replacen("audit/1", "audit/2", 1), "UnknownFormat");
    check_refused(&good.replacen("{\"index\":5", "{\"index\":5,\"more\":1", 1), "BadLine");
    check_refused(&good.replacen("rack\\\"", "rock\\\"", 1), "LeafHash { index: 3 }");
    check_refused(
        &without_lines(&good, |_, line| line.starts_with("{\"index\":7")),
        "Gap { expected: 7, found: 8 }",
    );
    check_refused(&without_lines(&good, |_, line| line.starts_with("{\"index\":11")), "RolledBack");
    check_refused(&without_lines(&good, |number, _| number > 8), "Truncated { have: 6, head: 12 }");
    check_refused(&without_lines(&good, |_, line| line.starts_with("{\"checkpoint")), "PrunedUnsigned");
    check_refused(&good.replacen("\\n5\\n", "\\n6\\n", 1), "BadSignature");
    check_refused(&good[..good.len() - 5], "BadLine");
    check_refused(&good.replacen("\"leaf\":\"{", "\"leaf_base64\":\"{", 1), "BadLeaf");
    check_refused(&good.replacen("\"leaf\":", "\"leaf_base64\":\"\",\"leaf\":", 1), "BadLeaf");
    check_refused(&format!("{good}{}", "x".repeat(MAX_LINE_BYTES + 1)), "LineTooLong");
    check_refused(&good.replacen("\"vkey\":\"", "\"vkey\":\"x", 1), "BadKey");
}

#[test]
fn an_export_of_another_gateway_or_key_is_refused() {
    let good = export(12);
    for other in [signer(2, 1), signer(1, 2)] {
        let error = verify_export(good.as_bytes(), Some(&other.verifier())).unwrap_err();
        assert!(matches!(error, ExportError::ForeignKey { .. }));
    }
    let claims_another = good.replacen(&id(1).to_string(), &id(2).to_string(), 1);
    check_refused(&claims_another, "ForeignGateway");
    let other_vkey = signer(1, 2).verifier().to_string();
    let resigned = good.replacen(&signer(1, 1).verifier().to_string(), &other_vkey, 1);
    let error = verify_export(resigned.as_bytes(), None).unwrap_err();
    assert!(matches!(error, ExportError::BadCheckpoint { line: 2, .. }));
}

#[test]
fn an_export_without_a_signature_proves_nothing() {
    let signer = signer(1, 1);
    let head = Frontier::new().head();
    let header = ExportHeader::new(id(1).into(), &signer.verifier(), &head);
    let export = ExportWriter::new(Vec::new(), &header).unwrap().finish().unwrap();
    assert!(matches!(verify_export(export.as_slice(), None), Err(ExportError::NoCheckpoint)));
}

#[test]
fn damaged_entries_are_exported_as_they_are() {
    let bytes = b"\xff\xfe";
    let mut frontier = Frontier::new();
    frontier.push(leaf_hash(bytes));
    let header = ExportHeader::new(id(1).into(), &signer(1, 1).verifier(), &frontier.head());
    let mut writer = ExportWriter::new(Vec::new(), &header).unwrap();
    writer.entry(0, Some(bytes), &leaf_hash(bytes)).unwrap();
    let export = String::from_utf8(writer.finish().unwrap()).unwrap();
    assert!(export.contains("\"leaf_base64\":\"//4=\""));
    check_refused(&export, "NotCanonical { index: 0");
}
