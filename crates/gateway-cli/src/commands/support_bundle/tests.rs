use super::bundle::Bundle;
use super::clean::{Cleaner, MASK};

#[test]
fn what_looks_like_a_credential_is_masked_and_the_rest_is_not() {
    let cleaner = Cleaner::new(&[], None);
    for (text, cleaned) in [
        ("token rgw_0123456789abcdefghij0123456789abcdefghij012 used", "token [masked] used"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [masked]"),
        ("authorization: basic Y29udm94OnNlY3JldA==", "authorization: basic [masked]"),
        (
            "postgres://gateway:hunter2secret@db.example.com/gateway",
            "postgres://gateway:[masked]@db.example.com/gateway",
        ),
        ("https://user:p%40ss@rack.example.com", "https://user:[masked]@rack.example.com"),
        (r#"{"password":"hunter2secret","user":"ann"}"#, r#"{"password":"[masked]","user":"ann"}"#),
        ("x eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl y", "x [masked] y"),
        ("key AKIAIOSFODNN7EXAMPLE12 of AWS", "key [masked] of AWS"),
        ("xoxb-1234567890-abcdefghij is Slack's", "[masked] is Slack's"),
    ] {
        let (found, count) = cleaner.clean(text);
        assert_eq!((found.as_str(), count), (cleaned, 1), "{text}");
    }
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nIB8x\n-----END EC PRIVATE KEY-----";
    let (found, _) = cleaner.clean(key);
    assert!(!found.contains("MHcCAQEE") && !found.contains("IB8x"), "{found}");
    for plain in [
        "gateway_requests_total{class=\"read\",status=\"200\"} 12",
        "the key that signs the log could not be read",
        "postgres://gateway:hidden@db.example.com/gateway",
        "rack.token (hidden) from the variable RACK_TOKEN",
        "2026-11-24T00:00:00Z WARN the token of the rack is refused",
    ] {
        assert_eq!(cleaner.clean(plain), (plain.to_owned(), 0));
    }
}

#[test]
fn the_bundle_says_what_is_not_in_it() {
    let mut bundle = Bundle::new("rack-gateway-support-1", "2026-11-24T00:00:00Z");
    bundle.text("metrics.txt", "up 1\n".to_owned());
    bundle.miss("database.json", "there is no database\nat all; Bearer abcdefgh12345678");
    let (archive, masked) = bundle.archive(&Cleaner::new(&[], None)).unwrap();
    assert_eq!(masked, 1);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        found.push((name, std::io::read_to_string(&mut entry).unwrap()));
    }
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["rack-gateway-support-1/README.md", "rack-gateway-support-1/metrics.txt"]);
    let readme = &found[0].1;
    assert!(readme.contains("- metrics.txt") && readme.contains("- database.json: there is no"), "{readme}");
    assert!(readme.contains("recordings and environments of apps") && readme.contains(MASK), "{readme}");
}
