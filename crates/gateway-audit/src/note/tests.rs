//! Known answers of `golang.org/x/mod/sumdb/note`, and notes that must be refused.

use super::*;
use crate::merkle::empty_root;

/// The example of the Go package's documentation.
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_SIGNATURE: &str =
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

/// A second signer of the same package's tests.
const GO_OTHER_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn go_note() -> String {
    format!("{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n")
}

fn go_verifier() -> NoteVerifier {
    GO_VKEY.parse().unwrap()
}

fn signer(name: &str, byte: u8) -> NoteSigner {
    NoteSigner::from_seed(name, &Secret::new(vec![byte; 32])).unwrap()
}

fn checkpoint(origin: &str) -> Checkpoint {
    Checkpoint { origin: origin.to_owned(), size: 0, root: empty_root(), extensions: Vec::new() }
}

#[test]
fn go_key_signs_and_verifies_as_go_does() {
    let seed = STANDARD.decode(GO_SEED).unwrap()[1..].to_vec();
    let signer = NoteSigner::from_seed("PeterNeumann", &Secret::new(seed)).unwrap();
    assert_eq!(signer.verifier().to_string(), GO_VKEY);
    assert_eq!(signer.verifier(), go_verifier());
    assert_eq!(signer.sign_text(GO_TEXT), go_note());
    assert_eq!(go_verifier().open(&go_note()), Ok(GO_TEXT));
    assert_eq!(format!("{signer:?}"), format!("NoteSigner({GO_VKEY})"), "Debug shows no key");
}

#[test]
fn other_signatures_are_passed_over() {
    let both = format!("{}{GO_OTHER_LINE}", go_note());
    assert_eq!(go_verifier().open(&both), Ok(GO_TEXT));
    let other = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    assert_eq!(other.parse::<NoteVerifier>().unwrap().open(&both), Ok(GO_TEXT));
    let unsigned = NoteError::Unsigned { name: "PeterNeumann".to_owned() };
    assert_eq!(go_verifier().open(&format!("{GO_TEXT}\n{GO_OTHER_LINE}")), Err(unsigned));
}

#[test]
fn every_altered_bit_is_noticed() {
    let note = go_note();
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(altered) = String::from_utf8(bytes) else { continue };
            assert!(go_verifier().open(&altered).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn one_bad_signature_of_the_known_key_is_fatal() {
    let bad = GO_SIGNATURE.replace("ZJku", "ZJkv");
    let note = format!("{}— PeterNeumann {bad}\n", go_note());
    let error = NoteError::BadSignature { name: "PeterNeumann".to_owned() };
    assert_eq!(go_verifier().open(&note), Err(error));
}

#[test]
fn what_is_no_note_is_refused() {
    let note = go_note();
    for bad in [
        "",
        "\n",
        "\n\n",
        GO_TEXT,
        note.trim_end(),
        &format!("{GO_TEXT}\n"),
        &note.replace("— ", "- "),
        &note.replace(GO_SIGNATURE, "AQID"),
        &note.replace(GO_SIGNATURE, "!!!!"),
        &note.replace(' ', "\t"),
        &note.replace('\n', "\r\n"),
        &format!("{note}trailing"),
        &format!("{note}\n"),
    ] {
        assert_eq!(go_verifier().open(bad), Err(NoteError::NotANote), "{bad:?}");
    }
    let bytes = MAX_NOTE_BYTES + 1;
    assert_eq!(go_verifier().open(&"x".repeat(bytes)), Err(NoteError::TooLarge { bytes }));
}

fn check_key(vkey: &str, expected: NoteError) {
    assert_eq!(vkey.parse::<NoteVerifier>(), Err(expected), "{vkey}");
}

#[test]
fn bad_keys_are_refused() {
    check_key("", NoteError::BadKey);
    check_key("PeterNeumann+c74f20a3", NoteError::BadKey);
    check_key(&GO_VKEY.replace("c74f20a3", "c74f20a4"), NoteError::WrongKeyId);
    check_key(&GO_VKEY.replace("c74f20a3", "C74F20A3"), NoteError::WrongKeyId);
    check_key(&GO_VKEY.replace("Peter", "Petra"), NoteError::WrongKeyId);
    check_key(&GO_VKEY.replace("+AR", "+AQ"), NoteError::WrongKeyId);
    check_key(&GO_VKEY.replace("+AR", "+BR"), NoteError::BadKey);
    check_key(&format!("{GO_VKEY}A"), NoteError::BadKey);
    check_key(
        &GO_VKEY.replace("PeterNeumann", "Peter Neumann"),
        NoteError::BadName { name: "Peter Neumann".to_owned() },
    );
    for name in ["", "a+b", "a b", "a\nb", "a\u{3000}b"] {
        assert_eq!(NoteVerifier::new(name, [0; 32]), Err(NoteError::BadName { name: name.to_owned() }));
    }
    for length in [0, 31, 33] {
        let error = NoteSigner::from_seed("x", &Secret::new(vec![7; length])).unwrap_err();
        assert_eq!(error, NoteError::BadSeed { found: length });
    }
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let signer = signer("rack-gateway/a", 1);
    let own = checkpoint("rack-gateway/a");
    assert_eq!(signer.verifier().verify(&signer.sign(&own)), Ok(own));
    assert_eq!(
        signer.verifier().verify(&signer.sign(&checkpoint("rack-gateway/b"))),
        Err(NoteError::ForeignOrigin {
            expected: "rack-gateway/a".to_owned(),
            found: "rack-gateway/b".to_owned()
        })
    );
}

#[test]
fn the_same_name_with_another_key_is_not_trusted() {
    let note = signer("rack-gateway/a", 2).sign(&checkpoint("rack-gateway/a"));
    let error = NoteError::Unsigned { name: "rack-gateway/a".to_owned() };
    assert_eq!(signer("rack-gateway/a", 1).verifier().verify(&note), Err(error));
}
