//! K6: a decision takes as long as its text is long, whatever the text is. Each hostile text is measured beside a plain
//! one of the same length, in the same run and turn by turn, so that a busy machine is busy for both.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gateway_convox::{RequestKind, RouteTable};
use gateway_policy::{OwnTable, PolicyEngine, PolicySource};
use gateway_secrets::NamePatterns;
use gateway_services::{CanonicalPath, RawRoute, RawService, RawUpstream, Service, ServiceTable};
use gateway_types::{Caller, Channel, CredentialKind, Facts, Principal, Resource, Role, RoleSet};

/// How long the texts are, in bytes: as long as a request line may be, about. A step for each pair of bytes would be
/// some thousand times a step for each byte.
const LENGTH: usize = 8 * 1024;

/// How often each is measured; the quickest counts, since whatever else runs only ever makes it slower.
const TURNS: usize = 15;

/// How many times as long as the plain text a hostile one may take.
const MOST: u32 = 25;

/// Below this nothing is told apart from the clock and the caches.
const FLOOR: Duration = Duration::from_micros(20);

/// A piece again and again, as long as all texts are.
fn long(piece: &str) -> String {
    piece.chars().cycle().take(LENGTH).collect()
}

/// Measures the work on each of these texts beside the same work on a plain one.
fn check(what: &str, plain: &str, hostile: &[String], mut work: impl FnMut(&str)) {
    for hostile in hostile {
        let (mut quickest, mut bound) = (Duration::MAX, Duration::MAX);
        for _ in 0..TURNS {
            for (text, least) in [(plain, &mut bound), (hostile.as_str(), &mut quickest)] {
                let begun = Instant::now();
                work(text);
                *least = begun.elapsed().min(*least);
            }
        }
        let shown: String = hostile.chars().take(40).collect();
        let most = bound.max(FLOOR) * MOST;
        assert!(quickest <= most, "{what}: {shown:?}… took {quickest:?}, a plain text {bound:?}");
    }
    println!("K6: {what}: {} hostile texts within {MOST} times a plain one", hostile.len());
    crate::corpus::count(&format!("K6 {what}"), hostile.len());
}

/// Paths that make a reader of paths begin again and again.
fn hostile_paths(prefix: &str) -> Vec<String> {
    ["a/", "%61", "%2561", "..;/", "%2e%2e/", "a%2f", ";a=b", "{app}", "*", "%", "%%", "\u{e9}"]
        .map(|piece| format!("{prefix}{}", long(piece)))
        .to_vec()
}

#[test]
fn k6_paths_of_the_rack_are_matched_in_the_time_of_their_length() {
    let table = RouteTable::builtin().unwrap();
    let plain = format!("/apps/{}", long("abcdefghij"));
    check("the rack's paths", &plain, &hostile_paths("/apps/"), |path| {
        let _refused = black_box(table.identify("GET", path, RequestKind::Plain).is_ok());
    });
}

#[test]
fn k6_paths_of_services_are_matched_in_the_time_of_their_length() {
    let route = |path: &str| RawRoute {
        method: "GET".to_owned(),
        path: path.to_owned(),
        action: None,
        class: None,
        role: None,
        step_up: None,
        cicd: false,
        requests_per_second: None,
        request_burst: None,
        body_size_bytes: None,
    };
    let raw = RawService {
        name: "app".to_owned(),
        hosts: vec!["app.example.com".to_owned()],
        upstreams: vec![RawUpstream { url: "http://127.0.0.1:1".to_owned(), weight: None, version: None }],
        tail: Some(true),
        routes: (0..100).map(|number| route(&format!("/a/{{b}}/a/{{c}}/a/{{d}}/r{number}"))).collect(),
        ..RawService::default()
    };
    let table = ServiceTable::new(vec![Service::check(raw).unwrap()]).unwrap();
    let plain = format!("/{}", long("abcdefghi/"));
    check("services' paths", &plain, &hostile_paths("/"), |path| {
        let _malformed = black_box(CanonicalPath::parse(path).is_ok());
        let _unknown = black_box(table.find("app.example.com", path).is_ok_and(|found| found.is_some()));
    });
}

/// Patterns that an operator may well write, in conditions about texts that others choose.
#[test]
fn k6_conditions_of_policies_hold_in_the_time_of_their_length() {
    let mut operations = RouteTable::builtin().unwrap().operations();
    operations.extend(OwnTable::builtin().unwrap().operations());
    let mut text = String::new();
    for (number, pattern) in
        ["*a*a*a*a*a*a*a*a*a*a*a*a*b", "*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a*a*a*a*a*a*c@*", "*.*.*.*.*.*x"]
            .iter()
            .enumerate()
    {
        writeln!(
            text,
            "@id(\"p-{number}\") forbid (principal, action in Action::\"class:read\", resource) \
             when {{ principal is User && principal.email like \"{pattern}\" }};"
        )
        .unwrap();
    }
    let source = PolicySource { name: "patterns.cedar".to_owned(), text };
    let engine = PolicyEngine::new(operations, &[source]).unwrap();
    let operation = engine.operation("convox:app:list").unwrap().clone();
    let mut number = 0;
    let hostile = ["a", "ab", "aab", "a.", "*", "\\*", "a*"].map(|piece| format!("{}@x", long(piece)));
    let plain = format!("{}@x", long("defghijklm"));
    check("conditions", &plain, &hostile, |email| {
        // Another person each time, so that no verdict comes from the cache of verdicts.
        number += 1;
        let caller = Caller {
            principal: Principal::User {
                id: format!("018f0000-0000-7000-9000-{number:012}").parse().unwrap(),
                email: email.into(),
                roles: RoleSet::of(Role::Viewer),
                session: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
                kind: CredentialKind::CliSession,
            },
            channel: Channel::RackProxy,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let _either = black_box(engine.decide(&caller, &operation, &Resource::rack(), &Facts::default()));
    });
}

#[test]
fn k6_patterns_of_names_match_in_the_time_of_their_length() {
    let patterns = ["*AAAAAAAAB*", "*A_A_A_A_B*", "A*", "*B", "*_KEY", "*SECRET*"];
    let patterns = NamePatterns::new(patterns.map(str::to_owned)).unwrap();
    let hostile = ["A", "A_", "AAAAAAAA", "SECRE", "_KE"].map(long);
    check("names", &long("CDEFGHIJKL"), &hostile, |name| {
        let _either = black_box(patterns.matches(name));
    });
}
