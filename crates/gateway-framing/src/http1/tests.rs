//! Tables of good and bad requests. Each is tried whole, byte by byte, and cut at every place.

mod properties;

use super::*;

/// What the guard said about a whole stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) released: usize,
    pub(super) violation: Option<ViolationKind>,
    pub(super) opaque: bool,
    pub(super) between: bool,
}

/// Plays a caller that receives `segments` one after the other.
pub(super) fn feed<'a>(limits: Limits, segments: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut guard = RequestGuard::new(limits);
    let mut buffer = Vec::new();
    let mut released = 0;
    let mut violation = None;
    'segments: for segment in segments {
        buffer.extend_from_slice(segment);
        loop {
            match guard.advance(&buffer) {
                Ok(0) => break,
                Ok(count) => {
                    assert!(count <= buffer.len(), "released {count} of {}", buffer.len());
                    buffer.drain(..count);
                    released += count;
                }
                Err(found) => {
                    assert_eq!(found.status, found.kind.status());
                    assert_eq!(guard.advance(&buffer), Err(found), "a failed guard stays failed");
                    assert_eq!(guard.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(found));
                    violation = Some(found.kind);
                    break 'segments;
                }
            }
        }
    }
    Verdict { released, violation, opaque: guard.is_opaque(), between: guard.is_between_requests() }
}

/// The verdict on `bytes`, which must not depend on where they are cut.
pub(super) fn verdict_with(limits: Limits, bytes: &[u8]) -> Verdict {
    let whole = feed(limits, [bytes]);
    assert_eq!(feed(limits, bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for at in 0..bytes.len() {
        let (before, after) = bytes.split_at(at);
        assert_eq!(feed(limits, [before, after]), whole, "cut at {at}: {}", bytes.escape_ascii());
    }
    whole
}

fn verdict(bytes: &[u8]) -> Verdict {
    verdict_with(Limits::default(), bytes)
}

/// The whole of `bytes` is one or more well-framed requests.
fn accept(bytes: &[u8]) {
    let expected = Verdict { released: bytes.len(), violation: None, opaque: false, between: true };
    assert_eq!(verdict(bytes), expected, "{}", bytes.escape_ascii());
}

/// Nothing of `bytes` is released, for this reason.
fn refuse(bytes: &[u8], kind: ViolationKind) {
    refuse_after(0, bytes, kind);
}

/// `released` bytes are released before the violation.
fn refuse_after(released: usize, bytes: &[u8], kind: ViolationKind) {
    let expected = Verdict { released, violation: Some(kind), opaque: false, between: false };
    assert_eq!(verdict(bytes), expected, "{}", bytes.escape_ascii());
}

/// `released` bytes are released, and the rest waits for more.
fn wait_after(released: usize, bytes: &[u8]) {
    let expected = Verdict { released, violation: None, opaque: false, between: false };
    assert_eq!(verdict(bytes), expected, "{}", bytes.escape_ascii());
}

/// A request with this request line.
fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a\r\n\r\n").into_bytes()
}

/// A `GET` with `Host` and these header lines; each ends in CRLF by itself.
fn with(headers: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").into_bytes()
}

/// A chunked `POST` with this body.
fn chunked(body: &str) -> (usize, Vec<u8>) {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    (head.len(), format!("{head}{body}").into_bytes())
}

fn refuse_chunks(released: usize, body: &str, kind: ViolationKind) {
    let (head, bytes) = chunked(body);
    refuse_after(head + released, &bytes, kind);
}

#[test]
fn a_new_guard_is_between_requests() {
    let mut guard = RequestGuard::new(Limits::default());
    assert!(guard.is_between_requests());
    assert_eq!(guard.advance(b""), Ok(0));
    assert!(guard.is_between_requests());
    assert_eq!(guard.advance(b"G"), Ok(0));
    assert!(!guard.is_between_requests());
}

#[test]
fn request_lines() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        accept(&line(&format!("{method} /apps/a?x=1&y= HTTP/1.1")));
    }
    accept(&line("GET / HTTP/1.0"));
    accept(&line("GET /apps? HTTP/1.1"));
    accept(&line("GET //apps HTTP/1.1"));
    accept(&line("GET /~!@$&'()*+,;=:%00%2f[]?a=/?[] HTTP/1.1"));

    refuse(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ViolationKind::LeadingEmptyLine);
    refuse(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ViolationKind::LeadingEmptyLine);
    refuse(&line("GET / HTTP/1.1\r"), ViolationKind::VersionSyntax);
    refuse(b"GET / HTTP/1.1\nHost: a\r\n\r\n", ViolationKind::BareLf);
    refuse(&line("GET /"), ViolationKind::RequestLineShape);
    refuse(&line("GET"), ViolationKind::RequestLineShape);
    refuse(&line("GET  / HTTP/1.1"), ViolationKind::RequestLineShape);
    refuse(&line("GET /  HTTP/1.1"), ViolationKind::RequestLineShape);
    refuse(&line("GET / HTTP/1.1 "), ViolationKind::RequestLineShape);
    refuse(&line("GET /a b HTTP/1.1"), ViolationKind::RequestLineShape);
    refuse(&line("GET / HTTP/1.1 junk"), ViolationKind::RequestLineShape);
    refuse(&line("GET\t/ HTTP/1.1"), ViolationKind::MethodSyntax);
    refuse(&line("GET /\tHTTP/1.1"), ViolationKind::RequestLineShape);
}

#[test]
fn methods() {
    for method in ["TRACE", "CONNECT", "PRI", "GETX", "M-SEARCH", "X_Y", "G3T"] {
        refuse(&line(&format!("{method} / HTTP/1.1")), ViolationKind::MethodNotAllowed);
    }
    for method in ["get", "Get", "", " GET", "G\u{e9}T", "GE\0T", "G(T", "\x16\x03\x01\x02", "\u{feff}GET"] {
        refuse(&line(&format!("{method} / HTTP/1.1")), ViolationKind::MethodSyntax);
    }
    refuse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ViolationKind::MethodNotAllowed);
    refuse(&line("CONNECT a:443 HTTP/1.1"), ViolationKind::MethodNotAllowed);
    // A TLS handshake on a plain port is refused at its first byte, without waiting for a LF.
    refuse(b"\x16\x03\x01", ViolationKind::MethodSyntax);
}

#[test]
fn targets() {
    for target in ["http://other/apps", "http:http://x/R", "apps", "*", "a:443", "?x", "\\apps", "%2fapps"] {
        refuse(&line(&format!("GET {target} HTTP/1.1")), ViolationKind::TargetForm);
    }
    refuse(&line("OPTIONS * HTTP/1.1"), ViolationKind::TargetForm);
    for target in ["/a\0", "/a\r", "/\u{7f}", "/caf\u{e9}", "/a\tb", "\u{0}/", "\u{e9}"] {
        refuse(&line(&format!("GET {target} HTTP/1.1")), ViolationKind::TargetByte);
    }
    for byte in ['"', '<', '>', '\\', '^', '`', '{', '|', '}'] {
        refuse(&line(&format!("GET /a{byte}b HTTP/1.1")), ViolationKind::TargetByte);
        refuse(&line(&format!("GET /a?b={byte} HTTP/1.1")), ViolationKind::TargetByte);
    }
    refuse(b"GET /\xff HTTP/1.1\r\n\r\n", ViolationKind::TargetByte);
    refuse(&line("GET /public#/../apps HTTP/1.1"), ViolationKind::TargetFragment);
}

#[test]
fn versions() {
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3.0"] {
        refuse(&line(&format!("GET / {version}")), ViolationKind::VersionNotSupported);
    }
    for version in
        ["http/1.1", "HTTP/1.", "HTTP/1.10", "HTTP/11", "HTTP", "HTTP/+1.1", "HTTP/1.1\t", "ICY/1.1", ""]
    {
        refuse(&line(&format!("GET / {version}")), ViolationKind::VersionSyntax);
    }
    let refused = RequestGuard::new(Limits::default()).advance(&line("GET / HTTP/2.0"));
    assert_eq!(refused.map_err(|violation| violation.status), Err(505));
}

#[test]
fn header_grammar() {
    accept(&with("X-A:\r\n"));
    accept(&with("X-A: \t b \t \r\n"));
    accept(&with("!#$%&'*+-.^`|~09aZ: a:b: c\r\n"));
    accept(&with("Cookie: a=1\r\nCookie: b=2\r\n"));

    refuse(&with("X-A: b\n"), ViolationKind::BareLf);
    refuse(b"GET / HTTP/1.1\r\nHost: a\r\n\n", ViolationKind::BareLf);
    refuse(&with("X-A: b\rc\r\n"), ViolationKind::BareCr);
    refuse(&with("X-A: b\r\r\n"), ViolationKind::BareCr);
    refuse(&with("X\r-A: b\r\n"), ViolationKind::BareCr);
    refuse(&with("X-A: b\0\r\n"), ViolationKind::Nul);
    refuse(&with("X\0A: b\r\n"), ViolationKind::Nul);
    refuse(&with("X-A: b\x0bc\r\n"), ViolationKind::ControlInValue);
    refuse(&with("X-A: \x1b[2J\r\n"), ViolationKind::ControlInValue);
    refuse(&with("X-A: \x7f\r\n"), ViolationKind::ControlInValue);
    // A command may hold any text (RFC 9110, section 5.5, obs-text); what it means is the grammar's business.
    accept(&with("Command: echo caf\u{e9}\r\n"));
    refuse(&with("X-A: b\r\n c\r\n"), ViolationKind::FoldedHeader);
    refuse(&with("X-A: b\r\n\tc\r\n"), ViolationKind::FoldedHeader);
    refuse(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ViolationKind::FoldedHeader);
    refuse(&with("X-A : b\r\n"), ViolationKind::HeaderName);
    refuse(&with("X-A\t: b\r\n"), ViolationKind::HeaderName);
    refuse(&with(": b\r\n"), ViolationKind::HeaderName);
    refuse(&with("X-A\r\n"), ViolationKind::HeaderName);
    refuse(&with("X A: b\r\n"), ViolationKind::HeaderName);
    refuse(&with("X(A): b\r\n"), ViolationKind::HeaderName);
    refuse(&with("X-\u{e9}: b\r\n"), ViolationKind::HeaderName);
    refuse(&with("X_Gateway_User: b\r\n"), ViolationKind::UnderscoreInName);
    refuse(&with("Content_Length: 5\r\n"), ViolationKind::UnderscoreInName);
}

#[test]
fn headers_that_are_there_once() {
    let value = |header| match header {
        SingleHeader::Host => "a",
        SingleHeader::ContentLength => "0",
        SingleHeader::TransferEncoding => "chunked",
        SingleHeader::Connection => "close",
        SingleHeader::Expect => "100-continue",
        SingleHeader::Authorization
        | SingleHeader::ContentType
        | SingleHeader::Origin
        | SingleHeader::SecWebSocketKey
        | SingleHeader::SecWebSocketVersion
        | SingleHeader::Upgrade => "x",
    };
    for header in SingleHeader::ALL {
        let (name, value) = (header.name(), value(header));
        let twice = format!("{name}: {value}\r\nX-A: b\r\n{}: {value}\r\n", name.to_ascii_lowercase());
        refuse(&with(&twice), ViolationKind::RepeatedHeader(header));
    }
    refuse(
        &with("Content-Length: 5\r\nContent-Length: 6\r\n"),
        ViolationKind::RepeatedHeader(SingleHeader::ContentLength),
    );
}

#[test]
fn hosts() {
    let with_host = |host: &str| format!("GET / HTTP/1.1\r\nHost:{host}\r\n\r\n").into_bytes();
    for host in [
        "a",
        " a",
        "\ta \t",
        "example.com",
        "EXAMPLE.com",
        "a:1",
        "a:65535",
        "a:00080",
        "127.0.0.1",
        "127.0.0.1:8443",
        "[::1]",
        "[::1]:443",
        "[2001:db8::1]:65535",
        "xn--caf-dma.example",
        "a-b.c",
    ] {
        accept(&with_host(host));
    }
    for host in [
        "",
        " ",
        "a,b",
        "a, b",
        "a b",
        "a:",
        "a:b",
        "a:1:2",
        "a:65536",
        "a:000080",
        "a:+1",
        "a:-1",
        "a.",
        "a.:80",
        ".a",
        "a..b",
        "a#x",
        "a@b",
        "u:p@b",
        "a/b",
        "a?b",
        "a%2eb",
        "a_b",
        "http://a",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[fe80::1%25eth0]",
        "[127.0.0.1]",
        "[]",
        "[::1]]",
        "*",
        "a\\b",
        "\"a\"",
    ] {
        refuse(&with_host(host), ViolationKind::BadHost);
    }
    accept(&with_host(&"a".repeat(63)));
    refuse(&with_host(&"a".repeat(64)), ViolationKind::BadHost);
    refuse(&with_host(&"a.".repeat(127).repeat(2)), ViolationKind::BadHost);
    refuse(b"GET / HTTP/1.1\r\n\r\n", ViolationKind::MissingHost);
    refuse(b"GET / HTTP/1.0\r\nX-A: b\r\n\r\n", ViolationKind::MissingHost);
    refuse(
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ViolationKind::RepeatedHeader(SingleHeader::Host),
    );
}

#[test]
fn connection_options() {
    for value in
        ["close", "keep-alive", "Keep-Alive, Upgrade", "Upgrade, HTTP2-Settings", "TE, close", " close ,te"]
    {
        accept(&with(&format!("Connection: {value}\r\n")));
    }
    for value in [
        "Authorization",
        "x-gateway-user",
        "close, X-Request-Id",
        "Content-Length",
        "Transfer-Encoding, Host",
        "Host",
        "",
        ",",
        "close,",
        "close,,te",
        "close;te",
        "\"close\"",
        "close te",
        "Cookie",
    ] {
        refuse(&with(&format!("Connection: {value}\r\n")), ViolationKind::ConnectionOption);
    }
}

#[test]
fn expectations() {
    accept(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nab");
    refuse(&with("Expect: 200-ok\r\n"), ViolationKind::BadExpect);
    refuse(&with("Expect:\r\n"), ViolationKind::BadExpect);
    refuse(&with("Expect: 100-continue, x\r\n"), ViolationKind::BadExpect);
}

#[test]
fn counted_bodies() {
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
        accept(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b").as_bytes());
    }
    accept(&with("Content-Length: 0\r\n"));
    accept(b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length:0000000000000000000000000003\r\n\r\n\r\n\0");
    let head = with("Content-Length: 5\r\n");
    wait_after(head.len(), &head);
    wait_after(head.len() + 4, &[&head[..], b"abcd"].concat());
    let largest = with("Content-Length: 9223372036854775807\r\n");
    wait_after(largest.len() + 3, &[&largest[..], b"abc"].concat());

    for value in [
        "",
        "+5",
        "-5",
        "0x5",
        "5 ",
        "5\t",
        "\t5",
        "5,5",
        "5, 5",
        "5.0",
        "5e0",
        "five",
        "\"5\"",
        "1_0",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        refuse(&with(&format!("Content-Length: {value}\r\n")), ViolationKind::BadContentLength);
    }
    refuse(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\n", ViolationKind::BadContentLength);
}

#[test]
fn transfer_encodings() {
    accept(&chunked("0\r\n\r\n").1);
    accept(b"GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:   Chunked\r\n\r\n0\r\n\r\n");
    for value in [
        "",
        "identity",
        "gzip, chunked",
        "chunked, identity",
        "chunked, chunked",
        "chunked,",
        "xchunked",
        "chunked ",
        "chunked\t",
        "\tchunked",
        "chunked;q=1",
        "\"chunked\"",
        "chun ked",
    ] {
        refuse(&with(&format!("Transfer-Encoding: {value}\r\n")), ViolationKind::BadTransferEncoding);
    }
    refuse(&with("Transfer-Encoding: \x0bchunked\r\n"), ViolationKind::ControlInValue);
    refuse(&with("Transfer-Encoding: chunked\r\n x\r\n"), ViolationKind::FoldedHeader);
    refuse(&with("Transfer-Encoding : chunked\r\n"), ViolationKind::HeaderName);
    refuse(&with("Transfer_Encoding: chunked\r\n"), ViolationKind::UnderscoreInName);
    refuse(&with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), ViolationKind::TwoLengths);
    refuse(&with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), ViolationKind::TwoLengths);
    refuse(
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ViolationKind::TransferEncodingInHttp10,
    );
}

#[test]
fn chunked_bodies() {
    accept(&chunked("3\r\nabc\r\n0\r\n\r\n").1);
    accept(&chunked("00000000000000A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n000\r\n\r\n").1);
    let (head, open) = chunked("3\r\nab");
    wait_after(head + 5, &open);
    let (head, open) = chunked("3\r\nabc\r\n0\r\n\r");
    wait_after(head + 11, &open);
    let (head, huge) = chunked("fffffffffffffff\r\nabc");
    wait_after(head + 20, &huge);

    refuse_chunks(0, "\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "0x3\r\nabc\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "+3\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "-3\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, " 3\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "3 \r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "3\t\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "3g\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(0, "3;a=b\r\nabc\r\n", ViolationKind::ChunkExtension);
    refuse_chunks(0, "3;\nabc\r\n", ViolationKind::ChunkExtension);
    refuse_chunks(0, "3\nabc\r\n", ViolationKind::BareLf);
    refuse_chunks(0, "3\rabc\r\n", ViolationKind::BareCr);
    refuse_chunks(0, "0000000000000003\r\nabc\r\n", ViolationKind::ChunkSizeTooLong);
    refuse_chunks(0, "ffffffffffffffff0\r\n", ViolationKind::ChunkSizeTooLong);
    refuse_chunks(6, "3\r\nabcd\r\n", ViolationKind::BadChunkEnd);
    refuse_chunks(6, "3\r\nabc\n0\r\n\r\n", ViolationKind::BadChunkEnd);
    refuse_chunks(6, "3\r\nabc\r0\r\n\r\n", ViolationKind::BadChunkEnd);
    refuse_chunks(6, "3\r\nabc0\r\n\r\n", ViolationKind::BadChunkEnd);
    refuse_chunks(8, "3\r\nabc\r\n\r\n", ViolationKind::BadChunkSize);
    refuse_chunks(3, "0\r\nAuthorization: Bearer x\r\n\r\n", ViolationKind::Trailer);
    refuse_chunks(3, "0\r\nHost: b\r\n\r\n", ViolationKind::Trailer);
    refuse_chunks(3, "0\r\n\n", ViolationKind::Trailer);
    refuse_chunks(3, "0\r\nGET / HTTP/1.1\r\n\r\n", ViolationKind::Trailer);
}

#[test]
fn pipelined_requests() {
    let get = with("");
    let counted = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ".to_vec();
    let (_, streamed) = chunked("5\r\nGET /\r\n0\r\n\r\n");
    accept(&[&get[..], &counted, &streamed, &get].concat());

    // What is good goes on before what is bad is reported.
    let good = [&counted[..], &streamed].concat();
    let bad = with("X-A : b\r\n");
    refuse_after(good.len(), &[&good[..], &bad].concat(), ViolationKind::HeaderName);
    // Servers that forgive an empty line after a body read this differently from those that do not.
    refuse_after(good.len(), &[&good[..], b"\r\n", &get].concat(), ViolationKind::LeadingEmptyLine);
    // CL.TE and TE.CL with a poisoned second request: the first head is refused already.
    let poisoned =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    refuse(poisoned.as_bytes(), ViolationKind::TwoLengths);
    wait_after(get.len(), &[&get[..], b"GET /"].concat());
}

#[test]
fn a_violation_in_a_body_is_told_from_one_in_a_head() {
    let check = |bytes: &[u8], expected: bool| {
        let mut guard = RequestGuard::new(Limits::default());
        assert!(!guard.failed_in_body());
        let released = guard.advance(bytes).unwrap_or_default();
        for _ in 0..2 {
            assert!(guard.advance(&bytes[released..]).is_err());
            assert_eq!(guard.failed_in_body(), expected, "{}", bytes.escape_ascii());
        }
    };
    check(&chunked("3\r\nabcd").1, true);
    check(&chunked("0\r\nHost: b\r\n").1, true);
    check(&chunked("0\r\n\r\n(").1, false);
    check(&with("X-A : b\r\n"), false);
    check(&[&with("Content-Length: 2\r\n")[..], b"ab("].concat(), false);
}

#[test]
fn websocket_upgrades_are_opaque() {
    let head = with(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: 4NmX9q3wemP5OTJ2PmolxQ==\r\nSec-WebSocket-Version: 13\r\n",
    );
    let bytes = [&head[..], b"\x82\x80\0\0\0\0\n\nGET / HTTP/9.9\r\n"].concat();
    let expected = Verdict { released: bytes.len(), violation: None, opaque: true, between: false };
    assert_eq!(verdict(&bytes), expected);

    let opaque = |headers: &str| verdict(&with(headers)).opaque;
    assert!(opaque("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n"));
    assert!(opaque("Upgrade: websocket\r\nConnection: UPGRADE\r\nContent-Length: 0\r\n"));
}

#[test]
fn other_upgrades_stay_plain() {
    accept(&with(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    ));
    accept(&with("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"));
    accept(&with("Connection: Upgrade\r\nUpgrade: websocket/13\r\n"));
    accept(&with("Connection: Upgrade\r\n"));
    accept(&with("Upgrade: websocket\r\n"));
    accept(&with("Connection: close\r\nUpgrade: websocket\r\n"));
    accept(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    accept(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    for upgrade in ["websocket", "h2c"] {
        let with_body =
            |length: &str| with(&format!("Connection: Upgrade\r\nUpgrade: {upgrade}\r\n{length}\r\n"));
        refuse(&with_body("Content-Length: 1"), ViolationKind::UpgradeWithBody);
        refuse(&with_body("Transfer-Encoding: chunked"), ViolationKind::UpgradeWithBody);
    }
}

#[test]
fn what_the_convox_client_sends_passes() {
    accept(
        b"POST /api/v1/rack-proxy/apps/myapp/services/web/processes? HTTP/1.1\r\nHost: 127.0.0.1:16443\r\n\
          User-Agent: convox.go/dev\r\nContent-Length: 0\r\nAccept: */*\r\nAuthorization: Basic Y29udm94OnNlY3JldA==\r\n\
          Command: sleep 3600\r\nContent-Type: application/octet-stream\r\nVersion: dev\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    accept(
        b"PUT /apps/myapp/resources/db/data? HTTP/1.1\r\nHost: rack.example:443\r\nUser-Agent: convox.go/dev\r\n\
          Transfer-Encoding: chunked\r\nAccept: */*\r\nContent-Type: application/octet-stream\r\n\r\n\
          4\r\nabcd\r\n0\r\n\r\n",
    );
}

#[test]
fn size_limits() {
    let limits = Limits { request_line_bytes: 24, header_line_bytes: 32, header_count: 3, head_bytes: 96 };
    let check = |bytes: &str, expected: Option<ViolationKind>| {
        assert_eq!(verdict_with(limits, bytes.as_bytes()).violation, expected, "{bytes:?}");
    };
    let path = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length));
    check(&path(8), None);
    check(&path(9), Some(ViolationKind::RequestLineTooLong));
    let value = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(length));
    check(&value(27), None);
    check(&value(28), Some(ViolationKind::HeaderLineTooLong));
    // Too long counts before what is wrong in the line.
    check(&format!("GET / HTTP/1.1\r\nX: \0{}\r\n", "y".repeat(40)), Some(ViolationKind::HeaderLineTooLong));
    check(&format!("GET /\0{}", "y".repeat(40)), Some(ViolationKind::RequestLineTooLong));
    check("GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC: 1\r\n\r\n", None);
    check("GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n", Some(ViolationKind::TooManyHeaders));
    // 16 + 9 + 2 lines of up to 32, and the final CRLF.
    let head = |last: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nY: {}\r\n\r\n", "y".repeat(27), "y".repeat(last))
    };
    assert_eq!(head(27).len(), 91);
    let tight = Limits { head_bytes: 91, ..limits };
    assert_eq!(verdict_with(tight, head(27).as_bytes()).violation, None);
    let tight = Limits { head_bytes: 90, ..limits };
    assert_eq!(verdict_with(tight, head(27).as_bytes()).violation, Some(ViolationKind::HeadTooLarge));
    let tight = Limits { head_bytes: 70, ..limits };
    assert_eq!(verdict_with(tight, head(40).as_bytes()).violation, Some(ViolationKind::HeadTooLarge));
    // The limits are of one head, not of the connection.
    check(&head(27).repeat(4), None);
}

#[test]
fn default_limits() {
    let verdict = |bytes: &str| feed(Limits::default(), [bytes.as_bytes()]).violation;
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 16));
    assert_eq!(verdict(&line(16 * 1024)), None);
    assert_eq!(verdict(&line(16 * 1024 + 1)), Some(ViolationKind::RequestLineTooLong));
    let value = |length: usize| format!("X: {}\r\n", "y".repeat(length - 5));
    let head = |headers: String| format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    assert_eq!(verdict(&head(value(16 * 1024))), None);
    assert_eq!(verdict(&head(value(16 * 1024 + 1))), Some(ViolationKind::HeaderLineTooLong));
    assert_eq!(verdict(&head(value(64 * 1024))), Some(ViolationKind::HeaderLineTooLong));
    assert_eq!(verdict(&head(value(6).repeat(99))), None);
    assert_eq!(verdict(&head(value(6).repeat(100))), Some(ViolationKind::TooManyHeaders));
    assert_eq!(verdict(&head(value(16 * 1024).repeat(4))), Some(ViolationKind::HeadTooLarge));
    let cookies = "Cookie: a=b\r\n".repeat(10_000);
    assert_eq!(verdict(&head(cookies)), Some(ViolationKind::TooManyHeaders));
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_scanned_once() {
    let mut guard = RequestGuard::new(Limits::default());
    let bytes = with(&format!("X: {}\r\n", "y".repeat(1000)));
    for end in 1..bytes.len() {
        assert_eq!(guard.advance(&bytes[..end]), Ok(0));
        assert!(matches!(&guard.state, State::Head(head) if head.scanned_bytes() == end));
    }
    assert_eq!(guard.advance(&bytes), Ok(bytes.len()));
}

#[test]
fn a_caller_that_forgets_bytes_is_not_answered_with_a_panic() {
    let mut guard = RequestGuard::new(Limits::default());
    assert_eq!(guard.advance(b"GET / HTTP/1.1\r\nHost: a\r\nX-"), Ok(0));
    assert_eq!(guard.advance(b"GET"), Ok(0));
    assert_eq!(guard.advance(b""), Ok(0));
}

#[test]
fn violations_say_what_to_do_and_nothing_of_the_request() {
    let refused = RequestGuard::new(Limits::default()).advance(&with("X_Secret: hunter2\r\n"));
    assert_eq!(
        refused.map_err(|violation| (violation.status, violation.to_string())),
        Err((
            400,
            "a header name holds an underscore, which some servers read as a hyphen; write hyphens"
                .to_owned()
        ))
    );
    let repeated = Violation::from(ViolationKind::RepeatedHeader(SingleHeader::Authorization));
    assert_eq!(repeated.to_string(), "the header Authorization is there more than once; send it once");
}
