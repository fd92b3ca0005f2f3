//! Account, sessions, second factors.

use std::time::Duration;

use gateway_types::{Caller, Principal, UserId};

use crate::sample::{HOSTILE, Sample, location, session, text};

fn user(caller: &Caller) -> UserId {
    match &caller.principal {
        Principal::User { id, .. } => *id,
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => {
            panic!("not a person")
        }
    }
}

/// E7: what a browser says of itself, an address and a name come out as text.
#[tokio::test]
async fn hostile_text_stays_text() {
    let sample = Sample::new().await;
    let caller = sample.person_with("\"><b>x@example.com", "ops", HOSTILE).await;
    let other = sample.person_with("\"><b>x@example.com", "ops", HOSTILE).await;
    for target in ["/app", "/app/connect", "/app/account", "/app/account/sessions", "/app/account/factors"] {
        let page = sample.get(&caller, target).await;
        assert!(!page.contains("<b>x@"), "{target}");
        assert!(page.contains("&lt;b&gt;x@") || page.contains("&#60;b&#62;x@"), "{target}: {page}");
    }
    let page = sample.get(&caller, "/app/account/sessions").await;
    assert!(page.contains("[U+202E][U+200B][U+001B][31m"), "{page}");
    assert!(page.contains("{{ 7*7 }}"));
    let reply = sample.post(&caller, "/app/account/factors/enrol/totp", &[("name", "<i>\"phone'</i>")]).await;
    let page = sample.checked(&caller, "enrol", &reply);
    assert!(!page.contains("<i>"));
    let page = sample.get(&caller, "/app/account/factors").await;
    assert!(!page.contains("<i>") && page.contains("phone"), "{page}");
    drop(other);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let sample = Sample::new().await;
    let here = sample.person_with("ada@example.com", "ops", "Firefox").await;
    let phone = sample.person_with("ada@example.com", "ops", "Phone").await;
    let laptop = sample.person_with("ada@example.com", "ops", "Laptop").await;
    let stranger = sample.person_with("bob@example.com", "ops", "Stranger").await;
    let page = sample.get(&here, "/app/account/sessions").await;
    for device in ["Firefox", "Phone", "Laptop"] {
        assert!(page.contains(device), "{device}: {page}");
    }
    assert!(!page.contains("Stranger"));
    assert_eq!(page.matches("this session").count(), 1);
    let own = format!("/app/account/sessions/{}/revoke", session(&here).unwrap());
    assert!(!page.contains(&own), "one's own session is ended by signing out");

    let end = |caller: &Caller| format!("/app/account/sessions/{}/revoke", session(caller).unwrap());
    let reply = sample.post(&here, &end(&phone), &[]).await;
    assert_eq!((reply.status, location(&reply)), (303, "/app/account/sessions?done=session-revoked"));
    assert!(!sample.get(&here, "/app/account/sessions").await.contains("Phone"));
    assert_eq!(sample.post(&here, &end(&stranger), &[]).await.status, 404);
    assert!(sample.get(&stranger, "/app/account/sessions").await.contains("Stranger"));

    let reply = sample.post(&here, "/app/account/sessions/revoke-others", &[]).await;
    assert_eq!(location(&reply), "/app/account/sessions?done=others-revoked");
    let page = sample.get(&here, "/app/account/sessions").await;
    assert!(!page.contains("Laptop") && page.contains("Firefox"));
    assert!(!page.contains("End all other sessions"));
    drop(laptop);
}

fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("name=\"{name}\" value=\"");
    page.split(&mark).nth(1).unwrap().split('"').next().unwrap()
}

/// G5: the first authenticator brings ten backup codes, shown once.
#[tokio::test]
async fn an_authenticator_is_enrolled_and_confirmed() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "ops").await;
    let page = sample.get(&caller, "/app/account/factors").await;
    assert!(page.contains("No second factor counts yet.") && page.contains("Set up an authenticator"));

    let enrol = "/app/account/factors/enrol/totp";
    let reply = sample.post(&caller, enrol, &[("name", "")]).await;
    assert_eq!(reply.status, 400);
    assert!(sample.checked(&caller, enrol, &reply).contains("1 to 100"));

    let reply = sample.post(&caller, enrol, &[("name", "phone")]).await;
    let page = sample.checked(&caller, enrol, &reply);
    assert!(page.contains("src=\"data:image/svg+xml;base64,"));
    let (id, secret) = (hidden(&page, "id").to_owned(), shown_secret(&page));

    let reply = sample.post(&caller, enrol, &[("id", &id), ("code", "nonsense")]).await;
    assert_eq!(reply.status, 400);
    let page = sample.checked(&caller, enrol, &reply);
    assert!(page.contains("role=\"alert\"") && !page.contains("data:image"), "{page}");

    let code = sample.code(&secret);
    let spaced = format!(" {} {} ", &code.expose()[..3], &code.expose()[3..]);
    let reply = sample.post(&caller, enrol, &[("id", &id), ("code", &spaced)]).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    let page = sample.checked(&caller, enrol, &reply);
    assert_eq!(page.matches("<li><code>").count(), 10, "{page}");

    let page = sample.get(&caller, "/app/account/factors").await;
    assert!(page.contains("You have 10 backup codes left."), "{page}");
    assert!(!page.contains("<li><code>"), "backup codes are shown once");
    assert_eq!(sample.app.store.factors().list(user(&caller)).await.unwrap().len(), 1);
}

/// The secret on the page, as an authenticator takes it over.
fn shown_secret(page: &str) -> gateway_identity::TotpSecret {
    let text = page.split("command secret").nth(1).unwrap();
    let text = text.split("<code>").nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    let bytes = data_encoding::BASE32_NOPAD.decode(text.as_bytes()).unwrap();
    gateway_identity::TotpSecret::from_bytes(gateway_types::Secret::new(bytes))
}

#[tokio::test]
async fn authenticators_are_renamed_and_removed() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "ops").await;
    let stranger = sample.person("bob@example.com", "ops").await;
    sample.enrolled(&caller).await;
    let id = sample.app.store.factors().list(user(&caller)).await.unwrap()[0].id;
    let at = |verb: &str| format!("/app/account/factors/{id}/{verb}");

    let reply = sample.post(&caller, &at("rename"), &[("name", " tablet ")]).await;
    assert_eq!((reply.status, location(&reply)), (303, "/app/account/factors?done=renamed"));
    assert!(sample.get(&caller, "/app/account/factors").await.contains("tablet"));
    assert_eq!(sample.post(&stranger, &at("rename"), &[("name", "mine")]).await.status, 404);

    let reply = sample.post(&caller, &at("remove"), &[("confirm", "tablet")]).await;
    assert_eq!(reply.status, 400);
    assert!(sample.checked(&caller, "remove", &reply).contains("nothing was done"));
    assert_eq!(sample.post(&stranger, &at("remove"), &[("confirm", "remove")]).await.status, 404);
    let reply = sample.post(&caller, &at("remove"), &[("confirm", "remove")]).await;
    assert_eq!(location(&reply), "/app/account/factors?done=factor-removed");
    assert!(sample.get(&caller, "/app/account/factors").await.contains("No second factor counts yet."));
}

/// G5: new backup codes make the old ones void; few are said.
#[tokio::test]
async fn backup_codes_are_made_anew() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "ops").await;
    let reply = sample.post(&caller, "/app/account/backup-codes", &[]).await;
    assert_ne!(reply.status, 200, "backup codes of somebody without an authenticator");
    sample.enrolled(&caller).await;
    assert!(sample.get(&caller, "/app/account/factors").await.contains("You have no backup codes left."));
    let codes = |page: &str| -> Vec<String> {
        page.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    };
    let reply = sample.post(&caller, "/app/account/backup-codes", &[]).await;
    let first = codes(&sample.checked(&caller, "backup codes", &reply));
    let reply = sample.post(&caller, "/app/account/backup-codes", &[]).await;
    let second = codes(&sample.checked(&caller, "backup codes", &reply));
    assert_eq!((first.len(), second.len()), (10, 10));
    assert!(first.iter().all(|code| !second.contains(code)));
    sample.clock.advance(Duration::from_secs(1));
    assert!(sample.get(&caller, "/app/account/factors").await.contains("You have 10 backup codes left."));
}
