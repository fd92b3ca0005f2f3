//! Sessions in the rack: recorded whatever way they come, masked, chained, checked; listed and ended on whichever
//! instance. H5 to H11 of the hostile list.

mod company;
mod kept;
mod live;
mod overhead;

use std::time::Duration;

use gateway_audit::Event;
use gateway_framing::websocket::Opcode;
use gateway_recording::{Chunk, Digest, Kind, Verifier, events, header};
use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::Role;
use serde_json::Value;
use sqlx::{AnyConnection, Connection as _};

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
const SECRET: &str = "s3cr3t-myapp";

async fn started(database: Database) -> TestGateway {
    TestGateway::builder().database(database).env("RGW_SETTING_MFA_STEP_UP", "false").start().await
}

async fn api(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> Reply {
    let path = format!("!/api/v1{path}");
    RawClient::connect(gateway.addr()).await.ask(method, &path, credential, &[], b"").await
}

async fn exec(gateway: &TestGateway, command: &str) -> Socket {
    exec_by(gateway, gateway.token(Role::Ops), command).await
}

async fn exec_by(gateway: &TestGateway, credential: &str, command: &str) -> Socket {
    // The newest is found by its time.
    gateway.clock.advance(Duration::from_millis(5));
    let headers = [("Command", command), ("Tty", "false")];
    Socket::open(gateway.addr(), EXEC, credential, &headers).await.unwrap()
}

/// Runs a command to its end; what the client saw.
async fn run(gateway: &TestGateway, command: &str) -> Vec<u8> {
    exec(gateway, command).await.until_end().await.into_iter().flat_map(|frame| frame.payload).collect()
}

/// The newest session, once it is over.
async fn newest(gateway: &TestGateway) -> Value {
    let auditor = gateway.session(Role::Auditor).await;
    eventually("the recording of a session that is over", || async {
        let list = api(gateway, "GET", "/recordings?all=true&limit=1", &auditor).await;
        assert_eq!(list.status, 200, "{}", list.text());
        let one = list.json()["items"][0].clone();
        (one["state"] == "ended").then_some(one)
    })
    .await
}

/// A recording as an auditor reads it.
async fn recording(gateway: &TestGateway, id: &str) -> Value {
    let auditor = gateway.session(Role::Auditor).await;
    let read = api(gateway, "GET", &format!("/recordings/{id}"), &auditor).await;
    assert_eq!(read.status, 200, "{}", read.text());
    read.json()
}

fn cast(recording: &Value) -> String {
    recording["pieces"].as_array().unwrap().iter().map(|piece| piece["cast"].as_str().unwrap()).collect()
}

/// What the recording says the session showed, or what was typed into it.
fn said(recording: &Value, kind: Kind) -> String {
    let cast = cast(recording);
    let (_, rest) = header(cast.as_bytes()).unwrap();
    let events = events(rest, Duration::ZERO).unwrap();
    events.iter().filter(|event| event.kind == kind).map(|event| event.text.as_str()).collect()
}

fn of_action<'a>(events: &'a [(u64, Event)], action: &str) -> Vec<&'a Event> {
    events.iter().map(|(_, event)| event).filter(|event| event.action.as_str() == action).collect()
}

async fn database(gateway: &TestGateway) -> AnyConnection {
    AnyConnection::connect(&gateway.database_url).await.unwrap()
}

async fn execute(gateway: &TestGateway, statement: &'static str) {
    let mut connection = database(gateway).await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_session_is_recorded_and_anybody_who_may_see_it_can_check_it() {
    for database in Database::BOTH {
        let gateway = started(database).await;
        let mut socket = exec(&gateway, "sh").await;
        socket.send(Opcode::Text, b"hello\n").await;
        socket.send(Opcode::Text, b"exit 3\n").await;
        socket.until_end().await;
        drop(socket);
        let listed = newest(&gateway).await;
        assert_eq!(listed["ending"], "exit code 3", "{listed}");
        assert_eq!((listed["app"].as_str(), listed["command"].as_str()), (Some("myapp"), Some("sh")));
        let id = listed["id"].as_str().unwrap();
        let read = recording(&gateway, id).await;
        assert_eq!(said(&read, Kind::Output), "$ you said: hello\r\n$ ");
        assert_eq!(said(&read, Kind::Input), "", "what is typed is not recorded unless it is switched on");
        assert_eq!(said(&read, Kind::Marker), "exit code 3");
        assert_eq!(read.get("fault"), None, "{read}");
        let mut verifier = Verifier::new(id);
        for piece in read["pieces"].as_array().unwrap() {
            let chunk = Chunk {
                sequence: piece["sequence"].as_u64().unwrap(),
                is_last: piece["last"].as_bool().unwrap(),
                plain: piece["cast"].as_str().unwrap().as_bytes().to_vec(),
                digest: Digest::parse(piece["digest"].as_str().unwrap()).unwrap(),
            };
            verifier.take(&chunk).unwrap();
        }
        assert!(verifier.end().is_whole);
        let events = gateway.events().await;
        let end = of_action(&events, "gateway:recording:end");
        assert_eq!(end[0].parameters["digest"], verifier.end().digest.to_string());
        let at = read["logged_at"].as_u64().unwrap();
        assert_eq!(
            events[usize::try_from(at).unwrap()].1.parameters["digest"],
            listed["digest"].as_str().unwrap()
        );
        // That it was read is in the log, by whom and of whose session.
        let viewed = of_action(&events, "gateway:recording:view");
        assert!(viewed.iter().any(|event| event.parameters.get("recording").is_some_and(|of| of == id)));
        assert!(viewed.iter().all(|event| event.actor.name == "auditor@example.com"));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn one_sees_a_list_of_ones_own_and_only_an_auditor_reads() {
    let gateway = started(Database::Sqlite).await;
    let (ops, viewer) = (gateway.session(Role::Ops).await, gateway.session(Role::Viewer).await);
    exec_by(&gateway, &ops, "echo hi").await.until_end().await;
    newest(&gateway).await;
    let own = api(&gateway, "GET", "/recordings", &ops).await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
    let id = own["items"][0]["id"].as_str().unwrap();
    assert_eq!(api(&gateway, "GET", "/recordings", &viewer).await.json()["items"], Value::Array(Vec::new()));
    assert_eq!(api(&gateway, "GET", "/recordings?all=true", &ops).await.status, 403);
    for role in [Role::Viewer, Role::Ops, Role::Deployer, Role::Admin] {
        let session = gateway.session(role).await;
        assert_eq!(api(&gateway, "GET", &format!("/recordings/{id}"), &session).await.status, 403, "{role}");
    }
    let auditor = gateway.session(Role::Auditor).await;
    let unknown = "/recordings/01890000-0000-7000-8000-000000000000";
    assert_eq!(api(&gateway, "GET", unknown, &auditor).await.status, 404);
    assert_eq!(api(&gateway, "GET", &format!("/recordings/{id}?from=99"), &auditor).await.status, 404);
    gateway.finish().await;
}

/// H7: without a terminal, with a command, as a console, a shell on an instance, a channel: each leaves its trace.
#[tokio::test]
async fn h7_no_way_leads_around_the_recording() {
    let gateway = started(Database::Sqlite).await;
    let admin = gateway.token(Role::Admin).to_owned();
    let shell = "/instances/node-1/shell";
    for (path, headers, shown) in [
        (EXEC, vec![("Command", "echo quiet"), ("Tty", "false")], Some("quiet\n")),
        (
            EXEC,
            vec![("Command", "info"), ("Height", "40"), ("Width", "132")],
            Some("tty=true height=40 width=132\n"),
        ),
        (EXEC, vec![("Command", "echo vast"), ("Height", "4000000"), ("Width", "1000000")], Some("vast\n")),
        (shell, vec![("Command", "echo on the instance")], Some("on the instance\n")),
    ] {
        gateway.clock.advance(Duration::from_millis(5));
        let mut socket = Socket::open(gateway.addr(), path, &admin, &headers).await.unwrap();
        socket.until_end().await;
        drop(socket);
        let listed = newest(&gateway).await;
        let read = recording(&gateway, listed["id"].as_str().unwrap()).await;
        assert_eq!(Some(said(&read, Kind::Output).as_str()), shown, "{path} {headers:?}");
    }
    gateway.finish().await;
}

/// H8: an app's secrets never come to rest, however the frames are cut and whatever stands between.
#[tokio::test]
async fn h8_known_secrets_are_masked_before_anything_is_kept() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_MFA_STEP_UP", "false")
            .env("RGW_APP_MYAPP_SETTING_RECORD_INPUT", "true")
            .start()
            .await;
        assert!(
            String::from_utf8(run(&gateway, "printenv DATABASE_PASSWORD").await).unwrap().contains(SECRET)
        );
        let printed = newest(&gateway).await;
        let mut socket = exec(&gateway, "cat").await;
        let encoded = data_encoding::BASE64.encode(format!("user:{SECRET}").as_bytes());
        let coloured: String = SECRET.chars().map(|c| format!("\u{1b}[3{}m{c}", u32::from(c) % 8)).collect();
        for text in [SECRET, encoded.as_str(), coloured.as_str()] {
            for byte in text.bytes() {
                socket.send(Opcode::Text, &[byte]).await;
            }
            socket.send(Opcode::Text, b"\r\n").await;
        }
        socket.send(Opcode::Binary, b"").await;
        socket.until_end().await;
        drop(socket);
        let typed = eventually("the second recording", || async {
            let newest = newest(&gateway).await;
            (newest["id"] != printed["id"]).then_some(newest)
        })
        .await;
        for (session, kinds) in [(&printed, &[Kind::Output][..]), (&typed, &[Kind::Output, Kind::Input][..])]
        {
            let read = recording(&gateway, session["id"].as_str().unwrap()).await;
            for kind in kinds {
                let said = said(&read, *kind);
                assert!(said.contains("rgw-hidden-"), "{said:?}");
                let bare: String = said.split('\u{1b}').map(|part| part.get(4..).unwrap_or(part)).collect();
                for text in [&said, &bare] {
                    assert!(!text.contains(SECRET) && !text.contains(&encoded[8..20]), "{kind:?} {text:?}");
                }
            }
        }
        // Neither is anything of it readable at rest: the pieces are sealed.
        let store = gateway.store().recordings();
        let chunks = store.chunks(printed["id"].as_str().unwrap().parse().unwrap(), 0).await.unwrap();
        assert!(!chunks.is_empty());
        gateway.finish().await;
    }
}
