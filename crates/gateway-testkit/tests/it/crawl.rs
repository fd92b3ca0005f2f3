//! Everybody who follows every link and sends every form: nothing that a page offers leads to a refusal of the one it is
//! offered to, and nothing that is sent makes the gateway fail. Pages stay small and quick.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::time::{Duration, Instant};

use gateway_audit::{Actor, Event};
use gateway_store::NewUser;
use gateway_testkit::{Reply, TestGateway, Visitor};
use gateway_types::{ActionName, Clock as _, EventId, OsEntropy, Principal, Resource, Role, RoleSet};

/// The most pages of one person.
const MOST_PAGES: usize = 300;

/// What ends the session that crawls.
const ENDS: [&str; 4] = [
    "/auth/logout",
    "/app/account/sessions/revoke-all",
    "/app/account/sessions/revoke-others",
    "/.rack-gateway/sign-out",
];

/// A form of a page: its address and its fields as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

fn unescaped(text: &str) -> String {
    let known =
        [("&#38;", "&"), ("&amp;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")];
    known.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

/// The value of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(unescaped)
}

fn tags<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.split('<').filter_map(move |tag| {
        let rest = tag.strip_prefix(name)?;
        rest.starts_with([' ', '>', '\n']).then(|| tag.split('>').next().unwrap_or_default())
    })
}

/// Links of a page that stay at the gateway, without what follows a `#`.
fn links(html: &str) -> BTreeSet<String> {
    let hrefs = tags(html, "a").filter_map(|tag| attribute(tag, "href"));
    let own = hrefs.filter(|href| href.starts_with('/'));
    own.map(|href| href.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// The forms of a page that send something.
fn forms(html: &str) -> Vec<Form> {
    let forms = html.split("<form").skip(1).filter_map(|form| {
        let form = form.split("</form>").next()?;
        let head = format!("form{}", form.split('>').next()?);
        if attribute(&head, "method").as_deref() != Some("post") {
            return None;
        }
        let field = |tag: &str| {
            let name = attribute(tag, "name")?;
            let ticked = !tag.contains("type=\"checkbox\"") && !tag.contains("type=\"radio\"")
                || tag.contains(" checked");
            ticked.then(|| (name, attribute(tag, "value").unwrap_or_default()))
        };
        let fields = tags(form, "input").filter_map(field);
        let others = tags(form, "select").chain(tags(form, "textarea"));
        let others = others.filter_map(|tag| Some((attribute(tag, "name")?, String::new())));
        Some(Form { action: attribute(&head, "action")?, fields: fields.chain(others).collect() })
    });
    forms.collect()
}

/// The shape of an address: what is different between objects of one kind is left out, so that one of each is looked at.
fn shape(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let segment = |segment: &str| match segment.chars().any(|c| c.is_ascii_digit()) {
        true => "*".to_owned(),
        false => segment.to_owned(),
    };
    let path = path.split('/').map(segment).collect::<Vec<_>>().join("/");
    let names: BTreeSet<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    format!("{path}?{}", names.into_iter().collect::<Vec<_>>().join("&"))
}

/// Follows every link from the home page on; the forms that were seen, by shape.
async fn follow(visitor: &mut Visitor, who: &str) -> BTreeMap<String, Form> {
    let mut queue = VecDeque::from([("/app".to_owned(), String::new())]);
    let mut seen = BTreeSet::from([shape("/app")]);
    let mut found = BTreeMap::new();
    let mut refused = Vec::new();
    let mut pages = 0;
    while let Some((address, from)) = queue.pop_front() {
        pages += 1;
        assert!(pages < MOST_PAGES, "{who} finds no end: {address}");
        let reply = visitor.get(&address).await;
        let text = reply.text();
        if !matches!(reply.status, 200 | 303) {
            refused.push(format!("{address} ({}), offered by {from}", reply.status));
        }
        for link in links(&text).into_iter().filter(|link| !link.starts_with("/app/static/")) {
            if !ENDS.contains(&link.as_str()) && seen.insert(shape(&link)) {
                queue.push_back((link, address.clone()));
            }
        }
        for form in forms(&text) {
            found.entry(shape(&form.action)).or_insert(form);
        }
    }
    assert!(refused.is_empty(), "{who}: {refused:#?}");
    assert!(pages > 8, "{who} sees {pages} pages");
    found
}

/// Sends a form with these values in its empty fields. Whatever it is, the answer is one.
async fn send(visitor: &mut Visitor, who: &str, form: &Form, filled: &str) -> Reply {
    let fields = form.fields.iter().filter(|(name, _)| name != "_csrf" && name != "_code");
    let fields: Vec<(&str, &str)> = fields
        .map(|(name, value)| (name.as_str(), if value.is_empty() { filled } else { value.as_str() }))
        .collect();
    let reply = visitor.post(&form.action, &fields).await;
    let known = matches!(reply.status, 200 | 303 | 400 | 401 | 403 | 404 | 409 | 412 | 428 | 429);
    // A provider, a mail server or a service that is not there is told as what it is.
    let away = matches!(reply.status, 502..=504) && reply.text().contains("problems/");
    assert!(known || away, "{who} sends {form:?}: {} {}", reply.status, reply.text());
    reply
}

#[tokio::test]
async fn what_is_offered_is_not_refused() {
    let gateway = TestGateway::builder().idp().env("RATE_LIMITS", "off").start().await;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Cicd) {
        let who = role.to_string();
        let mut visitor = Visitor::signed_in(&gateway, role).await;
        let forms = follow(&mut visitor, &who).await;
        for form in forms.values().filter(|form| !ENDS.contains(&form.action.as_str())) {
            // Without a factor: whatever would change something asks for one, or for the first to be set up.
            send(&mut visitor, &who, form, "").await;
        }
    }
    gateway.finish().await;
}

/// The same where nothing asks for a factor, so that all of it is done: by an admin, with nonsense in every field.
#[tokio::test]
async fn forms_with_nonsense_are_answered() {
    let gateway = TestGateway::builder()
        .idp()
        .env("RATE_LIMITS", "off")
        .env("RGW_SETTING_MFA_STEP_UP", "off")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .start()
        .await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let forms = follow(&mut admin, "admin").await;
    assert!(forms.len() > 25, "{forms:#?}");
    let long = "x".repeat(10_000);
    for filled in
        ["", "x", "-1", "<script>alert(1)</script>", "\u{202e}\u{0}", &long, "2026-99-99T99:99", "{\"a\":"]
    {
        for form in forms.values().filter(|form| !ENDS.contains(&form.action.as_str())) {
            send(&mut admin, "admin", form, filled).await;
            if admin.get("/app").await.status != 200 {
                admin = Visitor::signed_in(&gateway, Role::Admin).await;
            }
        }
    }
    gateway.finish().await;
}

/// How large a reply is after the usual compression, in bytes.
fn compressed(body: &[u8]) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap().len()
}

#[tokio::test]
async fn pages_are_small_and_quick_with_much_in_them() {
    let gateway = TestGateway::builder().idp().env("RATE_LIMITS", "off").start().await;
    // An organisation of 1,000 people, 200 apps, and 10,000 rows of the log in the last hour.
    for number in 0..1000 {
        let email = format!("person-{number}@example.com");
        let roles: RoleSet = if number % 10 == 0 { "ops" } else { "viewer" }.parse().unwrap();
        let new = NewUser { email: email.clone(), name: email, roles };
        gateway.store().users().create(new).await.unwrap();
    }
    gateway.rack.state().insert_apps(200);
    let audit = gateway.store().audit();
    let actor = Actor::of(&Principal::Anonymous);
    for number in 0..10_000_u32 {
        let (now, app) = (gateway.clock.now(), Resource::app(&format!("app-{}", number % 200)));
        let action = ActionName::new("convox:process:list");
        audit.queue(Event::new(now, EventId::new(now, &OsEntropy), action, app, actor.clone()));
        if number % 500 == 0 {
            audit.flush().await.unwrap();
        }
    }
    audit.flush().await.unwrap();
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let mut auditor = Visitor::signed_in(&gateway, Role::Auditor).await;
    let pages = [
        "/app",
        "/app/apps",
        "/app/apps/myapp",
        "/app/apps/myapp/processes",
        "/app/users",
        "/app/groups",
        "/app/tokens",
        "/app/approvals",
        "/app/settings",
        "/app/policies",
        "/app/audit",
        "/app/audit/charts",
        "/app/access",
        "/app/jobs",
        "/app/account",
    ];
    for page in pages {
        let (mut took, mut size) = (Vec::new(), 0);
        for _ in 0..20 {
            let began = Instant::now();
            let reader = if page.contains("audit") { &mut auditor } else { &mut admin };
            let reply = reader.get(page).await;
            took.push(began.elapsed());
            assert_eq!(reply.status, 200, "{page}: {}", reply.text());
            size = compressed(&reply.body);
        }
        took.sort();
        eprintln!("{page}: {size} B, p50 {:?}, p95 {:?}", took[10], took[18]);
        assert!(size <= 60_000, "{page} has {size} bytes");
        // Promised are 30 ms of a released program, at p95; this one is not optimised and runs beside other tests, which
        // make it slower and never quicker.
        // A page of the access review asks policy thousands of questions.
        let limit = Duration::from_millis(if page == "/app/access" { 1000 } else { 150 });
        assert!(took[4] < limit, "{page}: {took:?}");
    }
    let mut scripts = 0;
    for file in
        ["app.js", "second-factor.js", "live.js", "palette.js", "logs.js", "witness.js", "transparency.js"]
    {
        scripts += compressed(&admin.get(&format!("/app/static/{file}")).await.body);
    }
    assert!(scripts <= 80_000, "{scripts} bytes of scripts");
    gateway.finish().await;
}
