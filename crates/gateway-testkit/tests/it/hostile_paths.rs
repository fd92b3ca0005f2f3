//! Group A: paths, queries and methods with more than one reading.

use gateway_convox::RouteTable;
use gateway_testkit::TestGateway;
use gateway_types::Class;

use crate::hostile::{Bench, Expect, http2, line};

/// One row of the rack's table with a path that fits it.
struct Sample {
    method: &'static str,
    route: String,
    path: String,
    class: Class,
    /// Its last part takes slashes, also doubled ones.
    takes_slashes: bool,
}

/// A sample of each row that can be asked for without a socket.
fn rows() -> Vec<Sample> {
    let table = RouteTable::builtin().unwrap();
    let plain = table.rows().iter().filter(|row| !row.is_socket());
    plain.map(|row| sample(&row.operation.route, row.operation.class)).collect()
}

fn sample(route: &str, class: Class) -> Sample {
    let (method, template) = route.split_once(' ').unwrap();
    let method = match method {
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "GET",
    };
    let values = [
        ("{app}", "myapp"),
        ("{service}", "web"),
        ("{pid}", "myapp-web-7d9f8b6c5-aaaa0"),
        ("{id}", "RABCDEFGHI"),
        ("{name}", "main"),
        ("{resource}", "main"),
        ("{snapshot}", "snap-1"),
        ("{key*}", "tmp/x"),
        ("{server*}", "registry.example"),
        ("{path*}", "x"),
        ("{host}", "10.0.0.1"),
        ("{port}", "5432"),
    ];
    let path = values.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "{path}: give the new parameter a value");
    let takes_slashes = ["{server*}", "{path*}"].iter().any(|rest| template.contains(rest));
    Sample { method, route: route.to_owned(), path, class, takes_slashes }
}

/// Paths that anybody may ask for: below the rack proxy, and the gateway's own.
const PUBLIC: [&str; 2] = ["/check", "/machines"];
const OWN_PUBLIC: [&str; 3] = ["/api/v1/health", "/.well-known/security.txt", "/problems/refused"];

fn body_line(method: &str) -> &'static str {
    if matches!(method, "POST" | "PUT") { "Content-Length: 0\r\n" } else { "" }
}

/// CVE-2019-9901, CVE-2025-32431, CVE-2021-31920.
#[tokio::test]
async fn a1_dot_segments_and_doubled_slashes_are_refused() {
    let mut bench = Bench::start_both("A1").await;
    for Sample { method, path, takes_slashes, .. } in rows() {
        let below = path.trim_start_matches('/');
        let mut forms = vec![
            format!("/./{below}"),
            format!("{path}/."),
            format!("{path}/.."),
            format!("{path}/../{below}"),
            format!("///{below}"),
        ];
        // Below `/registries` and `/kubernetes` the rest of the path may hold them, as a URL does.
        if !takes_slashes && path != "/registries" {
            forms.push(format!("{path}//x"));
        }
        for public in PUBLIC {
            forms.extend([format!("{public}/..{path}"), format!("{public}/./..{path}")]);
        }
        for form in forms {
            let request = bench.head(method, &form, body_line(method));
            bench.refuses("A1 CVE-2019-9901", &request, &[400]).await;
        }
    }
    for public in OWN_PUBLIC {
        for path in ["/apps", "/apps/myapp", "/system"] {
            for way in ["/..", "/../..", "/./..", "/../../.."] {
                let form = format!("!{public}{way}/api/v1/rack-proxy{path}");
                let request = bench.head("GET", &form, "");
                bench.refuses("A1 CVE-2025-32431", &request, &[400, 404]).await;
            }
        }
    }
    for form in [
        "!//api/v1/rack-proxy/apps",
        "!/./api/v1/rack-proxy/apps",
        "!/api//v1/rack-proxy/apps",
        "!/api/v1/./me",
    ] {
        let request = bench.head("GET", form, "");
        bench.refuses("A1 CVE-2021-31920", &request, &[400, 404]).await;
    }
    bench.finish().await;
}

/// The one exception: a client whose RACK_URL ends in a slash doubles the first one. It is another spelling of
/// the same route, and the rack sees the plain one.
#[tokio::test]
async fn a1_one_leading_slash_too_many_is_the_same_route() {
    let mut bench = Bench::start_both("A1 //").await;
    let reads = rows().into_iter().filter(|row| row.class == Class::Read && row.method == "GET");
    for Sample { route, path, .. } in reads.filter(|row| !row.path.starts_with("/auth")) {
        let answered_here = ["/racks", "/session"].contains(&path.as_str());
        if answered_here {
            continue;
        }
        let request = bench.head("GET", &format!("/{path}"), "");
        bench.reaches("A1", &request, &format!("GET {path}"), &route).await;
    }
    bench.finish().await;
}

/// CVE-2026-40912, CVE-2026-48020.
#[tokio::test]
async fn a2_encoded_dots_are_refused() {
    let mut bench = Bench::start_both("A2").await;
    let dots = [
        "%2e%2e",
        "%2E%2E",
        "%2E.",
        ".%2e",
        "%2e",
        "%252e%252e",
        "%25252e",
        "%c0%ae%c0%ae",
        "%c0%2e",
        "%e0%80%ae",
        "%u002e%u002e",
        "%uff0e",
        "%ef%bc%8e",
        ".%00.",
        "%2e%2e%2f",
        "%2e%2e%5c",
    ];
    for Sample { method, path, .. } in rows() {
        let below = path.trim_start_matches('/');
        for dot in dots {
            let request = bench.head(method, &format!("/check/{dot}/{below}"), body_line(method));
            bench.refuses("A2 CVE-2026-40912", &request, &[400]).await;
        }
        let request = bench.head(method, &format!("{path}/%2e%2e"), body_line(method));
        bench.refuses("A2 CVE-2026-48020", &request, &[400]).await;
    }
    for dot in dots {
        let request = bench.head("GET", &format!("!/api/v1/health/{dot}/rack-proxy/apps"), "");
        bench.refuses("A2 CVE-2026-48020", &request, &[400, 404]).await;
    }
    bench.finish().await;
}

/// CVE-2025-66490, CVE-2026-42272: also in the other case of the hexadecimal digits.
#[tokio::test]
async fn a3_encoded_separators_are_refused() {
    let mut bench = Bench::start_both("A3").await;
    let separators = [
        "%2f",
        "%2F",
        "%5c",
        "%5C",
        "\\",
        "%252f",
        "%252F",
        "%25%32%66",
        "%e2%88%95",
        "%ef%bc%8f",
        "%c0%af",
        "%u2215",
    ];
    for separator in separators {
        let forms = [
            format!("/apps{separator}myapp"),
            format!("/apps/myapp{separator}"),
            format!("/apps/my{separator}app"),
            format!("/apps/myapp{separator}processes"),
            format!("/apps/..{separator}myapp"),
            format!("/check{separator}..{separator}apps"),
            format!("/apps/myapp/objects/a{separator}b"),
            format!("/apps/myapp/releases/R{separator}promote"),
            format!("/{separator}apps"),
            format!("/registries/a{separator}b"),
        ];
        for form in forms {
            for method in ["GET", "POST", "DELETE"] {
                let request = bench.head(method, &form, body_line(method));
                bench.refuses("A3 CVE-2025-66490", &request, &[400]).await;
            }
        }
        let request = bench.head("GET", &format!("!/api/v1{separator}rack-proxy/apps"), "");
        bench.refuses("A3 CVE-2026-42272", &request, &[400, 404]).await;
    }
    // The same as raw bytes of UTF-8.
    for separator in ["\u{2215}", "\u{ff0f}", "\u{2044}"] {
        let request = bench.head("GET", &format!("/apps{separator}myapp"), "");
        bench.cuts_off("A3 CVE-2025-66490", &request, &[400]).await;
    }
    bench.finish().await;
}

/// CVE-2025-66490.
#[tokio::test]
async fn a4_control_bytes_are_refused() {
    let mut bench = Bench::start_both("A4").await;
    let escapes = [
        "%00", "%0a", "%0A", "%0d%0a", "%09", "%7f", "%01", "%1b", "%80", "%ff", "%c3%a9", "%", "%2", "%zz",
        "%%",
    ];
    for Sample { method, path, .. } in rows() {
        for escape in escapes {
            let request = bench.head(method, &format!("{path}{escape}"), body_line(method));
            bench.refuses("A4 CVE-2025-66490", &request, &[400]).await;
        }
    }
    for escape in escapes {
        for form in
            [format!("/apps/my{escape}-app"), format!("/apps{escape}/myapp"), format!("/{escape}-apps")]
        {
            let request = bench.head("GET", &form, "");
            bench.refuses("A4 CVE-2025-66490", &request, &[400]).await;
        }
    }
    for byte in (0u8..=0x20).chain(0x7f..=0xff) {
        let mut request = b"GET /api/v1/rack-proxy/apps/my".to_vec();
        request.push(byte);
        request.extend(bench.head("GET", "!app", "").split_off(b"GET ".len()));
        bench.cuts_off("A4 CVE-2025-66490", &request, &[400]).await;
    }
    bench.finish().await;
}

/// Bytes that may not stand in a target (RFC 3986, section 2) are the guard's business, not the HTTP library's,
/// which would answer them without a word in the log.
#[tokio::test]
async fn a4_bytes_that_no_target_holds_are_refused_and_recorded() {
    let mut bench = Bench::start_both("A4 graphic").await;
    for byte in (0x21u8..0x7f).filter(|byte| !byte.is_ascii_alphanumeric()).map(char::from) {
        if matches!(byte, '%' | '/' | '?' | '-' | '_') {
            continue;
        }
        let request = bench.head("GET", &format!("/apps/my{byte}app"), "");
        let statuses: &[u16] = if "!$&'()*+,.:=@[]~".contains(byte) { &[400, 404] } else { &[400] };
        bench.refuses("A4", &request, statuses).await;
        let request = bench.head("GET", &format!("!/api/v1/me{byte}"), "");
        bench.refuses("A4", &request, &[400, 404]).await;
        let request = bench.head("GET", &format!("/apps?{byte}=1"), "");
        bench.refuses("A4", &request, &[400]).await;
    }
    bench.finish().await;
}

/// CVE-2025-66490.
#[tokio::test]
async fn a5_path_parameters_are_refused() {
    let mut bench = Bench::start_both("A5").await;
    for Sample { method, path, .. } in rows() {
        let below = path.trim_start_matches('/');
        let forms = [
            format!("{path};param"),
            format!("{path};x=1"),
            format!("{path};/../check"),
            format!("/check;/../{below}"),
            format!("/;/{below}"),
            format!("{path}%3b"),
            format!("{path}%3Bx=1"),
        ];
        for form in forms {
            let request = bench.head(method, &form, body_line(method));
            bench.refuses("A5 CVE-2025-66490", &request, &[400]).await;
        }
    }
    bench.finish().await;
}

/// CVE-2025-54576, CVE-2026-41059, CVE-2023-47106.
#[tokio::test]
async fn a6_only_the_path_is_matched() {
    let mut bench = Bench::start_both("A6").await;
    for public in ["/check", "!/api/v1/health", "!/.well-known/security.txt"] {
        for protected in ["/apps", "/../apps", "/api/v1/rack-proxy/apps"] {
            let request = bench.head("GET", &format!("{public}#{protected}"), "");
            bench.cuts_off("A6 CVE-2023-47106", &request, &[400]).await;
        }
        for tail in ["%23", "%23/apps", "%3f", "%3fx=/apps", "%3F/../apps"] {
            let request = bench.head("GET", &format!("{public}{tail}"), "");
            bench.refuses("A6 CVE-2026-41059", &request, &[400, 404]).await;
        }
    }
    // A query does not make a path public, and not another one either.
    for query in ["x=/check", "/check", "/../check", "x=%2fcheck", "?", "/api/v1/health"] {
        let request = bench.head("GET", &format!("/apps?{query}"), "");
        bench.refuses("A6 CVE-2025-54576", &request, &[400]).await;
        let without_credential =
            format!("GET /api/v1/rack-proxy/apps?{query} HTTP/1.1\r\nHost: {}\r\n\r\n", bench.gateway.addr());
        bench.refuses("A6 CVE-2025-54576", without_credential.as_bytes(), &[400, 401]).await;
    }
    let request = bench.head("GET", "!/.well-known/security.txt?/api/v1/rack-proxy/apps", "");
    bench.try_case("A6 CVE-2025-54576", &request, Expect::AnsweredHere(200)).await;
    // The client's own spelling: a question mark with nothing behind it.
    let request = bench.head("GET", "/apps?", "");
    bench.reaches("A6", &request, "GET /apps", "GET /apps").await;
    bench.finish().await;
}

/// CVE-2026-88009.
#[tokio::test]
async fn a7_other_forms_of_target_are_refused() {
    let mut bench = Bench::start_both("A7").await;
    let own = bench.gateway.addr().to_string();
    let targets = [
        "http://other/api/v1/rack-proxy/apps".to_owned(),
        format!("http://{own}/api/v1/rack-proxy/apps"),
        "https://convox:x@other/apps".to_owned(),
        "http:http://x/apps".to_owned(),
        "http:/apps".to_owned(),
        "apps".to_owned(),
        "api/v1/rack-proxy/apps".to_owned(),
        "*".to_owned(),
        "*/apps".to_owned(),
        "other:443".to_owned(),
        own.clone(),
        "?x".to_owned(),
        "file:///etc/passwd".to_owned(),
        "\\apps".to_owned(),
    ];
    for method in ["GET", "POST", "OPTIONS", "HEAD", "DELETE"] {
        for target in &targets {
            let request = bench.head(method, &format!("!{target}"), body_line(method));
            bench.cuts_off("A7 CVE-2026-88009", &request, &[400]).await;
        }
    }
    // Two slashes are a path here, never an authority.
    for target in ["!//other/api/v1/rack-proxy/apps", "!//evil.example/apps", "!//"] {
        let request = bench.head("GET", target, "");
        bench.refuses("A7 CVE-2026-88009", &request, &[400, 404]).await;
    }
    bench.finish().await;
}

/// CVE-2026-27587, CVE-2026-48794.
#[tokio::test]
async fn a8_spellings_are_told_apart() {
    let mut bench = Bench::start_both("A8").await;
    for form in [
        "!/API/Apps",
        "!/api/v1/Rack-Proxy/apps",
        "!/api/v1/RACK-PROXY/apps",
        "!/Api/v1/me",
        "!/api/v1/ME",
        "/Apps",
        "/APPS/myapp",
        "/aPPs",
        "/apps.",
        "/apps%20",
        "/apps/",
        "/apps/myapp/",
        "/apps/myapp.",
        "/apps/myapp%20",
        "/apps/%20myapp",
        "/system.",
        "/system/",
        "/%61PPS",
        "!/api/v1/me/",
        "!/api/v1/me.",
        "!/api/v1/%6de",
        "!/api/v1/rack%2dproxy/apps",
        "/instance\u{73}%20",
        "/apps+",
        "/apps%2b",
    ] {
        let request = bench.head("GET", form, "");
        bench.refuses("A8 CVE-2026-27587", &request, &[400, 404]).await;
    }
    // Overlong UTF-8, composed and decomposed, and letters that only look or fold alike.
    for name in [
        "%c1%a1pps",
        "%e0%81%a1pps",
        "caf%c3%a9",
        "cafe%cc%81",
        "%c4%b0nstances",
        "%c4%b1nstances",
        "in%c5%bftances",
        "%ef%bd%81pps",
        "%d0%b0pps",
        "apps%e2%80%8b",
        "%ef%bb%bfapps",
        "app%c2%ads",
    ] {
        for form in [format!("/{name}"), format!("/apps/{name}")] {
            let request = bench.head("GET", &form, "");
            bench.refuses("A8 CVE-2026-48794", &request, &[400]).await;
        }
    }
    // An escape that needs none is one route with the plain letter, and the rack sees the plain letter.
    let request = bench.head("GET", "/%61pp%73/my%61pp", "");
    bench.reaches("A8", &request, "GET /apps/myapp", "GET /apps/{app}").await;
    bench.finish().await;
}

/// CVE-2026-53519, CVE-2026-45692.
#[tokio::test]
async fn a9_prefixes_and_numbers_are_exact() {
    let mut bench = Bench::start_both("A9").await;
    for form in [
        "!/api/v1/rack-proxyx/apps",
        "!/api/v1/rack-proxy../apps",
        "!/api/v1/rack-proxy-/apps",
        "!/api/v1/mex",
        "!/api/v1/me..",
        "!/api/v1",
        "!/api",
        "!/",
        "!/adminx",
        "!/dashboard..",
        "!/app../",
        "!/api/v1/healthx",
        "/appsx",
        "/apps..",
        "/systemx",
        "/apps/foo..",
        "/checkx",
        "/check..",
        "/check/x",
        "/machinesx",
        "",
        "/instancesx",
        "/session/1",
    ] {
        let request = bench.head("GET", form, "");
        bench.refuses("A9 CVE-2026-53519", &request, &[400, 404]).await;
    }
    for port in ["01", "+1", "1e0", "-1", "0", "65536", "1.0", "0x50", "%2b80", "%d9%a1"] {
        let request = bench.head("PUT", &format!("/apps/myapp/ssl/web/{port}"), "Content-Length: 0\r\n");
        bench.refuses("A9 CVE-2026-45692", &request, &[400]).await;
    }
    for limit in ["+1", "%2b1", "1e0", "1.0", "0x1", "%201", "1%20", "", "9999999999999999999999", "%d9%a1"] {
        let request = bench.head("GET", &format!("/apps/myapp/builds?limit={limit}"), "");
        bench.refuses("A9 CVE-2026-45692", &request, &[400]).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn a10_methods_are_a_closed_list_and_never_overridden() {
    let mut bench = Bench::start_both("A10").await;
    for method in
        ["TRACE", "CONNECT", "PRI", "GETX", "M-SEARCH", "PROPFIND", "X-MALFORMED", "DEBUG", "PURGE", "QUERY"]
    {
        let request = bench.head(method, "/apps", "");
        bench.cuts_off("A10", &request, &[400, 405]).await;
    }
    for method in ["get", "Get", "gET", "post", "G\u{212a}T", "get T", "", "\u{feff}GET", "G(T"] {
        let request = bench.head(method, "/apps", "");
        bench.cuts_off("A10", &request, &[400]).await;
    }
    for (method, path) in [
        ("PATCH", "/apps"),
        ("DELETE", "/apps"),
        ("PUT", "/apps"),
        ("OPTIONS", "/apps"),
        ("POST", "/apps/myapp"),
        ("HEAD", "/apps"),
        ("HEAD", "/apps/myapp"),
        ("DELETE", "!/api/v1/me"),
        ("OPTIONS", "!/api/v1/me"),
    ] {
        let request = bench.head(method, path, body_line(method));
        bench.refuses("A10", &request, &[405]).await;
    }
    for line in [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "x-http-method-override: PUT",
    ] {
        let request = bench.head("GET", "/apps/myapp", &format!("{line}\r\n"));
        bench.reaches("A10", &request, "GET /apps/myapp", "GET /apps/{app}").await;
    }
    let request = bench.head("GET", "/apps/myapp?_method=DELETE", "");
    bench.refuses("A10", &request, &[400]).await;
    let request = bench.form("POST", "/apps/myapp/services/web/restart", "_method=DELETE");
    bench.refuses("A10", &request, &[400]).await;
    assert!(bench.gateway.rack.state().apps().contains(&"myapp".to_owned()));
    bench.finish().await;
}

#[tokio::test]
async fn a11_each_parameter_has_one_value() {
    let mut bench = Bench::start_both("A11").await;
    for query in [
        "limit=1&limit=2",
        "limit=1&limit=1",
        "limit=1&LIMIT=2",
        "limit=1&Limit=1",
        "limit[]=1",
        "limit[0]=1",
        "limit=1&limit[]=2",
        "=1",
        "limit=1&",
        "&limit=1",
        "limit",
        "limit=1&&limit=2",
        "limit=1;limit=2",
        "li%mit=1",
        "limit=%",
        "limit=1%",
        "limit=1%2",
        "limit=%zz",
        "limit=%ff",
        "%00=1",
        "limit=1%00",
        "a=1&a=2",
        "app=other",
        "limit=1#x",
        "lim%69t=1&limit=2",
        "limit=1&lim%69t=1",
    ] {
        let request = bench.head("GET", &format!("/apps/myapp/builds?{query}"), "");
        bench.refuses("A11", &request, &[400]).await;
    }
    let many: String = (0..10_000).map(|n| format!("k{n}=1&")).collect();
    let request = bench.head("GET", &format!("/apps/myapp/builds?{many}limit=1"), "");
    bench.cuts_off("A11", &request, &[400, 414, 431]).await;
    let request = bench.form("POST", "/apps", &format!("{many}name=myapp"));
    bench.refuses("A11", &request, &[400]).await;
    for form in ["name=a1&name=a2", "name=a1&Name=a2", "name[]=a1", "name=a1&name=a1"] {
        let request = bench.form("POST", "/apps", form);
        bench.refuses("A11", &request, &[400]).await;
    }
    // A parameter in the query and in the form.
    let request = bench.form("POST", "/apps?name=evil", "name=a1");
    bench.refuses("A11", &request, &[400]).await;
    // Both spellings of a blank are one value, for the rack too.
    for prefix in ["a+b", "a%20b"] {
        let request = bench.head("GET", &format!("/apps/myapp/objects?prefix={prefix}"), "");
        let route = "GET /apps/{app}/objects";
        bench.reaches("A11", &request, "GET /apps/myapp/objects?prefix=a+b", route).await;
    }
    let request = bench.head("GET", "/apps/myapp/builds?lim%69t=1", "");
    bench.reaches("A11", &request, "GET /apps/myapp/builds?limit=1", "GET /apps/{app}/builds").await;
    bench.finish().await;
}

/// What nobody's app, process or release is called.
fn bad_names() -> Vec<String> {
    let plain = [
        "-x",
        "--flag",
        "$(id)",
        "%60id%60",
        "{{x}}",
        "%7b%7bx%7d%7d",
        "a%20b",
        "a'b",
        "a%22b",
        "a|b",
        "a*",
        "~root",
        "a:b",
        "a!b",
        "%3cscript%3e",
        "x-undefined-app-x",
        "m%d1%83app",
        "%ef%bd%8dyapp",
        "a%0ab",
        "..a",
        "_",
        "@",
        "%2e",
    ];
    plain
        .into_iter()
        .map(str::to_owned)
        .chain([String::from(".."), "a".repeat(256), "a".repeat(5000)])
        .collect()
}

#[tokio::test]
async fn a12_names_are_typed() {
    let mut bench = Bench::start_both("A12").await;
    for name in bad_names() {
        for (method, path) in [
            ("GET", format!("/apps/{name}")),
            ("DELETE", format!("/apps/{name}")),
            ("GET", format!("/apps/{name}/processes")),
            ("PUT", format!("/apps/myapp/services/{name}")),
            ("DELETE", format!("/apps/{name}/processes/p1")),
        ] {
            let request = bench.head(method, &path, body_line(method));
            bench.refuses("A12", &request, &[400]).await;
        }
        let allowed_in_an_id = ["a:b", "_", "@"].contains(&name.as_str());
        if !allowed_in_an_id {
            for path in [format!("/apps/myapp/releases/{name}"), format!("/apps/myapp/processes/{name}")] {
                let request = bench.head("GET", &path, "");
                bench.refuses("A12", &request, &[400]).await;
            }
        }
        // The name of a new app comes in a form.
        let form = format!("name={}", name.replace('{', "%7b").replace('}', "%7d"));
        let request = bench.form("POST", "/apps", &form);
        bench.refuses("A12", &request, &[400]).await;
    }
    bench.finish().await;
}

/// CVE-2026-65600: whatever stands in a parameter, what goes up is a path of the same row, or nothing goes up.
#[tokio::test]
async fn a13_no_parameter_leads_out_of_its_route() {
    let mut bench = Bench::start_both("A13").await;
    let table = RouteTable::builtin().unwrap();
    let nasty = [
        "..",
        ".",
        "%2e%2e",
        "..%2f..",
        "a/../b",
        "a//b",
        "/a",
        "a/",
        "%2fa",
        "a%3fb",
        "a%23b",
        "a%25b",
        "a b",
        "a%0d%0ab",
        "a\\b",
        "%5c",
        "a;b",
        "a+b",
        "a%2bb",
        "a:b",
        "a@b",
        "a=b",
        "a,b",
        "~a",
        "(a)",
        "a&b",
        "$1",
        "$&",
        "\\1",
        "{app}",
        "%7bapp%7d",
        "http:",
        "http:%2f%2fx",
        "@evil",
        "a.b",
        "a_b",
        "A-B",
    ];
    let mut tried = 0;
    for row in table.rows().iter().filter(|row| row.is_enabled()) {
        let (method, template) = row.operation.route.split_once(' ').unwrap();
        let kind = if row.is_socket() {
            gateway_convox::RequestKind::Socket
        } else {
            gateway_convox::RequestKind::Plain
        };
        let method = if matches!(method, "SOCKET" | "ANY" | "any" | "socket") { "GET" } else { method };
        for part in template.split('/').filter(|part| part.contains('{')) {
            for value in nasty {
                let hostile = template.replacen(part, value, 1);
                let path = sample(&format!("GET {hostile}"), Class::Read).path;
                tried += 1;
                let Ok(identified) = table.identify(method, &path, kind) else { continue };
                let target = identified.row().operation.route.clone();
                let Ok(request) = identified.complete(None, std::iter::empty(), None, None) else { continue };
                let upstream = request.serialise();
                let sent = upstream.target.split('?').next().unwrap();
                let again = table
                    .identify(method, sent, kind)
                    .unwrap_or_else(|error| panic!("{path} {sent}: {error}"));
                assert_eq!(again.row().operation.route, target, "{path} went up as {sent}");
                let segments = sent.split('/').skip(1);
                assert!(
                    segments.clone().all(|segment| !matches!(segment, "." | "..")),
                    "{path} went up as {sent}"
                );
                assert!(!sent.starts_with("//") && !sent.contains(['\\', ';', '#', ' ']), "{sent}");
            }
        }
    }
    assert!(tried > 3000, "only {tried} paths were tried");
    // Some of them through the whole gateway: the rack sees the row that the log names, or nothing.
    for value in nasty.iter().filter(|value| !value.contains([' ', '\\'])) {
        let before = bench.seen().len();
        let request = bench.head("GET", &format!("/apps/{value}/processes"), "");
        let (mut client, _) = bench.client().await;
        client.send(&request).await;
        let reply = client.reply().await.unwrap();
        assert!(reply.status < 500, "{value}: {}", reply.text());
        for seen in bench.seen_since(before) {
            let app = seen.target.strip_prefix("/apps/").and_then(|rest| rest.strip_suffix("/processes"));
            assert!(app.is_some_and(|app| !app.contains('/')), "{value} went up as {}", seen.target);
        }
        let reached = bench.seen_since(before).len();
        match http2::ask(bench.source(), bench.gateway.addr(), &request).await {
            http2::Told::Reply { status, .. } => assert_eq!(status, reply.status, "{value}"),
            http2::Told::Ended => assert_eq!(reply.status, 400, "{value}"),
        }
        let seen: Vec<String> = bench.seen_since(before).iter().map(line).collect();
        let (first, second) = seen.split_at(reached);
        assert_eq!(first, second, "{value}");
    }
    bench.count(tried + 2 * nasty.len());
    bench.finish().await;
}

/// On a host that is all rack there is no prefix to take away, and the rules are the same.
#[tokio::test]
async fn a1_to_a9_hold_where_the_whole_host_is_the_rack() {
    let builder = TestGateway::builder().env("PROXY_HOSTS", "127.0.0.1");
    let mut bench = Bench::over_both("A1 on a rack host", builder).await;
    for form in [
        "!/check/../apps",
        "!/./apps",
        "!/apps/.",
        "!/apps/myapp/..",
        "!///apps",
        "!/apps//x",
        "!/%2e%2e/apps",
        "!/apps%2fmyapp",
        "!/apps;x",
        "!/apps/my%00app",
        "!/apps/my%5capp",
        "!/apps/%252e%252e",
    ] {
        let request = bench.head("GET", form, "");
        bench.refuses("A1 CVE-2019-9901", &request, &[400]).await;
    }
    for form in ["!/Apps", "!/appsx", "!/api/v1/rack-proxyx/apps", "!/api/v1/health/../apps", "!/check%3fx"] {
        let request = bench.head("GET", form, "");
        bench.refuses("A9 CVE-2026-53519", &request, &[400, 404]).await;
    }
    for form in ["!/apps", "!//apps", "/apps", "//apps"] {
        let request = bench.head("GET", form, "");
        bench.reaches("A1", &request, "GET /apps", "GET /apps").await;
    }
    bench.finish().await;
}
