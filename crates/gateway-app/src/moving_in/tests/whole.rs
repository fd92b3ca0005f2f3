//! The whole way, from a database of the Go project's schema into both of ours.

use gateway_store::backup::BackupKey;
use gateway_store::predecessor::appendix;
use gateway_types::{Clock as _, OsEntropy, Principal, Secret};

use super::super::*;
use super::LIFE;
use crate::tests::World;

const SCHEMA: &str = include_str!("schema.sql");

/// A token as that program made them: with padding.
const TOKEN: &str = "cgw_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

fn predecessors() -> String {
    let url = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
    let rows = format!(
        r#"INSERT INTO users (email, name, roles, suspended) VALUES
            ('ann@example.com', 'Ann', '["admin"]', false), ('bob@example.com', 'Bob', '["deployer"]', true);
        INSERT INTO api_tokens (token_hash, name, user_id, permissions) VALUES
            (encode(sha256('{TOKEN}'), 'hex'), 'ci', 1, '["convox:app:*", "gateway:user:create"]');
        INSERT INTO settings (app_name, key, value) VALUES
            (NULL, 'session_timeout_minutes', '5'), ('shop', 'vcs_repo', '"acme/shop"'),
            ('shop', 'secret_env_vars', '["DATABASE_URL"]'), (NULL, 'deploy_approvals_enabled', 'true');
        INSERT INTO mfa_methods (user_id, type, secret) VALUES (1, 'totp', 'JBSWY3DPEHPK3PXP');
        INSERT INTO audit.audit_event (chain_index, previous_hash, event_hash, user_email, action) VALUES
            (0, NULL, '\x01', 'ann@example.com', 'login.complete'), (1, '\x01', '\x02', 'ann@example.com', 'env.set');"#
    );
    gateway_testdb::sql(&url, &format!("{SCHEMA}\n{rows}")).unwrap();
    url
}

async fn import(world: &World, url: &str) -> Vec<Line> {
    let mut from = Predecessor::open(url).await.unwrap();
    let found = Found::read(&mut from).await.unwrap();
    let store = &world.app.store;
    let mut lines = plan(&found, &Present::read(store).await.unwrap(), world.clock.now(), LIFE);
    let operator = Operator::local("root", &*world.clock, &OsEntropy);
    carry_out(store, &operator, &mut lines).await.unwrap();
    lines
}

fn count(lines: &[Line], fate: Fate) -> usize {
    lines.iter().filter(|line| line.fate == fate).count()
}

#[tokio::test]
async fn a_gateway_moves_in_and_its_tokens_go_on() {
    for world in World::both().await {
        let url = predecessors();
        assert!(world.caller(TOKEN).await.is_err(), "nobody knows it yet");
        let lines = import(&world, &url).await;
        assert_eq!((count(&lines, Fate::Taken), count(&lines, Fate::LeftOut)), (6, 1), "{lines:#?}");
        let store = &world.app.store;
        assert!(store.users().by_email("bob@example.com").await.unwrap().unwrap().locked);

        let caller = world.caller(TOKEN).await.unwrap();
        let Principal::ApiToken { id, .. } = &caller.principal else { panic!("{:?}", caller.principal) };
        let token = store.tokens().by_id(*id).await.unwrap().unwrap();
        assert_eq!((token.name.as_str(), token.roles), ("imported:ci", RoleSet::of(Role::Admin)));
        assert_eq!(token.expires, Some(world.clock.now().saturating_add(LIFE)));
        assert!(token.grants.iter().all(|grant| grant.actions != "convox:app:delete" && !grant.critical));
        let repository = SettingScope::App("shop".to_owned());
        let repository = store.settings().get(&repository, "github_repository").await.unwrap().unwrap();
        assert_eq!(repository.value, "acme/shop");

        // Each with an event before it, and none of them with what a token is presented by.
        let events = world.events().await;
        let of = |action: &str| events.iter().filter(|event| event.action.as_str() == action).count();
        let counts = ["gateway:user:import", "gateway:token:import", "gateway:setting:import"].map(of);
        assert_eq!(counts, [2, 1, 3]);
        assert!(!format!("{events:?}").contains(TOKEN));

        let again = import(&world, &url).await;
        assert_eq!((count(&again, Fate::Taken), count(&again, Fate::Here)), (0, 6), "{again:#?}");
        store.tokens().revoke(token.id).await.unwrap();
        import(&world, &url).await;
        assert!(world.caller(TOKEN).await.is_err(), "what was revoked stays so");
        world.app.store.close().await;
    }
}

#[tokio::test]
async fn an_imported_token_ends() {
    let [world, _] = World::both().await;
    import(&world, &predecessors()).await;
    world.clock.advance(LIFE);
    assert!(world.caller(TOKEN).await.is_err());
}

#[tokio::test]
async fn the_log_names_the_appendix_and_how_its_chain_stands() {
    for world in World::both().await {
        let mut from = Predecessor::open(&predecessors()).await.unwrap();
        assert_eq!(from.left_behind().await.unwrap()["mfa_methods"], 1);
        let key = BackupKey::Passphrase(Secret::new("long enough for this".to_owned()));
        let (written, _file) = appendix::write(&mut from, Vec::new(), &key, &OsEntropy).await.unwrap();
        let operator = Operator::local("root", &*world.clock, &OsEntropy);
        record_appendix(&world.app.store, &operator, &written).await.unwrap();
        let event = world.events().await.pop().unwrap();
        assert_eq!(event.action.as_str(), APPENDIX_ACTION);
        assert_eq!(
            (event.parameters["digest"].as_str(), event.parameters["rows"].as_str()),
            (written.digest.as_str(), "2")
        );
        assert!(event.after.unwrap()["remark"].as_str().unwrap().contains("cannot be recomputed"));
        let present = Present::read(&world.app.store).await.unwrap();
        assert!(present.was_taken(ImportKind::Appendix, &written.digest));
        world.app.store.close().await;
    }
}
