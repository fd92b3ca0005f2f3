//! Any request line, headers and form: whatever is accepted must be written back to something that
//! reads as the very same request, and must stay under the same row.
#![no_main]

use std::sync::LazyLock;

use gateway_convox::{RackRequest, RequestKind, RouteTable, UpstreamBody};
use libfuzzer_sys::fuzz_target;

static TABLE: LazyLock<RouteTable> =
    LazyLock::new(|| RouteTable::builtin().expect("the built-in table is read by a test"));

const FORM: &str = "application/x-www-form-urlencoded";

fn parse(
    method: &str,
    target: &str,
    kind: RequestKind,
    headers: &[(&str, &[u8])],
    form: Option<&[u8]>,
) -> Option<RackRequest> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let identified = TABLE.identify(method, path, kind).ok()?;
    identified.complete(query, headers.iter().copied(), Some(FORM), form).ok()
}

// The input is text: `METHOD TARGET`, then a line `Name: value` for each header, an empty line, the form.
// A first byte of `S` makes it a socket.
fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let kind = if *first == b'S' { RequestKind::Socket } else { RequestKind::Plain };
    let head_end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let (head, form) = rest.split_at(head_end);
    let mut lines = head.split(|byte| *byte == b'\n');
    let Some(Ok(line)) = lines.next().map(std::str::from_utf8) else { return };
    let Some((method, target)) = line.split_once(' ') else { return };
    let headers: Vec<(&str, &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
        })
        .collect();
    let form = form.strip_prefix(b"\n\n").filter(|form| !form.is_empty());
    let Some(request) = parse(method, target, kind, &headers, form) else { return };

    let sent = request.serialise();
    assert!(sent.target.starts_with('/') && !sent.target.starts_with("//"));
    assert!(sent.target.bytes().all(|byte| byte.is_ascii_graphic()));
    let sent_headers: Vec<(&str, &[u8])> =
        sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let sent_form = match &sent.body {
        UpstreamBody::Form(form) => Some(form.as_slice()),
        UpstreamBody::None | UpstreamBody::Stream { .. } => None,
    };
    let again = parse(sent.method, &sent.target, kind, &sent_headers, sent_form);
    assert_eq!(again.as_ref(), Some(&request));
});
