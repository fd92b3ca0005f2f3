use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::http1::{Limits, SingleHeader, ViolationKind};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn begun(now: Instant) -> Inflow {
    let mut inflow = Inflow::new(FrameLimits::default(), now);
    inflow.advance(PREFACE, now).unwrap();
    assert!(inflow.is_past_preface());
    inflow
}

/// How many of this frame pass until the connection is given up.
fn passes(kind: u8, flags: u8, payload: &[u8]) -> (usize, Option<Flood>) {
    let now = Instant::now();
    let mut inflow = begun(now);
    let bytes = frame(kind, flags, 1, payload);
    for count in 0..20_000 {
        if let Err(flood) = inflow.advance(&bytes, now) {
            return (count, Some(flood));
        }
    }
    (20_000, None)
}

#[test]
fn c8_each_kind_of_flood_ends() {
    assert_eq!(passes(frames::RST_STREAM, 0, &[0, 0, 0, 8]), (300, Some(Flood::Resets)));
    assert_eq!(passes(frames::PING, 0, &[0; 8]), (1000, Some(Flood::Pings)));
    assert_eq!(passes(frames::PING, 1, &[0; 8]), (1000, Some(Flood::Pings)));
    assert_eq!(passes(frames::SETTINGS, 0, &[]), (32, Some(Flood::Settings)));
    assert_eq!(passes(frames::PRIORITY, 0, &[0; 5]), (1000, Some(Flood::Priorities)));
    assert_eq!(passes(frames::WINDOW_UPDATE, 0, &[0, 0, 0, 1]), (2000, Some(Flood::WindowUpdates)));
    assert_eq!(passes(frames::HEADERS, frames::END_HEADERS, &[0x82]), (10_000, Some(Flood::Heads)));
    assert_eq!(passes(frames::CONTINUATION, 0, &[]), (16, Some(Flood::Continuations)));
    assert_eq!(passes(0x20, 0, &[1; 20]), (1000, Some(Flood::Unknown)));
    assert_eq!(passes(frames::DATA, 0, &[]), (100, Some(Flood::EmptyData)));
    assert_eq!(passes(frames::DATA, frames::PADDED, &[3, 0, 0, 0]), (100, Some(Flood::EmptyData)));
    assert_eq!(passes(frames::DATA, frames::PADDED, &[2, b'a', 0, 0]), (20_000, None));
    assert_eq!(passes(frames::DATA, 0, b"a"), (20_000, None));
}

#[test]
fn a_new_window_counts_anew_and_sent_data_earns_updates() {
    let now = Instant::now();
    let mut inflow = begun(now);
    let pings = frame(frames::PING, 0, 0, &[0; 8]).repeat(1000);
    assert_eq!(inflow.advance(&pings, now), Ok(()));
    let later = now + Duration::from_secs(10);
    assert_eq!(inflow.advance(&pings, later), Ok(()));
    assert_eq!(inflow.advance(&pings, later), Err(Flood::Pings));

    let mut inflow = begun(now);
    inflow.sent_data_frames(100);
    let updates = frame(frames::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).repeat(2400);
    assert_eq!(inflow.advance(&updates, now), Ok(()));
    assert_eq!(inflow.advance(&updates[..13], now), Err(Flood::WindowUpdates));
}

#[test]
fn c9_a_head_is_open_until_its_last_byte() {
    let now = Instant::now();
    let mut inflow = begun(now);
    let head = frame(frames::HEADERS, 0, 1, &[0x82; 20]);
    inflow.advance(&head[..12], now).unwrap();
    assert_eq!(inflow.head_open_since(), None, "only the frame's header came");
    inflow.advance(&head[12..], now).unwrap();
    assert_eq!(inflow.head_open_since(), Some(now));
    let rest = frame(frames::CONTINUATION, frames::END_HEADERS, 1, &[0x82; 20]);
    inflow.advance(&rest[..28], now + Duration::from_secs(1)).unwrap();
    assert_eq!(inflow.head_open_since(), Some(now));
    inflow.advance(&rest[28..], now).unwrap();
    assert_eq!(inflow.head_open_since(), None);
}

#[test]
fn what_went_out_is_counted() {
    let mut out = Outflow::default();
    out.advance(&frame(frames::DATA, 0, 1, b"some data"));
    out.advance(&frame(frames::RST_STREAM, 0, 1, &[0, 0, 0, 1]));
    out.advance(&frame(frames::RST_STREAM, 0, 3, &[0, 0, 0, 8]));
    assert_eq!((out.take_data_frames(), out.take_refused_streams()), (1, 1));
    assert_eq!((out.take_data_frames(), out.take_refused_streams()), (0, 0));
    assert!(out.is_between_frames() && !out.is_ending());
    let goaway = goaway(ENHANCE_YOUR_CALM);
    out.advance(&goaway[..5]);
    assert!(!out.is_between_frames());
    out.advance(&goaway[5..]);
    assert!(out.is_between_frames() && out.is_ending());
}

#[test]
fn b6_a_bare_head_is_the_parsers_own() {
    let heads = |parts: &[Vec<u8>]| {
        let mut out = Outflow::default();
        parts.iter().for_each(|part| out.advance(part));
        (out.take_refused_heads(), out.take_refused_streams())
    };
    let head =
        |stream, flags, bytes: &[u8]| frame(frames::HEADERS, frames::END_HEADERS | flags, stream, bytes);
    let bare = |stream| head(stream, frames::END_STREAM, &[0x48, 0x83, 0x69, 0x90, 0xff]);
    let reset = |stream| frame(frames::RST_STREAM, 0, stream, &[0, 0, 0, 1]);
    assert_eq!(heads(&[bare(1)]), (1, 0));
    // The second one is an index of the table, and a reset says nothing more.
    assert_eq!(heads(&[bare(1), reset(1), head(3, frames::END_STREAM, &[0xbe]), reset(3)]), (2, 0));
    // A reply with an id, and one with a body and short trailers.
    assert_eq!(heads(&[head(1, frames::END_STREAM, &[0x88; 40])]), (0, 0));
    let body = frame(frames::DATA, 0, 1, b"body");
    assert_eq!(heads(&[head(1, 0, &[0x88]), body.clone(), head(1, frames::END_STREAM, &[0xbe])]), (0, 0));
    // What was malformed is not what was too large.
    assert_eq!(heads(&[head(1, 0, &[0x88]), reset(1), reset(3), bare(5), reset(7)]), (1, 3));
}

fn check(head: (&str, Option<&str>, &str), fields: &[(&str, &str)], expected: Option<ViolationKind>) {
    let (method, authority, target) = head;
    let head = RequestHead {
        method: method.as_bytes(),
        authority: authority.map(str::as_bytes),
        target: target.as_bytes(),
    };
    let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let found = check_head(head, pairs, &Limits::default()).err().map(|violation| violation.kind);
    assert_eq!(found, expected, "{method} {authority:?} {target} {fields:?}");
}

const GET: (&str, Option<&str>, &str) = ("GET", Some("gw.example"), "/apps?a=b");

#[test]
fn heads_that_pass() {
    check(GET, &[], None);
    check(GET, &[("host", "gw.example"), ("te", "trailers"), ("cookie", "a=b"), ("cookie", "c=d")], None);
    check(GET, &[("host", "GW.example")], None);
    check(
        ("POST", Some("gw.example:8443"), "/"),
        &[("content-length", "5"), ("expect", "100-continue")],
        None,
    );
    check(("GET", Some("[2001:db8::1]:443"), "/"), &[], None);
}

#[test]
fn b5_the_host_of_a_head_is_one() {
    use ViolationKind::{AuthorityDiffers, BadHost, MissingAuthority};
    check(("GET", None, "/"), &[("host", "gw.example")], Some(MissingAuthority));
    check(GET, &[("host", "other.example")], Some(AuthorityDiffers));
    check(GET, &[("host", "gw.example:443")], Some(AuthorityDiffers));
    check(GET, &[("host", "")], Some(AuthorityDiffers));
    for authority in ["", "a,b", "user@gw.example", "gw.example.", "gw.example:", "gw_a", "[::1", "a:1:2"] {
        check(("GET", Some(authority), "/"), &[], Some(BadHost));
    }
    check(
        GET,
        &[("host", "gw.example"), ("host", "gw.example")],
        Some(ViolationKind::RepeatedHeader(SingleHeader::Host)),
    );
}

#[test]
fn c8_heads_that_http1_would_not_have() {
    use ViolationKind::*;
    check(("CONNECT", Some("gw.example"), "/"), &[], Some(MethodNotAllowed));
    check(("get", Some("gw.example"), "/"), &[], Some(MethodSyntax));
    check(("GET", Some("gw.example"), "*"), &[], Some(TargetForm));
    check(("GET", Some("gw.example"), "http://other/"), &[], Some(TargetForm));
    check(("GET", Some("gw.example"), ""), &[], Some(RequestLineShape));
    check(("GET", Some("gw.example"), "/a#b"), &[], Some(TargetFragment));
    check(("GET", Some("gw.example"), "/a b"), &[], Some(TargetByte));
    check(("GET", Some("gw.example"), "/a\r\nx: y"), &[], Some(TargetByte));
    for name in ["connection", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding"] {
        check(GET, &[(name, "close")], Some(ConnectionHeader));
    }
    check(GET, &[("te", "gzip")], Some(ConnectionHeader));
    check(GET, &[("te", "trailers, gzip")], Some(ConnectionHeader));
    check(GET, &[("x", "a\r\nb: c")], Some(BareCr));
    check(GET, &[("x", "a\nb")], Some(ControlInValue));
    check(GET, &[("x", "a\0b")], Some(Nul));
    for value in [" a", "a ", "\ta", "a\t", " "] {
        check(GET, &[("x", value)], Some(SpaceAroundValue));
    }
    check(GET, &[("x", "a b"), ("y", "")], None);
    check(GET, &[("x_y", "a")], Some(UnderscoreInName));
    check(GET, &[("x:y", "a")], Some(HeaderName));
    check(GET, &[("expect", "200-ok")], Some(BadExpect));
    check(GET, &[("content-length", "+5")], Some(BadContentLength));
    for single in [SingleHeader::Authorization, SingleHeader::ContentLength, SingleHeader::ContentType] {
        let name = single.name().to_ascii_lowercase();
        check(GET, &[(&name, "5"), (&name, "5")], Some(RepeatedHeader(single)));
    }
}

#[test]
fn b6_sizes_are_those_of_http1() {
    use ViolationKind::*;
    let long = "a".repeat(20_000);
    check(("GET", Some("gw.example"), &format!("/{long}")), &[], Some(RequestLineTooLong));
    check(GET, &[("x", &long)], Some(HeaderLineTooLong));
    let line = "a".repeat(16_000);
    check(GET, &[("x", line.as_str()); 5], Some(HeadTooLarge));
    check(GET, &[("x", "y"); 101], Some(TooManyHeaders));
    check(GET, &[("x", "y"); 100], None);
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut(
        payloads in proptest::collection::vec((0u8..12, proptest::collection::vec(any::<u8>(), 0..40)), 1..20),
        cut in 1usize..30,
    ) {
        let bytes: Vec<u8> = payloads.iter().flat_map(|(kind, payload)| frame(*kind, 0, 7, payload)).collect();
        let mut scanner = FrameScanner::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            let mut rest = piece;
            while let Some(step) = scanner.next(&mut rest) {
                if let Step::Begin(frame) = step {
                    found.push((frame.kind, frame.length, frame.stream));
                }
            }
            prop_assert!(rest.is_empty());
        }
        let expected: Vec<_> =
            payloads.iter().map(|(kind, payload)| (*kind, u32::try_from(payload.len()).unwrap(), 7)).collect();
        prop_assert_eq!(found, expected);
        let mut nothing: &[u8] = &[];
        let _last_end = scanner.next(&mut nothing);
        prop_assert!(scanner.is_between_frames());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let now = Instant::now();
        let mut inflow = Inflow::new(FrameLimits::default(), now);
        let _any_answer = inflow.advance(&bytes, now);
        Outflow::default().advance(&bytes);
    }
}
