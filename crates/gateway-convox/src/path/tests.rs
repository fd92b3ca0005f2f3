use super::*;

fn fine(raw: &str, segments: &[&str]) {
    assert_eq!(
        decode(raw).as_deref(),
        Ok(&segments.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
        "{raw}"
    );
}

fn bad(raw: &str, fault: PathFault) {
    assert_eq!(decode(raw), Err(fault), "{raw:?}");
}

#[test]
fn plain_paths() {
    fine("/", &[]);
    fine("//", &[]);
    fine("/apps", &["apps"]);
    fine("//apps", &["apps"]);
    fine("/%61pps/my%2Dapp", &["apps", "my-app"]);
    fine("/apps/", &["apps", ""]);
    fine("///apps", &["", "apps"]);
    fine("/registries/https://a//b/", &["registries", "https:", "", "a", "", "b", ""]);
}

#[test]
fn a2_dot_segments() {
    for raw in ["/a/../b", "/./a", "/a/.", "/a/..", "/%2e%2e/a", "/%2E./a", "/.%2e", "/a/%2e"] {
        bad(raw, PathFault::DotSegment);
    }
    bad("/%252e%252e/", PathFault::DoubleEncoded);
    bad("/%c0%ae", PathFault::NonAscii);
    bad("/%u002e", PathFault::BadEscape);
}

#[test]
fn a3_separators() {
    for raw in ["/a%2fb", "/a%2Fb", "/%2f"] {
        bad(raw, PathFault::EncodedSeparator);
    }
    for raw in ["/a\\b", "/a%5cb", "/a%5Cb"] {
        bad(raw, PathFault::Backslash);
    }
    bad("/a%252fb", PathFault::DoubleEncoded);
    bad("/a%25", PathFault::DoubleEncoded);
    bad("/a\u{2215}b", PathFault::NonAscii);
    bad("/a\u{ff0f}b", PathFault::NonAscii);
    bad("/a%EF%BC%8Fb", PathFault::NonAscii);
}

#[test]
fn a4_control_and_other_bytes() {
    for raw in ["/a%00", "/a\0", "/%0a", "/%0d%0a", "/%09", "/%7f", "/a\tb", "/a\n"] {
        bad(raw, PathFault::Control);
    }
    for raw in ["/%80", "/%ff", "/é"] {
        bad(raw, PathFault::NonAscii);
    }
}

#[test]
fn a5_semicolons() {
    for raw in ["/apps;x=1", "/apps/a;b", "/apps/;/..", "/apps%3b", "/apps/a%3Bx"] {
        bad(raw, PathFault::Semicolon);
    }
}

#[test]
fn a6_a7_other_request_targets() {
    for raw in ["/a#b", "/a?b", "/a b", "/a\"", "/<a>", "/{a}", "/a|b", "/a^", "/a`"] {
        bad(raw, PathFault::RawByte);
    }
    for raw in ["", "apps", "*", "http://other/apps", "http:http://x/apps", "example.test:443", " /apps"] {
        bad(raw, PathFault::NotAbsolute);
    }
}

#[test]
fn a11_truncated_escapes() {
    for raw in ["/a%", "/a%2", "/a%zz", "/a%+1", "/a%2g", "/%-1"] {
        bad(raw, PathFault::BadEscape);
    }
    bad(&format!("/{}", "a".repeat(MAX_PATH_BYTES)), PathFault::TooLong);
}

#[test]
fn encoding_is_undone_by_decoding() {
    let every: String = (0x20u8..0x7f).map(char::from).filter(|c| !"/\\;%".contains(*c)).collect();
    let mut target = "/".to_owned();
    push_encoded(&mut target, &every);
    fine(&target, &[&every]);
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()));
}
