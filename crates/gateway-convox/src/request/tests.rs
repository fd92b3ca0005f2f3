use super::*;
use crate::RequestKind;
use crate::error::EncodingFault;
use crate::table::tests::BUILTIN;
use crate::upstream::{UpstreamBody, UpstreamRequest};

mod generator;
mod recordings;
mod round_trip;

/// One request written down: `METHOD path?query`, headers, form body.
struct Given<'a> {
    line: &'a str,
    kind: RequestKind,
    headers: &'a [(&'a str, &'a str)],
    content_type: Option<&'a str>,
    form: Option<&'a str>,
}

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

fn plain<'a>(line: &'a str) -> Given<'a> {
    Given { line, kind: RequestKind::Plain, headers: &[], content_type: None, form: None }
}

fn form<'a>(line: &'a str, form: &'a str) -> Given<'a> {
    Given { content_type: FORM, form: Some(form), ..plain(line) }
}

fn socket<'a>(path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Given<'a> {
    Given { kind: RequestKind::Socket, headers, ..plain(path) }
}

impl Given<'_> {
    fn parse(&self) -> Result<RackRequest, ParameterError> {
        let (method, target) = self.line.split_once(' ').unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let identified = BUILTIN.identify(method, path, self.kind).unwrap();
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        identified.complete(query, headers, self.content_type, self.form.map(str::as_bytes))
    }
}

fn fails(given: &Given<'_>, message: &str) {
    let error = given.parse().expect_err(given.line).to_string();
    assert_eq!(error, message, "{} {:?}", given.line, given.form);
}

fn upstream(given: &Given<'_>) -> UpstreamRequest {
    given.parse().unwrap_or_else(|error| panic!("{} {:?}: {error}", given.line, given.form)).serialise()
}

fn target(given: &Given<'_>, expected: &str) {
    assert_eq!(upstream(given).target, expected);
}

fn body(given: &Given<'_>, expected: &str) {
    let body = upstream(given).body;
    assert_eq!(body, UpstreamBody::Form(expected.as_bytes().to_vec()), "{:?}", given.form);
}

const EXEC: &str = "GET /apps/a/processes/p/exec";

#[test]
fn the_upstream_request_is_written_anew() {
    target(&plain("GET //%61pps?"), "/apps");
    target(&plain("GET /apps/a/objects?prefix=a%2fb+c"), "/apps/a/objects?prefix=a%2Fb+c");
    target(
        &plain("GET /apps/a/processes?service=web&release=R1"),
        "/apps/a/processes?release=R1&service=web",
    );
    target(&plain("POST /apps/a/objects/tmp/a%20(b)~c"), "/apps/a/objects/tmp/a%20(b)~c");
    target(&plain("DELETE /registries/https://x.test//v1/"), "/registries/https://x.test//v1/");
    target(&socket("GET /proxy/%5b::1%5D/80", &[]), "/proxy/%5B::1%5D/80");
    body(&form("POST /apps", "timeout=60&name=x"), "name=x&timeout=60");
    body(&form("POST /apps/a/releases", "env="), "env=");
    body(&form("POST /apps/a/releases", ""), "");
    body(&form("POST /apps/a/releases", "env=A%3Db%0AC%3Dd+e"), "env=A%3Db%0AC%3Dd+e");
    let stream = UpstreamBody::Stream { content_type: "application/octet-stream" };
    assert_eq!(upstream(&plain("PUT /letsencrypt/config")).body, stream);
    assert_eq!(upstream(&plain("PUT /apps/a/resources/db/data")).body, stream);
    assert_eq!(upstream(&plain("POST /apps/a/cancel")).body, UpstreamBody::None);
}

#[test]
fn headers_are_read_without_case_and_written_canonically() {
    let headers =
        [("COMMAND", "echo hi"), ("disable-stdin", "true"), ("x-other", "1"), ("Authorization", "Basic x")];
    let sent = upstream(&socket(EXEC, &headers));
    assert!(sent.is_socket);
    let expected = [("Command", "echo hi"), ("Disable-Stdin", "true")];
    assert_eq!(sent.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn unknown_and_doubled_parameters() {
    fails(&plain("GET /apps?x=1"), "the query parameter `x` is not known to this operation; remove it");
    fails(
        &plain("GET /apps/a/builds?limit=1&limit=2"),
        "the query parameter `limit` is given more than once; give it once",
    );
    fails(
        &plain("GET /apps/a/builds?Limit=1"),
        "the query parameter `Limit` is not known to this operation; remove it",
    );
    fails(
        &plain("GET /apps/a/builds?limit[]=1"),
        "the query parameter `limit[]` is not known to this operation; remove it",
    );
    fails(
        &plain("GET /apps?_method=DELETE"),
        "the query parameter `_method` is not known to this operation; remove it",
    );
    fails(
        &form("POST /apps", "name=a&name=b"),
        "the form parameter `name` is given more than once; give it once",
    );
    fails(
        &form("POST /apps", "name=a&%6eame=b"),
        "the form parameter `name` is given more than once; give it once",
    );
    fails(
        &form("POST /apps", "name=a&x%0a%25=b"),
        "the form parameter `x??` is not known to this operation; remove it",
    );
    fails(
        &socket(EXEC, &[("Command", "a"), ("command", "b")]),
        "the header parameter `Command` is given more than once; give it once",
    );
    fails(&plain("GET /apps?app=b"), "the query parameter `app` is not known to this operation; remove it");
}

#[test]
fn every_parameter_has_one_place() {
    fails(
        &socket("GET /apps/a/processes/p/exec?command=x", &[("Command", "y")]),
        "the parameter `Command` was sent as query; this operation takes it as header only",
    );
    fails(
        &socket("GET /apps/a/processes/p/exec?x=1", &[("Command", "y")]),
        "the query parameter `x` is not known to this operation; remove it",
    );
    fails(
        &plain("POST /apps/a/releases?env=A%3Db"),
        "the parameter `env` was sent as query; this operation takes it as form only",
    );
    fails(
        &plain("POST /apps/a/budget?ack_by=x"),
        "the parameter `ack_by` was sent as query; this operation takes it as form only",
    );
    let named = Given { headers: &[("Name", "x")], ..form("POST /apps", "name=a") };
    fails(&named, "the parameter `name` was sent as header; this operation takes it as form only");
    let prefixed = Given { headers: &[("prefix", "x")], ..plain("GET /apps/a/objects") };
    fails(&prefixed, "the parameter `prefix` was sent as header; this operation takes it as query only");
    assert!(Given { headers: &[("name", "x"), ("Prefix", "x")], ..plain("GET /apps") }.parse().is_ok());
    let prefix = socket("GET /apps/a/logs", &[("Prefix", "true")]);
    assert_eq!(prefix.parse().unwrap().get("prefix"), Some("true"));
}

#[test]
fn bodies_must_fit_the_row() {
    let unexpected = "this operation takes no body; send none";
    fails(&form("GET /apps", "a=1"), unexpected);
    fails(&form("POST /apps/a/cancel", "a=1"), unexpected);
    fails(&form("POST /apps/a/builds/import", "a=1"), unexpected);
    fails(&Given { form: Some("x"), ..socket(EXEC, &[("Command", "a")]) }, unexpected);
    assert!(
        Given {
            form: Some(""),
            content_type: Some("application/octet-stream"),
            ..plain("POST /apps/a/cancel")
        }
        .parse()
        .is_ok()
    );
    let labelled = |content_type| Given { content_type, ..form("POST /apps", "name=a") };
    let refusal = "the body must be sent as application/x-www-form-urlencoded";
    for label in [
        None,
        Some("multipart/form-data; boundary=x"),
        Some("application/octet-stream"),
        Some("application/json"),
        Some("application/x-www-form-urlencoded; charset=latin1"),
        Some("application/x-www-form-urlencoded, multipart/form-data"),
    ] {
        fails(&labelled(label), refusal);
    }
    for label in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"] {
        assert!(labelled(Some(label)).parse().is_ok(), "{label}");
    }
}

#[test]
fn required_and_ignored_parameters() {
    fails(&plain("POST /apps"), "the form parameter `name` is missing");
    fails(&plain("GET /apps/a/processes/p/files"), "the query parameter `file` is missing");
    fails(&socket(EXEC, &[]), "the header parameter `Command` is missing");
    fails(&socket(EXEC, &[("Command", "  ")]), "the header parameter `Command` is missing");
    assert!(plain("POST /apps/a/releases/R1/promote").parse().is_ok());
    let ignored = upstream(&form("GET /certificates", "generated=true"));
    assert_eq!((ignored.target.as_str(), ignored.body), ("/certificates", UpstreamBody::None));
    target(&plain("GET /certificates?generated=true"), "/certificates?generated=true");
    fails(&form("GET /certificates", "generated=1"), "the parameter `generated` must be true or false");
    body(&form("POST /apps/a/releases/R1/promote", "xrds=a"), "xrds=a");
}

#[test]
fn values_must_be_of_their_type() {
    fails(
        &plain("GET /apps/a/builds?limit=x"),
        "the parameter `limit` must be a decimal number of at most 18 digits, without a plus sign or leading zeros",
    );
    fails(&form("PUT /apps/a", "lock=FALSE"), "the parameter `lock` must be true or false");
    fails(&form("PUT /apps/a", "lock="), "the parameter `lock` must be true or false");
    fails(
        &form("POST /apps/a/releases", "env=%00"),
        "the parameter `env` must be text without control characters other than tab and line ends",
    );
    fails(
        &socket(EXEC, &[("Command", "a\u{85}b")]),
        "the parameter `Command` must be text that is not empty, without control characters",
    );
    fails(
        &form("PUT /apps/a", "parameters=a%3D1%26a%3D2"),
        "the parameter `parameters` names `a` more than once; give it once",
    );
    fails(
        &form("PUT /apps/a", "parameters=a"),
        "the parameter `parameters` is not an urlencoded map: a name has no value; write NAME=VALUE",
    );
    fails(
        &form("POST /apps/a/services/web/triggers/enable", "opts=%7B"),
        "the parameter `opts` must be one JSON document of at most 64 KiB",
    );
    for reserved in ["name=x-undefined-app-x", "name=../x", "name="] {
        fails(&form("POST /apps", reserved), "the parameter `name` must be an app name");
    }
    fails(
        &form("POST /resources/hook/links", "app=x-undefined-app-x"),
        "the parameter `app` must be an app name",
    );
    let fault = plain("GET /apps/a/builds?limit").parse();
    assert_eq!(
        fault,
        Err(ParameterError::Malformed { place: Place::Query, fault: EncodingFault::MissingEquals })
    );
    let raw = form("POST /apps/a/releases", "description=é").parse().unwrap();
    assert_eq!(raw.get("description"), Some("é"));
}

#[test]
fn the_actor_is_never_the_clients_to_name() {
    body(&form("POST /apps/a/budget", "ack_by=mallory&monthly-cap-usd=1"), "monthly-cap-usd=1");
    body(&form("DELETE /apps/a/budget", "ack_by=mallory"), "");
    fails(
        &form("POST /apps/a/budget", "ack_by=a&ack_by=b"),
        "the form parameter `ack_by` is given more than once; give it once",
    );
    let mut request = form("POST /apps/a/budget/reset", "ack_by=mallory&reset_period=true").parse().unwrap();
    request.set("ack_by", "alice@example.test".to_owned()).unwrap();
    let sent = UpstreamBody::Form(b"reset_period=true&ack_by=alice%40example.test".to_vec());
    assert_eq!(request.serialise().body, sent);
    for (inner, name) in [("actor", "data.actor"), ("ack_by", "data.ack_by"), ("Actor", "data.actor")] {
        let form_body = format!("action=x&data=app%3Da%26{inner}%3Db");
        fails(
            &form("POST /events", &form_body),
            &format!("the parameter `{name}` is set by the gateway; remove it"),
        );
    }
    body(&form("POST /events", "action=x&data=app%3Da%26id%3DB1"), "action=x&data=app%3Da%26id%3DB1");
}

#[test]
fn the_gateway_may_change_parameters_but_not_the_path() {
    let mut request = form("POST /apps/a/releases", "env=A%3Db").parse().unwrap();
    assert_eq!(request.set("app", "b".to_owned()), Err(ParameterError::Fixed { name: "app".to_owned() }));
    assert_eq!(
        request.set("x", String::new()),
        Err(ParameterError::Unknown { name: "x".to_owned(), place: Place::Form })
    );
    assert!(request.set("env", "\0".to_owned()).is_err());
    request.set("env", "A=c".to_owned()).unwrap();
    request.set("build", "B1".to_owned()).unwrap();
    assert_eq!(request.serialise().body, UpstreamBody::Form(b"build=B1&env=A%3Dc".to_vec()));
    assert!(request.remove("build") && !request.remove("build") && !request.remove("app"));
    assert_eq!(request.serialise().body, UpstreamBody::Form(b"env=A%3Dc".to_vec()));
    let mut started =
        Given { headers: &[("Environment", "B=2&A=1")], ..plain("POST /apps/a/services/web/processes") }
            .parse()
            .unwrap();
    assert!(started.remove("environment"));
    assert!(started.serialise().headers.is_empty());
    let mut exec = socket(EXEC, &[("Command", "a")]).parse().unwrap();
    assert!(!exec.remove("Command"), "required parameters stay");
}

#[test]
fn maps_are_read_and_written_as_pairs() {
    let mut request = form("PUT /apps/a", "parameters=Url%3Dhttps%253A%252F%252Fx%26B%3D").parse().unwrap();
    let pairs = vec![("Url".to_owned(), "https://x".to_owned()), ("B".to_owned(), String::new())];
    assert_eq!(request.map("parameters"), Some(pairs));
    request.set_map("parameters", &[("A".to_owned(), "1 &2".to_owned())]).unwrap();
    assert_eq!(request.serialise().body, UpstreamBody::Form(b"parameters=A%3D1%2B%25262".to_vec()));
    let twice = [("A".to_owned(), String::new()), ("A".to_owned(), String::new())];
    assert!(request.set_map("parameters", &twice).is_err());
    assert_eq!(request.set_map("lock", &[]), Err(ParameterError::NotAMap { name: "lock".to_owned() }));
    assert_eq!((request.map("lock"), request.map("nothing")), (None, None));
}

fn operation(given: &Given<'_>, action: &str, resource: Resource) {
    let request = given.parse().unwrap();
    assert_eq!(
        (request.operation().action.as_str(), request.resource()),
        (action, resource),
        "{}",
        given.line
    );
}

#[test]
fn operations_and_resources_in_effect() {
    operation(&form("PUT /apps/a", "lock=false"), "convox:app:unlock", Resource::app("a"));
    operation(&form("PUT /apps/a", "lock=true"), "convox:app:update", Resource::app("a"));
    operation(&form("PUT /apps/a", "parameters=a%3D1&lock=false"), "convox:app:unlock", Resource::app("a"));
    operation(&form("PUT /apps/a", "parameters=lock%3Dfalse"), "convox:app:update", Resource::app("a"));
    operation(&form("POST /apps", "name=a"), "convox:app:create", Resource::rack());
    operation(&plain("DELETE /resources/hook/links/a"), "convox:rack_resource:unlink", Resource::rack());
    operation(&plain("GET /system"), "convox:rack:read", Resource::rack());
    let unlock = form("PUT /apps/a", "lock=false").parse().unwrap();
    assert_eq!(unlock.operation().class, gateway_types::Class::Critical);
}

fn sensitive(given: &Given<'_>, expected: &[&str]) {
    let names: Vec<String> = given.parse().unwrap().sensitive_parameters().into_iter().collect();
    assert_eq!(names, expected, "{} {:?}", given.line, given.form);
}

#[test]
fn sensitive_parameters() {
    let start = |headers| Given { headers, ..plain("POST /apps/a/services/web/processes") };
    sensitive(&start(&[("Command", "sleep 3600"), ("Cpu", "1")]), &[]);
    sensitive(
        &start(&[("image", "x"), ("Volumes", "a=b"), ("PRIVILEGED", "true"), ("Environment", "A=1")]),
        &["environment", "image", "privileged", "volumes"],
    );
    sensitive(&Given { headers: &[("Public", "true")], ..plain("POST /apps/a/objects/k") }, &["public"]);
    sensitive(&plain("POST /apps/a/objects/k"), &[]);
    let build = |body| form("POST /apps/a/builds", body);
    sensitive(&build("external=true&url="), &["external"]);
    sensitive(&build("external=false&url=object%3A%2F%2Fa%2Ftmp%2Fx.tgz"), &[]);
    for url in [
        "object://b/tmp/x",
        "object://a/../b/x",
        "object://a",
        "object://a/",
        "OBJECT://a/x",
        "object://a@b/x",
        "object://a/x?y",
        "object://a/%2e%2e/b/x",
        "https://x.test",
        "object://ab/x",
        "x",
    ] {
        let body = crate::urlencoded::write([("url", url)]);
        sensitive(&form("POST /apps/a/builds", &body), &["foreign-url"]);
    }
}

#[test]
fn secrets_stay_out_of_debug_text() {
    let request = form("POST /apps/a/releases", "env=A%3Ds3cr3t").parse().unwrap();
    let text = format!("{request:?} {:?}", request.serialise());
    assert!(!text.contains("s3cr3t") && text.contains("POST /apps/{app}/releases"), "{text}");
    let secrecy = |given: &Given<'_>, name: &str| {
        let request = given.parse().unwrap();
        request.parameters().iter().find(|parameter| parameter.name == name).unwrap().secrecy
    };
    use crate::parameter::Secrecy;
    assert_eq!(secrecy(&form("POST /apps/a/releases", "env="), "env"), Secrecy::Secret);
    assert_eq!(secrecy(&form("PUT /apps/a", "parameters="), "parameters"), Secrecy::SecretValues);
    assert_eq!(secrecy(&form("POST /events", "data="), "data"), Secrecy::Scanned);
    assert_eq!(secrecy(&socket(EXEC, &[("Command", "a")]), "Command"), Secrecy::Scanned);
    assert_eq!(secrecy(&socket(EXEC, &[("Command", "a")]), "app"), Secrecy::Plain);
}
