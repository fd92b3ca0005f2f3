//! The three lines, and values that try to be more.

use uuid::Uuid;

use super::*;
use crate::merkle::leaf_hash;

fn gateway() -> GatewayId {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).into()
}

fn checkpoint() -> Checkpoint {
    let head = Head { size: 20_852_163, root: leaf_hash(b"x") };
    Checkpoint::new(gateway(), &head, Timestamp::from_micros(1_795_306_558_721_111))
}

#[test]
fn the_text_is_known_and_reads_back() {
    let checkpoint = checkpoint();
    let text = checkpoint.to_text();
    let root = checkpoint.root;
    assert_eq!(
        text,
        format!(
            "rack-gateway/01900000-0000-7000-8000-000000000001\n20852163\n{root}\n\
             time 2026-11-22T00:15:58.721111Z\n"
        )
    );
    assert_eq!(Checkpoint::from_text(&text), Ok(checkpoint.clone()));
    assert_eq!(checkpoint.time(), Some(Timestamp::from_micros(1_795_306_558_721_111)));
    assert_eq!(checkpoint.head(), Head { size: 20_852_163, root });
    assert_eq!(Checkpoint { extensions: vec!["time soon".to_owned()], ..checkpoint }.time(), None);
}

#[test]
fn the_example_of_the_specification_reads() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint = Checkpoint::from_text(text).unwrap();
    assert_eq!((checkpoint.size, checkpoint.time()), (20_852_163, None));
    assert_eq!(checkpoint.to_text(), text);
}

#[test]
fn values_cannot_pose_as_lines() {
    let mut checkpoint = checkpoint();
    checkpoint.origin = "evil\n999".to_owned();
    checkpoint.extensions = vec!["a\n\n— x AAAA".to_owned(), String::new()];
    let text = checkpoint.to_text();
    assert_eq!(text.lines().count(), 4);
    let read = Checkpoint::from_text(&text).unwrap();
    assert_eq!((read.size, read.origin.as_str()), (20_852_163, "evil\\u000a999"));
    assert_eq!(read.extensions, ["a\\u000a\\u000a— x AAAA"]);
}

fn check_refused(text: &str, line: usize) {
    assert_eq!(Checkpoint::from_text(text), Err(NoteError::NotACheckpoint { line }), "{text:?}");
}

#[test]
fn other_texts_are_refused() {
    let root = leaf_hash(b"x");
    check_refused("", 1);
    check_refused("\n", 1);
    check_refused(&format!("\n1\n{root}\n"), 1);
    check_refused("o\n", 2);
    for size in ["", "01", "+1", "-1", "1 ", "0x1", "18446744073709551616"] {
        check_refused(&format!("o\n{size}\n{root}\n"), 2);
    }
    check_refused("o\n1\n", 3);
    check_refused("o\n1\nAAAA\n", 3);
    check_refused(&format!("o\n1\n{}\n", root.to_hex()), 3);
    check_refused(&format!("o\n1\n{root}\nx\n\ny\n"), 5);
    check_refused(&format!("o\n1\n{root}\n\n"), 4);
    check_refused(&format!("o\n1\n{root}"), 1);
}
