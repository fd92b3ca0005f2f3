//! What Secrets Manager is asked, and what is made of its answers.

use super::*;

const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "canary-key")];
const CALL: &str = "POST https://secretsmanager.eu-west-1.amazonaws.com/";

fn id(name: &str, key: Option<&str>) -> SecretId {
    SecretId { name: name.to_owned(), stage: None, key: key.map(str::to_owned) }
}

fn answer(text: &str) -> String {
    json!({"ARN": "arn", "Name": "prod/rack", "SecretString": text, "VersionStages": ["AWSCURRENT"]})
        .to_string()
}

fn with_keys(further: &[(&str, &str)]) -> (World, SecretsManager) {
    let world = World::new(&[&KEYS[..], further].concat());
    let secrets = SecretsManager::new(world.chain.clone());
    (world, secrets)
}

#[tokio::test]
async fn the_whole_text_or_one_key_of_it() {
    let (world, secrets) = with_keys(&[REGION]);
    world.cloud.on(CALL, 200, answer("{\"password\":\"hunter2\",\"port\":1}"));
    let whole = secrets.read(&id("prod/rack", None)).await.unwrap();
    assert_eq!(whole.expose(), "{\"password\":\"hunter2\",\"port\":1}");
    assert_eq!(secrets.read(&id("prod/rack", Some("password"))).await.unwrap().expose(), "hunter2");
    for key in ["port", "none"] {
        let fault = secrets.read(&id("prod/rack", Some(key))).await.unwrap_err();
        let expected = format!("the secret is not a JSON object with the text `{key}` in it");
        assert_eq!(fault.to_string(), expected);
    }
    let header = |name| world.cloud.header(CALL, name).unwrap();
    assert_eq!(header("x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert!(
        header("authorization").contains("Credential=AKID/20261123/eu-west-1/secretsmanager/aws4_request")
    );
    assert!(header("authorization").contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target,"));
    let body: Value = serde_json::from_str(&world.cloud.body(CALL)).unwrap();
    assert_eq!(body, json!({"SecretId": "prod/rack"}));

    let staged = SecretId { stage: Some("AWSPENDING".to_owned()), ..id("prod/rack", None) };
    secrets.read(&staged).await.unwrap();
    let body: Value = serde_json::from_str(&world.cloud.body(CALL)).unwrap();
    assert_eq!(body, json!({"SecretId": "prod/rack", "VersionStage": "AWSPENDING"}));
}

#[tokio::test]
async fn the_region_is_that_of_the_arn_before_any_other() {
    let (world, secrets) = with_keys(&[REGION]);
    let arn = "arn:aws-cn:secretsmanager:cn-north-1:1:secret:prod/rack-AbCdEf";
    let call = "POST https://secretsmanager.cn-north-1.amazonaws.com.cn/";
    world.cloud.on(call, 200, answer("x"));
    secrets.read(&id(arn, None)).await.unwrap();
    assert!(world.cloud.header(call, "authorization").unwrap().contains("/cn-north-1/"));
    let (_world, nowhere) = with_keys(&[]);
    let fault = nowhere.read(&id("prod/rack", None)).await.unwrap_err().to_string();
    assert_eq!(fault, "no AWS region is known; set AWS_REGION, or write the secret's whole ARN");
    let (world, elsewhere) =
        with_keys(&[REGION, ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:4566")]);
    world.cloud.on("POST http://127.0.0.1:4566/", 200, answer("x"));
    elsewhere.read(&id("prod/rack", None)).await.unwrap();
    let (_world, open) = with_keys(&[REGION, ("AWS_ENDPOINT_URL", "http://aws.example.com")]);
    let fault = open.read(&id("prod/rack", None)).await.unwrap_err().to_string();
    assert!(fault.starts_with("AWS_ENDPOINT_URL is not an https:// address"), "{fault}");
}

#[tokio::test]
async fn each_refusal_says_what_to_do_and_repeats_nothing() {
    let check = async |status: u16, body: &str, expected: &str| {
        let (world, secrets) = with_keys(&[REGION]);
        world.cloud.on(CALL, status, body);
        let fault = told(&secrets.read(&id("prod/rack", None)).await.unwrap_err());
        assert!(fault.contains(expected) && !fault.contains("canary"), "{fault}");
    };
    let refusal = |code: &str| json!({"__type": code, "Message": "canary"}).to_string();
    let denied = "AWS Secrets Manager answered 400 AccessDeniedException: allow secretsmanager:GetSecretValue on prod/rack";
    check(400, &refusal("AccessDeniedException"), denied).await;
    let unknown = "400 ResourceNotFoundException: there is no prod/rack in eu-west-1; look at the name and the stage, set AWS_REGION";
    check(400, &refusal("com.amazon#ResourceNotFoundException"), unknown).await;
    check(400, &refusal("UnrecognizedClientException"), "AWS does not know the gateway's credentials").await;
    check(400, &refusal("DecryptionFailure"), "allow kms:Decrypt").await;
    check(403, &refusal("InvalidSignatureException"), "look at the clock of this machine").await;
    check(500, &refusal("InternalServiceError"), "500 InternalServiceError: look at prod/rack in eu-west-1")
        .await;
    check(502, "<html>canary", "AWS Secrets Manager answered 502: look at").await;
    check(200, "canary", "another form than its API describes (no JSON object)").await;
    check(200, "{\"SecretBinary\":\"Y2FuYXJ5\"}", "the secret is binary; store it as text").await;
    let (_world, lost) = with_keys(&[REGION]);
    let fault = told(&lost.read(&id("prod/rack", None)).await.unwrap_err());
    assert!(
        fault.starts_with("AWS Secrets Manager could not be asked: no connection to secretsmanager."),
        "{fault}"
    );
}

#[tokio::test]
async fn credentials_that_aws_calls_expired_are_replaced_once() {
    let agent = "GET http://169.254.170.2/v2/credentials/1";
    let world = World::new(&[REGION, ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")]);
    let secrets = SecretsManager::new(world.chain.clone());
    world.cloud.on(agent, 200, document("TASK", 360));
    world.cloud.on(CALL, 400, "{\"__type\":\"ExpiredTokenException\"}");
    let fault = secrets.read(&id("prod/rack", None)).await.unwrap_err().to_string();
    assert!(fault.contains("are over and no new ones came"), "{fault}");
    assert_eq!(world.cloud.calls(), [agent, CALL, agent, CALL]);
}
