//! The names of the source documents work as they stand; precedence; all faults at once.

use std::path::PathBuf;

use gateway_types::{Role, RoleSet};

use super::*;
use crate::Tls;

/// The configuration example of the source document, with its two secrets given.
const EXAMPLE: [(&str, &str); 5] = [
    ("RACK_HOST", "rack.example.com"),
    ("RACK_TOKEN", "5f2c9a"),
    ("GOOGLE_CLIENT_ID", "1234.apps.googleusercontent.com"),
    ("GOOGLE_CLIENT_SECRET", "GOCSPX-abc"),
    ("ADMIN_USERS", "admin@example.com"),
];

#[test]
fn the_documents_example_is_a_whole_configuration() {
    let config = parse(sources(&EXAMPLE, "")).unwrap();
    assert_eq!(config.rack.url.as_str(), "https://rack.example.com/");
    assert_eq!(config.rack.username, "convox");
    assert_eq!(config.rack.token.expose(), "5f2c9a");
    assert_eq!(config.rack.name, "rack.example.com");
    assert_eq!(config.listener.addresses, ["0.0.0.0:8443".parse().unwrap()]);
    assert_eq!(config.listener.tls, Tls::Off);
    assert_eq!(config.admin_listener, "127.0.0.1:9443".parse().unwrap());
    assert_eq!(config.database_url, "sqlite:///var/lib/rack-gateway/gateway.db");
    assert_eq!(config.users.admin, ["admin@example.com"]);
    assert_eq!(config.users.roles_of("admin@example.com"), RoleSet::of(Role::Admin));
    assert!(config.users.roles_of("other@example.com").is_empty());
    assert!(config.app_secret_key.is_none());
    assert!(config.settings.mfa_step_up() && config.settings.rate_limits());
    let [google] = config.identity.providers.as_slice() else { panic!("one provider") };
    assert_eq!((google.name.as_str(), google.issuer.as_str()), ("google", "https://accounts.google.com"));
    assert_eq!(google.client_id, "1234.apps.googleusercontent.com");
    assert_eq!(google.client_secret.expose(), "GOCSPX-abc");
    assert!(google.allowed_domains.is_empty());
}

#[test]
fn every_variable_of_the_documents_is_read() {
    let config = config(
        &[
            ("RACK_USERNAME", "other"),
            ("GOOGLE_CLIENT_ID", "id"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
            ("GOOGLE_ALLOWED_DOMAIN", "Example.com"),
            ("ADMIN_USERS", "Admin@Example.com, root@example.com"),
            ("DEPLOYER_USERS", "d@example.com"),
            ("OPERATIONS_USERS", "o@example.com"),
            ("VIEWER_USERS", "v@example.com,o@example.com"),
            ("DATABASE_URL", "postgres://u:p@db/gateway"),
            ("PORT", "8080"),
            ("DOMAIN", "Gateway.Example.com"),
            ("APP_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            ("RGW_SETTING_MFA_STEP_UP", "false"),
            ("RGW_SETTING_RATE_LIMITS", "off"),
        ],
        "",
    );
    assert_eq!(config.rack.username, "other");
    assert_eq!(config.users.admin, ["admin@example.com", "root@example.com"]);
    assert_eq!(config.users.roles_of("o@example.com"), RoleSet::of(Role::Ops).with(Role::Viewer));
    assert_eq!(config.identity.providers.first().unwrap().allowed_domains, ["example.com"]);
    assert_eq!(config.database_url, "postgres://u:p@db/gateway");
    assert_eq!(config.listener.addresses, ["0.0.0.0:8080".parse().unwrap()]);
    assert_eq!(config.listener.domain.as_deref(), Some("gateway.example.com"));
    assert_eq!(config.app_secret_key.unwrap().expose().len(), 32);
    assert!(!config.settings.mfa_step_up() && !config.settings.rate_limits());
}

#[test]
fn a_flag_comes_before_a_variable_and_a_variable_before_the_file() {
    let file = "data_dir = \"/file\"\n[listener]\nport = 1\n[rack]\nusername = \"file\"\n";
    let environment = [&REQUIRED[..], &[("PORT", "2"), ("RACK_USERNAME", "variable")]].concat();
    let flags = Flags { port: Some(3), data_dir: Some(PathBuf::from("/flag")), ..Flags::default() };
    let config = parse(Sources { flags, ..sources(&environment, file) }).unwrap();
    assert_eq!(config.listener.addresses, ["0.0.0.0:3".parse().unwrap()]);
    assert_eq!(config.rack.username, "variable");
    assert_eq!(config.data_dir, PathBuf::from("/flag"));
    assert_eq!(origin(&config, "listener.port"), Origin::Flag("--port"));
    assert_eq!(origin(&config, "rack.username"), Origin::Variable("RACK_USERNAME".to_owned()));

    let config = parse(sources(&REQUIRED, file)).unwrap();
    assert_eq!(config.listener.addresses, ["0.0.0.0:1".parse().unwrap()]);
    let line = |line| Origin::File { path: PathBuf::from("rack-gateway.toml"), line };
    assert_eq!(origin(&config, "listener.port"), line(3));
    assert_eq!(origin(&config, "rack.username"), line(5));
    assert_eq!(origin(&config, "log.format"), Origin::Default);
}

#[test]
fn all_faults_are_reported_at_once() {
    let file = "\
colour = \"blue\"
[listener]
prot = 8443
tls = \"acme\"
[rack]
username = 7
[settings]
mfa_step_upp = true
[log]
format = \"xml\"
";
    let environment = [
        ("PORT", "70000"),
        ("ADMIN_USERS", "admin@example.com,admin"),
        ("DATABASE_URL", "mysql://u:hunter2@db/x"),
        ("RGW_SETTING_RATE_LIMIT", "off"),
        ("DOMAIN", ""),
    ];
    let faults = parse(sources(&environment, file)).unwrap_err().to_string();
    let lines: Vec<&str> = faults.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "the configuration has 13 faults:",
            "colour (rack-gateway.toml line 1): does not exist; docs/config.md lists all names",
            "listener.prot (rack-gateway.toml line 3): does not exist; did you mean `listener.port`?; docs/config.md lists all names",
            "settings.mfa_step_upp (rack-gateway.toml line 8): does not exist; did you mean `settings.mfa_step_up`?; docs/config.md lists all names",
            "database_url (variable DATABASE_URL): is not postgres://user:password@host/name or sqlite:///path/to/file (its value is not shown here)",
            "listener.port (variable PORT): 70000 is out of range; write a value from 0 to 65535",
            "listener.domain (variable DOMAIN): is set but empty; give it a value or remove it",
            "listener.tls (rack-gateway.toml line 4): TLS by ACME needs a yes to the terms of the certificate authority (https://acme-v02.api.letsencrypt.org/directory): read them and set acme.accept_terms = true; a gateway whose TLS ends in a router in front says listener.tls = \"off\" or gives PORT",
            "rack.host: is not set; set the variable RACK_HOST or write `host = \"rack.example.com\"` under [rack]",
            "rack.username (rack-gateway.toml line 6): must be a string in double quotes, not an integer",
            "rack.token: is not set; set the variable RACK_TOKEN or write `token = \"file:/run/secrets/rack-token\"` under [rack]",
            "users.admin (variable ADMIN_USERS): `admin` is not an e-mail address with exactly one @, such as admin@example.com",
            "log.format (rack-gateway.toml line 10): `xml` is not a log format: json or text",
            "variable RGW_SETTING_RATE_LIMIT: does not exist; did you mean `RGW_SETTING_RATE_LIMITS`?; docs/config.md lists all names",
        ]
    );
}

#[test]
fn broken_toml_is_reported_with_its_line_and_the_rest_still_is() {
    let faults = faults(&[("PORT", "x")], "[listener]\ntls = \n[log]\nformat = \"xml\"\n");
    assert!(faults.contains("the file (rack-gateway.toml line 2): is not valid TOML"), "{faults}");
    assert!(faults.contains("listener.port (variable PORT): `x` is not a whole number"), "{faults}");
    assert!(faults.contains("log.format (rack-gateway.toml line 4)"), "{faults}");
}

#[test]
fn commands_on_the_database_need_no_rack() {
    let database =
        crate::parse_database(sources(&[("DATA_DIR", "/srv/a b?#%")], ""), &crate::NoSecretFiles).unwrap();
    assert_eq!(database.url, "sqlite:///srv/a b%3F%23%25/gateway.db");
    let environment = [("DATABASE_URL", "sqlite://:memory:")];
    crate::parse_database(sources(&environment, ""), &crate::NoSecretFiles).unwrap_err();
}

#[test]
fn load_reads_the_named_file_and_the_files_of_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "from-disk\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = directory.path().join("config.toml");
    let text = format!("[rack]\nhost = \"r\"\nname = \"x\"\ntoken = \"file:{}\"\n", token.display());
    std::fs::write(&path, text).unwrap();
    let config = crate::load(Some(path), Flags::default()).unwrap();
    assert_eq!((config.rack.name.as_str(), config.rack.token.expose().as_str()), ("x", "from-disk"));

    let faults = crate::load(Some(directory.path().join("none")), Flags::default()).unwrap_err();
    let text = faults.to_string();
    assert!(text.contains("the file (flag --config): cannot read"), "{text}");
    assert!(text.contains("entity not found"), "{text}");
}
