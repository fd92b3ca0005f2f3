//! The OpenAPI document, made from the table of routes. The gateway imports it as routes
//! (`rack-gateway services openapi dns`).

use serde_json::{Map, Value, json};

use super::route::{Operation, ROWS, Row};
use crate::record::RecordType;

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for row in ROWS {
        let item = paths.entry(row.path).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(row.method.to_ascii_lowercase(), operation(row));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rack-gateway-dns",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Desired DNS records. A write is kept durably and answered with 202; the back end has it when its change is `applied`."
        },
        "paths": paths,
        "components": {"schemas": schemas()},
    })
}

fn operation(row: &Row) -> Value {
    let path = row.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let of = |place: &str, name: &str, text: &str| json!({"name": name, "in": place, "required": place == "path", "description": text, "schema": {"type": "string"}});
    let mut parameters: Vec<Value> = path.map(|name| of("path", name, "")).collect();
    parameters.extend(row.query.iter().map(|(name, text)| of("query", name, text)));
    let problem = |text: &str| json!({"description": text, "content": {"application/problem+json": {"schema": reference("Problem")}}});
    let good = |schema: &str, text: &str| json!({"description": text, "content": {"application/json": {"schema": reference(schema)}}});
    let is_write = matches!(row.operation, Operation::PutName | Operation::DeleteName);
    let mut responses = json!({
        "200": good(schema(row.operation), if is_write { "The back end has it." } else { "Found." }),
        "401": {"description": "There is no good Gateway-Token."},
    });
    if row.path.contains('{')
        && let Value::Object(responses) = &mut responses
    {
        responses.insert("404".into(), problem("Not there, or not readable by the caller."));
        if is_write {
            responses.insert("202".into(), good("Written", "Kept; the back end does not have it yet."));
            responses.insert("403".into(), problem("Readable, and not writable by the caller."));
            responses.insert("409".into(), problem("It cannot stand beside what is held."));
            responses.insert("412".into(), problem("If-Match or If-None-Match does not hold."));
            responses.insert("422".into(), problem("It is no record set, or not of the zone."));
            parameters.push(of("header", "If-Match", "The ETag of the name as it was read."));
            parameters.push(of("header", "If-None-Match", "`*`: only if the name is not held."));
        }
    }
    let mut operation = json!({
        "operationId": row.id, "summary": row.summary, "parameters": parameters, "responses": responses,
    });
    if row.operation == Operation::PutName
        && let Value::Object(operation) = &mut operation
    {
        let body = json!({"required": true, "content": {"application/json": {"schema": reference("Sets")}}});
        operation.insert("requestBody".into(), body);
    }
    operation
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// The schema of a good reply.
fn schema(operation: Operation) -> &'static str {
    match operation {
        Operation::ListZones => "Zones",
        Operation::ShowZone => "Zone",
        Operation::ListNames => "Names",
        Operation::ShowName => "Name",
        Operation::PutName | Operation::DeleteName => "Written",
        Operation::ShowChange => "Change",
        Operation::Drift => "Drift",
        Operation::Openapi => "Document",
    }
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let maybe = || json!({"type": ["string", "null"]});
    let count = || json!({"type": "integer", "minimum": 0});
    let list = |schema: &str| json!({"type": "array", "items": reference(schema)});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let types: Vec<&str> = RecordType::ALL.into_iter().map(RecordType::as_str).collect();
    let standing = || json!({"type": "string", "enum": ["pending", "applied", "refused", "superseded"]});
    let zone = || {
        json!({
            "zone": text(), "backend": text(), "writable": {"type": "boolean"}, "revision": count(), "names": count(),
            "status": {"type": "string", "enum": ["unknown", "in_sync", "pending", "drifted", "failing"]},
            "pending": count(), "error": maybe(), "failed_at": maybe(), "retry_at": maybe(), "in_sync_at": maybe(),
        })
    };
    json!({
        "Set": {
            "type": "object", "additionalProperties": false, "required": ["type", "ttl", "values"],
            "properties": {
                "type": {"type": "string", "enum": types}, "ttl": count(),
                "values": {"type": "array", "minItems": 1, "maxItems": 64, "uniqueItems": true, "items": text()},
            },
        },
        "Sets": {
            "type": "object", "additionalProperties": false, "required": ["sets"], "properties": {"sets": list("Set")},
        },
        "Name": object(json!({
            "name": text(), "revision": count(), "status": standing(), "detail": maybe(), "sets": list("Set"),
        })),
        "Written": object(json!({
            "name": text(), "revision": count(), "status": standing(), "detail": maybe(), "change": text(),
            "sets": list("Set"),
        })),
        "Names": object(json!({"names": list("Name"), "next": maybe()})),
        "Change": object(json!({
            "revision": count(), "name": text(), "status": standing(), "detail": maybe(), "at": text(), "by": text(),
            "request_id": text(),
        })),
        "Zone": object(zone()),
        "Zones": object(json!({"zones": list("Zone")})),
        "Drift": object(json!({"in_sync": {"type": "boolean"}, "zones": {"type": "array", "items": {"type": "object"}}})),
        "Document": {"type": "object"},
        "Problem": object(json!({"title": text(), "status": count(), "detail": text()})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_row_is_there() {
        let document = document();
        let text = document.to_string();
        for (start, _) in text.match_indices("#/components/schemas/") {
            let pointer = text[start + 1..].split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for row in ROWS {
            let pointer =
                format!("/paths/{}/{}", row.path.replace('/', "~1"), row.method.to_ascii_lowercase());
            assert_eq!(document.pointer(&pointer).unwrap()["operationId"], row.id);
        }
    }
}
