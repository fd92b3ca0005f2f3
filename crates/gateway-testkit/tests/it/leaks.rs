//! What must not come out: the rack's password and the callers' credentials anywhere at all, and secret
//! values in the log, the database or the program's output. A gateway in a process of its own is asked
//! for everything there is, at the most talkative log level, on both databases; then all that it said or
//! kept is searched for what was planted.

mod journey;

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use gateway_convox::RouteTable;
use gateway_framing::websocket::Opcode;
use gateway_sim::{Fault, SimOptions, SimRack};
use gateway_store::EventFilter;
use gateway_testkit::{Database, RawClient, Socket, StubConnection, StubRack, TestGateway, eventually};
use gateway_types::{Grant, Role};

use super::child::Child;
use super::matrix;
use super::sinks::{self, Receivers, metric_at};

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

/// Letters and digits only, so that no escaping changes it.
fn canary(of: &str) -> String {
    format!("CANARY{of}{}", data_encoding::HEXLOWER.encode(&rand::<12>()))
}

fn rand<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    gateway_types::Entropy::fill(&gateway_types::OsEntropy, &mut bytes);
    bytes
}

/// The ways in which a text could be written down: itself, in hexadecimal, and in base64 wherever it
/// stands in what is encoded.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![
        text.as_bytes().to_vec(),
        data_encoding::HEXLOWER.encode(text.as_bytes()).into_bytes(),
        data_encoding::HEXUPPER.encode(text.as_bytes()).into_bytes(),
    ];
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], text.as_bytes()].concat();
        for encoding in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = encoding.encode(&shifted).into_bytes();
            // The first and last group also depend on what stands beside.
            spellings.push(encoded[4 * usize::from(shift > 0)..encoded.len() / 4 * 4 - 4].to_vec());
        }
    }
    spellings
}

/// Something planted, and where it must not be.
struct Planted {
    name: &'static str,
    spellings: Vec<Vec<u8>>,
    /// Callers get handles for it, too.
    hidden_from_callers: bool,
}

fn planted(name: &'static str, text: &str, hidden_from_callers: bool) -> Planted {
    Planted { name, spellings: spellings(text), hidden_from_callers }
}

/// All that was said or kept, by where.
#[derive(Default)]
struct Haystack {
    replies: Vec<(String, Vec<u8>)>,
    kept: Vec<(String, Vec<u8>)>,
}

impl Haystack {
    fn search(&self, planted: &[Planted]) {
        for planted in planted {
            if let Some(found) = self.found(planted) {
                panic!("{found}");
            }
        }
    }

    /// Where it is, with what stands around it.
    fn found(&self, planted: &Planted) -> Option<String> {
        let replies = self.replies.iter().filter(|_| planted.hidden_from_callers);
        for (place, text) in self.kept.iter().chain(replies) {
            for spelling in &planted.spellings {
                if let Some(at) = find(text, spelling) {
                    let around = &text[at.saturating_sub(300)..(at + 200).min(text.len())];
                    let around = String::from_utf8_lossy(around);
                    return Some(format!("{} is in {place}: …{around}…", planted.name));
                }
            }
        }
        None
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

/// Asks, and keeps what came back.
struct Asking<'a> {
    addr: SocketAddr,
    haystack: &'a mut Haystack,
}

impl Asking<'_> {
    async fn ask(
        &mut self,
        method: &str,
        target: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> u16 {
        let mut client = RawClient::connect(self.addr).await;
        let reply = client.ask(method, target, token, headers, body).await;
        let mut text: Vec<u8> = format!("{} {:?}\n", reply.status, reply.headers).into_bytes();
        text.extend_from_slice(&reply.body);
        self.haystack.replies.push((format!("the reply to {method} {target}"), text));
        reply.status
    }

    async fn form(&mut self, method: &str, target: &str, token: &str, form: &str) -> u16 {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.ask(method, target, token, &headers, form.as_bytes()).await
    }

    async fn socket(&mut self, target: &str, token: &str, headers: &[(&str, &str)]) {
        let place = format!("the socket {target}");
        match Socket::open(self.addr, target, token, headers).await {
            Err(reply) => self.haystack.replies.push((place, reply.body)),
            Ok(mut socket) => {
                socket.send(Opcode::Binary, b"").await;
                // Followed logs do not end; the first frames are enough of them.
                let mut text = Vec::new();
                for _ in 0..4 {
                    let Some(frame) = socket.frame().await else { break };
                    let last = frame.opcode == Opcode::Binary;
                    text.extend(frame.payload);
                    if last {
                        break;
                    }
                }
                self.haystack.replies.push((place, text));
            }
        }
    }

    /// Bytes that are no proper request, and all that is answered.
    async fn raw(&mut self, bytes: String) {
        let mut client = RawClient::connect(self.addr).await;
        client.send(bytes).await;
        client.shutdown().await;
        if let Some(reply) = client.reply().await {
            let text = format!("{} {:?}\n{}", reply.status, reply.headers, reply.text());
            self.haystack.replies.push(("the reply to garbage".to_owned(), text.into_bytes()));
        }
    }
}

/// Everything the database holds, as bytes that can be searched.
/// It holds this text.
fn database(child_url: &str, directory: &Path, told: &str) -> Vec<(String, Vec<u8>)> {
    if child_url.starts_with("sqlite") {
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file() && path.file_name().unwrap() != "log");
        let read: Vec<_> =
            files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
        assert!(read.iter().any(|(_, bytes)| find(bytes, told.as_bytes()).is_some()), "no leaves");
        return read;
    }
    let query = |text: &str| gateway_testdb::sql(child_url, text).unwrap();
    let columns = query(
        "SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns \
         WHERE table_schema = 'public'",
    );
    let read: Vec<_> = columns
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (table, column) = (words.next().unwrap(), words.next().unwrap());
            let value = match words.next() {
                Some("bytea") => format!("encode(\"{column}\", 'escape')"),
                _ => format!("\"{column}\"::text"),
            };
            (format!("{table}.{column}"), query(&format!("SELECT {value} FROM \"{table}\"")).into_bytes())
        })
        .collect();
    assert!(read.iter().any(|(_, bytes)| find(bytes, told.as_bytes()).is_some()), "no leaves");
    read
}

/// Where something begins that looks like a credential of the gateway's.
fn looks_like_a_credential(text: &[u8]) -> Option<usize> {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    ["rgw_", "rgs_", "rgx_", "rgj_"].iter().find_map(|prefix| {
        memchr::memmem::find_iter(text, prefix)
            .find(|at| text.get(at + 4..at + 47).is_some_and(|secret| secret.iter().all(is_base64url)))
    })
}

/// F5: of a token and a session nothing is at rest but digests: in no table of either database, and in no event, also
/// of those that were presented where they do not belong.
#[tokio::test]
async fn f5_no_credential_is_at_rest() {
    for kind in Database::BOTH {
        let gateway = TestGateway::builder().database(kind).start().await;
        let token = gateway.new_token(Role::Ops, vec![Grant::everything()]).await;
        let session = gateway.session(Role::Ops).await;
        assert!(looks_like_a_credential(format!("x {token}").as_bytes()).is_some());
        for credential in [&token, &session] {
            let mut client = RawClient::connect(gateway.addr()).await;
            assert_eq!(client.ask("GET", "/apps", credential, &[], b"").await.status, 200);
            assert_eq!(client.ask("GET", &format!("/apps?q={credential}"), "", &[], b"").await.status, 400);
            let mut client = RawClient::connect(gateway.addr()).await;
            let cookie = format!("__Host-rgw={credential}");
            client.ask("GET", "!/app", "", &[("Cookie", &cookie)], b"").await;
        }
        let events = format!("{:?}", gateway.events().await);
        let file = gateway.database_url.trim_start_matches("sqlite://");
        let directory = Path::new(file).parent().unwrap();
        let mut kept = database(&gateway.database_url, directory, "convox:app:list");
        kept.push(("the events".to_owned(), events.into_bytes()));
        for (place, text) in &kept {
            let found = looks_like_a_credential(text).map(|at| String::from_utf8_lossy(&text[at..at + 47]));
            assert_eq!(found, None, "in {place}");
        }
        let planted = [planted("the token", &token, false), planted("the session", &session, false)];
        Haystack { replies: Vec::new(), kept }.search(&planted);
        gateway.finish().await;
    }
}

async fn events(child: &Child) -> Vec<u8> {
    let store = child.store().await;
    let (mut text, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.events().page(&EventFilter::default(), cursor.as_deref(), 1000).await.unwrap();
        for (_, event) in page.items {
            text.extend(serde_json::to_vec(&event).unwrap());
            text.extend(format!("\n{event:?}\n").into_bytes());
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    store.close().await;
    text
}

/// Secret values that callers write, each in its place.
struct Written {
    env: String,
    registry: String,
    certificate: String,
    config: String,
    parameter: String,
    process: String,
    image: String,
    shell: String,
    misplaced: String,
    own_api: String,
}

impl Written {
    fn new() -> Self {
        Self {
            env: canary("env"),
            registry: canary("registry"),
            certificate: canary("certificate"),
            config: canary("config"),
            parameter: canary("parameter"),
            process: canary("process"),
            image: canary("image"),
            shell: canary("shell"),
            misplaced: canary("misplaced"),
            own_api: canary("ownapi"),
        }
    }

    async fn write(&self, asking: &mut Asking<'_>, token: &str) {
        let Self { env, registry, certificate, config, parameter, process, image, shell, misplaced, own_api } =
            self;
        let encoded = |text: &str| STANDARD.encode(text).replace('=', "%3D").replace('+', "%2B");
        let form = format!("env=DATABASE_PASSWORD%3D{env}%0APLAIN%3Dvalue");
        assert_eq!(asking.form("POST", "/apps/myapp/releases", token, &form).await, 200);
        let form = format!("server=r.example&username=u&password={registry}");
        assert_eq!(asking.form("POST", "/registries", token, &form).await, 200);
        let form = format!("pub=-&key={certificate}&chain=-");
        assert!(asking.form("POST", "/certificates", token, &form).await > 0);
        let form = format!("value={}", encoded(config));
        assert_eq!(asking.form("PUT", "/apps/myapp/configs/db", token, &form).await, 200);
        let form = format!("parameters=ApiSecret%3D{parameter}");
        asking.form("PUT", "/apps/myapp", token, &form).await;
        asking.form("POST", "/resources", token, &format!("kind=webhook&name=w&{form}")).await;
        let headers = format!("PASSWORD={process}");
        let headers = [("Command", "true"), ("Environment", headers.as_str())];
        asking.ask("POST", "/apps/myapp/services/web/processes", token, &headers, b"").await;
        let form = format!("image=i&src-creds-user=u&src-creds-pass={image}");
        asking.form("POST", "/apps/myapp/builds/BSEED00001/image", token, &form).await;
        let key = STANDARD.encode(shell);
        let headers = [("Command", "exit 0"), ("Private-Key", key.as_str())];
        asking.socket("/instances/node-1/shell", token, &headers).await;
        // A command that holds a value which is known to be secret.
        let command = format!("echo {env}");
        for _ in 0..2 {
            asking.ask("GET", "/apps/myapp/releases?limit=1", token, &[], b"").await;
            let headers = [("Command", command.as_str())];
            asking.ask("POST", "/apps/myapp/services/web/processes", token, &headers, b"").await;
        }
        asking.ask("GET", "/apps/myapp/processes", token, &[], b"").await;
        for target in [
            "/apps/myapp/releases",
            "/apps/myapp/configs",
            "/apps/myapp/configs/db",
            "/apps/myapp",
            "/apps",
            "/registries",
            "/resources",
            "/resources/w",
            "/apps/myapp/resources",
        ] {
            asking.ask("GET", target, token, &[], b"").await;
        }
        // Through the gateway's own API: taken, refused, and not read at all.
        let json = [("Content-Type", "application/json")];
        for (body, status) in [
            (format!("{{\"set\":{{\"API_KEY\":\"{own_api}\"}}}}"), 200),
            (format!("{{\"set\":{{\"API_KEY\":\"{own_api}\\n\"}}}}"), 400),
            (format!("{{\"set\":{{\"API_KEY\":[\"{own_api}\"]}}}}"), 400),
        ] {
            let put = asking.ask("PUT", "!/api/v1/apps/myapp/env", token, &json, body.as_bytes()).await;
            assert_eq!(put, status, "{body}");
        }
        asking.ask("GET", "!/api/v1/apps/myapp/env", token, &[], b"").await;
        self.misplace(asking, token, misplaced).await;
    }

    /// Secrets where none belong.
    async fn misplace(&self, asking: &mut Asking<'_>, token: &str, secret: &str) {
        for target in [
            format!("/registries?password={secret}"),
            format!("/apps?env={secret}"),
            format!("/apps/myapp/releases?limit={secret}"),
        ] {
            asking.ask("GET", &target, token, &[], b"").await;
        }
        for form in [
            format!("server=a&server=b&password={secret}"),
            format!("password={secret}%"),
            format!("password={secret}%00"),
        ] {
            asking.form("POST", "/registries", token, &form).await;
        }
        asking.form("POST", "/apps/myapp/releases", token, &format!("env=NOT AN ENV {secret}")).await;
        asking.form("POST", "/apps/myapp/releases", token, &format!("env=A%3D{secret}%0AA%3Db")).await;
        asking.ask("GET", "/apps", "", &[("Authorization", &format!("Bearer {secret}"))], b"").await;
        asking.ask("GET", "/apps", "", &[("Authorization", &format!("Digest {secret}"))], b"").await;
        asking.ask("GET", "/apps", secret, &[("Cookie", &format!("__Host-rgw={secret}"))], b"").await;
        asking.raw(format!("GET /{secret} HTTP/1.1\r\nHost: x\r\n{secret}\r\n\r\n")).await;
        asking.raw(format!("GET /apps HTTP/1.1\r\nHost: x\r\nAuthorization: {secret}\nX: y\r\n\r\n")).await;
        asking.raw(format!("POST /apps HTTP/1.1\r\nHost: x\r\nContent-Length: {secret}\r\n\r\n")).await;
    }
}

/// Everything that a rack answers well, and all that goes wrong with it.
async fn exercise(child: &Child, rack: &SimRack, written: &Written, haystack: &mut Haystack) {
    let mut asking = Asking { addr: child.addr, haystack };
    let admin = child.token(Role::Admin);
    written.write(&mut asking, admin).await;
    let table = RouteTable::builtin().unwrap();
    for token in [admin, child.token(Role::Viewer), ""] {
        for request in matrix::requests(&table) {
            if request.is_socket() {
                asking.socket(&request.target, token, &request.headers()).await;
            } else {
                asking.ask(request.method, &request.target, token, &request.headers(), &request.body).await;
            }
        }
    }
    let external = asking.form("POST", "/apps/myapp/builds", admin, "external=true").await;
    assert_eq!(external, 200, "the reply that holds the rack's password is asked for");
    for fault in [
        Fault::Status(401),
        Fault::Status(500),
        Fault::CloseBeforeReply,
        Fault::CloseMidBody,
        Fault::CloseMidChunk,
        Fault::Gzip,
        Fault::Redirect(format!("http://convox:{}@elsewhere.example/", rack.password())),
    ] {
        rack.fault(fault);
        let mut client = RawClient::connect(child.addr).await;
        // Some of these answers break off; what matters here is what is written down of it.
        client.send(request_head("/registries", admin)).await;
        let (mut stream, mut text) = client.into_parts();
        let _broken_off = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut text).await;
        asking.haystack.replies.push(("the reply to a fault".to_owned(), text));
    }
    for fault in [Fault::DropExec, Fault::CloseFrame(1011), Fault::SessionBlob, Fault::SplitMarker] {
        rack.fault(fault);
        asking.socket(EXEC, admin, &[("Command", "echo hello")]).await;
    }
    asking.socket("/apps/myapp/processes/nobody/exec", admin, &[("Command", "true")]).await;
    for own in
        ["!/api/v1/me", "!/.well-known/rack-gateway", "!/log/checkpoint", "!/problems/refused", "!/none"]
    {
        asking.ask("GET", own, admin, &[], b"").await;
    }
    asking.addr = child.admin_addr;
    for probe in ["!/healthz", "!/readyz", "!/metrics"] {
        asking.ask("GET", probe, "", &[], b"").await;
    }
}

fn request_head(path: &str, token: &str) -> String {
    format!(
        "GET /api/v1/rack-proxy{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
        gateway_testkit::raw::basic(token)
    )
}

const SWITCHED_ON: [(&str, &str); 5] = [
    ("LOG_FILTER", "trace"),
    ("RGW_SETTING_RATE_LIMITS", "off"),
    ("RGW_SETTING_MFA_STEP_UP", "false"),
    ("RGW_SETTING_DESTRUCTIVE_ACTIONS", "true"),
    ("RGW_SETTING_EXTERNAL_BUILDS", "true"),
];

async fn check_whole_gateway(database: Database) {
    let password = canary("rack");
    let options = SimOptions { password: password.clone(), ..SimOptions::for_tests() };
    let rack = SimRack::start(options).await.unwrap();
    // Whatever the log holds goes to sinks too.
    let receivers = Receivers::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), receivers.file("")).unwrap();
    let path = file.path().display().to_string();
    let variables = [&SWITCHED_ON[..], &[("RACK_GATEWAY_CONFIG", &path)]].concat();
    let child = Child::start(database, (&rack.url(), &password), &variables).await;
    let (written, mut haystack) = (Written::new(), Haystack::default());
    exercise(&child, &rack, &written, &mut haystack).await;
    haystack.kept.push(("the command line".to_owned(), child.command_line()));
    haystack.kept.push(("the events".to_owned(), events(&child).await));
    let store = child.store().await;
    let size = store.events().head().await.unwrap().size;
    store.close().await;
    for (sink, _) in receivers.all() {
        eventually("all entries in all sinks", async || {
            let delivered = metric_at(child.admin_addr, "delivered_total", sink).await;
            (delivered >= Some(size)).then_some(())
        })
        .await;
    }
    let sunk = receivers.everything();
    for (place, bytes) in &sunk {
        assert!(find(bytes, b"convox:registry:add").is_some(), "{place} has no entries");
    }
    haystack.kept.extend(sunk);
    let tokens: Vec<String> = Role::ALL.into_iter().map(|role| child.token(role).to_owned()).collect();

    // A second process that has the wrong password for the rack, on the same files or another database.
    let wrong = canary("wrong");
    let other = Child::start(database, (&rack.url(), &wrong), &SWITCHED_ON).await;
    let mut asking = Asking { addr: other.addr, haystack: &mut haystack };
    for target in ["/apps", "/registries", "/system"] {
        assert_eq!(asking.ask("GET", target, other.token(Role::Admin), &[], b"").await, 502);
    }
    asking.form("POST", "/registries", other.token(Role::Admin), "server=a&username=b&password=c").await;
    asking.socket(EXEC, other.token(Role::Admin), &[("Command", "true")]).await;

    for child in [child, other] {
        let url = child.database_url.clone();
        let (log, directory) = child.stop();
        assert!(log.contains("TRACE"), "the log is as talkative as can be");
        haystack.kept.push(("the log".to_owned(), log.into_bytes()));
        haystack.kept.extend(self::database(&url, directory.path(), "convox:registry:add"));
    }
    let seen = rack.requests();
    assert!(seen.iter().any(|seen| find(&seen.body, written.env.as_bytes()).is_some()), "it was written");

    let handles = haystack.replies.iter().filter(|(_, text)| find(text, b"rgw-hidden-").is_some()).count();
    assert!(handles > 10, "replies that hold secrets were among them");

    let mut all = vec![
        planted("the collector's header", sinks::HEADER, true),
        planted("what web hooks are signed with", sinks::SECRET, true),
        planted("the rack's password", &password, true),
        planted("the rack's credential", &format!("convox:{password}"), true),
        planted("the wrong password", &wrong, true),
        planted("the app's database password", "s3cr3t-myapp", true),
        planted("the registry's password of before", "registry-pa55word", true),
        planted("the resource's password", "dbpa55@resource", true),
        planted("a misplaced secret", &written.misplaced, false),
        planted("a variable", &written.env, true),
        planted("a variable of the gateway's own API", &written.own_api, true),
        planted("a registry's password", &written.registry, true),
        planted("a certificate's key", &written.certificate, true),
        planted("a config's value", &written.config, true),
        // Its writer, who is the one that asks here, may see it (ADR 0003); nothing may keep it.
        planted("a parameter", &written.parameter, false),
        planted("a process's variable", &written.process, true),
        planted("an image's password", &written.image, true),
        planted("a shell's key", &written.shell, true),
    ];
    all.extend(tokens.iter().map(|token| planted("an API token", token, true)));
    haystack.search(&all);
}

#[tokio::test]
async fn nothing_that_was_planted_comes_out_on_sqlite() {
    check_whole_gateway(Database::Sqlite).await;
}

#[tokio::test]
async fn nothing_that_was_planted_comes_out_on_postgres() {
    check_whole_gateway(Database::Postgres).await;
}

#[test]
fn the_search_finds_what_is_there() {
    let secret = planted("x", "CANARYx0123456789abcdef", true);
    for prefix in ["", "a", "ab", "abc", "convox:"] {
        for hidden in [
            STANDARD.encode(format!("{prefix}CANARYx0123456789abcdef")),
            URL_SAFE_NO_PAD.encode(format!("{prefix}CANARYx0123456789abcdef, and more")),
            format!("{prefix}CANARYx0123456789abcdef"),
        ] {
            let found = secret.spellings.iter().any(|part| find(hidden.as_bytes(), part).is_some());
            assert!(found, "{hidden}");
        }
    }
}

/// Racks and what stands before them may repeat what they were sent.
#[tokio::test]
async fn a_rack_that_repeats_the_credential_in_an_error_is_not_passed_on() {
    // What has to be escaped, in the ways in which it is.
    let core = canary("echo");
    let password = format!("{core}+/%\"<\\&");
    let header = STANDARD.encode(format!("convox:{password}"));
    let json = serde_json::to_string(&password).unwrap();
    let percent: String =
        percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC).to_string();
    let html = password.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;");
    let echoes = [
        format!("bad password {password}"),
        format!("Authorization: Basic {header}"),
        format!("{{\"error\": {json}}}"),
        format!("cannot dial https://convox:{percent}@rack/"),
        format!(
            "cannot dial https://convox:{}@rack/",
            percent.to_ascii_lowercase().replace(&core.to_ascii_lowercase(), &core)
        ),
        format!("<p>{html}</p>"),
    ];
    let planted = [planted("the rack's password", &core, true), planted("its header", &header, true)];
    for echo in echoes {
        for status in ["403 Forbidden", "500 Internal Server Error", "502 Bad Gateway"] {
            let reply = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Echo: {core}\r\nWWW-Authenticate: {core}\r\n\
                 Set-Cookie: a={core}\r\nServer: {core}\r\nContent-Length: {}\r\n\r\n{echo}",
                echo.len()
            );
            let rack = StubRack::start(move |mut connection: StubConnection| {
                let reply = reply.clone();
                async move { connection.send(reply).await }
            })
            .await;
            let gateway = gateway_testkit::TestGateway::builder()
                .env("RACK_HOST", &rack.url())
                .env("RACK_TOKEN", &password)
                .start()
                .await;
            let mut haystack = Haystack::default();
            let mut asking = Asking { addr: gateway.addr(), haystack: &mut haystack };
            asking.ask("GET", "/apps", gateway.token(Role::Admin), &[], b"").await;
            let path = "/apps/myapp/services/web/restart";
            asking
                .ask("POST", path, gateway.token(Role::Admin), &[("Accept", "application/json")], b"")
                .await;
            asking.socket(EXEC, gateway.token(Role::Admin), &[("Command", "true")]).await;
            asking.socket("/apps/myapp/logs", gateway.token(Role::Admin), &[]).await;
            for (_, event) in gateway.events().await {
                haystack.kept.push(("an event".to_owned(), serde_json::to_vec(&event).unwrap()));
            }
            haystack.search(&planted);
            gateway.finish().await;
        }
    }
}
