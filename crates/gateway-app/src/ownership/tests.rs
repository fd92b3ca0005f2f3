use std::collections::BTreeSet;
use std::time::Duration;

use gateway_policy::{OwnRoute, OwnTable};
use gateway_store::{NewElevation, NewReveal, NewSavedSearch};
use gateway_types::{
    CredentialKind, ElevationId, LowestRole, Principal, RevealId, Role, SavedSearchId, Secret,
};

use super::*;
use crate::sessions::current;
use crate::tests::{Person, World};

/// Rows about one's own objects that nobody serves yet: trusted devices, approvals. They are
/// nobody's own until they are; whoever serves one decides here whose it is.
const NOT_SERVED: [&str; 2] = ["gateway:factor:remove_device", "gateway:approval:withdraw"];

struct Asked<'a> {
    method: &'a str,
    path: String,
    query: Option<&'a str>,
    form: Vec<(String, String)>,
    body: &'a str,
}

impl<'a> Asked<'a> {
    fn to(method: &'a str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: None, form: Vec::new(), body: "" }
    }
}

async fn ask(world: &World, principal: &Principal, asked: &Asked<'_>) -> bool {
    let route = world.app.own.identify(asked.method, &asked.path).unwrap();
    own(world, principal, &route, asked).await
}

async fn own(world: &World, principal: &Principal, route: &OwnRoute, asked: &Asked<'_>) -> bool {
    let question =
        OwnQuestion { principal, route, query: asked.query, form: &asked.form, body: asked.body.as_bytes() };
    is_own(&world.app, question).await
}

/// A row's path with one's own object in it.
fn own_path(
    template: &str,
    factor: &str,
    session: &str,
    token: &str,
    elevation: &str,
    reveal: &str,
    search: &str,
) -> String {
    let id = match template {
        path if path.starts_with("/audit/searches") => search,
        path if path.starts_with("/reveals") => reveal,
        path if path.starts_with("/elevations") => elevation,
        path if path.starts_with("/me/sessions") => session,
        path if path.starts_with("/me/factors") => factor,
        path if path.starts_with("/tokens") => token,
        _ => "window",
    };
    template.replace("{id}", id).replace("{kind}", "totp").replace("{request_id}", session)
}

/// The id of a search that this person keeps.
async fn kept_search(world: &World, person: &Person) -> String {
    let new = NewSavedSearch {
        id: SavedSearchId::new(world.app.clock.now(), &*world.app.entropy),
        user: person.user.id,
        name: "refusals".to_owned(),
        filter: "{}".to_owned(),
        shared: false,
    };
    world.app.store.saved_searches().keep(&new).await.unwrap();
    new.id.to_string()
}

/// The id of an elevation that this person asked for.
async fn asked_for(world: &World, person: &Person) -> String {
    let new = NewElevation {
        id: ElevationId::new(world.app.clock.now(), &*world.app.entropy),
        user: person.user.id,
        role: Role::Ops,
        app: None,
        reason: "a fix".to_owned(),
        length: Duration::from_secs(3600),
        waits: Duration::from_secs(3600),
    };
    world.app.store.elevations().create(new).await.unwrap().id.to_string()
}

/// The id of a time in which this person's session reads values.
async fn reading(world: &World, person: &Person) -> String {
    let new = NewReveal {
        id: RevealId::new(world.app.clock.now(), &*world.app.entropy),
        credential: person.caller.principal.credential_id().unwrap(),
        user: Some(person.user.id),
        holder: person.user.email.clone(),
        app: "web".to_owned(),
        reason: "a look".to_owned(),
        length: Duration::from_secs(300),
    };
    world.app.store.reveals().create(new).await.unwrap().id.to_string()
}

/// A row about one's own objects that this function does not know would be refused to everybody.
#[tokio::test]
async fn every_row_about_ones_own_is_known() {
    let [world, _] = World::both().await;
    let ann = world.person("ann", &[Role::Viewer]).await;
    let session = current(&ann.caller).unwrap().to_string();
    let seed = Secret::new(vec![7; 20]);
    let factor =
        world.app.store.factors().create_totp(ann.user.id, "phone", &seed).await.unwrap().id.to_string();
    let (token, _) = world.machine(&ann.user, &[Role::Viewer]).await;
    let elevation = asked_for(&world, &ann).await;
    let reveal = reading(&world, &ann).await;
    let search = kept_search(&world, &ann).await;
    let mut unknown = BTreeSet::new();
    for operation in OwnTable::builtin().unwrap().operations() {
        let action = operation.action.as_str();
        if operation.lowest_role != LowestRole::Own {
            continue;
        }
        let (method, template) = operation.route.split_once(' ').unwrap();
        let path = own_path(template, &factor, &session, &token.id.to_string(), &elevation, &reveal, &search);
        let own_table = &world.app.own;
        let at_root =
            own_table.identify(method, &path).or_else(|_| own_table.identify_at_service(method, &path));
        let route = at_root.or_else(|_| own_table.identify(method, &format!("/api/v1{path}"))).unwrap();
        assert_eq!(route.operation.route, operation.route);
        let asked = Asked { body: "{}", ..Asked::to(method, path) };
        let is_own = own(&world, &ann.caller.principal, &route, &asked).await;
        if is_own == NOT_SERVED.contains(&action) {
            unknown.insert(operation.route.to_string());
        }
        assert!(!own(&world, &Principal::Anonymous, &route, &asked).await, "{}", operation.route);
    }
    assert!(unknown.is_empty(), "say in ownership.rs whose these are: {unknown:?}");
}

#[tokio::test]
async fn somebody_elses_is_not_ones_own() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        let web = world.signed_in(&bo.user, CredentialKind::WebSession).await;
        let seed = Secret::new(vec![7; 20]);
        let factor = world.app.store.factors().create_totp(bo.user.id, "phone", &seed).await.unwrap().id;
        let (token, machine) = world.machine(&bo.user, &[Role::Viewer]).await;
        let session = current(&web.caller).unwrap();
        let elevation = asked_for(&world, &bo).await;
        let reveal = reading(&world, &bo).await;
        let objects = [
            ("DELETE", format!("/api/v1/reveals/{reveal}"), false),
            ("POST", format!("/app/reveals/{reveal}/end"), false),
            // Their own token too: what nobody may do to their own, their token may not either.
            ("POST", format!("/api/v1/elevations/{elevation}/approve"), true),
            ("POST", format!("/api/v1/elevations/{elevation}/reject"), true),
            ("DELETE", format!("/api/v1/elevations/{elevation}"), true),
            ("DELETE", format!("/api/v1/me/sessions/{session}"), false),
            ("POST", format!("/app/account/sessions/{session}/revoke"), false),
            ("DELETE", format!("/api/v1/me/factors/{factor}"), false),
            ("PUT", format!("/api/v1/me/factors/{factor}"), false),
            ("PUT", format!("/api/v1/tokens/{}", token.id), false),
            ("DELETE", format!("/api/v1/tokens/{}", token.id), false),
            ("POST", format!("/api/v1/tokens/{}/rotate", token.id), true),
            ("POST", format!("/app/tokens/{}/rotate", token.id), true),
        ];
        for (method, path, by_itself) in objects {
            let asked = Asked::to(method, path.clone());
            assert!(ask(&world, &bo.caller.principal, &asked).await, "{path}");
            assert!(!ask(&world, &ann.caller.principal, &asked).await, "{path}");
            assert_eq!(ask(&world, &machine.principal, &asked).await, by_itself, "{path}");
        }
        for path in ["/api/v1/me/sessions/x", "/api/v1/tokens/x", "/api/v1/me/factors/x"] {
            assert!(!ask(&world, &bo.caller.principal, &Asked::to("DELETE", path)).await, "{path}");
        }
        for path in ["/api/v1/me/sessions", "/api/v1/me/factors"] {
            assert!(!ask(&world, &machine.principal, &Asked::to("GET", path)).await, "{path}");
        }
        assert!(ask(&world, &machine.principal, &Asked::to("GET", "/api/v1/me")).await);
    }
}

/// L6: for whom a token will be is read here as it is where it is made.
#[tokio::test]
async fn tokens_for_oneself() {
    let [world, _] = World::both().await;
    let ann: Person = world.person("ann", &[Role::Deployer]).await;
    let bo = world.person("bo", &[Role::Deployer]).await;
    let by_body = async |body: &str| {
        ask(&world, &ann.caller.principal, &Asked { body, ..Asked::to("POST", "/api/v1/tokens") }).await
    };
    let named = |named: &str| format!(r#"{{"name":"ci","roles":["viewer"],"for":"{named}"}}"#);
    assert!(by_body(r#"{"name":"ci","roles":["viewer"]}"#).await);
    assert!(by_body(r#"{"name":"ci","for":null}"#).await);
    assert!(by_body(&named("ANN@example.com")).await);
    assert!(by_body(&named(&ann.user.id.to_string())).await);
    assert!(!by_body(&named("bo@example.com")).await);
    assert!(!by_body(&named(&bo.user.id.to_string())).await);
    assert!(!by_body(&named("")).await);
    for bad in
        ["", "[]", "{", r#"{"for":1}"#, r#"{"for":null,"for":"bo@example.com"}"#, "for=ann@example.com"]
    {
        assert!(!by_body(bad).await, "{bad}");
    }
    assert!(!by_body(r#"{"for":"ann@example.com","\u0066or":"bo@example.com"}"#).await);

    let by_form = async |values: &[&str]| {
        let form = values.iter().map(|value| ("for".to_owned(), (*value).to_owned())).collect();
        // A page's form counts and never a body.
        let asked = Asked { form, body: "{}", ..Asked::to("POST", "/app/tokens") };
        ask(&world, &ann.caller.principal, &asked).await
    };
    assert!(by_form(&[]).await && by_form(&[""]).await && by_form(&[" ann@example.com "]).await);
    assert!(!by_form(&["bo@example.com"]).await);
    assert!(!by_form(&["ann@example.com", "bo@example.com"]).await);
    assert!(!by_form(&["", "bo@example.com"]).await);
}

#[tokio::test]
async fn switches_and_subjects() {
    let [world, _] = World::both().await;
    let ann = world.person("ann", &[Role::Viewer]).await;
    let listed = async |path: &str, query: &str| {
        let asked = Asked { query: Some(query), ..Asked::to("GET", path) };
        ask(&world, &ann.caller.principal, &asked).await
    };
    for (query, own) in [
        ("", true),
        ("all=false&limit=3", true),
        ("all=true", false),
        ("all=1", false),
        ("%61ll=true", false),
        ("all=false&all=true", false),
        ("all", false),
    ] {
        assert_eq!(listed("/api/v1/tokens", query).await, own, "{query}");
    }
    for (query, own) in [
        ("mine=true", true),
        ("action=x&mine=true", true),
        ("", false),
        ("mine=false", false),
        ("mine=1", false),
        ("mine=true&mine=false", false),
    ] {
        assert_eq!(listed("/api/v1/audit", query).await, own, "{query}");
    }
    for (body, own) in [
        (r#"{"action":"x"}"#, true),
        (r#"{"action":"x","subject":null}"#, true),
        (r#"{"action":"x","subject":{"user":"bo@example.com"}}"#, false),
        (r#"{"subject":null,"subject":"bo"}"#, false),
        ("[]", false),
        ("[null]", false),
        ("", false),
    ] {
        let asked = Asked { body, ..Asked::to("POST", "/api/v1/policy/can") };
        assert_eq!(ask(&world, &ann.caller.principal, &asked).await, own, "{body}");
    }
}
