//! Routes out of an OpenAPI 3 document, to be looked over and declared. It says what a document has; what
//! may be done is the declaration's.

use serde_json::{Map, Value};

use crate::raw::RawRoute;
use crate::template::Template;

/// The most routes that are taken out of one document.
const MOST_ROUTES: usize = 2000;

/// The methods that OpenAPI knows and a route can have.
const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];

/// What a document has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Imported {
    /// Its routes, in the order of paths and methods.
    pub routes: Vec<RawRoute>,
    /// What has no route, and why.
    pub skipped: Vec<String>,
}

/// Why a document has no routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenapiError {
    /// It is of another kind or version.
    #[error("this is no OpenAPI 3 document: `openapi` must begin with 3.")]
    Version,
    /// It has no paths.
    #[error("the document has no `paths`")]
    NoPaths,
    /// It has too many.
    #[error("the document has more than {MOST_ROUTES} operations")]
    TooMany,
}

/// The routes of a document. Classes and roles are left to the declaration's defaults: reading for GET, changing
/// for everything that is not safe.
///
/// # Errors
/// [`OpenapiError`].
pub fn import(document: &Value) -> Result<Imported, OpenapiError> {
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(OpenapiError::Version);
    }
    let paths = document.get("paths").and_then(Value::as_object).ok_or(OpenapiError::NoPaths)?;
    let base = base(document);
    let mut imported = Imported::default();
    for (path, item) in paths {
        let Some(item) = item.as_object() else { continue };
        add(&mut imported, &format!("{base}{path}"), item);
        if imported.routes.len() > MOST_ROUTES {
            return Err(OpenapiError::TooMany);
        }
    }
    Ok(imported)
}

fn add(imported: &mut Imported, path: &str, item: &Map<String, Value>) {
    let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
    if item.contains_key("$ref") {
        imported.skipped.push(format!("{shown}: it stands elsewhere ($ref)"));
    }
    let Some(path) = template(path) else {
        if METHODS.iter().any(|method| item.contains_key(*method)) {
            imported
                .skipped
                .push(format!("{shown}: a segment is neither plain text nor one whole parameter"));
        }
        return;
    };
    let methods = METHODS.iter().filter(|method| item.contains_key(**method));
    imported.routes.extend(methods.map(|method| RawRoute {
        method: method.to_uppercase(),
        path: path.clone(),
        action: None,
        class: None,
        role: None,
        step_up: None,
        cicd: false,
        requests_per_second: None,
        request_burst: None,
        body_size_bytes: None,
    }));
    if item.contains_key("trace") {
        imported.skipped.push(format!("{shown}: TRACE is never passed on"));
    }
}

/// The path of the first server, which stands before every path.
fn base(document: &Value) -> String {
    let url = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default(),
        None => url,
    };
    let path = path.trim_end_matches('/');
    if path.starts_with('/') && !path.contains('{') { path.to_owned() } else { String::new() }
}

/// A path in a route's spelling: `{orderId}` is `{order_id}`. `None` when a route cannot say it.
fn template(path: &str) -> Option<String> {
    let segments: Vec<String> = path.split('/').map(segment).collect();
    let spelled = segments.join("/");
    let spelled = if spelled.len() > 1 { spelled.trim_end_matches('/').to_owned() } else { spelled };
    Template::parse(&spelled).map(|_| spelled)
}

fn segment(text: &str) -> String {
    let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return text.to_owned();
    };
    let mut spelled = String::new();
    for c in name.chars() {
        match c {
            'A'..='Z' => {
                if !spelled.is_empty() && !spelled.ends_with('_') {
                    spelled.push('_');
                }
                spelled.push(c.to_ascii_lowercase());
            }
            '-' | '.' => spelled.push('_'),
            other => spelled.push(other),
        }
    }
    format!("{{{spelled}}}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn routes(document: &Value) -> Vec<String> {
        let imported = import(document).unwrap();
        imported.routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect()
    }

    #[test]
    fn paths_become_routes() {
        let document = json!({
            "openapi": "3.1.0",
            "servers": [{ "url": "https://api.example.com/v1/" }],
            "paths": {
                "/orders": { "get": {}, "post": {}, "parameters": [] },
                "/orders/{orderId}": { "get": {}, "delete": {} },
                "/orders/{order-id}/items/{ItemID}": { "put": {} },
            },
        });
        assert_eq!(
            routes(&document),
            [
                "GET /v1/orders",
                "POST /v1/orders",
                "GET /v1/orders/{order_id}",
                "DELETE /v1/orders/{order_id}",
                "PUT /v1/orders/{order_id}/items/{item_i_d}",
            ]
        );
    }

    #[test]
    fn what_no_route_can_say_is_named() {
        let document = json!({
            "openapi": "3.0.3",
            "paths": {
                "/files/{name}.json": { "get": {} },
                "/a/../b": { "get": {} },
                "/x": { "$ref": "#/y" },
                "/t": { "trace": {}, "get": {} },
                "/{a}/{A}": { "get": {} },
            },
        });
        let imported = import(&document).unwrap();
        assert_eq!(imported.skipped.len(), 5, "{:?}", imported.skipped);
        assert_eq!(routes(&document), ["GET /t"]);
    }

    #[test]
    fn other_documents_are_refused() {
        assert_eq!(import(&json!({})), Err(OpenapiError::Version));
        assert_eq!(import(&json!({ "swagger": "2.0", "paths": {} })), Err(OpenapiError::Version));
        assert_eq!(import(&json!({ "openapi": "3.0.0" })), Err(OpenapiError::NoPaths));
        assert_eq!(import(&json!([])), Err(OpenapiError::Version));
        let mut paths = Map::new();
        for index in 0..2100 {
            paths.insert(format!("/a{index}"), json!({ "get": {} }));
        }
        assert_eq!(import(&json!({ "openapi": "3.0.0", "paths": paths })), Err(OpenapiError::TooMany));
    }
}
