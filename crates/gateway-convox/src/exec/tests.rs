use super::*;

fn code(slices: &[&str]) -> Option<i32> {
    let mut watch = MarkerWatch::new();
    slices.iter().for_each(|slice| watch.feed(slice.as_bytes()));
    watch.exit_code()
}

#[test]
fn markers_are_recognised_in_any_slicing() {
    for exit in [0, 3, 255, -1, i32::MAX, i32::MIN] {
        let text = marker_text(exit);
        assert_eq!(code(&[&text]), Some(exit));
        for at in 0..=text.len() {
            assert_eq!(code(&[&text[..at], &text[at..]]), Some(exit), "{text:?} cut at {at}");
        }
    }
}

#[test]
fn anything_else_is_output() {
    let marker = marker_text(1);
    for text in ["", "hello\n", EXIT_MARKER, &format!("{EXIT_MARKER}:\n"), &format!("{EXIT_MARKER}:1")] {
        assert_eq!(code(&[text]), None, "{text:?}");
    }
    for text in [format!("x{marker}"), format!("{marker}x"), marker.to_lowercase(), marker.repeat(2)] {
        assert_eq!(code(&[&text]), None, "{text:?}");
    }
    for number in ["+1", "01", "1x", " 1", "99999999999", "-0"] {
        assert_eq!(code(&[&format!("{EXIT_MARKER}:{number}\n")]), None, "{number}");
    }
}

#[test]
fn a_watch_keeps_little_and_starts_anew() {
    let mut watch = MarkerWatch::new();
    watch.feed(&[b'x'; 1 << 20]);
    watch.feed(marker_text(3).as_bytes());
    assert_eq!((watch.exit_code(), watch.seen.capacity()), (None, 0));
    watch.reset();
    watch.feed(marker_text(3).as_bytes());
    assert_eq!(watch.exit_code(), Some(3));
}

#[test]
fn error_texts_are_safe_for_printf_and_terminals() {
    assert_eq!(error_text("no such app"), "ERROR: no such app\n");
    assert_eq!(error_text("100%\u{1b}[2J\r\nx"), "ERROR: 100 percent[2Jx\n");
}

#[test]
fn session_blobs() {
    assert!(is_session_blob(b"\0{\"sessionId\":\"x\"}") && is_session_blob(b"\0 \n{"));
    for other in [&b""[..], b"\0", b"\0\x01\x02", b"{\"sessionId\":1}", b"\0\0{", b"x\0{"] {
        assert!(!is_session_blob(other), "{other:?}");
    }
}
