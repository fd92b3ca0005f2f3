//! What S3 is asked, and what is made of its answers.

use super::*;

const VARIABLES: [(&str, &str); 3] =
    [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "canary-key")];
const HOST: &str = "https://corp-anchors.s3.eu-west-1.amazonaws.com";
const LOCK: &str = "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";

fn bucket(further: &[(&str, &str)], name: &str) -> (World, LockedBucket) {
    let world = World::new(&[&VARIABLES[..], further].concat());
    let place = BucketPlace { bucket: name.to_owned(), prefix: "gw/".to_owned(), region: None };
    let bucket = LockedBucket::new(world.chain.clone(), place);
    (world, bucket)
}

fn terms(kms_key: Option<&str>) -> LockTerms {
    let retention = Duration::from_secs(400 * 24 * 3600);
    LockTerms { retention, kms_key: kms_key.map(str::to_owned) }
}

fn refusal(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>canary</Message></Error>")
}

#[tokio::test]
async fn an_object_is_written_once_with_its_lock_its_sum_and_its_key() {
    let (world, bucket) = bucket(&[], "corp-anchors");
    let (put, head) = (format!("PUT {HOST}/gw/a"), format!("HEAD {HOST}/gw/a"));
    world.cloud.on(&put, 200, "");
    world.cloud.on(&head, 200, "");
    // Taken and not locked, as by a store that knows no Object Lock.
    let fault = bucket.keep("a", b"note".to_vec(), &terms(Some("alias/k"))).await.unwrap_err().to_string();
    assert!(
        fault.starts_with("s3://corp-anchors/gw/a was written and is not locked in COMPLIANCE"),
        "{fault}"
    );
    let header = |name| world.cloud.header(&put, name);
    let sent = |name, value: &str| assert_eq!(header(name).as_deref(), Some(value), "{name}");
    sent("x-amz-object-lock-mode", "COMPLIANCE");
    sent("x-amz-object-lock-retain-until-date", "2027-12-28T00:00:00Z");
    // printf note | openssl dgst -sha256 -binary | base64
    sent("x-amz-checksum-sha256", "7bRlYkKR5AU8bF6kt+syDex3PhClfSa5Xc8FZPjjEPg=");
    sent("x-amz-sdk-checksum-algorithm", "SHA256");
    sent("x-amz-server-side-encryption", "aws:kms");
    sent("x-amz-server-side-encryption-aws-kms-key-id", "alias/k");
    sent("if-none-match", "*");
    assert_eq!(world.cloud.body(&put), "note");
    let signature = header("authorization").unwrap();
    assert!(signature.contains("/eu-west-1/s3/aws4_request"), "{signature}");
    for name in ["if-none-match", "x-amz-checksum-sha256", "x-amz-object-lock-mode", "x-amz-content-sha256"] {
        assert!(signature.contains(name), "{name} is signed: {signature}");
    }
    bucket.keep("a", b"note".to_vec(), &terms(None)).await.unwrap_err();
    assert_eq!(header("x-amz-server-side-encryption"), None);
    for status in [409, 412] {
        world.cloud.on(&put, status, refusal("PreconditionFailed"));
        assert_eq!(bucket.keep("a", b"note".to_vec(), &terms(None)).await.unwrap(), Kept::Already);
    }
}

#[tokio::test]
async fn a_bucket_without_a_lock_is_said_to_have_none() {
    let (world, bucket) = bucket(&[], "corp-anchors");
    let call = format!("GET {HOST}/?object-lock");
    world.cloud.on(&call, 200, LOCK);
    bucket.demand_lock().await.unwrap();
    for (status, answer) in [
        (404, refusal("ObjectLockConfigurationNotFoundError")),
        (200, LOCK.replace("Enabled<", "Disabled<")),
        (200, "<ObjectLockConfiguration/>".to_owned()),
    ] {
        world.cloud.on(&call, status, answer);
        let fault = bucket.demand_lock().await.unwrap_err();
        assert!(matches!(fault, AwsFault::NoObjectLock { .. }), "{fault}");
    }
    let refused = async |status, code: &str, expected: &str| {
        world.cloud.on(&call, status, refusal(code));
        let fault = told(&bucket.demand_lock().await.unwrap_err());
        assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
    };
    refused(403, "AccessDenied", "S3 answered 403 AccessDenied: allow s3:PutObject, s3:PutObjectRetention")
        .await;
    refused(404, "NoSuchBucket", "there is no bucket corp-anchors; make it with Object Lock").await;
    refused(301, "PermanentRedirect", "write it in AUDIT_ANCHOR_REGION").await;
    refused(503, "SlowDown", "it is asked again").await;
    world.cloud.on(&call, 200, "canary");
    assert!(told(&bucket.demand_lock().await.unwrap_err()).contains("(no XML)"));
}

#[tokio::test]
async fn versions_and_marks_are_listed_to_the_end() {
    let (world, bucket) = bucket(&[], "corp-anchors");
    let first =
        format!("GET {HOST}/?versions=&prefix=gw%2Fx-&encoding-type=url&max-keys=250&key-marker=gw%2Fx-0");
    let second = format!(
        "GET {HOST}/?versions=&prefix=gw%2Fx-&encoding-type=url&max-keys=250&key-marker=gw%2Fx-1&version-id-marker=v%2B1"
    );
    let page = |inner: &str| format!("<ListVersionsResult>{inner}</ListVersionsResult>");
    world.cloud.on(&first, 200, page("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>gw%2Fx-1</NextKeyMarker><NextVersionIdMarker>v+1</NextVersionIdMarker><Version><Key>gw%2Fx-1</Key><VersionId>v+1</VersionId></Version><Version><Key>gw%2Fx-+%01</Key><VersionId>v</VersionId></Version>"));
    world.cloud.on(&second, 200, page("<IsTruncated>false</IsTruncated><DeleteMarker><Key>gw/x-2</Key><VersionId>m</VersionId></DeleteMarker><CommonPrefixes/>"));
    let found = bucket.versions("x-", Some("x-0")).await.unwrap();
    let of = |name: &str, id: &str, is_removal| ObjectVersion {
        name: name.to_owned(),
        id: id.to_owned(),
        is_removal,
    };
    assert_eq!(found, [of("x-1", "v+1", false), of("x- \u{1}", "v", false), of("x-2", "m", true)]);
    world.cloud.on(&format!("GET {HOST}/gw/x-1?versionId=v%2B1"), 200, "note");
    assert_eq!(bucket.read(&found[0]).await.unwrap(), b"note");
    // One that has no end, or is outside of what was asked for, is no list.
    world.cloud.on(&second, 200, page("<IsTruncated>true</IsTruncated>"));
    assert!(bucket.versions("x-", Some("x-0")).await.is_err());
    world.cloud.on(&second, 200, page("<Version><Key>other/x</Key><VersionId>v</VersionId></Version>"));
    assert!(bucket.versions("x-", Some("x-0")).await.is_err());
}

#[tokio::test]
async fn other_stores_and_names_with_dots_are_asked_by_path() {
    let (world, elsewhere) = bucket(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000/s3")], "corp-anchors");
    world.cloud.on("GET http://127.0.0.1:9000/s3/corp-anchors/?object-lock", 200, LOCK);
    elsewhere.demand_lock().await.unwrap();
    let (world, dotted) = bucket(&[], "anchors.corp.example");
    let call = "GET https://s3.eu-west-1.amazonaws.com/anchors.corp.example/?object-lock";
    world.cloud.on(call, 200, LOCK);
    dotted.demand_lock().await.unwrap();
    let (_world, open) = bucket(&[("AWS_ENDPOINT_URL_S3", "http://store.example.com")], "corp-anchors");
    let fault = open.demand_lock().await.unwrap_err().to_string();
    assert!(fault.starts_with("AWS_ENDPOINT_URL_S3 is not an https:// address"), "{fault}");
}

#[tokio::test]
async fn credentials_that_are_over_are_replaced_once() {
    let agent = "GET http://169.254.170.2/v2/credentials/1";
    let world = World::new(&[VARIABLES[0], ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")]);
    let place = BucketPlace { bucket: "corp-anchors".to_owned(), prefix: String::new(), region: None };
    let bucket = LockedBucket::new(world.chain.clone(), place);
    let call = format!("GET {HOST}/?object-lock");
    world.cloud.on(agent, 200, document("TASK", 360));
    world.cloud.on(&call, 400, refusal("ExpiredToken"));
    bucket.demand_lock().await.unwrap_err();
    assert_eq!(world.cloud.calls(), [agent, &call, agent, &call]);
    assert!(world.cloud.header(&call, "x-amz-security-token").is_some());
}
