//! Where credentials come from, when they are renewed, and what is said when they cannot be had.

use super::*;

const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const RELATIVE: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1");
const AGENT: &str = "GET http://169.254.170.2/v2/credentials/1";
const TOKEN: &str = "PUT http://169.254.169.254/latest/api/token";
const ROLES: &str = "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/";

#[tokio::test]
async fn static_keys_come_first() {
    let world = World::new(&[
        REGION,
        RELATIVE,
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_SESSION_TOKEN", ""),
    ]);
    let found = world.chain.credentials().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.session_token), ("AKID", None));
    assert_eq!(found.source, CredentialSource::Environment);
    world.clock.advance(Duration::from_secs(1_000_000));
    world.chain.credentials().await.unwrap();
    assert!(world.cloud.calls().is_empty());
    let half = World::new(&[("AWS_ACCESS_KEY_ID", "AKID")]);
    assert_eq!(
        half.fault().await,
        "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both or none"
    );
}

#[tokio::test]
async fn a_web_identity_gets_a_role_by_the_token_of_the_moment() {
    let token = file("first.jwt.token\n");
    let path = token.path().to_str().unwrap();
    let role = "arn:aws:iam::1:role/gateway";
    let world =
        World::new(&[REGION, RELATIVE, ("AWS_WEB_IDENTITY_TOKEN_FILE", path), ("AWS_ROLE_ARN", role)]);
    let action = "AssumeRoleWithWebIdentity";
    world.cloud.on(action, 200, xml(action, "ASIA1", 60));
    let found = world.chain.credentials().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.source), ("ASIA1", CredentialSource::WebIdentity));
    assert_eq!(
        world.cloud.body(action),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fgateway\
         &RoleSessionName=rack-gateway&WebIdentityToken=first.jwt.token"
    );
    assert_eq!(world.cloud.header(action, "authorization"), None, "the token is the proof");

    // Kept until five minutes before the end, then another by the token that is in the file then.
    std::fs::write(token.path(), "second.jwt.token").unwrap();
    world.cloud.on(action, 200, xml(action, "ASIA2", 120));
    world.clock.advance(Duration::from_secs(54 * 60));
    assert_eq!(world.chain.credentials().await.unwrap().access_key_id, "ASIA1");
    world.clock.advance(Duration::from_secs(2 * 60));
    assert_eq!(world.chain.credentials().await.unwrap().access_key_id, "ASIA2");
    assert!(world.cloud.body(action).ends_with("WebIdentityToken=second.jwt.token"));
    assert_eq!(world.cloud.calls().len(), 2);
    let renewal = world.chain.renewal().unwrap();
    assert_eq!(renewal.next.unwrap().to_rfc3339(), after(115));

    // While STS is away they are given out to their end, and not for longer.
    world.cloud.lose(action);
    world.clock.advance(Duration::from_secs(60 * 60));
    assert_eq!(world.chain.credentials().await.unwrap().access_key_id, "ASIA2");
    assert_eq!(world.cloud.calls().len(), 3);
    world.chain.credentials().await.unwrap();
    assert_eq!(world.cloud.calls().len(), 3, "not asked at each use");
    world.clock.advance(Duration::from_secs(4 * 60));
    assert_eq!(
        world.fault().await,
        "AWS STS could not be asked: no connection to sts.eu-west-1.amazonaws.com"
    );
}

#[tokio::test]
async fn each_failure_of_a_web_identity_says_what_to_do() {
    let token = file("canary.jwt.token");
    let path = token.path().to_str().unwrap();
    let file = ("AWS_WEB_IDENTITY_TOKEN_FILE", path);
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/gateway");
    let action = "AssumeRoleWithWebIdentity";
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>canary</Message></Error></ErrorResponse>";
    let check = async |status: u16, body: &str, expected: &str| {
        let world = World::new(&[REGION, file, role]);
        world.cloud.on(action, status, body);
        let fault = world.fault().await;
        assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
    };
    check(403, refused, "AWS STS answered 403 AccessDenied: the role arn:aws:iam::1:role/gateway must trust")
        .await;
    check(503, "away", "AWS STS answered 503: ").await;
    check(200, "<a", "another form than its API describes (no XML)").await;
    let lacking = xml(action, "ASIA1", 60).replace("SessionToken", "Session");
    check(200, &lacking, "another form than its API describes (SessionToken)").await;
    assert_eq!(
        World::new(&[REGION, file]).fault().await,
        "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not; set both or none"
    );
    assert!(World::new(&[file, role]).fault().await.contains("no AWS region is known; set AWS_REGION"));
    let gone = World::new(&[REGION, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"), role]).fault().await;
    assert!(gone.starts_with("/nowhere/token (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read"), "{gone}");
    let odd = World::new(&[("AWS_REGION", "eu west"), file, role]).fault().await;
    assert_eq!(odd, "AWS_REGION is not a region such as eu-west-1");
}

#[tokio::test]
async fn a_task_and_a_pod_ask_their_agent() {
    let world = World::new(&[RELATIVE]);
    world.cloud.on(AGENT, 200, document("TASK", 360));
    let found = world.chain.credentials().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.source), ("TASK", CredentialSource::Container));
    assert_eq!(world.cloud.header(AGENT, "authorization"), None);

    let token = file("pod-token");
    let full = "http://169.254.170.23/v1/credentials";
    let world = World::new(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one"),
    ]);
    let call = format!("GET {full}");
    world.cloud.on(&call, 200, document("POD", 360));
    assert_eq!(world.chain.credentials().await.unwrap().access_key_id, "POD");
    assert_eq!(world.cloud.header(&call, "authorization").as_deref(), Some("pod-token"));
}

#[tokio::test]
async fn each_failure_of_an_agent_says_what_to_do() {
    let check = async |status: u16, body: &str, expected: &str| {
        let world = World::new(&[RELATIVE]);
        world.cloud.on(AGENT, status, body);
        let fault = world.fault().await;
        assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
        assert_eq!(world.cloud.calls(), [AGENT], "nobody else is asked instead");
    };
    check(403, "canary", "the container credentials' endpoint answered 403: look at the role of the task")
        .await;
    check(200, "canary", "another form than its API describes (no JSON object)").await;
    check(200, "{\"AccessKeyId\":\"canary\"}", "another form than its API describes (SecretAccessKey)").await;
    let endless = document("TASK", 1).replace("Expiration", "Expires");
    check(200, &endless, "another form than its API describes (Expiration)").await;
    assert!(World::new(&[RELATIVE]).fault().await.contains("no connection to 169.254.170.2"));
    for address in [
        "http://169.254.169.254/v1",
        "http://agent.example.com/v1",
        "http://169.254.170.2@evil.example/v1",
        "file:///etc/passwd",
        "nothing",
    ] {
        let fault = World::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)]).fault().await;
        assert!(
            fault.starts_with("AWS_CONTAINER_CREDENTIALS_FULL_URI is not an https:// address"),
            "{fault}"
        );
    }
    let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/v1");
    assert!(World::new(&[relative]).fault().await.ends_with("is not a path that begins with /"));
}

#[tokio::test]
async fn an_instance_asks_its_metadata_service_in_version_two() {
    let world = World::new(&[]);
    world.cloud.on(TOKEN, 200, "metadata-token");
    world.cloud.on(ROLES, 200, "gateway-role\n");
    let of_role = format!("{ROLES}gateway-role");
    world.cloud.on(&of_role, 200, document("INSTANCE", 360));
    let found = world.chain.credentials().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.source), ("INSTANCE", CredentialSource::Instance));
    assert_eq!(world.cloud.calls(), [TOKEN, ROLES, &of_role]);
    assert_eq!(world.cloud.header(TOKEN, "x-aws-ec2-metadata-token-ttl-seconds").as_deref(), Some("60"));
    for call in [ROLES, &of_role] {
        let token = world.cloud.header(call, "x-aws-ec2-metadata-token");
        assert_eq!(token.as_deref(), Some("metadata-token"), "{call}");
    }
    // What the service holds out is taken as it is, also when little of its life is left.
    world.cloud.on(&of_role, 200, document("NEXT", 720));
    world.clock.advance(Duration::from_secs(356 * 60));
    assert_eq!(world.chain.credentials().await.unwrap().access_key_id, "NEXT");
}

#[tokio::test]
async fn each_failure_of_the_metadata_service_says_what_to_do() {
    let nobody = World::new(&[]).fault().await;
    assert!(
        nobody.contains("no AWS credentials were found at all") && nobody.contains("hop limit of 2"),
        "{nobody}"
    );
    let off = World::new(&[("AWS_EC2_METADATA_DISABLED", "TRUE")]);
    assert!(off.fault().await.starts_with("no AWS credentials were found; give the task"));
    assert!(off.cloud.calls().is_empty());

    let world = World::new(&[]);
    world.cloud.on(TOKEN, 403, "");
    assert!(world.fault().await.ends_with("answered 403: the metadata service must be on, with version 2"));
    world.cloud.on(TOKEN, 200, "metadata-token");
    world.cloud.on(ROLES, 404, "");
    assert!(
        world.fault().await.ends_with("answered 404: attach an instance profile with a role to the instance")
    );
    world.cloud.on(ROLES, 200, "../../user-data");
    assert!(world.fault().await.contains("(the role's name)"));
    world.cloud.on(ROLES, 200, "gateway-role");
    let failed = document("INSTANCE", 60).replace("Success", "AssumeRoleUnauthorizedAccess");
    world.cloud.on(&format!("{ROLES}gateway-role"), 200, failed);
    assert!(world.fault().await.contains("(its code is not Success)"));
}

#[tokio::test]
async fn a_further_role_is_taken_on_and_renewed() {
    let role =
        AssumedRole { arn: "arn:aws:iam::2:role/secrets".to_owned(), external_id: Some("of us".to_owned()) };
    let world = World::with_role(&[REGION, RELATIVE], Some(role));
    world.cloud.on(AGENT, 200, document("TASK", 360));
    world.cloud.on("AssumeRole", 200, xml("AssumeRole", "OTHER", 60));
    let found = world.chain.credentials().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.source), ("OTHER", CredentialSource::AssumedRole));
    assert!(world.cloud.body("AssumeRole").ends_with("&RoleSessionName=rack-gateway&ExternalId=of+us"));
    let signed = world.cloud.header("AssumeRole", "authorization").unwrap();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=TASK/20261123/eu-west-1/sts/aws4_request,"),
        "{signed}"
    );
    let token = world.cloud.header("AssumeRole", "x-amz-security-token");
    assert_eq!(token.as_deref(), Some("canary-session-of-TASK"));

    world.cloud.on(
        "AssumeRole",
        403,
        "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
    );
    world.clock.advance(Duration::from_secs(61 * 60));
    let fault = world.fault().await;
    assert!(
        fault.starts_with(
            "AWS STS answered 403 AccessDenied: allow sts:AssumeRole on arn:aws:iam::2:role/secrets"
        ),
        "{fault}"
    );
}
