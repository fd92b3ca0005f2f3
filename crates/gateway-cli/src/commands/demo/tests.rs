//! A demo from its parts: everything but the printing.

use gateway_types::{CredentialKind, Principal, Role, RoleSet, TokenKind};

use super::*;

mod native;

fn arguments(data_dir: Option<PathBuf>) -> DemoArguments {
    DemoArguments {
        port: 0,
        admin_port: 0,
        rack_port: 0,
        idp_port: 0,
        rack_url: None,
        data_dir,
        tls: false,
        database_url: None,
    }
}

#[tokio::test]
async fn a_second_start_keeps_people_and_makes_new_credentials() {
    let kept = tempfile::tempdir().unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut ids = Vec::new();
    for run in 1..=2 {
        let directory = DataDirectory::open(Some(kept.path())).unwrap();
        let rack = Rack::start(None, 0).await.unwrap();
        let provider = Provider::start(0).await.unwrap();
        let config = config(&arguments(None), &rack, &provider, directory.path().to_owned(), None).unwrap();
        let running = start_gateway(&config, 0).await.unwrap();
        let people = People::settle(&running.store, &config, SystemClock.now()).await.unwrap();
        let place = Place { directory: &directory, certificate: None };
        let announcement = Announcement::new(&running, &rack, &provider, place, &config, &people).unwrap();
        check_json(&announcement.to_json().unwrap(), &rack);
        assert!(announcement.to_text().contains("export RACK_URL=http://convox:rgw_"));
        for credential in people
            .persons
            .iter()
            .map(|person| &person.session)
            .chain(people.machines.iter().map(|machine| &machine.token))
        {
            assert!(!seen.contains(credential.expose()), "run {run}");
            seen.push(credential.expose().clone());
            let known =
                running.store.callers().resolve(credential.expose(), SystemClock.now()).await.unwrap();
            check_caller(&known.principal, credential.expose());
        }
        let users = running.store.users().list(None, None, 100).await.unwrap().items;
        ids.push(users.into_iter().map(|user| user.id).collect::<Vec<_>>());
        gateway_app::log::verify(&running.store, |_, _| {}).await.unwrap();
        running.stop().await;
        rack.stop().await;
        provider.stop().await;
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 4);
}

fn check_caller(principal: &Principal, credential: &str) {
    match (principal, TokenKind::of(credential)) {
        (Principal::User { email, roles, kind, .. }, Some(TokenKind::CliSession)) => {
            assert_eq!(*kind, CredentialKind::CliSession);
            assert_eq!(email.split_once('@').unwrap().0, roles.to_string());
        }
        (Principal::ApiToken { roles, creator_email, creator_roles, grants, .. }, Some(TokenKind::Api)) => {
            // Its maker cannot approve what the CI token asks for; the admin is to be able to.
            let creator = if roles.contains(Role::Cicd) { Role::Deployer } else { Role::Admin };
            assert_eq!(**creator_email, format!("{creator}@example.com"));
            assert_eq!(*creator_roles, RoleSet::of(creator));
            assert!(grants.iter().all(|grant| !grant.critical), "no demo token reaches class critical");
        }
        other => panic!("{other:?}"),
    }
}

fn check_json(line: &str, rack: &Rack) {
    assert_eq!(line.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "gateway_url",
        "admin_url",
        "rack_url",
        "rack_token",
        "idp_url",
        "data_dir",
        "database_url",
        "users",
        "api_tokens",
    ];
    assert_eq!(keys, expected);
    assert!(json["gateway_url"].as_str().unwrap().starts_with("http://localhost:"));
    assert_eq!(json["rack_token"], rack.token.expose().as_str());
    let column = |list: &str, key: &str| -> Vec<String> {
        json[list].as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(column("users", "role"), ["admin", "deployer", "ops", "viewer"]);
    assert_eq!(column("api_tokens", "role"), ["viewer", "ops", "deployer", "admin", "cicd"]);
}

#[tokio::test]
async fn a_demo_listens_on_loopback_only() {
    let rack = Rack::start(None, 0).await.unwrap();
    let directory = DataDirectory::open(None).unwrap();
    let provider = Provider::start(0).await.unwrap();
    let mut config = config(&arguments(None), &rack, &provider, directory.path().to_owned(), None).unwrap();
    assert!(config.listener.addresses.iter().all(|address| address.ip().is_loopback()));
    assert!(config.admin_listener.ip().is_loopback());
    assert!(config.settings.mfa_step_up() && config.settings.rate_limits(), "a demo weakens nothing");
    config.listener.addresses.push("0.0.0.0:0".parse().unwrap());
    assert!(refuse_public(&config).is_err());
    config.listener.addresses.pop();
    config.admin_listener = "10.0.0.1:0".parse().unwrap();
    assert!(refuse_public(&config).is_err());
}

#[test]
fn a_temporary_directory_is_gone_at_the_end() {
    let directory = DataDirectory::open(None).unwrap();
    let path = directory.path().to_owned();
    assert!(path.is_dir());
    directory.close().unwrap();
    assert!(!path.exists());
}

fn real(url: &str) -> Option<(String, Option<String>, String)> {
    let rack = Rack::real(url).ok()?;
    let variables = rack.variables();
    let username = variables.iter().find(|(name, _)| *name == variables::RACK_USERNAME).unwrap().1.clone();
    Some((rack.url.clone(), username, rack.token.expose().clone()))
}

#[test]
fn a_real_rack_is_taken_apart() {
    let expected = |url: &str, name: Option<&str>, token: &str| {
        Some((url.to_owned(), name.map(str::to_owned), token.to_owned()))
    };
    assert_eq!(
        real("https://convox:abc@rack.example.com"),
        expected("https://rack.example.com", Some("convox"), "abc")
    );
    assert_eq!(real("http://:a%40b@[::1]:5443/"), expected("http://[::1]:5443", None, "a%40b"));
    for bad in ["rack.example.com", "ftp://a:b@rack", "https://a:b@rack/path", ""] {
        assert_eq!(real(bad), None, "{bad}");
    }
    let failure = Rack::real("https://convox:hunter2@rack/path").unwrap_err();
    assert!(!failure.to_string().contains("hunter2"));
}
