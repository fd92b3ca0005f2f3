use std::time::Duration;

use gateway_types::{CredentialDigest, Grant, OsEntropy, Role, RoleSet, Secret, UserId};

use super::{Place, TestClock, add_user};
use crate::backup::{BackupError, BackupKey};
use crate::imports::{ImportKind, TakenToken, TakenUser};
use crate::predecessor::appendix;
use crate::settings::SettingScope;
use crate::users::Standing;
use crate::{Access, NewToken, NewUser, Predecessor, PredecessorError, StoreError};

const SOURCE: &str = "elsewhere";

fn person(email: &str, standing: Standing) -> TakenUser {
    let new = NewUser { email: email.to_owned(), name: "Name".to_owned(), roles: RoleSet::of(Role::Ops) };
    TakenUser { new, standing }
}

fn token(creator: UserId, digest: [u8; 32], clock: &TestClock) -> TakenToken {
    let now = gateway_types::Clock::now(clock);
    let new = NewToken {
        name: "imported:ci".to_owned(),
        roles: RoleSet::of(Role::Ops),
        grants: vec![Grant::everything()],
        creator,
        expires: Some(now.saturating_add(Duration::from_secs(60))),
        networks: Vec::new(),
    };
    TakenToken { new, digest: CredentialDigest(digest), created: now }
}

#[tokio::test]
async fn each_thing_is_taken_once_and_never_comes_back() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let imports = store.imports();
        let ann = imports.take_user(SOURCE, person(" Ann@Example.com", Standing::Locked)).await.unwrap();
        let row = store.users().by_email("ann@example.com").await.unwrap().unwrap();
        assert!(row.locked && row.id == ann, "never unlocked for a moment");
        store.users().remove(ann).await.unwrap();
        let again = imports.take_user(SOURCE, person("ann@example.com", Standing::Active)).await;
        assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
        assert!(store.users().by_email("ann@example.com").await.unwrap().is_none());

        let bob = add_user(&store, "bob@example.com", &[Role::Admin]).await;
        let there = imports.take_user(SOURCE, person("bob@example.com", Standing::Active)).await;
        assert!(matches!(there, Err(StoreError::Exists)), "{there:?}");
        let noted = imports.taken(SOURCE, ImportKind::User).await.unwrap();
        assert_eq!(noted.into_iter().collect::<Vec<_>>(), ["ann@example.com"], "nothing is half taken");

        let id = imports.take_token(SOURCE, token(bob.id, [7; 32], &place.clock)).await.unwrap();
        assert!(
            store
                .tokens()
                .by_id(id)
                .await
                .unwrap()
                .unwrap()
                .is_live(gateway_types::Clock::now(&*place.clock))
        );
        let again = imports.take_token("another", token(bob.id, [7; 32], &place.clock)).await;
        assert!(matches!(again, Err(StoreError::Exists)), "one secret is one token: {again:?}");
        let nobodys = imports.take_token(SOURCE, token(ann, [8; 32], &place.clock)).await;
        assert!(matches!(nobodys, Err(StoreError::NotFound)), "{nobodys:?}");

        let scope = SettingScope::App("shop".to_owned());
        imports.take_setting(SOURCE, &scope, "github_branch", "trunk", "import").await.unwrap();
        let set = store.settings().get(&scope, "github_branch").await.unwrap().unwrap();
        assert_eq!(set.value, "trunk");
        store.settings().delete(&scope, "github_branch", set.version).await.unwrap();
        let again = imports.take_setting(SOURCE, &scope, "github_branch", "trunk", "import").await;
        assert!(matches!(again, Err(StoreError::Exists)), "it was reset here: {again:?}");

        imports.take_appendix(SOURCE, "d1").await.unwrap();
        assert!(matches!(imports.take_appendix(SOURCE, "d1").await, Err(StoreError::Exists)));
        store.close().await;
    }
}

fn predecessors(rows: &str) -> String {
    let url = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
    let schema = "CREATE TABLE users (id bigserial PRIMARY KEY, email varchar(254));
        CREATE TABLE api_tokens (id bigserial PRIMARY KEY); CREATE TABLE settings (id bigserial PRIMARY KEY);
        CREATE SCHEMA audit;
        CREATE TABLE audit.audit_event (id bigserial PRIMARY KEY, chain_index bigint, previous_hash bytea, event_hash bytea, details text);";
    gateway_testdb::sql(&url, &format!("{schema} {rows}")).unwrap();
    url
}

#[tokio::test]
async fn audit_rows_are_kept_as_they_were_with_the_state_of_their_chain() {
    let url = predecessors(
        r"INSERT INTO users (email) VALUES ('ann@example.com');
          INSERT INTO audit.audit_event (chain_index, previous_hash, event_hash, details) VALUES
          (0, NULL, '\x01', 'a'), (1, '\x01', '\x02', E'b\nend {}'), (3, '\x09', '\x03', 'c'), (4, '\x03', '\x04', 'd')",
    );
    let key = BackupKey::Passphrase(Secret::new("long enough for this".to_owned()));
    let mut from = Predecessor::open(&url).await.unwrap();
    assert_eq!(from.users().await.unwrap()[0]["email"], "ann@example.com");
    assert!(from.left_behind().await.unwrap().is_empty(), "it has no such tables");
    let looked = appendix::look(&mut from).await.unwrap().unwrap();
    let (written, file) = appendix::write(&mut from, Vec::new(), &key, &OsEntropy).await.unwrap();
    assert_eq!(written, looked);
    assert_eq!((written.rows, written.chain.gaps, written.chain.breaks), (4, 1, 1));
    assert_eq!((written.chain.first_break, written.chain.last_hash.as_deref()), (Some(3), Some("\\x04")));
    let mut shown = Vec::new();
    let read = appendix::read(file.as_slice(), &key, |line| {
        shown.push(line.to_owned());
        Ok(())
    });
    assert_eq!(read.unwrap(), written);
    assert!(shown.len() == 4 && shown[1].contains("b\\nend {}"), "{shown:?}");
    let mut cut = file.clone();
    cut.truncate(file.len() - 3);
    let cut = appendix::read(cut.as_slice(), &key, |_line| Ok(()));
    assert!(matches!(cut, Err(BackupError::Truncated)), "{cut:?}");
    let other = BackupKey::Passphrase(Secret::new("another one, long enough".to_owned()));
    let wrong = appendix::read(file.as_slice(), &other, |_line| Ok(()));
    assert!(matches!(wrong, Err(BackupError::WrongKey { .. })), "{wrong:?}");
}

#[tokio::test]
async fn another_database_is_not_taken_for_the_go_projects() {
    let url = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
    let found = Predecessor::open(&url).await;
    assert!(matches!(found, Err(PredecessorError::NotItsDatabase { table: "users" })), "{found:?}");
    assert!(matches!(Predecessor::open("sqlite:///x.db").await, Err(PredecessorError::Url)));
    let mut from = Predecessor::open(&predecessors("")).await.unwrap();
    let refused = from.execute_for_test("DELETE FROM users").await;
    assert!(refused.unwrap_err().to_string().contains("read-only"));
}
