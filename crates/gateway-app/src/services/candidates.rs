//! Services that labels of a compose file ask for: shown as what would change, put in force when somebody who may change
//! services approves exactly that.
//!
//! Nothing is kept. A candidate is made anew each time from the file and from what is declared now, and a digest of both is
//! what an approval names: when either changed since it was shown, the approval is for nothing that there is. Start reading at
//! [`of`] and [`approve`].

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_audit::bounded;
use gateway_exposure::{Labelled, labelled};
use gateway_services::{LABEL_PREFIX, Overlay, RawService, overlay};
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt as _;

use super::{Change, Listed, Present, ServiceChangeError, change, check, one, present};
use crate::rights::Expected;
use crate::{App, Operator};

/// The largest compose file, in bytes.
pub const LARGEST_COMPOSE_FILE: usize = 1024 * 1024;

/// The most candidates of one file.
const MOST_CANDIDATES: usize = 200;

/// What an approval would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CandidateState {
    /// There is no such service yet.
    New,
    /// The service would change.
    Changed,
    /// The service is as the labels ask.
    Same,
    /// It cannot be approved.
    Refused,
}

impl CandidateState {
    /// Its name in replies.
    pub const fn name(self) -> &'static str {
        match self {
            CandidateState::New => "new",
            CandidateState::Changed => "changed",
            CandidateState::Same => "same",
            CandidateState::Refused => "refused",
        }
    }
}

/// One field that an approval would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Its name in a declaration.
    pub field: String,
    /// What is declared now; `None` = nothing.
    pub before: Option<Value>,
    /// What would be; `None` = nothing.
    pub after: Option<Value>,
}

/// A service that labels ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The service's name; empty when no label says it.
    pub name: String,
    /// The service of the compose file.
    pub container: String,
    /// What an approval would do.
    pub state: CandidateState,
    /// Why it cannot be approved.
    pub faults: Vec<String>,
    /// What would change, by field.
    pub differences: Vec<Difference>,
    /// What an approval names: it stands for the declaration before, its version, and the declaration after.
    pub digest: String,
    /// The declaration after.
    declaration: Value,
    /// The version before; 0 = there is none.
    version: i64,
}

/// The file whose labels are looked at, as the configuration names it; `None` when it names none.
///
/// # Errors
/// [`ServiceChangeError::ComposeFile`] when it cannot be read.
pub async fn watched(app: &App) -> Result<Option<String>, ServiceChangeError> {
    let Some(file) = &app.compose_file else { return Ok(None) };
    let read = read(file).await;
    read.map(Some).map_err(|source| ServiceChangeError::ComposeFile { file: file.clone(), source })
}

async fn read(file: &Path) -> std::io::Result<String> {
    let most = u64::try_from(LARGEST_COMPOSE_FILE).unwrap_or(u64::MAX);
    let mut text = String::new();
    tokio::fs::File::open(file).await?.take(most.saturating_add(1)).read_to_string(&mut text).await?;
    Ok(text)
}

/// What the labels of this compose file ask for, by the container's name. Changes nothing.
///
/// # Errors
/// [`ServiceChangeError`] when the text is no compose file, or the store cannot be read.
pub async fn of(app: &App, compose: &str) -> Result<Vec<Candidate>, ServiceChangeError> {
    if compose.len() > LARGEST_COMPOSE_FILE {
        return Err(ServiceChangeError::TooLongCompose);
    }
    let containers = labelled(compose, LABEL_PREFIX).map_err(ServiceChangeError::Compose)?;
    if containers.len() > MOST_CANDIDATES {
        return Err(ServiceChangeError::TooManyCandidates);
    }
    let read: Vec<(Labelled, Result<Overlay, Vec<String>>)> = containers.into_iter().map(asked).collect();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, asked) in &read {
        if let Ok(overlay) = asked {
            *times.entry(overlay.name.clone()).or_default() += 1;
        }
    }
    let mut candidates = Vec::new();
    for (container, asked) in read {
        candidates.push(match asked {
            Ok(overlay) if times.get(&overlay.name).is_some_and(|count| *count > 1) => {
                let why = format!("several containers ask for the service `{}`", overlay.name);
                refused(&container, &overlay.name, vec![why])
            }
            Ok(overlay) => candidate(app, &container, overlay).await?,
            Err(faults) => {
                let name = container.labels.as_ref().ok().and_then(|labels| labels.get("service"));
                refused(&container, name.map(String::as_str).unwrap_or_default(), faults)
            }
        });
    }
    Ok(candidates)
}

/// Puts in force what a candidate asks for, if that is exactly what was shown.
///
/// # Errors
/// [`ServiceChangeError`]; what is in force is then as it was. [`ServiceChangeError::OtherDifference`] when the file or
/// the declaration changed since `digest` was shown.
pub async fn approve(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    compose: &str,
    digest: &str,
) -> Result<Listed, ServiceChangeError> {
    let unknown = || ServiceChangeError::NoCandidate { name: bounded(name) };
    let found = of(app, compose).await?.into_iter().find(|candidate| candidate.name == name);
    let candidate = found.ok_or_else(unknown)?;
    if candidate.state == CandidateState::Refused {
        return Err(ServiceChangeError::Candidate { why: candidate.faults.join("; ") });
    }
    if candidate.digest != digest {
        return Err(ServiceChangeError::OtherDifference);
    }
    let raw: RawService =
        serde_json::from_value(candidate.declaration).map_err(ServiceChangeError::Malformed)?;
    let parameters = [("container", bounded(&candidate.container)), ("difference", candidate.digest)];
    let what = Change { raw: Some(&raw), action: "gateway:service:approve", parameters: &parameters };
    change(app, operator, name, what, Expected::Version(candidate.version)).await?;
    one(app, name).await
}

/// What the labels of a container ask for, or everything that is wrong with them.
fn asked(container: Labelled) -> (Labelled, Result<Overlay, Vec<String>>) {
    let asked = match &container.labels {
        Ok(labels) => overlay(&container.container, labels)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect()),
        Err(fault) => Err(vec![fault.to_string()]),
    };
    (container, asked)
}

async fn candidate(app: &App, container: &Labelled, asked: Overlay) -> Result<Candidate, ServiceChangeError> {
    let name = asked.name;
    let Present { declaration: before, version } = match present(app, &name).await {
        Ok(present) => present,
        Err(error @ (ServiceChangeError::OfFile { .. } | ServiceChangeError::Malformed(_))) => {
            return Ok(refused(container, &name, vec![error.to_string()]));
        }
        Err(error) => return Err(error),
    };
    // What labels do not speak of stays as it is: routes, credentials, limits.
    let mut fields = object(before.as_ref());
    fields.extend(asked.fields);
    fields.insert("name".to_owned(), json!(name));
    let after = match serde_json::from_value::<RawService>(Value::Object(fields)) {
        Ok(raw) => json!(raw),
        Err(error) => return Ok(refused(container, &name, vec![bounded(&error.to_string())])),
    };
    let faults = match check(app, &name, after.clone()).await {
        Ok(_) => Vec::new(),
        Err(error @ (ServiceChangeError::Store(_) | ServiceChangeError::Record(_))) => return Err(error),
        Err(ServiceChangeError::Faults { faults }) => faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    let differences = differences(&object(before.as_ref()), &object(Some(&after)));
    let state = match (&before, differences.is_empty()) {
        _ if !faults.is_empty() => CandidateState::Refused,
        (None, _) => CandidateState::New,
        (Some(_), false) => CandidateState::Changed,
        (Some(_), true) => CandidateState::Same,
    };
    let whole = json!({ "name": name, "before": before, "version": version, "after": after });
    let digest = HEXLOWER.encode(digest(&SHA256, whole.to_string().as_bytes()).as_ref());
    let container = container.container.clone();
    Ok(Candidate { name, container, state, faults, differences, digest, declaration: after, version })
}

fn refused(container: &Labelled, name: &str, faults: Vec<String>) -> Candidate {
    Candidate {
        name: bounded(name),
        container: container.container.clone(),
        state: CandidateState::Refused,
        faults,
        differences: Vec::new(),
        digest: String::new(),
        declaration: Value::Null,
        version: 0,
    }
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Difference> {
    let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
    fields.sort();
    fields.dedup();
    let of_field = |field: &String| Difference {
        field: field.clone(),
        before: before.get(field).cloned(),
        after: after.get(field).cloned(),
    };
    fields.into_iter().map(of_field).filter(|one| one.before != one.after).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gateway_types::Role;

    use super::*;
    use crate::rules::RulesInForce;
    use crate::services::{follow_file, remove, write};
    use crate::tests::World;

    fn compose(labels: &str) -> String {
        format!(
            "services:\n  web:\n    image: wiki\n    labels: {{ {labels} }}\n  db:\n    image: postgres\n"
        )
    }

    const WIKI: &str =
        "rack-gateway.service: wiki, rack-gateway.host: wiki.example.com, rack-gateway.port: 8080";

    async fn worlds() -> [World; 2] {
        World::both().await.map(|mut world| {
            world.app.rules = Arc::new(RulesInForce::new((*world.app.rules.load()).clone()));
            world
        })
    }

    /// `STATE FIELDS` or `STATE FAULTS` of the only candidate.
    async fn told(world: &World, text: &str) -> String {
        let candidates = of(&world.app, text).await.unwrap();
        let [candidate] = candidates.as_slice() else { panic!("{candidates:?}") };
        let what = match candidate.faults.is_empty() {
            true => candidate.differences.iter().map(|one| one.field.clone()).collect(),
            false => candidate.faults.clone(),
        };
        format!("{} {}", candidate.state.name(), what.join(" "))
    }

    #[tokio::test]
    async fn labels_become_a_route_on_approval_of_exactly_what_was_shown() {
        for world in worlds().await {
            let ann = world.person("ann", &[Role::Admin]).await;
            let operator = world.operator(&ann.caller);
            let text = compose(WIKI);
            assert!(told(&world, &text).await.starts_with("new host hosts identity kind name"));
            assert!(!world.app.rules.services().owns_host("wiki.example.com"), "shown is not in force");
            let shown = of(&world.app, &text).await.unwrap().remove(0).digest;
            // Another file than the one that was shown.
            let other = compose(&WIKI.replace("8080", "9090"));
            let late = approve(&world.app, &operator, "wiki", &other, &shown).await.unwrap_err();
            assert!(matches!(late, ServiceChangeError::OtherDifference));
            let nobody = approve(&world.app, &operator, "blog", &text, &shown).await.unwrap_err();
            assert!(matches!(nobody, ServiceChangeError::NoCandidate { .. }));
            let put = approve(&world.app, &operator, "wiki", &text, &shown).await.unwrap();
            assert_eq!(put.in_force.unwrap().upstreams[0].authority(), "web:8080");
            assert!(world.app.rules.services().owns_host("wiki.example.com"));
            let (action, before, after) = world.last().await;
            assert_eq!((action.as_str(), &before), ("gateway:service:approve", &Value::Null));
            assert_eq!(after["upstreams"][0]["url"], "http://web:8080");
            assert_eq!(told(&world, &text).await, "same ");
            // What somebody declared beside the labels stays, and is not the labels' to change.
            let mut declared = json!(one(&world.app, "wiki").await.unwrap().declaration);
            declared["role"] = json!("ops");
            declared["routes"] = Value::Null;
            declared.as_object_mut().unwrap().remove("routes");
            declared["route"] = json!([{ "method": "GET", "path": "/x", "role": "admin" }]);
            write(&world.app, &operator, "wiki", declared, Expected::Any).await.unwrap();
            assert_eq!(told(&world, &text).await, "same ");
            assert_eq!(told(&world, &other).await, "changed upstreams");
            // Somebody changes the declaration after it was shown.
            let shown = of(&world.app, &other).await.unwrap().remove(0).digest;
            let mut declared = json!(one(&world.app, "wiki").await.unwrap().declaration);
            declared["title"] = json!("Wiki");
            write(&world.app, &operator, "wiki", declared, Expected::Any).await.unwrap();
            let late = approve(&world.app, &operator, "wiki", &other, &shown).await.unwrap_err();
            assert!(matches!(late, ServiceChangeError::OtherDifference));
            let shown = of(&world.app, &other).await.unwrap().remove(0).digest;
            let put = approve(&world.app, &operator, "wiki", &other, &shown).await.unwrap();
            assert_eq!((put.declaration.title.as_str(), put.declaration.routes.len()), ("Wiki", 1));
            // Approved and removed: the same labels are a new candidate, and the old approval is none of it.
            remove(&world.app, &operator, "wiki", Expected::Any).await.unwrap();
            let late = approve(&world.app, &operator, "wiki", &other, &shown).await.unwrap_err();
            assert!(matches!(late, ServiceChangeError::OtherDifference));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_approved_says_why() {
        for world in worlds().await {
            let ann = world.person("ann", &[Role::Admin]).await;
            let operator = world.operator(&ann.caller);
            let file: RawService = serde_json::from_value(json!({
                "name": "grafana", "hosts": ["g.example.com"], "upstreams": [{ "url": "http://10.0.0.2:1" }],
            }))
            .unwrap();
            follow_file(&world.app, vec![file]).await.unwrap();
            let check = async |labels: &str, said: &str| {
                let text = compose(labels);
                let told = told(&world, &text).await;
                assert!(told.starts_with("refused") && told.contains(said), "{labels}: {told}");
                let name = of(&world.app, &text).await.unwrap().remove(0).name;
                let error = approve(&world.app, &operator, &name, &text, "").await.unwrap_err();
                assert!(matches!(error, ServiceChangeError::Candidate { .. }), "{error:?}");
            };
            check("rack-gateway.port: 80", "`rack-gateway.service` must be given").await;
            check(&WIKI.replace("wiki,", "grafana,"), "declared in the configuration file").await;
            check(&WIKI.replace("wiki.example.com", "g.example.com"), "both claim").await;
            check(&format!("{WIKI}, rack-gateway.role: root"), "unknown").await;
            check(&format!("{WIKI}, rack-gateway.credential: x"), "there is no label").await;
            check(&format!("{WIKI}, rack-gateway.title: '${{T}}'"), "has a variable").await;
            check(&WIKI.replace("wiki,", "A b,"), "name").await;
            let twice = compose(WIKI).replace("image: postgres", &format!("labels: {{ {WIKI} }}"));
            let both = of(&world.app, &twice).await.unwrap();
            assert_eq!(both.len(), 2);
            assert!(both.iter().all(|one| one.state == CandidateState::Refused), "{both:?}");
            assert!(of(&world.app, "a: 1").await.is_err());
            assert!(of(&world.app, &compose("other: x")).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn the_watched_file_is_read_each_time() {
        let [mut world, _] = worlds().await;
        assert_eq!(watched(&world.app).await.unwrap(), None);
        let directory = tempfile::tempdir().unwrap();
        world.app.compose_file = Some(directory.path().join("compose.yaml"));
        assert!(watched(&world.app).await.unwrap_err().to_string().contains("compose.yaml cannot be read"));
        for text in ["services: {}\n", "services: { a: {} }\n"] {
            std::fs::write(directory.path().join("compose.yaml"), text).unwrap();
            assert_eq!(watched(&world.app).await.unwrap().as_deref(), Some(text));
        }
    }
}
