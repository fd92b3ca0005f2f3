//! Properties over made-up and damaged requests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Verdict, feed};
use crate::http1::{Limits, RequestGuard};
use crate::segments::cut_at;

/// Pieces that a fuzzer would need long to find. Random concatenations of them are far likelier to
/// get past the request line than random bytes are.
const FRAGMENTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b=c HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "GET / HTTP/1.1\n",
    "PRI * HTTP/2.0\r\n",
    "Host: a\r\n",
    "host: [::1]:1\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5,5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: upgrade\r\n",
    "Connection: Host\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "X_A: b\r\n",
    "X: b\r\n c\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "abc",
    "3\r\nabc\r\n",
    "3;x\r\n",
    "0\r\n\r\n",
    "0\r\nHost: b\r\n\r\n",
];

fn well_framed_request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    let header = ("X-[A-Za-z0-9.-]{0,8}", "[ -~\t]{0,12}");
    let body = prop_oneof![
        Just(None),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Some(Body::Counted(bytes))),
        vec(vec(any::<u8>(), 1..20), 0..4).prop_map(|chunks| Some(Body::Chunked(chunks))),
    ];
    (method, "/[!$-;=?-\\[\\]_a-z~]{0,20}", vec(header, 0..4), body).prop_map(
        |(method, target, headers, body)| {
            let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: gateway.example\r\n").into_bytes();
            for (name, value) in headers {
                bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            match body {
                None => bytes.extend_from_slice(b"\r\n"),
                Some(Body::Counted(body)) => {
                    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                    bytes.extend_from_slice(&body);
                }
                Some(Body::Chunked(chunks)) => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in chunks {
                        bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                        bytes.extend_from_slice(&chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n\r\n");
                }
            }
            bytes
        },
    )
}

#[derive(Clone, Debug)]
enum Body {
    Counted(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

/// Well-framed requests with a few bytes replaced, put in or taken out.
fn damaged_requests() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![select(b"\r\n\0 \t:;,_0aX\x80".to_vec()), any::<u8>()];
    let damage = (any::<Index>(), byte, 0..3_u8);
    (vec(well_framed_request(), 1..3), vec(damage, 0..3)).prop_map(|(requests, damages)| {
        let mut bytes = requests.concat();
        for (at, byte, kind) in damages {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    vec(select(FRAGMENTS), 0..12).prop_map(|fragments| fragments.concat().into_bytes())
}

fn cut_verdicts_agree(bytes: &[u8], cuts: &[Index]) -> Verdict {
    let whole = feed(Limits::default(), [bytes]);
    assert_eq!(feed(Limits::default(), cut_at(bytes, cuts)), whole);
    assert_eq!(feed(Limits::default(), bytes.chunks(1)), whole);
    whole
}

/// If hyper's parser reads a head at the start of `bytes`, where it ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    match httparse::Request::new(&mut headers).parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Some(length),
        Ok(httparse::Status::Partial) | Err(_) => None,
    }
}

proptest! {
    #[test]
    fn well_framed_requests_pass(
        requests in vec(well_framed_request(), 1..4),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let bytes = requests.concat();
        let expected = Verdict { released: bytes.len(), violation: None, opaque: false, between: true };
        prop_assert_eq!(cut_verdicts_agree(&bytes, &cuts), expected);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), cuts in vec(any::<Index>(), 0..6)) {
        prop_assert!(cut_verdicts_agree(&bytes, &cuts).released <= bytes.len());
    }

    #[test]
    fn damaged_requests_have_one_verdict(bytes in damaged_requests(), cuts in vec(any::<Index>(), 0..6)) {
        prop_assert!(cut_verdicts_agree(&bytes, &cuts).released <= bytes.len());
    }

    #[test]
    fn fragments_have_one_verdict(bytes in fragments(), cuts in vec(any::<Index>(), 0..6)) {
        prop_assert!(cut_verdicts_agree(&bytes, &cuts).released <= bytes.len());
    }

    /// The parser behind the guard sees the same head, and no more than what was released.
    #[test]
    fn a_released_head_is_the_head_that_the_parser_sees(
        bytes in prop_oneof![damaged_requests(), fragments()],
    ) {
        let mut guard = RequestGuard::new(Limits::default());
        let first = (1..=bytes.len()).find_map(|end| match guard.advance(&bytes[..end]) {
            Ok(0) => None,
            Ok(released) => Some(Some(released)),
            Err(_) => Some(None),
        });
        if let Some(Some(released)) = first {
            prop_assert_eq!(end_of_head(&bytes[..released]), Some(released));
        }
    }
}
