//! Vectors of "Signature Version 4 test suite" (AWS, aws-sig-v4-test-suite; credentials, date and region are the suite's).

use super::*;

fn credentials(token: Option<&str>) -> AwsCredentials {
    AwsCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: token.map(|token| Secret::new(token.to_owned())),
        expires: None,
        source: CredentialSource::Environment,
    }
}

fn signed(method: &str, url: &str, token: Option<&str>, payload: Payload) -> Request<Vec<u8>> {
    let request = Request::builder().method(method).uri(url).body(Vec::new()).unwrap();
    let now = Timestamp::parse_rfc3339("2015-08-30T12:36:00Z").unwrap();
    sign(request, &credentials(token), "us-east-1", "service", payload, now).unwrap()
}

fn check(method: &str, url: &str, token: Option<&str>, names: &str, signature: &str) {
    let request = signed(method, url, token, Payload::Hashed);
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    assert_eq!(header("x-amz-date"), "20150830T123600Z");
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}"
    );
    assert_eq!(header("authorization"), expected, "{url}");
}

#[test]
fn the_published_vectors_hold() {
    let names = "host;x-amz-date";
    // get-vanilla
    let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    check("GET", "https://example.amazonaws.com/", None, names, signature);
    // get-vanilla-query-order-key-case
    let signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    check("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", None, names, signature);
    // get-vanilla-with-session-token
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    let signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";
    let names = "host;x-amz-date;x-amz-security-token";
    check("GET", "https://example.amazonaws.com/", Some(token), names, signature);
}

#[test]
fn what_cannot_be_signed_is_no_request() {
    let request = || Request::get("/relative").body(Vec::new()).unwrap();
    let now = Timestamp::from_micros(START);
    assert!(sign(request(), &credentials(None), "us-east-1", "service", Payload::Hashed, now).is_none());
    let odd = credentials(Some("a\nb"));
    let request = Request::get("https://example.amazonaws.com/").body(Vec::new()).unwrap();
    assert!(sign(request, &odd, "us-east-1", "service", Payload::Hashed, now).is_none());
}

#[test]
fn for_s3_the_hash_of_the_body_is_told() {
    let request = signed("GET", "https://example.amazonaws.com/a%20b", None, Payload::HashedForS3);
    let hash = request.headers()["x-amz-content-sha256"].to_str().unwrap();
    assert_eq!(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn nothing_shows_a_key() {
    let text = format!(
        "{:?} {:?}",
        credentials(Some("canary")),
        World::new(&[("AWS_SECRET_ACCESS_KEY", "canary")]).chain
    );
    assert!(!text.contains("canary") && !text.contains("wJalr"), "{text}");
}
