use super::*;

fn captures(template: &str, path: &str) -> Option<String> {
    let segments = crate::path::decode(path).unwrap();
    Template::parse(template).unwrap().captures(&segments).map(|values| values.join("|"))
}

fn check(template: &str, path: &str, expected: Option<&str>) {
    assert_eq!(captures(template, path).as_deref(), expected, "{template} on {path}");
}

#[test]
fn shapes() {
    check("/apps", "/apps", Some(""));
    check("/apps", "/Apps", None);
    check("/apps", "/apps/a", None);
    check("/apps/{app}", "/apps", None);
    check("/apps/{app}", "/apps/", None);
    check("/apps/{app}", "/apps/a", Some("a"));
    check("/apps/{app}/builds/{id}.tgz", "/apps/a/builds/B1.tgz", Some("a|B1"));
    check("/apps/{app}/builds/{id}.tgz", "/apps/a/builds/.tgz", None);
    check("/apps/{app}/builds/{id}.tgz", "/apps/a/builds/B1.tgz.tgz", Some("a|B1.tgz"));
    check("/apps/{app}/objects/{key*}", "/apps/a/objects", None);
    check("/apps/{app}/objects/{key*}", "/apps/a/objects/", Some("a|"));
    check("/apps/{app}/objects/{key*}", "/apps/a/objects/tmp/x.tgz", Some("a|tmp/x.tgz"));
    check("/registries/{server*}", "/registries/https://a/v1/", Some("https://a/v1/"));
}

fn refused(template: &str) {
    assert!(Template::parse(template).is_err(), "{template}");
}

#[test]
fn malformed_templates() {
    for text in ["", "apps", "/", "/apps/", "/a//b", "/{app}", "/{path*}", "/a/..", "/a b", "/apps/{other}"] {
        refused(text);
    }
    for text in
        ["/a/{app", "/a/{key}", "/a/{app*}", "/a/{key*}/b", "/a/{app}/{app}", "/a/{key*}.tgz", "/a/x{app}"]
    {
        refused(text);
    }
}

fn class(class: PathClass, fine: &[&str], bad: &[&str]) {
    for value in fine {
        assert!(class.admits(value), "{class:?} admits {value}");
    }
    for value in bad {
        assert!(!class.admits(value), "{class:?} refuses {value}");
    }
}

#[test]
fn a12_classes() {
    let long = "a".repeat(129);
    let odd = ["", "-x", "--flag", "$(id)", "{{x}}", "a b", "a'b", "a\"b", "a*", "a|b", "а", "..", "a/b"];
    for named in [PathClass::App, PathClass::Service, PathClass::Name] {
        class(named, &["a", "my-app", "0a", "A_b", &long[..128]], &odd);
        class(named, &[], &[&long, WHOLE_BUCKET]);
    }
    class(PathClass::App, &[], &["a.b"]);
    class(PathClass::Id, &["BABC", "i-0123abcd", "ip-10-0-0-1.ec2.internal", "a+=,@b"], &odd);
    class(PathClass::Id, &[&"a".repeat(253)], &[&"a".repeat(254), "a:b", "a~b"]);
    class(PathClass::Pid, &["web", "myapp-web-7d9f8b6c5-aaaa0", "0123456789ab"], &odd);
    class(PathClass::Resource, &["a.b"], &odd);
    class(PathClass::Snapshot, &["rds:db-2020"], &odd);
    class(
        PathClass::Key,
        &["tmp/a (1).tgz", "a:@+=,~ b", &"a".repeat(1024)],
        &["", "a;b", "a%b", &"a".repeat(1025)],
    );
    class(
        PathClass::Server,
        &["https://index.docker.io/v1/", "r.example:5000", "/x"],
        &["", "a b", "a+b", "a[b"],
    );
    class(
        PathClass::Host,
        &["db.svc.test", "10.0.0.1", "[::1]", "[fe80::1]"],
        &["", "[::1", "::1", "[a]", "[::1%25eth0]", "a:b"],
    );
    class(
        PathClass::Port,
        &["1", "443", "65535"],
        &["", "0", "01", "65536", "+1", "1e0", "-1", "000001", "１"],
    );
    class(PathClass::Anything, &["a"], &[""]);
}

#[test]
fn object_keys() {
    assert!(is_object_key("tmp/f298e530.tgz") && is_object_key("build/B1/logs"));
    for key in ["", "/a", "a/", "a//b", "a/../b", "..", "./a", "a%2e", "a?b", "a#b"] {
        assert!(!is_object_key(key), "{key}");
    }
}
