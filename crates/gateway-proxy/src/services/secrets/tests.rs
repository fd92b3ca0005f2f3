use gateway_identity::oidc::Answer;
use gateway_integrations::aws;
use http::Response;

use super::*;

/// A Vault that answers each request with the next of these.
#[derive(Debug)]
struct Vault {
    answers: Mutex<Vec<(u16, &'static str)>>,
    seen: Mutex<Vec<String>>,
}

impl Fetch for Vault {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        let token = request.headers()["x-vault-token"].to_str().unwrap().to_owned();
        self.seen.lock().unwrap().push(format!("{} {} {token}", request.method(), request.uri().path()));
        let (status, body) = self.answers.lock().unwrap().remove(0);
        let answer = Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// AWS for a machine that knows nothing of it.
fn nowhere() -> Arc<SecretsManager> {
    let http = Arc::new(gateway_app::integrations::KeptWayOut::new(Arc::new(Vault {
        answers: Mutex::default(),
        seen: Mutex::default(),
    })));
    let ways = aws::Ways { beyond: http.clone(), machine: http };
    let chain =
        aws::CredentialChain::new(aws::AwsSettings::default(), ways, Arc::new(gateway_types::SystemClock));
    Arc::new(SecretsManager::new(Arc::new(chain)))
}

fn reader(token: VaultToken, answers: &[(u16, &'static str)]) -> (SecretReader, Arc<Vault>) {
    let vault = Arc::new(Vault { answers: Mutex::new(answers.to_vec()), seen: Mutex::default() });
    let access = VaultAccess { address: "http://vault".to_owned(), token, namespace: None };
    (SecretReader::new(Environment::default(), Some(access), nowhere(), vault.clone()), vault)
}

/// In how many seconds the token is renewed next, roughly.
fn next(reader: &SecretReader) -> u64 {
    let due = reader.renewal.lock().unwrap().expect("a next time");
    due.duration_since(Instant::now()).as_secs() + 1
}

#[tokio::test]
async fn the_token_for_vault_is_renewed_at_half_of_its_time() {
    let answers = [
        (200, "{\"auth\":{\"lease_duration\":1000}}"),
        (503, "{}"),
        (400, "{\"errors\":[\"not renewable\"]}"),
    ];
    let (reader, vault) = reader(VaultToken::Value(Secret::new("t".to_owned())), &answers);
    let asked = || vault.seen.lock().unwrap().len();
    let let_it_be_due = || *reader.renewal.lock().unwrap() = Some(Instant::now());
    reader.renew().await;
    assert_eq!(*vault.seen.lock().unwrap(), ["POST /v1/auth/token/renew-self t"]);
    assert!((490..=500).contains(&next(&reader)), "{}", next(&reader));
    reader.renew().await;
    assert_eq!(asked(), 1, "not before half of its time is over");
    // Vault was away: soon again. Then it does not renew: not often.
    let_it_be_due();
    reader.renew().await;
    assert!((50..=60).contains(&next(&reader)), "{}", next(&reader));
    let_it_be_due();
    reader.renew().await;
    assert_eq!(asked(), 3);
    assert!((3590..=3600).contains(&next(&reader)), "{}", next(&reader));
}

#[tokio::test]
async fn a_token_in_a_file_is_renewed_by_whoever_writes_it() {
    let (reader, vault) = reader(VaultToken::File("/nowhere".into()), &[]);
    reader.renew().await;
    assert!(vault.seen.lock().unwrap().is_empty());
}

const FIRST: &str = "{\"data\":{\"data\":{\"password\":\"first-secret\"}}}";
const SECOND: &str = "{\"data\":{\"data\":{\"password\":\"second-secret\"}}}";

#[tokio::test]
async fn a_refused_secret_holds_while_vault_is_away_and_is_asked_for_once_a_minute() {
    let token = VaultToken::Value(Secret::new("t".to_owned()));
    let (reader, vault) = reader(token, &[(200, FIRST), (503, "{}"), (200, SECOND)]);
    let asked = || vault.seen.lock().unwrap().len();
    let reference = SecretRef::parse("vault:secret/apps/wiki#password").unwrap();
    let read = || async { reader.read(&reference).await.unwrap().expose().to_owned() };
    assert_eq!(read().await, "first-secret");
    assert!(reader.again(&reference).await.is_none(), "Vault is away");
    assert_eq!((read().await.as_str(), asked()), ("first-secret", 2), "what it said last holds");
    for _ in 0..5 {
        assert!(reader.again(&reference).await.is_none());
    }
    assert_eq!(asked(), 2, "not asked for each refusal");
    *reader.asked_again.lock().unwrap().get_mut(&reference).unwrap() -= STORE_FRESH;
    let now = reader.again(&reference).await.expect("Vault is back");
    assert_eq!(
        (now.expose().as_str(), read().await.as_str(), asked()),
        ("second-secret", "second-secret", 3)
    );
}
