use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_audit::Phase;
use gateway_types::{CredentialKind, OsEntropy, Role, Secret};

use super::{Place, TestClock, add_session, add_user, event};
use crate::backup::{
    BackupError, BackupKey, Dump, Manifest, Restoration, Restored, dump, restore, standing, verified,
};
use crate::{Access, StoreError};

const PASSPHRASE: &str = "correct horse battery";

fn app_key() -> BackupKey {
    BackupKey::AppSecretKey(Secret::new("a key for tests, long enough".to_owned()))
}

async fn write(place: &Place, key: BackupKey) -> (Manifest, Vec<u8>) {
    let asked = Dump {
        url: place.url.clone(),
        key,
        clock: Arc::clone(&place.clock) as Arc<dyn gateway_types::Clock>,
        entropy: Arc::new(OsEntropy),
    };
    let (manifest, _rows, bytes) = dump(asked, Vec::new(), &mut |_, _| {}).await.unwrap();
    (manifest, bytes)
}

async fn read(place: &Place, bytes: &[u8], key: BackupKey, replace: bool) -> Result<Restored, BackupError> {
    let found = verified(bytes, &key)?;
    let asked = Restoration {
        url: place.url.clone(),
        key,
        app_secret_key: place.options(Access::Tool).app_secret_key,
        clock: Arc::new(TestClock::new_at()),
        replace,
    };
    restore(asked, bytes, &found, &mut |_, _| {}).await
}

impl TestClock {
    fn new_at() -> TestClock {
        TestClock(std::sync::atomic::AtomicI64::new(1_795_000_000_000_000))
    }
}

/// A database with people, a sealed factor, an approval that is no longer pending, a session and a log.
async fn used(place: &Place) -> u64 {
    let store = place.open(Access::Serve).await;
    let user = add_user(&store, "ann@example.com", &[Role::Admin]).await;
    add_session(&store, place, user.id, CredentialKind::WebSession).await;
    store
        .factors()
        .create_totp(user.id, "phone", &Secret::new(b"12345678901234567890".to_vec()))
        .await
        .unwrap();
    for number in 0..50 {
        let one = event(place, &format!("convox:app:list{number}"), Phase::Single);
        store.audit().append(one).await.unwrap();
    }
    store.close().await;
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&place.url).await.unwrap();
    for statement in [
        "INSERT INTO approvals (id, app, commit_id, requester, requester_name, request, state, created, answer_by, bound, bound_seal) \
         VALUES ('a1', 'web', 'c', 'r', 'R', '{}', 'pending', 1, 2, '', '')",
        "UPDATE approvals SET state = 'approved' WHERE id = 'a1'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    standing(&place.url).await.unwrap().unwrap().log_size
}

/// From each kind of database into each kind.
#[tokio::test]
async fn what_was_backed_up_is_there_again_in_either_database() {
    for from in Place::both() {
        let size = used(&from).await;
        let (manifest, bytes) = write(&from, app_key()).await;
        assert_eq!((manifest.log_size, manifest.own_secret_key), (size, false));
        for to in Place::both() {
            assert_eq!(standing(&to.url).await.unwrap(), None);
            let restored = read(&to, &bytes, app_key(), false).await.unwrap();
            assert_eq!(restored, Restored { log_before: None, log_size: size });
            let store = to.open(Access::Serve).await;
            assert_eq!(store.gateway_id().to_string(), manifest.gateway_id);
            // Whoever opens it next knows that it was restored, also when the restoring program was killed.
            let news = store.restorations().untold().await.unwrap().unwrap();
            assert_eq!(
                (news["log_size"].as_str(), news["log_size_before"].as_str()),
                (&*size.to_string(), "none")
            );
            store.restorations().told().await.unwrap();
            assert_eq!(store.restorations().untold().await.unwrap(), None);
            let ann = store.users().by_email("ann@example.com").await.unwrap().unwrap();
            assert_eq!(store.factors().list(ann.id).await.unwrap().len(), 1);
            let sessions = store.sessions().list_for_user(ann.id).await.unwrap();
            assert!(sessions.is_empty(), "sessions stay behind");
            store.close().await;
            // What a backup of the restored one holds is the same, but for the start that was recorded.
            let (again, _) = write(&to, app_key()).await;
            assert!(again.log_size > size && again.schema == manifest.schema);
            // And the rules for moves of approvals are in force again.
            let pool = sqlx::AnyPool::connect(&to.url).await.unwrap();
            let back =
                sqlx::query("UPDATE approvals SET state = 'pending' WHERE id = 'a1'").execute(&pool).await;
            assert!(back.is_err(), "a move that does not exist");
            pool.close().await;
        }
    }
}

/// Whoever began to serve while a restore waited for the lock of migrations is seen.
#[tokio::test]
async fn a_gateway_that_started_while_the_restore_waited_is_seen() {
    let place = Place::postgres();
    used(&place).await;
    let (_, bytes) = write(&place, app_key()).await;
    let pool = sqlx::AnyPool::connect(&place.url).await.unwrap();
    let (mut migrating, mut serving) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    sqlx::query("SELECT pg_advisory_lock(7018137281931)").execute(&mut *migrating).await.unwrap();
    let start = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut *serving).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sqlx::query("SELECT pg_advisory_lock(4711)").execute(&mut *serving).await.unwrap();
        sqlx::query("INSERT INTO runs (id, started, lock_key) VALUES ('late', 1, 4711)")
            .execute(&mut *serving)
            .await
            .unwrap();
        sqlx::query("SELECT pg_advisory_unlock(7018137281931)").execute(&mut *migrating).await.unwrap();
    };
    let (refused, ()) = tokio::join!(read(&place, &bytes, app_key(), true), start);
    let refused = refused.unwrap_err();
    assert!(matches!(refused, BackupError::Store(StoreError::Serving)), "{refused}");
}

#[tokio::test]
async fn a_database_in_use_gives_way_only_when_that_is_said_and_nobody_serves() {
    for place in Place::both() {
        let size = used(&place).await;
        let (_, bytes) = write(&place, app_key()).await;
        let store = place.open(Access::Serve).await;
        store.audit().append(event(&place, "convox:app:list", Phase::Single)).await.unwrap();
        let running = read(&place, &bytes, app_key(), true).await.unwrap_err();
        let BackupError::Store(running) = running else { panic!("{running}") };
        assert!(matches!(running, StoreError::Serving | StoreError::Locked { .. }), "{running}");
        store.close().await;
        drop(store);
        let now = standing(&place.url).await.unwrap().unwrap().log_size;
        let refused = read(&place, &bytes, app_key(), false).await.unwrap_err();
        assert!(matches!(refused, BackupError::NotEmpty { log_size } if log_size == now), "{refused}");
        let restored = read(&place, &bytes, app_key(), true).await.unwrap();
        assert_eq!(restored, Restored { log_before: Some(now), log_size: size });
        assert!(now > size, "the log went back, and that is told");
    }
}

#[tokio::test]
async fn what_is_altered_cut_off_foreign_or_of_another_key_is_refused_before_anything_is_touched() {
    let place = Place::sqlite();
    used(&place).await;
    let (_, bytes) = write(&place, app_key()).await;
    let check = |bytes: &[u8]| verified(bytes, &app_key()).unwrap_err();
    for position in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        assert!(verified(altered.as_slice(), &app_key()).is_err(), "byte {position}");
    }
    for length in [0, 5, 30, 300, bytes.len() / 2, bytes.len() - 1] {
        assert!(verified(&bytes[..length], &app_key()).is_err(), "{length} bytes");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(matches!(check(&longer), BackupError::Altered));
    assert!(matches!(check(b"PK\x03\x04 something else, and longer than a line"), BackupError::NotABackup));
    let other = BackupKey::AppSecretKey(Secret::new("another key".to_owned()));
    assert!(matches!(verified(bytes.as_slice(), &other), Err(BackupError::WrongKey { .. })));
    let passphrase = BackupKey::Passphrase(Secret::new(PASSPHRASE.to_owned()));
    assert!(matches!(verified(bytes.as_slice(), &passphrase), Err(BackupError::OtherWay { .. })));
}

#[tokio::test]
async fn a_passphrase_opens_it_and_the_gateways_key_is_still_wanted() {
    let (from, to) = (Place::sqlite(), Place::sqlite());
    used(&from).await;
    let passphrase = |text: &str| BackupKey::Passphrase(Secret::new(text.to_owned()));
    let (_, bytes) = write(&from, passphrase(PASSPHRASE)).await;
    assert!(matches!(
        verified(bytes.as_slice(), &passphrase("another passphrase")),
        Err(BackupError::WrongKey { with: "passphrase" })
    ));
    let found = verified(bytes.as_slice(), &passphrase(PASSPHRASE)).unwrap();
    let asked = |key: &str| Restoration {
        url: to.url.clone(),
        key: passphrase(PASSPHRASE),
        app_secret_key: Some(Secret::new(key.to_owned())),
        clock: Arc::new(TestClock::new_at()),
        replace: false,
    };
    let wrong = restore(asked("not the key"), bytes.as_slice(), &found, &mut |_, _| {}).await.unwrap_err();
    assert!(matches!(wrong, BackupError::NotItsKey), "{wrong}");
    assert_eq!(standing(&to.url).await.unwrap(), None);
    restore(asked("a key for tests, long enough"), bytes.as_slice(), &found, &mut |_, _| {}).await.unwrap();
}

/// What stops a restore half-way leaves everything as it was: here a file that ends between the two readings, and a
/// restore that is dropped in the middle.
#[tokio::test]
async fn a_restore_that_is_stopped_changes_nothing() {
    for place in Place::both() {
        used(&place).await;
        let (_, bytes) = write(&place, app_key()).await;
        let before = standing(&place.url).await.unwrap();
        let found = verified(bytes.as_slice(), &app_key()).unwrap();
        let asked = || Restoration {
            url: place.url.clone(),
            key: app_key(),
            app_secret_key: place.options(Access::Tool).app_secret_key,
            clock: Arc::new(TestClock::new_at()),
            replace: true,
        };
        let cut = restore(asked(), &bytes[..bytes.len() - 40], &found, &mut |_, _| {}).await;
        assert!(cut.is_err());
        assert_eq!(standing(&place.url).await.unwrap(), before);
        let (url, bytes) = (asked(), bytes.clone());
        let (told, mut half) = tokio::sync::mpsc::unbounded_channel();
        let killed = tokio::spawn(async move {
            let mut told = |_: &str, rows: u64| {
                let _ = told.send(rows);
            };
            restore(url, bytes.as_slice(), &found, &mut told).await
        });
        while half.recv().await.is_some_and(|rows| rows < 20) {}
        killed.abort();
        let _ = killed.await;
        assert_eq!(standing(&place.url).await.unwrap(), before);
        place.open(Access::Serve).await.close().await;
    }
}

/// The names that are read from the migrations are those of the catalogs, so no table is forgotten.
#[tokio::test]
async fn every_table_of_the_database_is_known() {
    for place in Place::both() {
        used(&place).await;
        let (manifest, bytes) = write(&place, app_key()).await;
        let rows = verified(bytes.as_slice(), &app_key()).unwrap().rows;
        let pool = sqlx::AnyPool::connect(&place.url).await.unwrap();
        let catalog = if place.is_sqlite() {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        } else {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
        };
        let found = sqlx::query_scalar::<_, String>(catalog).fetch_all(&pool).await.unwrap();
        for table in found.iter().filter(|table| *table != "migrations") {
            assert!(rows.contains_key(table) || manifest.left_out.contains(table), "{table}");
        }
        assert_eq!(found.len(), rows.len() + manifest.left_out.len() + 1, "{rows:?}");
        let filled: BTreeMap<&String, &u64> = rows.iter().filter(|(_, count)| **count > 0).collect();
        assert!(filled.len() >= 8, "{filled:?}");
        pool.close().await;
    }
}

/// Another program may have a table of the same name in the database: it is not ours to drop.
#[tokio::test]
async fn what_another_program_keeps_is_not_touched() {
    let from = Place::sqlite();
    used(&from).await;
    let (_, bytes) = write(&from, app_key()).await;
    for place in Place::both() {
        if place.is_sqlite() {
            std::fs::create_dir_all(place.database_file().parent().unwrap()).unwrap();
            std::fs::File::create(place.database_file()).unwrap();
        }
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&place.url).await.unwrap();
        sqlx::query("CREATE TABLE users (id INTEGER PRIMARY KEY)").execute(&pool).await.unwrap();
        sqlx::query("INSERT INTO users (id) VALUES (7)").execute(&pool).await.unwrap();
        for replace in [false, true] {
            let refused = read(&place, &bytes, app_key(), replace).await.unwrap_err();
            assert!(matches!(refused, BackupError::Foreign { table: "users" }), "{refused}");
        }
        let kept = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM users").fetch_one(&pool).await.unwrap();
        assert_eq!(kept, 1);
        pool.close().await;
    }
}
