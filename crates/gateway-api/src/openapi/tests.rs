//! Makes the document, and holds file, handlers and tables together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use gateway_policy::OwnTable;
use gateway_types::wire::meta::ProblemDocument;
use gateway_types::{Class, LowestRole, Operation, Role, StepUp};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::COMMITTED;
use crate::routes::{Handlers, ROUTES};

const MATRIX: &str = include_str!("../../../gateway-policy/authz-matrix.txt");

const ABOUT: &str = "\
The gateway's own operations. Each is one row of one table: who may call it, what it takes, what is recorded.\n\n\
Sign in with an API token or a session as `Authorization: Bearer`, or with the cookie of the pages. A second \
factor comes as `X-Mfa-Totp`, or as a suffix of the token (`T.totp.123456`). Bodies are strict JSON: members \
that are unknown or stand twice are refused. Changes of what was read name its `ETag` in `If-Match`. Every \
refusal is an RFC 9457 problem with the layer that decided and what would turn it into a yes.";

static TABLE: LazyLock<OwnTable> = LazyLock::new(|| OwnTable::builtin().unwrap());

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// An operation of the document.
struct Described {
    method: String,
    path: String,
    row: Arc<Operation>,
}

/// The row that a method and a path template of the document name.
fn row(method: &str, path: &str) -> Option<Arc<Operation>> {
    let filled: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment }).collect();
    TABLE.identify(&method.to_uppercase(), &filled.join("/")).ok().map(|route| route.operation)
}

fn described(document: &Value) -> Vec<Described> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
    });
    operations
        .map(|(method, path)| {
            let row = row(&method, &path).unwrap_or_else(|| {
                panic!(
                    "`{method} {path}` is in the document but is no row of crates/gateway-policy/data/gateway-routes.tsv: correct method and path in #[utoipa::path] over its handler"
                )
            });
            Described { method, path, row }
        })
        .collect()
}

/// What the handlers say, completed by what the table says.
fn document() -> Value {
    let mut document = serde_json::to_value(Handlers::openapi()).unwrap();
    document["info"] = json!({
        "title": "Rack Gateway",
        "description": ABOUT,
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API token (rgw_…) or a session of the command line (rgs_…)." },
        "cookie": { "type": "apiKey", "in": "cookie", "name": "__Host-rgw", "description": "The session of a browser; only where the path is a page too." },
    });
    document["components"]["responses"]["Problem"] = json!({
        "description": "A refusal or failure (RFC 9457).",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemDocument" } } },
    });
    let operations = described(&document);
    let mut rows_of: BTreeMap<String, usize> = BTreeMap::new();
    for operation in &operations {
        *rows_of.entry(operation.row.action.to_string()).or_default() += 1;
    }
    for Described { method, path, row } in operations {
        let operation = document["paths"][&path][&method].as_object_mut().unwrap();
        complete(operation, &row, rows_of[row.action.as_str()] == 1);
        operation.insert("security".to_owned(), security(&row, &format!("{} {path}", method.to_uppercase())));
    }
    document
}

fn complete(operation: &mut Map<String, Value>, row: &Operation, only_row: bool) {
    let action = row.action.as_str();
    // As policies name a row whose action has several.
    let id = if only_row { action.to_owned() } else { format!("{action}@{}", row.route) };
    operation.insert("operationId".to_owned(), json!(id));
    let lowest = match row.lowest_role {
        LowestRole::Public => "public",
        LowestRole::Own => "self",
        LowestRole::Role(role) => Role::name(role),
    };
    operation.insert("x-action".to_owned(), json!(action));
    operation.insert("x-class".to_owned(), json!(row.class.name()));
    operation.insert("x-lowest-role".to_owned(), json!(lowest));
    let factor = match row.step_up {
        StepUp::None => None,
        StepUp::Window => Some("within the window"),
        StepUp::Bound => Some("for this very request"),
    };
    if let Some(factor) = factor {
        operation.insert("x-second-factor".to_owned(), json!(factor));
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    responses["default"] = json!({ "$ref": "#/components/responses/Problem" });
    for (status, response) in responses.as_object_mut().unwrap() {
        let meaning = match status.as_str() {
            "200" => "Done.",
            "201" => "Made; `Location` says where it is.",
            "204" => "Done; there is nothing to say.",
            "400" => "Refused.",
            _ => continue,
        };
        // OpenAPI 3.1, section 4.8.17: a response must have one.
        response.as_object_mut().unwrap().entry("description").or_insert_with(|| json!(meaning));
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let [summary, more] = ["summary", "description"].map(|name| text(operation.get(name)));
    let said = [summary.as_str(), &more].join(" ").trim().to_owned();
    assert!(!said.is_empty(), "`{}`: the handler has no doc comment", row.route);
    let (first, rest) = said.split_once(". ").unwrap_or((said.trim_end_matches('.'), ""));
    operation.insert("summary".to_owned(), json!(first));
    if rest.is_empty() {
        operation.remove("description");
    } else {
        operation.insert("description".to_owned(), json!(said));
    }
}

/// Sessions of browsers reach what is a page as well, and nothing else.
fn security(row: &Operation, place: &str) -> Value {
    let is_page = TABLE.pages().iter().any(|(page, _)| **page == *place);
    match (row.class, is_page) {
        (Class::Open, _) => json!([]),
        (_, true) => json!([{ "bearer": [] }, { "cookie": [] }]),
        (_, false) => json!([{ "bearer": [] }]),
    }
}

#[test]
fn the_document_is_current() {
    let now = format!("{}\n", serde_json::to_string_pretty(&*DOCUMENT).unwrap());
    if now == COMMITTED {
        return;
    }
    let proposed = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json.new");
    std::fs::write(&proposed, &now).unwrap();
    let [old, new] = [COMMITTED, &now].map(|text| text.lines().collect::<BTreeSet<_>>());
    let gone = old.difference(&new).take(20).map(|line| format!("- {line}"));
    let come = new.difference(&old).take(20).map(|line| format!("+ {line}"));
    panic!(
        "the API is not what crates/gateway-api/openapi.json says:\n\n{}\n\nRead the whole difference:\n    diff {committed} {new}\nOther people's programs rely on it: what is gone or has another type is a breaking change and goes to CHANGELOG.md. If each line is meant, accept them:\n    mv {new} {committed}",
        gone.chain(come).collect::<Vec<_>>().join("\n"),
        new = proposed.display(),
        committed = proposed.with_extension("").display(),
    );
}

/// What is served is what is described, to the row.
#[test]
fn every_served_row_is_described_and_nothing_else() {
    let described: BTreeSet<String> =
        described(&DOCUMENT).iter().map(|operation| operation.row.route.to_string()).collect();
    let served: BTreeSet<String> = ROUTES.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(served.len(), ROUTES.len(), "a route stands twice in crates/gateway-api/src/routes.rs");
    assert_eq!(served, described, "routes.rs and the #[utoipa::path] over the handlers name different rows");
}

/// An operation without a row, an authorization case or an event cannot be.
#[test]
fn every_served_route_has_a_row_an_authorization_case_and_an_event() {
    let rows = TABLE.operations();
    for (route, _) in ROUTES {
        let row = rows.iter().find(|row| *row.route == **route).unwrap_or_else(|| {
            panic!("`{route}` has no row in crates/gateway-policy/data/gateway-routes.tsv: who may call it?")
        });
        let case = MATRIX.lines().any(|line| {
            line.strip_prefix(*route).is_some_and(|rest| rest.trim_start().starts_with(row.action.as_str()))
        });
        assert!(
            case,
            "`{route}` has no line in crates/gateway-policy/authz-matrix.txt: run `cargo test -p gateway-policy matrix` and read what it proposes"
        );
        let changes = !route.starts_with("GET ");
        // The last one decides nothing: a press at Slack is answered with the way to the page that does.
        let asks = [
            "gateway:policy:can",
            "gateway:policy:who_can",
            "gateway:policy:check",
            "gateway:service:check",
            "gateway:service:candidates",
            "gateway:integration:slack_event",
        ];
        // These prove who they are about in the request itself, and record what they do before they do it.
        let signs_in = row.action.as_str().starts_with("gateway:auth:")
            || ["gateway:selfcheck:scan", "gateway:zone:enrol", "gateway:zone:renew", "gateway:zone:report"]
                .contains(&row.action.as_str());
        // What a probe agent found comes every minute; what is news of it is an event before it is kept.
        let tells = row.action.as_str() == "gateway:vantage:report";
        assert!(
            tells || !changes || row.class.needs_intent() || asks.contains(&row.action.as_str()) || signs_in,
            "`{route}` changes something, but its class `{}` leaves no durable intent before the effect",
            row.class
        );
    }
}

/// Unknown members are refused at every depth, and the document says so.
#[test]
fn bodies_take_no_unknown_members() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let mut open: Vec<String> = Vec::new();
    for operation in described(&DOCUMENT) {
        let body = &DOCUMENT["paths"][&operation.path][&operation.method]["requestBody"];
        references(body, &mut open);
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let schema = &schemas[&name];
        references(schema, &mut open);
        let is_object = schema["type"] == "object";
        assert!(
            !is_object || schema["additionalProperties"] == json!(false),
            "`{name}` is part of a request body: write #[serde(deny_unknown_fields)] over it"
        );
    }
    assert!(seen.len() > 5, "{seen:?}");
}

fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                names.extend(name.strip_prefix("#/components/schemas/").map(str::to_owned));
            }
            members.values().for_each(|member| references(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The shape of a problem in the document is the shape that is sent.
#[test]
fn problems_are_as_described() {
    use gateway_types::{Layer, OsEntropy, Problem, ProblemKind, Remedy, RemedyKind, RequestId, Timestamp};
    let mut problem = Problem::new(ProblemKind::Refused, Layer::Authorization, "no");
    problem.rules.push("rule".to_owned());
    problem.remedies.push(Remedy { url: Some("/x".to_owned()), ..Remedy::new(RemedyKind::Role) });
    let request = RequestId::new(Timestamp::from_micros(0), &OsEntropy);
    let sent: Value = serde_json::from_slice(&problem.to_json(request, false)).unwrap();
    let read: ProblemDocument = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), sent);
}
