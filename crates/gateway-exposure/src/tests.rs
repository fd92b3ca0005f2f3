use crate::lint::LintFault;
use crate::{Expected, Manifest, ManifestFault, Rule, compose, lint, targets, units};

/// The deployment of the second seed document: a control API with an external port, and a database for two.
pub(crate) const EXAMPLE: &str = r#"
trust_domain = "prod.internal"

[gateway]
ports = ["443:8443", "80:8080"]
environment = { DOMAIN = "gateway.example.com" }
secrets = ["app-secret-key"]

[[service]]
name = "api"
image = "example.com/api:1"
listeners = ["http:gateway:7000"]
forward = 8080
egress = ["5432=db"]

[[service]]
name = "db"
image = "postgres:17"
listeners = ["sql:internal:6432"]
callers = ["api", "engine"]
forward = 5432
raw = true
volumes = ["/var/lib/postgresql/data"]

[[service]]
name = "dns"
image = "example.com/dns:1"
listeners = ["control:gateway:6754", "dns:external:53", "dns-udp:external:53/udp"]
forward = 8053

[[service]]
name = "engine"
image = "example.com/engine:1"
listeners = ["http:gateway:7001"]
forward = 8080
egress = ["5432=db"]
outbound = true

[[service]]
name = "time"
image = "example.com/ntp:1"
listeners = ["ntp:external:123/udp"]
"#;

fn example() -> Manifest {
    Manifest::parse(EXAMPLE).unwrap()
}

fn rules(file: &str, manifest: Option<&Manifest>) -> Vec<(Rule, String)> {
    let found = lint(file, "gateway", manifest).unwrap();
    found.into_iter().map(|finding| (finding.rule, finding.place)).collect()
}

#[test]
fn a_service_that_checks_tokens_itself_gets_them() {
    let passing = EXAMPLE.replacen("forward = 8053", "forward = 8053\npass_token = true", 1);
    let made = compose(&Manifest::parse(&passing).unwrap());
    assert_eq!(made.matches("--pass-token").count(), 1, "{made}");
    assert_eq!(compose(&example()).matches("--pass-token").count(), 0);

    for (at, cause) in
        [("raw = true", "beside raw"), ("listeners = [\"ntp:external:123/udp\"]", "internal listener")]
    {
        let refused = EXAMPLE.replacen(at, &format!("{at}\npass_token = true"), 1);
        let error = Manifest::parse(&refused).unwrap_err().to_string();
        assert!(error.contains("pass_token") && error.contains(cause), "{error}");
    }
}

#[test]
fn a_manifest_becomes_a_compose_file_that_its_own_lint_finds_nothing_in() {
    let manifest = example();
    let file = compose(&manifest);
    insta::assert_snapshot!("compose", file);
    assert_eq!(lint(&file, "gateway", Some(&manifest)).unwrap(), []);
}

#[test]
fn a_manifest_becomes_units() {
    let shared = units(&example()).unwrap_err();
    assert_eq!(
        shared.to_string(),
        "service `db`: port 5432 is `api`'s on the same machine: give each its own"
    );
    let one_machine = EXAMPLE
        .replacen("forward = 8080", "forward = 8001", 1)
        .replacen("egress = [\"5432=db\"]", "egress = [\"5433=db\"]", 1)
        .replacen("egress = [\"5432=db\"]", "egress = [\"5434=db\"]", 1);
    let manifest = Manifest::parse(&one_machine).unwrap();
    let text: Vec<String> = units(&manifest)
        .unwrap()
        .into_iter()
        .map(|unit| format!("== {}\n{}", unit.path, unit.text))
        .collect();
    insta::assert_snapshot!("units", text.join("\n"));
}

#[test]
fn digital_rebar_20_a_published_control_port_is_found() {
    let manifest = example();
    let file = compose(&manifest);
    let open = file.replace(
        "- 53:53/tcp",
        "- 53:53/tcp\n    - 127.0.0.1:6754:6754\n    - 9000:9000\n    - 8053:8053/tcp",
    );
    assert_ne!(file, open);
    let found = rules(&open, Some(&manifest));
    let side = "dns-sidecar".to_owned();
    assert_eq!(
        found,
        [
            (Rule::PublishedControlPort, side.clone()),
            (Rule::PublishedControlPort, side.clone()),
            (Rule::PublishedPort, side)
        ]
    );
    let closed = file.replace("- 53:53/udp", "- 5353:53/udp");
    let found = rules(&closed, Some(&manifest));
    assert_eq!(
        found,
        [(Rule::PublishedPort, "dns-sidecar".to_owned()), (Rule::MissingPort, "dns".to_owned())]
    );
}

#[test]
fn each_way_round_the_gateway_is_found() {
    let file = |service: &str| {
        format!(
            "services:\n  gateway:\n    image: g\n    networks: [a]\n  x:\n    networks: [a]\n    {service}\n"
        )
    };
    let cases = [
        ("ports: ['80']", Rule::UncertainPort),
        ("ports: ['${PORT:-80}:80']", Rule::UncertainPort),
        ("ports: [{target: 80}]", Rule::UncertainPort),
        ("ports: [[80]]", Rule::UncertainPort),
        ("ports: ['8080:80']", Rule::PublishedPort),
        ("ports: [{target: 80, published: 8080}]", Rule::PublishedPort),
        ("ports: ['[::1]:8080:80/udp']", Rule::PublishedPort),
        ("privileged: true", Rule::Privileged),
        ("privileged: ${LOUD}", Rule::Privileged),
        ("cap_add: [CAP_SYS_ADMIN]", Rule::StrongCapability),
        ("cap_add: [net_raw]", Rule::StrongCapability),
        ("security_opt: ['seccomp=unconfined']", Rule::StrongCapability),
        ("security_opt: ['apparmor:unconfined']", Rule::StrongCapability),
        ("devices: ['/dev/kvm']", Rule::StrongCapability),
        ("network_mode: host", Rule::SharedNamespace),
        ("network_mode: 'service:gateway'", Rule::SharedNamespace),
        ("pid: host", Rule::SharedNamespace),
        ("ipc: 'container:other'", Rule::SharedNamespace),
        ("use_api_socket: true", Rule::MountsTheMachine),
        ("volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']", Rule::MountsTheMachine),
        ("volumes: [{type: bind, source: /, target: /host}]", Rule::MountsTheMachine),
        ("volumes: ['/etc/:/etc']", Rule::MountsTheMachine),
        ("extends: {file: other.yml, service: x}", Rule::DefinedElsewhere),
    ];
    for (service, rule) in cases {
        assert_eq!(rules(&file(service), None), [(rule, "x".to_owned())], "{service}");
    }
    for quiet in [
        "cap_add: [NET_BIND_SERVICE]",
        "privileged: false",
        "volumes: ['data:/var/lib/x', './conf:/etc/x:ro']",
        "expose: ['8080']",
        "security_opt: ['no-new-privileges:true']",
    ] {
        assert_eq!(rules(&file(quiet), None), [], "{quiet}");
    }
}

#[test]
fn networks_are_shared_by_those_that_may_talk() {
    let manifest = example();
    let shared = "services: {api: {networks: [n]}, dns: {networks: {n: {}}}}";
    let of = |file: &str| {
        let found = rules(file, Some(&manifest));
        found.into_iter().filter(|(rule, _place)| *rule != Rule::MissingPort).collect::<Vec<_>>()
    };
    assert_eq!(of(shared), [(Rule::SharedNetwork, "n".to_owned())]);
    assert_eq!(of("services: {api: {}, dns: {}}"), [(Rule::SharedNetwork, "default".to_owned())]);
    assert_eq!(of("services: {api: {networks: [n]}, db: {networks: [n]}}"), []);
    assert_eq!(of("services: {api-sidecar: {networks: [n]}, db-sidecar: {networks: [n]}}"), []);
    // A merge key is a part of what the service says.
    let merged = "x-n: &n {networks: [n]}\nservices: {api: {<<: *n}, dns: {<<: *n}}";
    assert_eq!(of(merged), [(Rule::SharedNetwork, "n".to_owned())]);
    let outside = "services: {api: {networks: [n]}}\nnetworks: {n: {external: true}, m: {driver: macvlan}}";
    assert_eq!(
        of(outside),
        [(Rule::SharedNamespace, "m".to_owned()), (Rule::DefinedElsewhere, "n".to_owned())]
    );
}

#[test]
fn the_second_listener_is_never_public() {
    let file = "services: {gateway: {ports: ['443:8443', '9443:9443']}}";
    assert_eq!(rules(file, None), [(Rule::PublishedControlPort, "gateway".to_owned())]);
}

#[test]
fn what_is_no_compose_file_is_refused() {
    assert_eq!(lint("version: 3", "gateway", None), Err(LintFault::NoServices));
    for bad in ["services: [", "a: 1\na: 2", "services: &a [*a]", "\u{0}"] {
        assert!(
            matches!(lint(bad, "gateway", None), Err(LintFault::Yaml(_) | LintFault::NoServices)),
            "{bad}"
        );
    }
    // Billion laughs: each level is nine of the one before.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 9].join(",")));
    }
    assert!(matches!(lint(&bomb, "gateway", None), Err(LintFault::Yaml(_))));
}

#[test]
fn a_manifest_is_refused_with_what_would_be_right() {
    let service = |body: &str| {
        format!("trust_domain = \"prod.internal\"\n[[service]]\nname = \"x\"\nimage = \"x:1\"\n{body}")
    };
    let cases = [
        (service("listeners = [\"a:gateway:1\"]"), "forward = PORT"),
        (service("forward = 1"), "without a gateway or internal listener"),
        (service("listeners = [\"a:gateway:1\"]\nforward = 1"), "another port than"),
        (service("listeners = [\"a:gateway:1\", \"b:internal:2\"]\nforward = 3"), "before one listener"),
        (service("listeners = [\"a:gateway:1\", \"b:external:1\"]\nforward = 3"), "there once"),
        (service("listeners = [\"a:gateway:1\"]\nforward = 3\ncallers = [\"y\"]"), "`internal`"),
        (
            service("listeners = [\"a:internal:1\"]\nforward = 3\ncallers = [\"y\"]"),
            "no service of the manifest",
        ),
        (service("listeners = [\"a:gateway:1\"]\nforward = 3\negress = [\"5=y\"]"), "among its callers"),
        (service("listeners = [\"a:gateway:1\"]\nforward = 3\negress = [\"3=y\"]"), "a port of its own"),
        (service("volumes = [\"/x:/etc\"]"), "not a directory"),
        (service("secrets = [\"../x\"]"), "label"),
        (service("listeners = [\"a:external:443\"]"), "published by `gateway`"),
        (service("privileged = true"), "unknown field"),
        ("trust_domain = \"Prod\"".to_owned(), "trust domain"),
        ("trust_domain = \"prod.internal\"\n[gateway]\nports = []".to_owned(), "at least one"),
        ("trust_domain = \"prod.internal\"\n[gateway]\nports = [\"0:1\"]".to_owned(), "PORT:PORT"),
        (
            "trust_domain = \"prod.internal\"\n[[service]]\nname = \"a-sidecar\"\nimage = \"x\"".to_owned(),
            "neither",
        ),
    ];
    for (text, said) in cases {
        let fault: ManifestFault = Manifest::parse(&text).unwrap_err();
        assert!(fault.to_string().contains(said), "{text}: {fault}");
    }
}

#[test]
fn a_look_from_outside_finds_only_what_is_declared() {
    let looked = targets(&example(), false);
    let open: Vec<u16> =
        looked.iter().filter(|one| one.expected == Expected::Open).map(|one| one.port).collect();
    assert_eq!(open, [53, 80, 443]);
    let closed: Vec<u16> = [5432, 6432, 6754, 7000, 7001, 8053, 8080, 9443].into();
    for port in closed {
        let one = looked.iter().find(|one| one.port == port).unwrap();
        assert_eq!(one.expected, Expected::Closed, "{port}");
    }
    assert_eq!(targets(&example(), true).len(), 65535);
}
