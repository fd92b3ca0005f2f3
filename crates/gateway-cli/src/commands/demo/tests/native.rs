//! The Convox commands through a whole gateway, to the simulated rack.

use serde_json::Value;

use super::*;
use crate::commands::tests::native::run;

/// A demo, and who is in it.
struct Whole {
    running: Running,
    rack: Rack,
    provider: Provider,
    _directory: DataDirectory,
    people: People,
    url: String,
}

impl Whole {
    async fn start() -> Self {
        let directory = DataDirectory::open(None).unwrap();
        let rack = Rack::start(None, 0).await.unwrap();
        let provider = Provider::start(0).await.unwrap();
        let config = config(&arguments(None), &rack, &provider, directory.path().to_owned(), None).unwrap();
        let running = start_gateway(&config, 0).await.unwrap();
        let people = People::settle(&running.store, &config, SystemClock.now()).await.unwrap();
        let place = Place { directory: &directory, certificate: None };
        let announced = Announcement::new(&running, &rack, &provider, place, &config, &people).unwrap();
        let announced: Value = serde_json::from_str(&announced.to_json().unwrap()).unwrap();
        let url = announced["gateway_url"].as_str().unwrap().to_owned();
        Self { running, rack, provider, _directory: directory, people, url }
    }

    /// Runs a command as the machine of this role.
    async fn machine(&self, role: Role, line: &str) -> Result<String, Failure> {
        let machine = self.people.machines.iter().find(|machine| machine.role == role).unwrap();
        self.as_whom(machine.token.expose(), line).await
    }

    /// Runs a command as the person of this role.
    async fn person(&self, role: Role, line: &str) -> Result<String, Failure> {
        let person = self.people.persons.iter().find(|person| person.role == role).unwrap();
        self.as_whom(person.session.expose(), line).await
    }

    async fn as_whom(&self, token: &str, line: &str) -> Result<String, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        run(Context::for_tests(), &self.url, token, &words).await
    }

    async fn stop(self) {
        self.running.stop().await;
        self.rack.stop().await;
        self.provider.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployer_deploys_and_looks_at_what_runs() {
    let whole = Whole::start().await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("convox.yml"), "services:\n  web:\n    build: .\n").unwrap();
    let apps: Value =
        serde_json::from_str(&whole.machine(Role::Deployer, "apps --json").await.unwrap()).unwrap();
    let app = apps[0]["name"].as_str().unwrap().to_owned();
    let said =
        whole.machine(Role::Deployer, &format!("deploy {} -a {app}", here.path().display())).await.unwrap();
    assert!(said.contains("Uploading source... OK") && said.ends_with("OK\n"), "{said}");
    let release =
        said.lines().find_map(|line| line.strip_prefix("Promoting ")).unwrap().trim_end_matches("...");
    let info: Value =
        serde_json::from_str(&whole.machine(Role::Viewer, &format!("apps info {app} --json")).await.unwrap())
            .unwrap();
    assert_eq!(info["release"], release);
    for line in ["ps", "releases", "builds", "scale", "services", "logs --no-follow --tail 3"] {
        let said = whole.machine(Role::Deployer, &format!("{line} -a {app}")).await;
        assert!(!said.as_ref().unwrap().trim().is_empty(), "{line}");
    }
    whole.machine(Role::Ops, &format!("restart -a {app}")).await.unwrap();
    whole.machine(Role::Deployer, &format!("scale web --count 2 -a {app}")).await.unwrap();
    whole.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_what_to_do_and_a_code_goes_with_the_request() {
    let whole = Whole::start().await;
    let apps: Value =
        serde_json::from_str(&whole.person(Role::Viewer, "apps --json").await.unwrap()).unwrap();
    let app = apps[0]["name"].as_str().unwrap().to_owned();
    let line = format!("restart -a {app}");
    let refused = whole.person(Role::Viewer, &line).await.unwrap_err();
    assert_eq!(refused.exit(), Exit::Refused);
    assert!(refused.to_string().contains("hint: "), "{refused}");
    let wanted = whole.person(Role::Ops, &line).await.unwrap_err();
    assert_eq!(wanted.exit(), Exit::Refused);
    assert!(
        wanted.to_string().contains("--code") && wanted.to_string().contains("rack-gateway why"),
        "{wanted}"
    );
    let missing = whole.as_whom("rgs_nobody", "apps").await.unwrap_err();
    assert_eq!(missing.exit(), Exit::NotSignedIn);
    whole.stop().await;
}
