//! Deploys under an approval, over HTTP: the whole chain in both orders, and every step out of it. Labels are those of
//! the list of bad inputs.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use gateway_audit::Phase;
use gateway_testkit::visitor::hidden;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, SoftPasskey, TestGateway, Visitor};
use gateway_types::{Grant, Role};
use serde_json::{Value, json};
use tokio::time::sleep;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A gateway, a CI token and a phone of the admin.
pub(crate) struct World {
    pub(crate) gateway: TestGateway,
    pub(crate) machine: String,
    pub(crate) admin: String,
    phone: Authenticator,
}

impl World {
    async fn start(database: Database, settings: &[(&str, &str)]) -> Self {
        let variables: Vec<(String, &str)> =
            settings.iter().map(|(name, value)| (format!("RGW_SETTING_{name}"), *value)).collect();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        Self::start_with(database, &variables).await
    }

    pub(crate) async fn start_with(database: Database, variables: &[(&str, &str)]) -> Self {
        let mut builder = TestGateway::builder().database(database).idp();
        for (name, value) in variables {
            builder = builder.env(name, value);
        }
        let gateway = builder.start().await;
        let machine = gateway.new_token_of(Role::Deployer, Role::Cicd, vec![Grant::everything()]).await;
        let admin = gateway.session(Role::Admin).await;
        let phone = Authenticator::enrol(&gateway, Role::Admin).await;
        Self { gateway, machine, admin, phone }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.ask_as(&self.machine, method, path, headers, body).await
    }

    pub(crate) async fn ask_as(
        &self,
        credential: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        RawClient::connect(self.gateway.addr()).await.ask(method, path, credential, headers, body).await
    }

    pub(crate) async fn request(&self, app: &str, commit: &str) -> Value {
        self.request_with(app, commit, &json!({})).await
    }

    pub(crate) async fn request_with(&self, app: &str, commit: &str, metadata: &Value) -> Value {
        let body = json!({ "app": app, "commit": commit, "commands": ["bin/migrate"], "metadata": metadata });
        let body = body.to_string();
        let json = ("Content-Type", "application/json");
        let reply = self.ask("POST", "!/api/v1/approvals", &[json], body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// The admin's own session says yes, with a code of this moment.
    pub(crate) async fn decide(&self, id: &Value, verb: &str) -> Reply {
        let path = format!("!/api/v1/approvals/{}", id.as_str().unwrap());
        let seen = self.ask_as(&self.admin, "GET", &path, &[], b"").await.json();
        let body = match verb {
            "approve" | "extend" => json!({ "statement": seen["statement"] }).to_string(),
            _ => String::new(),
        };
        let credential = format!("{}.totp.{}", self.admin, self.phone.next(&self.gateway));
        let json = ("Content-Type", "application/json");
        self.ask_as(&credential, "POST", &format!("{path}/{verb}"), &[json], body.as_bytes()).await
    }

    pub(crate) async fn approve(&self, id: &Value) {
        let reply = self.decide(id, "approve").await;
        assert_eq!(
            (reply.status, reply.json()["state"].as_str()),
            (200, Some("approved")),
            "{}",
            reply.text()
        );
    }

    pub(crate) async fn upload(&self, key: &str) -> Reply {
        let stream = ("Content-Type", "application/octet-stream");
        self.ask("POST", &format!("/apps/myapp/objects/tmp/{key}"), &[stream], &recorded_archive()).await
    }

    pub(crate) async fn build(&self, form: &str) -> Reply {
        self.ask("POST", "/apps/myapp/builds", &[FORM], form.as_bytes()).await
    }

    /// The release of a build, once it is made.
    pub(crate) async fn release(&self, build: &str) -> String {
        for _ in 0..400 {
            let reply = self.ask("GET", &format!("/apps/myapp/builds/{build}"), &[], b"").await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let found = reply.json();
            if found["status"] == "complete" {
                return found["release"].as_str().unwrap().to_owned();
            }
            sleep(Duration::from_millis(25)).await;
        }
        panic!("the build does not end");
    }

    pub(crate) async fn promote(&self, release: &str) -> Reply {
        let path = format!("/apps/myapp/releases/{release}/promote");
        self.ask("POST", &path, &[FORM], b"force=false").await
    }

    /// How often the rack saw this.
    pub(crate) fn seen(&self, method: &str, part: &str) -> usize {
        let requests = self.gateway.rack.requests();
        requests.iter().filter(|seen| seen.method == method && seen.target.contains(part)).count()
    }
}

/// Refused for want of an approval; why.
fn refused(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 403, "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["remedies"][0]["kind"], "approval", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(why), "{detail}");
}

/// What the recorded client uploaded.
pub(crate) fn recorded_archive() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/31-deploy.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["kind"] == "request" && line["target"].as_str().unwrap().contains("/objects/"));
    let body = lines.find(|line| line["kind"] == "body" && line["from"] == "client").unwrap();
    BASE64.decode(body["data_b64"].as_str().unwrap().as_bytes()).unwrap()
}

async fn whole_chain(database: Database) {
    let world = World::start(database, &[]).await;
    refused(&world.upload("a.tgz").await, "there is no approval of myapp for you");
    let problem = world.upload("a.tgz").await.json();
    assert_eq!(problem["remedies"][0]["command"], "rack-gateway approvals request --app myapp");
    assert!(
        problem["error"].as_str().unwrap().contains("there is no approval"),
        "the client prints it: {problem}"
    );
    let approval = world.request("myapp", COMMIT).await;
    let id = &approval["id"];
    assert_eq!(world.request("myapp", COMMIT).await["id"], *id, "a duplicate is the open one");
    refused(&world.upload("a.tgz").await, "it is pending");
    // A token never approves, nor does who made it.
    let own =
        world.ask("POST", &format!("!/api/v1/approvals/{}/approve", id.as_str().unwrap()), &[], b"").await;
    assert_eq!(own.status, 403, "{}", own.text());
    world.approve(id).await;

    // Out of order, before anything was done.
    let url = "url=object%3A%2F%2Fmyapp%2Ftmp%2Fa.tgz";
    refused(&world.build(url).await, "no archive was uploaded under it yet");
    refused(&world.promote("RSEED00001").await, "nothing was built under it yet");
    assert_eq!(world.upload("a.tgz").await.status, 200);
    refused(&world.upload("b.tgz").await, "its archive was uploaded already (tmp/a.tgz)");
    // L3: another object, another commit, what nobody approved.
    refused(
        &world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Fb.tgz").await,
        "it is for object://myapp/tmp/a.tgz",
    );
    refused(&world.build(&format!("{url}&git-sha=ffff")).await, "it is for the commit");
    refused(&world.build(&format!("{url}&manifest=other.yml")).await, "it is for the manifest convox.yml");
    refused(&world.build(&format!("{url}&development=true")).await, "takes no development");
    let decoy =
        world.ask("POST", &format!("!/api/v1/approvals/{}/approve", id.as_str().unwrap()), &[], b"").await;
    assert_ne!(decoy.status, 200, "a machine never approves");
    let made = world.build(&format!("{url}&git-sha={COMMIT}")).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let build = made.json()["id"].as_str().unwrap().to_owned();
    refused(&world.build(url).await, "its build was made already");
    let other = world.ask("GET", "/apps/myapp/builds/BSEED00001", &[], b"").await;
    refused(&other, &format!("its build is {build}, not BSEED00001"));
    let release = world.release(&build).await;

    // Processes of that release, with approved commands.
    let start = async |headers: &[(&str, &str)]| {
        world.ask("POST", "/apps/myapp/services/web/processes", headers, b"").await
    };
    let keep = ("Command", "sleep 3600");
    refused(&start(&[keep]).await, "a process must name its release");
    refused(&start(&[keep, ("Release", "RSEED00001")]).await, "is not of its build");
    refused(&start(&[("Command", "sh"), ("Release", &release)]).await, "`sh` is not among those");
    let started = start(&[keep, ("Release", &release)]).await;
    assert_eq!(started.status, 200, "{}", started.text());
    let process = started.json()["id"].as_str().unwrap().to_owned();
    let exec = async |process: &str, command: &str| {
        let path = format!("/apps/myapp/processes/{process}/exec");
        let headers = [("Command", command), ("Tty", "false")];
        let socket = Socket::open(world.gateway.addr(), &path, &world.machine, &headers).await;
        let mut socket = socket.unwrap_or_else(|reply| panic!("{}", reply.text()));
        // The client prints what comes; a refusal comes the same way.
        let frame = socket.frame().await.expect("a frame");
        String::from_utf8_lossy(&frame.payload).into_owned()
    };
    let foreign = "myapp-web-7d9f8b6c5-aaaa0";
    assert!(exec(foreign, "bin/migrate").await.contains("was not started under it"));
    assert!(!exec(&process, "bin/migrate").await.starts_with("ERROR"));
    let end = world.ask("DELETE", &format!("/apps/myapp/processes/{foreign}"), &[], b"").await;
    refused(&end, "was not started under it");
    let end = world.ask("DELETE", &format!("/apps/myapp/processes/{process}"), &[], b"").await;
    assert_eq!(end.status, 200, "{}", end.text());

    // The promote of that release and no other, once.
    refused(&world.promote("RSEED00001").await, &format!("its release is {release}, not RSEED00001"));
    let done = world.promote(&release).await;
    assert_eq!(done.status, 200, "{}", done.text());
    refused(&world.promote(&release).await, "it is deployed");
    refused(&world.upload("c.tgz").await, "it is deployed");
    let watched = world.ask("GET", &format!("/apps/myapp/builds/{build}"), &[], b"").await;
    assert_eq!(watched.status, 200, "whoever has deployed may look");
    // An app that the rack does not have has no approvals.
    let body = json!({ "app": "nothing", "commit": COMMIT }).to_string();
    let json = ("Content-Type", "application/json");
    let unknown = world.ask("POST", "!/api/v1/approvals", &[json], body.as_bytes()).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    // L4: another app.
    let elsewhere = world.ask("POST", "/apps/other/objects/tmp/a.tgz", &[], b"x").await;
    refused(&elsewhere, "there is no approval of other");

    let archive =
        world.gateway.rack.requests().into_iter().find(|seen| seen.target.contains("/objects/tmp/a.tgz"));
    let file =
        world.ask("GET", &format!("!/api/v1/approvals/{}", id.as_str().unwrap()), &[], b"").await.json();
    assert_eq!(
        file["artefact"]["sha256"],
        archive.unwrap().body_sha256,
        "what the rack took is what was hashed"
    );
    assert_eq!(world.seen("POST", "/objects/"), 1);
    assert_eq!(world.seen("POST", "/apps/myapp/builds"), 1);
    assert_eq!(world.seen("POST", "/promote"), 1);
    assert_eq!(world.seen("POST", "/services/web/processes"), 1);
    let events = world.gateway.events().await;
    let intents = events.iter().filter(|(_, event)| event.phase == Phase::Intent && event.approval.is_some());
    let actions: Vec<&str> = intents.map(|(_, event)| event.action.as_str()).collect();
    for action in
        ["convox:object:create", "convox:build:create", "convox:release:promote", "convox:process:exec"]
    {
        assert!(actions.contains(&action), "{action} names its approval: {actions:?}");
    }
    let mut steps = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:approval:step");
    let last = steps.next_back().unwrap();
    assert_eq!(last.1.after.as_ref().unwrap()["state"], "deployed");
    world.gateway.finish().await;
}

#[tokio::test]
async fn l3_the_whole_chain_on_sqlite() {
    whole_chain(Database::Sqlite).await;
}

#[tokio::test]
async fn l3_the_whole_chain_on_postgresql() {
    whole_chain(Database::Postgres).await;
}

/// The recorded client, as it is: its first run uploads and waits, its second one deploys.
#[tokio::test]
async fn the_recorded_deploy_under_an_approved_digest() {
    let world = World::start(Database::Sqlite, &[("APPROVAL_ORDER", "artefact")]).await;
    let approval = world.request("myapp", COMMIT).await;
    assert_eq!(approval["waits_for"], "the upload of its archive");
    let early = world.decide(&approval["id"], "approve").await;
    assert_eq!(early.status, 409, "{}", early.text());
    assert_eq!(world.upload("first.tgz").await.status, 200);
    refused(&world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Ffirst.tgz").await, "it is pending");
    let read =
        world.ask("GET", &format!("!/api/v1/approvals/{}", approval["id"].as_str().unwrap()), &[], b"").await;
    let shown = read.json();
    assert_eq!(shown["artefact"]["size_bytes"], 214, "{shown}");
    assert!(shown["artefact"]["manifests"]["convox.yml"]["sha256"].is_string(), "{shown}");
    world.gateway.clock.advance(Duration::from_secs(60));
    world.approve(&approval["id"]).await;
    // Nobody writes the object again, not even an admin.
    let token = world.gateway.token(Role::Admin).to_owned();
    let over = world.ask_as(&token, "POST", "/apps/myapp/objects/tmp/first.tgz", &[], b"evil").await;
    assert_eq!(over.status, 403, "{}", over.text());
    assert!(over.text().contains("belongs to an approval"), "{}", over.text());
    // Another archive under another key is at the rack and cannot be built.
    let evil = world.ask("POST", "/apps/myapp/objects/tmp/evil.tgz", &[], b"evil").await;
    assert_eq!(evil.status, 200, "{}", evil.text());
    refused(
        &world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Fevil.tgz").await,
        "it is for object://myapp/tmp/first.tgz",
    );
    assert_eq!(world.upload("second.tgz").await.status, 200, "the same archive once more");
    let made = world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Fsecond.tgz").await;
    assert_eq!(made.status, 200, "{}", made.text());
    let release = world.release(made.json()["id"].as_str().unwrap()).await;
    assert_eq!(world.promote(&release).await.status, 200);
    world.gateway.finish().await;
}

/// L2, L3: what happens between the approval and the promote.
#[tokio::test]
async fn l2_expiry_rejection_and_environment_in_the_middle() {
    for database in Database::BOTH {
        let world = World::start(database, &[]).await;
        let deployed = async |commit: &str, key: &str| {
            let approval = world.request("myapp", commit).await;
            world.gateway.clock.advance(Duration::from_secs(60));
            world.approve(&approval["id"]).await;
            assert_eq!(world.upload(key).await.status, 200);
            let made = world.build(&format!("url=object%3A%2F%2Fmyapp%2Ftmp%2F{key}")).await;
            assert_eq!(made.status, 200, "{}", made.text());
            (approval["id"].clone(), world.release(made.json()["id"].as_str().unwrap()).await)
        };
        let (_, release) = deployed(COMMIT, "a.tgz").await;
        world.gateway.clock.advance(Duration::from_secs(15 * 60));
        refused(&world.promote(&release).await, "it is expired");

        let (id, release) = deployed(&"b".repeat(40), "b.tgz").await;
        world.gateway.clock.advance(Duration::from_secs(60));
        assert_eq!(world.decide(&id, "reject").await.status, 200);
        refused(&world.promote(&release).await, "it is rejected");

        // Somebody sets a variable before the build, which its release then has.
        let approval = world.request("myapp", &"c".repeat(40)).await;
        world.gateway.clock.advance(Duration::from_secs(60));
        world.approve(&approval["id"]).await;
        assert_eq!(world.upload("c.tgz").await.status, 200);
        let admin = world.gateway.token(Role::Admin).to_owned();
        let env = b"env=PLAIN%3Dother%0AEVIL%3D1";
        let set = world.ask_as(&admin, "POST", "/apps/myapp/releases", &[FORM], env).await;
        assert_eq!(set.status, 200, "{}", set.text());
        let made = world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Fc.tgz").await;
        let release = world.release(made.json()["id"].as_str().unwrap()).await;
        refused(&world.promote(&release).await, "the environment changes other keys than were approved");
        assert_eq!(world.seen("POST", "/promote"), 0);
        world.gateway.finish().await;
    }
}

/// A passkey signs the statement, and the file shows it to whoever has no gateway.
#[tokio::test]
async fn a_passkey_signs_what_is_approved() {
    for database in Database::BOTH {
        let world = World::start(database, &[("APPROVAL_PASSKEYS", "on")]).await;
        let approval = world.request("myapp", COMMIT).await;
        let id = approval["id"].as_str().unwrap().to_owned();
        let coded = world.decide(&approval["id"], "approve").await;
        assert_eq!(coded.status, 403, "{}", coded.text());
        assert!(coded.text().contains("approved with a passkey"), "{}", coded.text());
        let mut person = Visitor::of(&world.gateway).at_localhost();
        assert_eq!(person.sign_in("admin@example.com").await.status, 303);
        let mut key = enrolled(&world, &mut person).await;
        let target = format!("POST /app/approvals/{id}/approve");
        let asks = asked(&mut person, &target).await;
        // Asked for one approval, it is no signature of another.
        let other = world.request("myapp", &"d".repeat(40)).await;
        let path = format!("/app/approvals/{}/approve", other["id"].as_str().unwrap());
        let code = format!("webauthn.{}", key.inline(&asks));
        let replayed = person.post(&path, &[("_code", &code)]).await;
        assert_eq!(replayed.status, 401, "{}", replayed.text());
        let asks = asked(&mut person, &target).await;
        let code = format!("webauthn.{}", key.inline(&asks));
        let page = format!("/app/approvals/{id}/approve");
        let statement =
            hidden(&person.get(&format!("/app/approvals/{id}")).await.text(), "statement").unwrap();
        let signed = person.post(&page, &[("_code", &code), ("statement", &statement)]).await;
        assert_eq!(signed.status, 303, "{}", signed.text());
        let read = world.ask("GET", &format!("!/api/v1/approvals/{id}"), &[], b"").await.json();
        assert_eq!(
            (read["state"].as_str(), read["signatures"][0]["method"].as_str()),
            (Some("approved"), Some("passkey"))
        );
        let file = world.ask("GET", &format!("!/api/v1/approvals/{id}?evidence=true"), &[], b"").await;
        let evidence: gateway_approvals::evidence::Evidence = serde_json::from_slice(&file.body).unwrap();
        let report = evidence.verify();
        assert!(report.is_signed(), "{report:?}");
        assert_eq!(report.statement.unwrap().commit, COMMIT);
        assert_eq!(world.upload("a.tgz").await.status, 200);
        world.gateway.finish().await;
    }
}

async fn enrolled(world: &World, person: &mut Visitor) -> SoftPasskey {
    let mut key = SoftPasskey::new(&person.origin());
    // A further factor takes the one that is there.
    world.gateway.clock.advance(Duration::from_secs(60));
    let code = world.phone.next(&world.gateway);
    assert_eq!(person.post("/step-up/window", &[("code", &code)]).await.status, 200);
    let enrol = "/app/account/factors/enrol/webauthn";
    let page = person.post(enrol, &[("name", "key")]).await.text();
    let (_, after) = page.split_once("data-passkey-create=\"").expect("the options");
    let options = after.split('"').next().unwrap().replace("&#34;", "\"").replace("&quot;", "\"");
    let answer = key.create(&serde_json::from_str(&options.replace("&#38;", "&")).unwrap());
    let ended = person.post(enrol, &[("name", "key"), ("credential", &answer.to_string())]).await;
    assert_eq!(ended.status, 303, "{}", ended.text());
    // A key that is newer than a window may not confirm what is bound to an action.
    world.gateway.clock.advance(Duration::from_secs(11 * 60));
    key
}

async fn asked(person: &mut Visitor, target: &str) -> Value {
    let reply = person.post("/step-up/request", &[("begin", "passkey"), ("for", target)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// People can be put under the same rule, by a policy.
#[tokio::test]
async fn people_can_be_put_under_the_same_rule() {
    let world = World::start(Database::Sqlite, &[("MFA_STEP_UP", "false")]).await;
    let deployer = world.gateway.session(Role::Deployer).await;
    let promote = async |credential: &str| {
        world
            .ask_as(credential, "POST", "/apps/myapp/releases/RSEED00001/promote", &[FORM], b"force=false")
            .await
    };
    assert_eq!(promote(&deployer).await.status, 200);
    let text = "@id(\"deploys-are-approved\")\n@remedy(\"approval\")\n@needs(\"an approval of this deploy\")\n\
                forbid (principal is User, action in [Action::\"convox:build:create\", Action::\"convox:release:promote\"], resource)\n\
                unless { context.approval_matches };";
    world.gateway.store().policies().set("deploys-are-approved", text, None, "the test").await.unwrap();
    let refusal = gateway_testkit::eventually("the policy holds", || async {
        let reply = promote(&deployer).await;
        (reply.status == 403).then_some(reply)
    })
    .await;
    refused(&refusal, "there is no approval of myapp for you");
    world.gateway.finish().await;
}
