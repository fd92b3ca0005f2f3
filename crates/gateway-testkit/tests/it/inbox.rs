//! The inbox keeps up by itself: server-sent events at the pages' own addresses, for whom the pages are, and no longer.

use std::time::Duration;

use gateway_testkit::{Database, RawClient, Visitor, eventually};
use gateway_types::Role;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::approvals::{COMMIT, World};

/// Somebody's page that is followed.
struct Followed {
    stream: TcpStream,
    text: String,
}

impl Followed {
    async fn open(world: &World, visitor: &Visitor, path: &str) -> Self {
        let cookies: Vec<String> =
            visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut client = RawClient::connect(world.gateway.addr()).await;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nSec-Fetch-Site: same-origin\r\n\
             Cookie: {}\r\n\r\n",
            world.gateway.addr(),
            cookies.join("; ")
        );
        client.send(head).await;
        let (stream, bytes) = client.into_parts();
        Self { stream, text: String::from_utf8(bytes).unwrap() }
    }

    /// Waits for so many events in all; `false` when the stream ended before.
    async fn events(&mut self, count: usize) -> bool {
        while self.text.matches("event: changed\ndata: ").count() < count {
            let mut piece = [0; 4096];
            let read = timeout(Duration::from_secs(30), self.stream.read(&mut piece)).await;
            match read.expect("an event in time") {
                Ok(0) | Err(_) => return false,
                Ok(read) => self.text.push_str(&String::from_utf8_lossy(&piece[..read])),
            }
        }
        true
    }

    /// The status of the reply.
    async fn status(mut self) -> String {
        let mut line = [0; 12];
        timeout(Duration::from_secs(30), self.stream.read_exact(&mut line)).await.expect("a reply").unwrap();
        String::from_utf8_lossy(&line[9..]).into_owned()
    }

    fn last_mark(&self) -> &str {
        self.text.rsplit("data: ").next().unwrap().lines().next().unwrap()
    }
}

async fn page_mark(visitor: &mut Visitor, path: &str) -> String {
    let page = visitor.get(path).await.text();
    let (_, after) = page.split_once("<meta name=\"live\" content=\"").unwrap_or_else(|| panic!("{page}"));
    after.split_once('"').unwrap().0.to_owned()
}

async fn kept_up(database: Database) {
    let world = World::start_with(database, &[]).await;
    let mut admin = Visitor::signed_in(&world.gateway, Role::Admin).await;
    let mut list = Followed::open(&world, &admin, "/app/approvals").await;
    assert!(list.events(1).await, "how it stands is told at once");
    assert!(list.text.starts_with("HTTP/1.1 200 "), "{}", list.text);
    let head = list.text.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"));
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert_eq!(list.last_mark(), page_mark(&mut admin, "/app/approvals").await);

    // Somebody asks: the list is another one, and so is the page when it is asked for.
    let id = world.request("myapp", COMMIT).await["id"].clone();
    assert!(list.events(2).await);
    assert!(
        !list.text.contains(COMMIT) && !list.text.contains("myapp"),
        "an event holds nothing of the page"
    );
    assert_eq!(list.last_mark(), page_mark(&mut admin, "/app/approvals").await);
    let path = format!("/app/approvals/{}", id.as_str().unwrap());
    let mut one = Followed::open(&world, &admin, &path).await;
    assert!(one.events(1).await);
    world.approve(&id).await;
    assert!(one.events(2).await && list.events(3).await);
    assert_eq!(one.last_mark(), page_mark(&mut admin, &path).await);
    // The clock alone changes it too.
    world.gateway.clock.advance(Duration::from_secs(16 * 60));
    assert!(one.events(3).await);

    // For whom the page is not, neither are its events.
    let auditor = Visitor::signed_in(&world.gateway, Role::Auditor).await;
    assert_eq!(Followed::open(&world, &auditor, "/app/approvals").await.status().await, "403");
    let nobody = Visitor::of(&world.gateway);
    assert_ne!(Followed::open(&world, &nobody, "/app/approvals").await.status().await, "200");

    // Signed out: the stream ends, and is not opened again.
    let out = admin.post("/auth/logout", &[]).await;
    assert!(out.status < 400, "{}", out.text());
    assert!(!list.events(usize::MAX).await, "it ended");
    world.gateway.finish().await;
}

#[tokio::test]
async fn the_inbox_keeps_up_until_its_reader_signs_out_on_sqlite() {
    kept_up(Database::Sqlite).await;
}

#[tokio::test]
async fn the_inbox_keeps_up_until_its_reader_signs_out_on_postgres() {
    kept_up(Database::Postgres).await;
}

#[tokio::test]
async fn one_person_follows_a_few_pages_and_no_more() {
    let world = World::start_with(Database::Sqlite, &[]).await;
    let admin = Visitor::signed_in(&world.gateway, Role::Admin).await;
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut followed = Followed::open(&world, &admin, "/app/approvals").await;
        assert!(followed.events(1).await);
        open.push(followed);
    }
    let refused = async || Followed::open(&world, &admin, "/app/approvals").await.status().await == "429";
    assert!(refused().await);
    // A tab that is closed makes place for another one.
    open.pop();
    eventually("a place for one more", || async { (!refused().await).then_some(()) }).await;
    drop(open);
    world.gateway.finish().await;
}
