//! Members of the zone become instances of services by their own word, as far as the operator's declaration allows.

use std::path::PathBuf;

use gateway_sidecar::Register;
use gateway_store::ZoneRegistration;
use gateway_types::ZoneMemberId;
use tokio_rustls::client::TlsStream;

use super::*;

/// A service whose instances register, one route of it by name.
const FILE: &str = r#"[[service]]
name = "wiki"
hosts = ["wiki.example.com"]
trust = "zone"
instances = "registered"
tail = true

[[service.route]]
method = "GET"
path = "/orders/{id}"
action = "order:read"
class = "read"
"#;

fn at(address: SocketAddr) -> Register {
    Register { address: address.to_string(), prefix: None, version: None, capabilities: None }
}

/// The entry of a service with a listener for the gateway at each of these ports.
fn entry(addresses: &[SocketAddr]) -> Value {
    let listener = |(number, address): (usize, &SocketAddr)| format!("l{number}:gateway:{}", address.port());
    json!({ "listeners": addresses.iter().enumerate().map(listener).collect::<Vec<_>>() })
}

impl World {
    async fn options(&self, what: &Value, register: Register, to: SocketAddr) -> Options {
        let listen = register.address.parse().unwrap_or_else(|_name| any());
        let join = self.join("wiki", &self.token("wiki", what).await);
        Options { join, listen, forward: http(to), egress: Vec::new(), register: Some(register) }
    }

    async fn registered(&self, what: &Value, register: Register, to: SocketAddr) -> Running {
        let options = self.options(what, register, to).await;
        gateway_sidecar::start(options, self.surroundings()).await.expect("a sidecar")
    }

    async fn registrations(&self) -> Vec<Value> {
        let service = self.done("GET", "/services/wiki", &Value::Null).await;
        service["registrations"].as_array().cloned().unwrap_or_default()
    }

    async fn until_registered(&self, count: usize) -> Vec<Value> {
        eventually("the registrations, in force", async || {
            let service = self.done("GET", "/services/wiki", &Value::Null).await;
            let of = |what: &str| service[what].as_array().cloned().unwrap_or_default();
            // What is written is in force a moment later.
            let is_so = of("registrations").len() == count && of("upstreams").len() == count;
            is_so.then(|| of("registrations"))
        })
        .await
    }

    /// The answers to so many requests, each once, sorted.
    async fn answers(&self, count: usize) -> Vec<String> {
        let mut answers = Vec::new();
        for _ in 0..count {
            let answer = self.ask_at(WIKI, "GET", "/page", "").await;
            answers.push(format!("{} {}", answer.status.as_u16(), answer.body));
        }
        answers.sort();
        answers.dedup();
        answers
    }

    /// What the only member would say of itself at this address.
    async fn row(&self, address: SocketAddr) -> ZoneRegistration {
        let member = self.zone().await["members"][0]["id"].as_str().unwrap().parse::<ZoneMemberId>().unwrap();
        let now = self.gateway.clock.now();
        ZoneRegistration {
            member,
            service: "wiki".to_owned(),
            address: address.to_string(),
            prefix: None,
            version: None,
            is_healthy: true,
            capabilities: None,
            registered: now,
            seen: now,
        }
    }

    /// A tunnel to the service; the status when there is none.
    async fn tunnel(&self) -> Result<TlsStream<TcpStream>, u16> {
        let config = self.place.client().config();
        let mut tls = handshake(&config, self.gateway.addr(), NAME).await.unwrap();
        let head = format!(
            "GET /api/v1/services/wiki/tunnel HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\r\n",
            self.admin
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            reply.push(tls.read_u8().await.unwrap());
        }
        let status: u16 = String::from_utf8_lossy(&reply)[9..12].parse().unwrap();
        if status == 101 { Ok(tls) } else { Err(status) }
    }

    /// Waits until a reason like this one is in the log, for a member that was refused.
    async fn refused(&self, why: &str) -> Event {
        eventually("the refusal", async || {
            let events = self.events("gateway:zone:instance_refused").await;
            events.into_iter().find(|event| event.reason.as_deref().is_some_and(|text| text.contains(why)))
        })
        .await
    }
}

#[tokio::test]
async fn members_become_instances_and_leave() {
    for database in Database::BOTH {
        let (one, other) = (free().await, free().await);
        let world = World::start(database, FILE).await;
        world.init().await;
        let nobody = world.ask_at(WIKI, "GET", "/page", "").await;
        assert_eq!(nobody.status, 502, "a route without instances: {}", nobody.body);
        let what = entry(&[one, other]);
        let (a, b) = (Instance::saying("a").await, Instance::saying("b").await);
        let first = world.registered(&what, at(one), a.addr).await;
        world.until_registered(1).await;
        let second = world.registered(&what, at(other), b.addr).await;
        let found = world.until_registered(2).await;
        assert!(found.iter().any(|member| member["address"] == one.to_string()), "{found:?}");
        assert!(found.iter().all(|one| one["healthy"] == true && one["refused"].is_null()), "{found:?}");
        assert_eq!(world.answers(6).await, ["200 a", "200 b"]);
        let events = world.events("gateway:zone:instance_registered").await;
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].after.as_ref().unwrap()["address"], one.to_string());
        // It says that it stops, and gets no request any more.
        first.stop().await;
        world.until_registered(1).await;
        assert_eq!(world.answers(6).await, ["200 b"]);
        assert_eq!(world.events("gateway:zone:instance_left").await.len(), 1);
        // Its service stops: it says so with the next report.
        drop(b);
        eventually("the instance is not well", async || {
            world.gateway.clock.advance(Duration::from_secs(1));
            world.registrations().await.iter().all(|one| one["healthy"] == false).then_some(())
        })
        .await;
        assert_eq!(world.ask_at(WIKI, "GET", "/page", "").await.status, 502);
        second.stop().await;
        world.gateway.finish().await;
    }
}

/// Whoever just dies is forgotten; the log says so once.
#[tokio::test]
async fn who_is_not_heard_of_is_no_instance() {
    let gone = free().await;
    let world = World::start(Database::Sqlite, FILE).await;
    world.init().await;
    let what = entry(&[gone]);
    let a = Instance::saying("a").await;
    let mut options = world.options(&what, at(gone), a.addr).await;
    // One that says nothing of itself, and then nothing at all: what it once said is written for it.
    options.register = None;
    gateway_sidecar::start(options, world.surroundings()).await.unwrap().stop().await;
    let row = world.row(gone).await;
    let member = row.member;
    world.gateway.store().zone().register(&row).await.unwrap();
    world.until_registered(1).await;
    world.gateway.clock.advance(Duration::from_secs(21));
    let left = eventually("the event", async || world.events("gateway:zone:instance_left").await.pop()).await;
    assert_eq!(left.parameters["member"], member.to_string());
    assert_eq!(world.registrations().await, Vec::<Value>::new());
    assert_eq!(world.events("gateway:zone:instance_left").await.len(), 1);
    world.gateway.finish().await;
}

/// (6.5 case 6) What a member claims beyond its declaration is refused, and what was there stays.
#[tokio::test]
async fn what_is_not_declared_is_refused_and_old_routes_stay() {
    let (one, other) = (free().await, free().await);
    let engine = "\n[[service]]\nname = \"engine\"\nprefix = \"/engine\"\ntrust = \"zone\"\ninstances = \"registered\"\n";
    let world = World::start(Database::Sqlite, &format!("{FILE}{engine}")).await;
    world.init().await;
    let what = entry(&[one]);
    let a = Instance::saying("a").await;
    let directory = tempfile::tempdir().unwrap();
    let state: PathBuf = directory.path().join("wiki.json");
    let mut options = world.options(&what, at(one), a.addr).await;
    options.join.state = Some(state.clone());
    let again = options.clone();
    let good = gateway_sidecar::start(options, world.surroundings()).await.unwrap();
    world.until_registered(1).await;
    assert_eq!(world.answers(2).await, ["200 a"]);

    let claim = |change: &dyn Fn(&mut Register)| {
        let mut register = at(one);
        change(&mut register);
        register
    };
    let capable = |name: &str| Some([name.to_owned()].into());
    let bad = [
        (claim(&|it| it.prefix = Some("/engine".to_owned())), "gives this service `/`, not `/engine`"),
        (claim(&|it| it.prefix = Some("/(.*)".to_owned())), "not `/(.*)`"),
        (claim(&|it| it.address = other.to_string()), "no listener of this service"),
        (claim(&|it| it.version = Some("v9".to_owned())), "no version `v9`"),
        (claim(&|it| it.capabilities = capable("root:all")), "no action `root:all`"),
    ];
    for (register, why) in bad {
        // The same member, beside itself: what it said before holds.
        let mut options = again.clone();
        (options.listen, options.register) = (any(), Some(register));
        let running = gateway_sidecar::start(options, world.surroundings()).await.unwrap();
        world.refused(why).await;
        let found = world.registrations().await;
        assert_eq!((found.len(), &found[0]["address"]), (1, &json!(one.to_string())), "{why}");
        assert_eq!(world.answers(2).await, ["200 a"], "{why}");
        drop(running);
    }
    // Another service has an address of its own, or none.
    let token = world.token("engine", &entry(&[one])).await;
    let taken = Options {
        join: world.join("engine", &token),
        listen: any(),
        forward: http(a.addr),
        egress: Vec::new(),
        register: Some(at(one)),
    };
    let running = gateway_sidecar::start(taken, world.surroundings()).await.unwrap();
    world.refused("a member of `wiki` is registered at").await;
    assert_eq!(world.answers(2).await, ["200 a"]);
    running.stop().await;
    good.stop().await;
    world.gateway.finish().await;
}

#[tokio::test]
async fn an_action_that_no_instance_understands_is_refused() {
    let (one, other) = (free().await, free().await);
    let world = World::start(Database::Sqlite, FILE).await;
    world.init().await;
    let what = entry(&[one, other]);
    let (a, b) = (Instance::saying("a").await, Instance::saying("b").await);
    let capable = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let first =
        world.registered(&what, Register { capabilities: capable(&["read"]), ..at(one) }, a.addr).await;
    world.until_registered(1).await;
    assert_eq!(world.ask_at(WIKI, "GET", "/page", "").await.body, "a");
    let refused = world.ask_at(WIKI, "GET", "/orders/7", "").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(world.ask_at(WIKI, "POST", "/page", "").await.status, 403);
    assert_eq!(a.seen().len(), 1, "nothing else reached it");
    // Another one that understands it gets all of it.
    let register = Register { capabilities: capable(&["order:read"]), ..at(other) };
    let second = world.registered(&what, register, b.addr).await;
    world.until_registered(2).await;
    for _ in 0..4 {
        assert_eq!(world.ask_at(WIKI, "GET", "/orders/7", "").await.body, "b");
        assert_eq!(world.ask_at(WIKI, "GET", "/page", "").await.body, "a");
    }
    for running in [first, second] {
        running.stop().await;
    }
    world.gateway.finish().await;
}

/// The same id at another address: nobody edits anything, and every instance on the database knows within a second.
#[tokio::test]
async fn a_member_that_moves_keeps_its_route_on_every_gateway() {
    let (one, other) = (free().await, free().await);
    let world = World::start(Database::Postgres, FILE).await;
    world.init().await;
    let beside = world.place.gateway(&["tls"]).share(&world.gateway).file(FILE).start().await;
    let what = entry(&[one, other]);
    let a = Instance::saying("a").await;
    let directory = tempfile::tempdir().unwrap();
    let mut options = world.options(&what, at(one), a.addr).await;
    options.join.state = Some(directory.path().join("wiki.json"));
    let moved = Options { listen: other, register: Some(at(other)), ..options.clone() };
    let config = world.place.client().config();
    let bearer = format!("Bearer {}", world.admin);
    let known = async |address: SocketAddr| {
        eventually("the other gateway knows", async || {
            let mut line =
                Line::open(&config, beside.addr(), NAME).await.expect("TLS with the other gateway");
            let headers = [("authorization", bearer.as_str())];
            let answer = line.ask("GET", "/api/v1/services/wiki", &headers, "").await.expect("a reply");
            let service: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let upstreams = service["upstreams"].as_array()?;
            (upstreams.len() == 1 && upstreams[0]["address"] == address.to_string()).then_some(())
        })
        .await;
    };
    let running = gateway_sidecar::start(options, world.surroundings()).await.unwrap();
    world.until_registered(1).await;
    known(one).await;
    let member = running.member.id();
    running.stop().await;
    let running = gateway_sidecar::start(moved, world.surroundings()).await.unwrap();
    assert_eq!(running.member.id(), member);
    known(other).await;
    assert_eq!(world.answers(2).await, ["200 a"]);
    running.stop().await;
    beside.finish().await;
    world.gateway.finish().await;
}

/// A TCP service in the zone: the tunnel ends at exactly the member, and nobody else at its address gets a byte.
#[tokio::test]
async fn a_tunnel_reaches_exactly_the_member() {
    let address = free().await;
    let file = "[[service]]\nname = \"wiki\"\nkind = \"tcp\"\ntrust = \"zone\"\ninstances = \"registered\"\nrole = \"ops\"\n";
    let world = World::start(Database::Sqlite, file).await;
    world.init().await;
    let listener = TcpListener::bind(any()).await.unwrap();
    let behind = listener.local_addr().unwrap();
    let database = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let _gone = stream.write_all(&bytes[..count]).await;
                }
            });
        }
    });
    let mut options = world.options(&entry(&[address]), at(address), behind).await;
    options.forward = Forward::Raw { to: behind };
    let running = gateway_sidecar::start(options, world.surroundings()).await.unwrap();
    world.until_registered(1).await;
    let mut tunnel = world.tunnel().await.expect("a tunnel");
    // One masked binary frame: `hello`, with a mask of zeros.
    tunnel.write_all(&[0x82, 0x85, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o']).await.unwrap();
    let mut frame = [0; 7];
    tunnel.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, &[0x82, 5, b'h', b'e', b'l', b'l', b'o']);
    running.stop().await;
    database.abort();

    // Somebody else listens there now, with no leaf of this zone.
    let row = world.row(address).await;
    let stranger = TcpListener::bind(address).await.unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = stranger.accept().await.unwrap();
        stream.write_all(b"220 welcome\r\n").await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap_or(0);
        bytes
    });
    world.gateway.store().zone().register(&row).await.unwrap();
    world.until_registered(1).await;
    assert_eq!(world.tunnel().await.unwrap_err(), 502);
    let heard = heard.await.unwrap();
    assert!(heard.first() == Some(&0x16), "nothing but a handshake: {heard:?}");
    world.gateway.finish().await;
}
