//! What a client behind a gateway writes back: not the values of the recording but the handles it read.

use std::collections::BTreeMap;

use gateway_sim::transcript::{Item, Kind, Side, Transcript};
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

/// Puts handles for values into every environment that the client of a recording posts.
///
/// Which ones is read through the gateway with another credential, so that the bases of the
/// client's own writes stay what it reads itself.
pub(super) async fn put_into(transcript: &mut Transcript, gateway: &TestGateway) {
    let posts = posted_environments(transcript);
    if posts.is_empty() {
        return;
    }
    let mut known = BTreeMap::new();
    for app in gateway.rack.state().apps() {
        known.extend(of_app(gateway, &app).await);
    }
    for (position, app) in posts {
        let Some(Item { kind: Kind::Body { bytes, .. }, .. }) = transcript.items.get_mut(position) else {
            continue;
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(bytes) {
            let value = if name == "env" { hidden(&app, &value, &known) } else { value.into_owned() };
            form.append_pair(&name, &value);
        }
        *bytes = form.finish().into_bytes();
    }
}

/// Positions of the bodies of `POST /apps/{app}/releases`, and the app.
fn posted_environments(transcript: &Transcript) -> Vec<(usize, String)> {
    let mut posts = Vec::new();
    let items = &transcript.items;
    for (position, item) in items.iter().enumerate() {
        let Kind::Request { method, target, .. } = &item.kind else { continue };
        let path = target.strip_prefix(transcript.prefix.as_str()).unwrap_or(target);
        let app = path.strip_prefix("/apps/").and_then(|rest| rest.strip_suffix("/releases?"));
        let body = (position + 1..items.len()).find(|next| {
            items
                .get(*next)
                .is_some_and(|next| next.connection == item.connection && next.from == Side::Client)
        });
        if let (Some(app), Some(body), "POST") = (app, body, method.as_str()) {
            posts.push((body, app.to_owned()));
        }
    }
    posts
}

type Known = BTreeMap<(String, String), String>;

/// Handles by app and `NAME=value`, of all releases.
async fn of_app(gateway: &TestGateway, app: &str) -> Known {
    let mut client = RawClient::connect(gateway.addr()).await;
    let token = gateway.token(Role::Ops);
    let mut known = Known::new();
    for release in gateway.rack.state().releases(app) {
        let path = format!("/apps/{app}/releases/{}", release.id);
        let shown = client.ask("GET", &path, token, &[], b"").await.json();
        let shown = shown["env"].as_str().expect("an environment").to_owned();
        assert_eq!(shown.lines().count(), release.env.lines().count());
        for (shown, held) in shown.lines().zip(release.env.lines()) {
            known.insert((app.to_owned(), held.to_owned()), shown.to_owned());
        }
    }
    known
}

fn hidden(app: &str, env: &str, known: &Known) -> String {
    let line = |line: &str| known.get(&(app.to_owned(), line.to_owned())).cloned().unwrap_or(line.to_owned());
    env.split('\n').map(line).collect::<Vec<String>>().join("\n")
}
