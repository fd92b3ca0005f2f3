//! A whole deploy and what happens around it, with secrets planted wherever a rack has some: variables, registries,
//! resources, logs, what sessions show. Then everything is searched that the gateway keeps or tells others: every
//! column of every table and the files of the database, the program's log at its most talkative, recordings as they
//! read, mails, jobs, and what GitHub and CircleCI were told.

use std::time::Duration;

use gateway_sim::{SimOptions, SimRack};
use gateway_store::{NewSession, NewUser};
use gateway_testkit::{Database, RawClient, Reply, Socket, eventually};
use gateway_types::{CredentialKind, Role, RoleSet};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{EXEC, Haystack, Planted, canary, database, events, find, planted};
use crate::approvals::{COMMIT, recorded_archive};
use crate::child::Child;
use crate::integrations::hub::Hub;
use crate::mail::Sink;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// What is planted.
struct Secrets {
    /// A variable that was set through the gateway, and is shown by sessions and logs.
    variable: String,
    /// One that is removed again before the deploy.
    removed: String,
    registry: String,
    /// In the address of a resource.
    resource: String,
    /// The tokens with which others are asked.
    github: String,
    circleci: String,
    mail: String,
}

impl Secrets {
    fn new() -> Self {
        Self {
            variable: canary("variable"),
            removed: canary("removed"),
            registry: canary("registry"),
            resource: canary("resource"),
            github: format!("ghp{}", canary("github")),
            circleci: canary("circleci"),
            mail: canary("mail"),
        }
    }

    fn planted(&self) -> Vec<Planted> {
        vec![
            planted("a variable", &self.variable, false),
            planted("a variable of before", &self.removed, false),
            planted("the app's password", "s3cr3t-myapp", false),
            planted("a registry's password", &self.registry, false),
            planted("the registry's password of before", "registry-pa55word", false),
            planted("a resource's parameter", &self.resource, false),
            planted("a resource's password", "dbpa55@resource", false),
            planted("GitHub's token", &self.github, false),
            planted("CircleCI's token", &self.circleci, false),
            planted("the mail server's password", &self.mail, false),
        ]
    }
}

struct Journey {
    child: Child,
    hub: Hub,
    sink: Sink,
    secrets: Secrets,
    /// Of somebody who may approve what the child's own people ask for.
    approver: String,
    /// Of somebody who reads recordings.
    auditor: String,
}

impl Journey {
    async fn start(database: Database, rack: &SimRack) -> Self {
        let secrets = Secrets::new();
        let (hub, sink) = (Hub::start().await, Sink::start().await);
        hub.good(COMMIT);
        let url = hub.url();
        let variables = [
            ("LOG_FILTER", "trace"),
            ("RGW_SETTING_RATE_LIMITS", "off"),
            ("RGW_SETTING_MFA_STEP_UP", "false"),
            ("RGW_SETTING_REVEAL_NOTICE", "true"),
            ("RGW_SETTING_RECORD_INPUT", "true"),
            ("GITHUB_TOKEN", secrets.github.as_str()),
            ("GITHUB_API_URL", url.as_str()),
            ("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop"),
            ("RGW_APP_MYAPP_SETTING_GITHUB_PLACE", "open_pull_request"),
            ("CIRCLECI_TOKEN", secrets.circleci.as_str()),
            ("CIRCLECI_URL", url.as_str()),
            ("RGW_APP_MYAPP_SETTING_CIRCLECI_PROJECT", "gh/acme/shop"),
            ("RGW_APP_MYAPP_SETTING_CIRCLECI_JOB", "wait"),
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", sink.port.as_str()),
            ("SMTP_TLS", "off"),
            ("MAIL_FROM", "gateway@example.com"),
        ];
        let child = Child::start(database, (&rack.url(), rack.password()), &variables).await;
        let approver = session(&child, "approver@example.com", Role::Admin).await;
        let auditor = session(&child, "auditor@example.com", Role::Auditor).await;
        Self { child, hub, sink, secrets, approver, auditor }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        credential: &str,
        header: (&str, &str),
        body: &[u8],
    ) -> Reply {
        RawClient::connect(self.child.addr).await.ask(method, path, credential, &[header], body).await
    }

    async fn done(
        &self,
        method: &str,
        path: &str,
        credential: &str,
        header: (&str, &str),
        body: &[u8],
    ) -> Reply {
        let reply = self.ask(method, path, credential, header, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply
    }

    async fn read(&self, path: &str, credential: &str) -> Value {
        self.done("GET", path, credential, JSON, b"").await.json()
    }

    /// Plants what callers write.
    async fn plant(&self, rack: &SimRack) {
        let admin = self.child.token(Role::Admin);
        let Secrets { variable, removed, registry, resource, .. } = &self.secrets;
        let env = json!({ "set": { "API_KEY": variable, "OLD_KEY": removed } }).to_string();
        let made = self.done("PUT", "!/api/v1/apps/myapp/env", admin, JSON, env.as_bytes()).await.json();
        let promote = format!("/apps/myapp/releases/{}/promote", made["release"].as_str().unwrap());
        self.done("POST", &promote, admin, FORM, b"force=false").await;
        let env = json!({ "unset": ["OLD_KEY"] }).to_string();
        self.done("PUT", "!/api/v1/apps/myapp/env", admin, JSON, env.as_bytes()).await;
        let form = format!("server=r.example&username=u&password={registry}");
        self.done("POST", "/registries", admin, FORM, form.as_bytes()).await;
        let form = format!("kind=webhook&name=w&parameters=Secret%3D{resource}");
        self.ask("POST", "/resources", admin, FORM, form.as_bytes()).await;
        rack.state().say(&format!("web connects with key={variable} to the database"));
    }

    /// What somebody sees of a session, a log, and of what the rack says.
    async fn look(&self) {
        let ops = self.child.token(Role::Ops);
        let variable = &self.secrets.variable;
        for command in [format!("echo {variable}"), "printenv DATABASE_PASSWORD".to_owned(), "sh".to_owned()]
        {
            let headers = [("Command", command.as_str()), ("Tty", "false")];
            let mut socket = Socket::open(self.child.addr, EXEC, ops, &headers).await.unwrap();
            if command == "sh" {
                use gateway_framing::websocket::Opcode;
                // Typed in two pieces, and shown again by the shell.
                let (first, rest) = variable.split_at(9);
                socket.send(Opcode::Text, format!("login {first}").as_bytes()).await;
                socket.send(Opcode::Text, format!("{rest}\nexit 0\n").as_bytes()).await;
            }
            let frames = timeout(Duration::from_secs(30), socket.until_end()).await.expect("an end");
            let shown: Vec<u8> = frames.into_iter().flat_map(|frame| frame.payload).collect();
            if command != "printenv DATABASE_PASSWORD" {
                assert!(find(&shown, variable.as_bytes()).is_some(), "the person sees it all: {command}");
            }
        }
        let mut log =
            Socket::open(self.child.addr, "/apps/myapp/logs", ops, &[("Follow", "false")]).await.unwrap();
        let first = log.frame().await.expect("a line");
        assert!(find(&first.payload, variable.as_bytes()).is_some(), "the log has it");
        for path in ["/registries", "/apps/myapp/resources", "/resources", "/apps/myapp/releases", "/apps"] {
            self.ask("GET", path, ops, JSON, b"").await;
        }
    }

    /// A deploy under an approval; its id.
    async fn deploy(&self) -> String {
        let machine = self.child.token(Role::Cicd);
        let asked = json!({ "app": "myapp", "commit": COMMIT, "message": "Fix it", "commands": ["bin/migrate"],
            "metadata": { "workflow_id": "11111111-2222-3333-4444-555555555555", "run_id": "7" } });
        let asked =
            self.done("POST", "!/api/v1/approvals", machine, JSON, asked.to_string().as_bytes()).await.json();
        let id = asked["id"].as_str().unwrap().to_owned();
        let path = format!("!/api/v1/approvals/{id}");
        // Refusals, also of GitHub, are part of the way.
        assert_eq!(self.ask("POST", &format!("{path}/approve"), machine, JSON, b"{}").await.status, 403);
        let reviews = format!("GET /repos/acme/shop/commits/{COMMIT}/pulls");
        let good = self.hub.set(&reviews, 500, "{}");
        let statement = self.read(&path, &self.approver).await["statement"].clone();
        let sign = json!({ "statement": statement, "reason": "looks fine" }).to_string();
        let refused =
            self.ask("POST", &format!("{path}/approve"), &self.approver, JSON, sign.as_bytes()).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        self.hub.put(&reviews, good);
        // The same answer is good for some seconds.
        eventually("GitHub is asked again", || async {
            let yes =
                self.ask("POST", &format!("{path}/approve"), &self.approver, JSON, sign.as_bytes()).await;
            (yes.status == 200).then_some(())
        })
        .await;
        let stream = ("Content-Type", "application/octet-stream");
        self.done("POST", "/apps/myapp/objects/tmp/a.tgz", machine, stream, &recorded_archive()).await;
        let url = b"url=object%3A%2F%2Fmyapp%2Ftmp%2Fa.tgz";
        let built = self.done("POST", "/apps/myapp/builds", machine, FORM, url).await.json();
        let build = format!("/apps/myapp/builds/{}", built["id"].as_str().unwrap());
        let release = eventually("a release", || async {
            let seen = self.read(&build, machine).await;
            (seen["status"] == "complete").then(|| seen["release"].as_str().unwrap().to_owned())
        })
        .await;
        let shown = self.read(&path, &self.approver).await;
        assert!(shown["impact"]["active_release"].is_string(), "{shown}");
        self.done("POST", &format!("/apps/myapp/releases/{release}/promote"), machine, FORM, b"force=false")
            .await;
        id
    }

    /// Somebody reads a value in plaintext, which is mailed of; it is not shown again.
    async fn reveal(&self) {
        let body = json!({ "keys": ["API_KEY"], "reason": "the partner asks" }).to_string();
        let path = "!/api/v1/apps/myapp/env/reveal";
        let shown = self.done("POST", path, &self.approver, JSON, body.as_bytes()).await.text();
        assert!(shown.contains(&self.secrets.variable), "whoever may sees it");
    }

    /// Everything that others got and the gateway kept.
    async fn gather(mut self, approval: &str) -> Haystack {
        let auditor = self.auditor.clone();
        let admin = self.child.token(Role::Admin).to_owned();
        let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
        let recordings = eventually("recordings of three sessions", || async {
            let list = self.read("!/api/v1/recordings?all=true", &auditor).await;
            let items = list["items"].as_array().unwrap().clone();
            (items.len() >= 3 && items.iter().all(|one| one["state"] == "ended")).then_some(items)
        })
        .await;
        let mut read = 0;
        for one in &recordings {
            let path = format!("!/api/v1/recordings/{}", one["id"].as_str().unwrap());
            let text = self.done("GET", &path, &auditor, JSON, b"").await.text();
            read += usize::from(text.contains("\"cast\""));
            kept.push((format!("the recording of {}", one["command"]), text.into_bytes()));
        }
        assert!(read >= 3, "what sessions showed is in their recordings");
        eventually("what GitHub is told", || async {
            let told = self.hub.everything();
            let statuses = told.iter().filter(|call| call.starts_with("POST /repos/acme/shop/statuses/"));
            (statuses.count() >= 2).then_some(())
        })
        .await;
        for path in [
            "!/api/v1/jobs",
            "!/api/v1/reveals",
            &format!("!/api/v1/approvals/{approval}"),
            &format!("!/api/v1/approvals/{approval}?evidence=true"),
            "!/api/v1/apps/myapp/env",
        ] {
            let reply = self.ask("GET", path, &admin, JSON, b"").await;
            assert!(reply.status < 500, "{path}: {}", reply.text());
            kept.push((path.to_owned(), reply.text().into_bytes()));
        }
        for told in self.hub.everything() {
            kept.push(("what others were told".to_owned(), told.into_bytes()));
        }
        // A reveal is told to the admins: with its mail all before it are there.
        for _ in 0..2 {
            let mail = self.sink.next().await;
            kept.push(("a mail".to_owned(), mail.to_string().into_bytes()));
        }
        let metrics =
            RawClient::connect(self.child.admin_addr).await.ask("GET", "!/metrics", "", &[], b"").await;
        kept.push(("the metrics".to_owned(), metrics.text().into_bytes()));
        kept.push(("the events".to_owned(), events(&self.child).await));
        let url = self.child.database_url.clone();
        let (log, directory) = self.child.stop();
        assert!(log.contains("TRACE"), "the log is as talkative as can be");
        kept.push(("the log".to_owned(), log.into_bytes()));
        kept.extend(database(&url, directory.path(), "convox:release:promote"));
        Haystack { replies: Vec::new(), kept }
    }
}

/// A session of one more person: the tokens are all made by the first admin, who has none of their rights but an
/// admin's, and approves none of their requests.
async fn session(child: &Child, email: &str, role: Role) -> String {
    let store = child.store().await;
    let new = NewUser { name: email.to_owned(), email: email.to_owned(), roles: RoleSet::of(role) };
    let user = store.users().create(new).await.unwrap();
    let new = NewSession {
        user: user.id,
        kind: CredentialKind::CliSession,
        expires: user.created.saturating_add(Duration::from_secs(24 * 3600)),
        idle_limit: Duration::from_secs(8 * 3600),
        device: "test".to_owned(),
        ip: None,
    };
    let secret = store.sessions().create(new).await.unwrap().1.expose().clone();
    store.close().await;
    secret
}

async fn check_journey(database: Database) {
    let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
    let journey = Journey::start(database, &rack).await;
    journey.plant(&rack).await;
    journey.look().await;
    let approval = journey.deploy().await;
    journey.reveal().await;
    let all = journey.secrets.planted();
    let (variable, held) = (journey.secrets.variable.clone(), rack.state().active_env_of("myapp"));
    assert!(held.contains(&variable), "the rack has what was planted: {held}");
    let mut haystack = journey.gather(&approval).await;
    haystack.search(&all);

    // The search is one that can fail: in each place that was searched, one planted secret is found.
    for place in 0..haystack.kept.len() {
        let clean = haystack.kept[place].1.clone();
        let middle = clean.len() / 2;
        haystack.kept[place].1.splice(middle..middle, variable.bytes());
        let found =
            haystack.found(&all[0]).unwrap_or_else(|| panic!("not found in {}", haystack.kept[place].0));
        assert!(found.contains(&haystack.kept[place].0), "{found}");
        haystack.kept[place].1 = clean;
    }
}

#[tokio::test]
async fn a_whole_deploy_leaves_no_secret_behind_on_sqlite() {
    check_journey(Database::Sqlite).await;
}

#[tokio::test]
async fn a_whole_deploy_leaves_no_secret_behind_on_postgres() {
    check_journey(Database::Postgres).await;
}
