//! One request with its parameters, found where the rack finds them and in its order of precedence
//! (API.md 1.1). The leniency is the point: a gateway that lets a second home of a parameter through is seen here.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::auth::Rights;
use crate::refusal::Refusal;
use crate::upload::Upload;
use crate::wire::Head;

/// A request on its route.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: Head,
    /// The path, percent-decoded once and otherwise as it came.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    /// Fields of a form or multipart body; empty for other bodies.
    pub(crate) form: Vec<(String, String)>,
    pub(crate) body: Upload,
    /// What the route's pattern caught.
    pub(crate) vars: Vec<(&'static str, String)>,
    pub(crate) rights: Rights,
}

/// Splits a target into its decoded path and its query; `None` for what Go refuses to parse.
pub(crate) fn split_target(target: &str) -> Option<(String, Vec<(String, String)>)> {
    // Absolute form: the authority is the Host header's business.
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
        }
        _ => target,
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    if !valid_escapes(path) {
        return None;
    }
    let path = percent_decode_str(path).collect::<Vec<u8>>();
    Some((String::from_utf8_lossy(&path).into_owned(), pairs(query.as_bytes())))
}

/// Whether each `%` is followed by two hexadecimal digits.
fn valid_escapes(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .all(|after| after.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit())))
}

fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// The fields of a body, where the method and the type make it a form.
pub(crate) fn form_fields(head: &Head, body: &Upload) -> Vec<(String, String)> {
    let Some(bytes) = &body.bytes else { return Vec::new() };
    if !matches!(head.first.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") {
        return Vec::new();
    }
    let full = head.header("content-type").unwrap_or_default();
    let kind = full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => pairs(bytes),
        "multipart/form-data" => {
            let boundary = full.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
            boundary.map(|boundary| multipart(boundary.trim_matches('"'), bytes)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The fields of a multipart body that are no files.
fn multipart(boundary: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let part = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let disposition =
            head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        if disposition.contains("filename=") {
            return None;
        }
        let (_, name) = disposition.split_once("name=\"")?;
        let (name, _) = name.split_once('"')?;
        Some((name.to_owned(), value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
    };
    text.split(&format!("--{boundary}")).filter_map(part).collect()
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
}

impl Call {
    /// What the pattern caught under this name.
    pub(crate) fn var(&self, name: &str) -> &str {
        self.vars.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// A query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// A `param`: form body, then query.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        // Go fills a form from the body only for these; the budget routes read a DELETE's body by hand.
        let from_body = self.head.first != "DELETE" || self.path.contains("/budget");
        let body = from_body.then(|| first(&self.form, name)).flatten();
        body.or_else(|| self.query(name))
    }

    /// A `value`: form body, then query, and only if that is empty the header of the same name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let given = self.param(name);
        given.filter(|value| !value.is_empty()).or_else(|| self.header(name)).or(given)
    }

    /// A `value` that must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.value(name).filter(|value| !value.is_empty()).ok_or(Refusal::Missing(name))
    }

    /// A boolean `param`: `true`, and anything else is false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name) == Some("true")
    }

    /// A whole-number `param`.
    pub(crate) fn int(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.param(name).map(|text| text.parse().map_err(|_| Refusal::Invalid(name))).transpose()
    }

    /// A map `param`: an urlencoded text inside the value.
    pub(crate) fn map(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let text = self.param(name)?;
        let mut map = BTreeMap::new();
        for (key, value) in pairs(text.as_bytes()) {
            map.entry(key).or_insert(value);
        }
        Some(map)
    }

    /// Fails unless the credential may write: the inner check of exec, shell, console and proxy.
    pub(crate) fn must_write(&self) -> Result<(), Refusal> {
        if self.rights >= Rights::Write { Ok(()) } else { Err(Refusal::Unauthorized { status: 403 }) }
    }

    /// Fails unless the credential is admin.
    pub(crate) fn must_admin(&self) -> Result<(), Refusal> {
        if self.rights >= Rights::Admin { Ok(()) } else { Err(Refusal::Unauthorized { status: 403 }) }
    }

    /// The bytes of the body; empty when it was too long to keep.
    pub(crate) fn body_text(&self) -> String {
        String::from_utf8_lossy(self.body.bytes.as_deref().unwrap_or_default()).into_owned()
    }
}
