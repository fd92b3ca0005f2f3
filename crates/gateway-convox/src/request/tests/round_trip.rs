//! `parse(serialise(request)) == request`, for every row; and no path leads outside its row.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::generator::requests;
use crate::request::RackRequest;
use crate::table::tests::ALL;
use crate::table::{RequestKind, RouteTable};
use crate::upstream::UpstreamBody;

fn parse_back(table: &RouteTable, request: &RackRequest) -> RackRequest {
    let sent = request.serialise();
    assert!(sent.target.starts_with('/') && !sent.target.starts_with("//"), "{}", sent.target);
    assert!(sent.target.bytes().all(|byte| byte.is_ascii_graphic()), "{}", sent.target);
    let (path, query) =
        sent.target.split_once('?').map_or((sent.target.as_str(), None), |(p, q)| (p, Some(q)));
    let kind = if sent.is_socket { RequestKind::Socket } else { RequestKind::Plain };
    let identified = table.identify(sent.method, path, kind).unwrap();
    let headers = sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let form = match &sent.body {
        UpstreamBody::Form(form) => Some(form.as_slice()),
        UpstreamBody::None | UpstreamBody::Stream { .. } => None,
    };
    identified.complete(query, headers, Some("application/x-www-form-urlencoded"), form).unwrap()
}

#[test]
fn every_row_reads_back_what_it_writes() {
    let table = &*ALL;
    for row in table.rows() {
        let mut runner = TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
        let outcome = runner.run(&requests(row), |request| {
            prop_assert_eq!(&parse_back(table, &request), &request);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{}: {failure}", row.operation.route));
    }
}

/// Paths made of the pieces that have broken routers.
fn odd_paths() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("apps"),
        Just("a"),
        Just("builds"),
        Just("B1.tgz"),
        Just("objects"),
        Just("registries"),
        Just("v2"),
        Just("processes"),
        Just("exec"),
        Just("proxy"),
        Just("443"),
        Just("system"),
        Just("%2e"),
        Just("%2f"),
        Just(".."),
        Just("."),
        Just("%25"),
        Just("%61"),
        Just("+"),
        Just(":"),
        Just("%20"),
        Just("@"),
        Just("é"),
        Just(";"),
        Just("\\"),
        Just("kubernetes"),
        Just("[::1]"),
        Just("%5B::1%5D"),
        Just("~"),
        Just("%00"),
    ];
    let segment = proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat());
    proptest::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a13_no_path_leads_outside_its_row(path in odd_paths(), method in "GET|POST|PUT|DELETE", is_socket: bool) {
        let table = &*ALL;
        let kind = if is_socket { RequestKind::Socket } else { RequestKind::Plain };
        let Ok(identified) = table.identify(&method, &path, kind) else { return Ok(()) };
        let request = identified.complete_with(std::iter::empty());
        let target = request.serialise().target;
        let again = table.identify(&method, &target, kind).unwrap().complete_with(std::iter::empty());
        prop_assert_eq!(again, request);
        prop_assert!(!target.contains("/../") && !target.contains("%2F") && !target.contains("%2f"));
    }
}
