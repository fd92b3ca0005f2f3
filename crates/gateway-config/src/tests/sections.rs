//! What each section takes and refuses.

use gateway_types::Role;

use super::*;
use crate::{LogFormat, UpstreamTls, Warning};

const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn rack(host: &str, expected: Option<&str>) {
    let environment = [("RACK_HOST", host), ("RACK_TOKEN", "t")];
    let url = parse(sources(&environment, "")).ok().map(|config| config.rack.url.to_string());
    assert_eq!(url.as_deref(), expected, "{host}");
}

#[test]
fn rack_addresses() {
    rack("rack.example.com", Some("https://rack.example.com/"));
    rack("rack.example.com:5443", Some("https://rack.example.com:5443/"));
    rack("10.1.2.3:5443", Some("https://10.1.2.3:5443/"));
    rack("[fd00::1]:5443", Some("https://[fd00::1]:5443/"));
    rack("https://rack.example.com/", Some("https://rack.example.com/"));
    rack("http://127.0.0.1:5443", Some("http://127.0.0.1:5443/"));
    rack("ftp://rack.example.com", None);
    rack("https://convox:token@rack.example.com", None);
    rack("convox@rack.example.com", None);
    rack("https://rack.example.com/prefix", None);
    rack("https://rack.example.com/?a=b", None);
    rack("https://rack.example.com/#a", None);
    rack("rack.example.com:0", None);
    rack("rack.example.com:99999", None);
    rack("rack example.com", None);
    rack("rack.\texample.com", None);
    rack("https:\\\\rack.example.com", None);
    rack("fd00::1", None);
    rack("https://", None);
}

#[test]
fn a_rack_without_tls_is_said() {
    let warned = |host| {
        let config = config(&[("RACK_HOST", host)], "");
        config.warnings.iter().any(|warning| matches!(warning, Warning::RackWithoutTls { .. }))
    };
    assert!(warned("http://rack.example.com"));
    assert!(!warned("http://localhost:5443"));
    assert!(!warned("http://[::1]:5443"));
    assert!(!warned("rack.example.com"));
}

#[test]
fn rack_certificates() {
    let tls = |environment: &[(&str, &str)]| config(environment, "").rack.tls;
    assert_eq!(tls(&[]), UpstreamTls::SystemRoots);
    assert_eq!(tls(&[("RACK_CA_FILE", "/ca.pem")]), UpstreamTls::CaFile("/ca.pem".into()));
    assert_eq!(tls(&[("RACK_TRUST_ON_FIRST_USE", "true")]), UpstreamTls::TrustOnFirstUse);
    let UpstreamTls::Pinned { sha256 } = tls(&[("RACK_CERT_FINGERPRINT", FINGERPRINT)]) else {
        panic!("pinned")
    };
    assert_eq!(sha256[..3], [0x00, 0x11, 0x22]);
    let openssl = format!("sha256 Fingerprint={}", FINGERPRINT.to_uppercase().replace("AA", "AA:"));
    assert_eq!(tls(&[("RACK_CERT_FINGERPRINT", &openssl)]), UpstreamTls::Pinned { sha256 });

    let short = FINGERPRINT.get(2..).unwrap();
    for wrong in [short, &format!("+1{short}"), &FINGERPRINT.replace('a', "g"), &"é".repeat(32)] {
        assert!(faults(&[("RACK_CERT_FINGERPRINT", wrong)], "").contains("64 hexadecimal digits"), "{wrong}");
    }
    refused(
        &[("RACK_CA_FILE", "/ca.pem"), ("RACK_TRUST_ON_FIRST_USE", "true")],
        "",
        "rack.trust_on_first_use (variable RACK_TRUST_ON_FIRST_USE): cannot be combined with rack.ca_file; keep one of the two",
    );
    refused(
        &[("RACK_HOST", "http://localhost"), ("RACK_CERT_FINGERPRINT", FINGERPRINT)],
        "",
        "rack.cert_fingerprint (variable RACK_CERT_FINGERPRINT): cannot be combined with an http:// rack, which has no certificate; keep one of the two",
    );
}

#[test]
fn user_names_cannot_move_the_border_to_the_password() {
    assert!(faults(&[("RACK_USERNAME", "a:b")], "").contains("without a colon"));
}

fn trusts(networks: &str, expected: &str) {
    let result = parse(sources(&[&REQUIRED[..], &[("TRUSTED_FORWARDERS", networks)]].concat(), ""));
    let text = match result {
        Ok(config) => {
            let networks: Vec<String> =
                config.listener.trusted_forwarders.iter().map(ToString::to_string).collect();
            networks.join(",")
        }
        Err(faults) => faults.to_string(),
    };
    assert!(text.contains(expected) && (!expected.is_empty() || text.is_empty()), "{networks}: {text}");
}

const NEIGHBOURS: &str = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7";

/// Who is believed, who `config explain` says is, and whom a warning names, with these variables and no list.
fn trusted_by_default(environment: &[(&str, &str)]) -> (String, String, Option<String>) {
    let config = config(environment, "");
    let networks: Vec<String> = config.listener.trusted_forwarders.iter().map(ToString::to_string).collect();
    let explained = config.sources.iter().find(|entry| entry.key == "listener.trusted_forwarders").unwrap();
    let warned = config.warnings.iter().find_map(|warning| match warning {
        Warning::ForwardersByDefault { networks } => Some(networks.clone()),
        _ => None,
    });
    (networks.join(","), explained.value.clone().unwrap_or_default(), warned)
}

#[test]
fn neighbours_are_believed_by_default_only_when_somebody_else_ends_tls() {
    let all = || NEIGHBOURS.to_owned();
    let off = [("LISTENER_TLS", "off"), ("LISTENER_ADDRESSES", "0.0.0.0")];
    assert_eq!(trusted_by_default(&off), (all(), all(), Some(all())), "and it is said");
    let local = [("LISTENER_TLS", "off"), ("LISTENER_ADDRESSES", "127.0.0.1")];
    assert_eq!(trusted_by_default(&local), (all(), all(), None), "only this machine reaches it");
    let files = [("LISTENER_TLS", "files"), ("TLS_CERTIFICATE_FILES", "/c.pem"), ("TLS_KEY_FILES", "/k.pem")];
    assert_eq!(trusted_by_default(&files), (String::new(), String::new(), None));
    let acme = [("LISTENER_TLS", "acme"), ("DOMAIN", "gateway.example.com"), ("ACME_ACCEPT_TERMS", "true")];
    assert_eq!(trusted_by_default(&acme), (String::new(), String::new(), None));
    let listed =
        [("LISTENER_TLS", "off"), ("LISTENER_ADDRESSES", "0.0.0.0"), ("TRUSTED_FORWARDERS", "10.0.3.1")];
    assert_eq!(trusted_by_default(&listed), ("10.0.3.1/32".to_owned(), "10.0.3.1".to_owned(), None));
    let nobody = [("LISTENER_TLS", "off"), ("LISTENER_ADDRESSES", "0.0.0.0"), ("TRUSTED_FORWARDERS", "")];
    assert_eq!(trusted_by_default(&nobody), (String::new(), String::new(), None));
}

#[test]
fn trusted_networks_are_never_everybody() {
    trusts("", "");
    trusts("10.1.2.3", "10.1.2.3/32");
    trusts("10.1.2.3/8", "10.0.0.0/8");
    trusts("0.0.0.0/0", "0.0.0.0/0 is too wide");
    trusts("::/0", "::/0 is too wide");
    trusts("128.0.0.0/1", "128.0.0.0/1 is too wide");
    trusts("2000::/3", "2000::/3 is too wide");
    trusts("everyone", "`everyone` is not a network");
}

#[test]
fn fronts_and_networks() {
    for wide in ["0.0.0.0/0", "::/0", "64.0.0.0/2"] {
        assert!(faults(&[("PROXY_PROTOCOL_FROM", wide)], "").contains("too wide"), "{wide}");
    }
    let file = "[network]\nallow = [\"10.1.2.3/8\", \"::/0\"]\ndeny = [\"10.9.0.1\"]\n\
         [network.named]\noffice = [\"203.0.113.0/24\"]\nvpn = []\n";
    let config = config(&[], file);
    let allow: Vec<String> = config.network.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["10.0.0.0/8", "::/0"], "who is let in may be everybody");
    assert_eq!(config.network.deny, ["10.9.0.1/32".parse().unwrap()]);
    let names: Vec<&str> = config.network.named.names().collect();
    assert_eq!(names, ["office", "vpn"]);
    let shown = config.sources.iter().find(|entry| entry.key == "network.named.office").unwrap();
    assert_eq!(shown.value.as_deref(), Some("203.0.113.0/24"));
    let told = |file: &str| faults(&[], file);
    assert!(told("[network.named]\nOffice = []\n").contains("small letters"));
    assert!(told("[network.named]\noffice = \"10.0.0.0/8\"\n").contains("an array of networks"));
    assert!(told("[network.named]\noffice = [\"here\"]\n").contains("`here` is not a network"));
    assert!(told("[network]\nnamed = 5\n").contains("a table"));
    assert!(told("[network]\nallowed = []\n").contains("did you mean `network.allow`"));
}

#[test]
fn rates_of_classes() {
    let limits = config(&[("REQUESTS_PER_SECOND", "7"), ("REQUEST_BURST", "9")], "").limits;
    assert_eq!((limits.caller.count, limits.caller.period.as_secs(), limits.caller.burst), (7, 1, 9));
    assert_eq!((limits.sign_in.count, limits.sign_in.period.as_secs()), (120, 60));
    assert_eq!((limits.change.count, limits.execute.burst), (10, 50));
    assert!(faults(&[("CHANGE_BURST", "0")], "").contains("out of range"));
}

fn admin(address: &str, allowed: bool) {
    let result = parse(sources(&[&REQUIRED[..], &[("ADMIN_ADDRESS", address)]].concat(), ""));
    assert_eq!(result.is_ok(), allowed, "{address}");
}

#[test]
fn the_second_listener_is_never_public() {
    admin("127.0.0.1", true);
    admin("::1", true);
    admin("10.0.0.5", true);
    admin("100.64.0.1", true);
    admin("fd12::1", true);
    admin("0.0.0.0", false);
    admin("::", false);
    admin("::ffff:0.0.0.0", false);
    admin("::ffff:8.8.8.8", false);
    admin("8.8.8.8", false);
    admin("100.128.0.1", false);
    admin("2001:db8::1", false);
    refused(
        &[("ADMIN_ADDRESS", "0.0.0.0")],
        "",
        "admin_listener.address (variable ADMIN_ADDRESS): 0.0.0.0 may be public and this listener never is; write 127.0.0.1 or the private address that your probes use",
    );
}

#[test]
fn the_listeners_stay_apart() {
    assert!(
        faults(&[("PORT", "9443")], "").contains("cannot be combined with the same port in listener.port")
    );
    config(&[("PORT", "0"), ("ADMIN_PORT", "0")], "");
    config(&[("PORT", "9443"), ("LISTENER_ADDRESSES", "10.0.0.1")], "");
}

#[test]
fn listener_addresses() {
    let listener = config(&[("LISTENER_ADDRESSES", "127.0.0.1, ::1"), ("PORT", "0")], "").listener;
    assert_eq!(listener.addresses, ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    assert!(faults(&[("LISTENER_ADDRESSES", "")], "").contains("is set but empty"));
    assert!(faults(&[("LISTENER_ADDRESSES", "localhost")], "").contains("an IP address without port"));
    let warns = |addresses| {
        let config = config(&[("LISTENER_ADDRESSES", addresses)], "");
        config.warnings.iter().any(|warning| matches!(warning, Warning::ListenerWithoutTls { .. }))
    };
    assert!(warns("0.0.0.0") && warns("127.0.0.1,10.0.0.1") && !warns("127.0.0.1,::1"));
}

#[test]
fn hosts() {
    assert_eq!(config(&[("PROXY_HOSTS", "Rack.Example.com")], "").proxy.hosts, ["rack.example.com"]);
    for wrong in ["https://a.example.com", "a.example.com:443", "a..b", "-a", "a/b", "*.example.com"] {
        assert!(faults(&[("DOMAIN", wrong)], "").contains("a host name without scheme"), "{wrong}");
    }
}

#[test]
fn google_needs_both_values() {
    let incomplete = |environment: &[(&str, &str)]| faults(environment, "");
    assert!(incomplete(&[("GOOGLE_CLIENT_ID", "a")]).contains("needs GOOGLE_CLIENT_SECRET too"));
    assert!(incomplete(&[("GOOGLE_CLIENT_SECRET", "a")]).contains("needs GOOGLE_CLIENT_ID too"));
    assert!(incomplete(&[("GOOGLE_ALLOWED_DOMAIN", "a.com")]).contains("needs GOOGLE_CLIENT_ID too"));
    assert!(config(&[], "").identity.providers.is_empty());
}

#[test]
fn limits_and_log() {
    let config =
        config(&[("HEAD_TIMEOUT", "1m30s"), ("LOG_FORMAT", "text")], "[limits]\nconnections = 100\n");
    assert_eq!(config.limits.head_timeout.as_secs(), 90);
    assert_eq!(config.limits.connections, 100);
    assert_eq!(config.log.format, LogFormat::Text);
    assert!(
        faults(&[("HEAD_TIMEOUT", "1h")], "").contains("1h is out of range; write a value from 1s to 2m")
    );
    assert!(faults(&[("HEAD_TIMEOUT", "10")], "").contains("10 is out of range"));
    assert!(faults(&[("CONNECTIONS", "99999999999999999999999")], "").contains("is out of range"));
    assert!(faults(&[("CONNECTIONS", "-5")], "").contains("is out of range"));
    assert!(faults(&[], "[limits]\nconnections = \"5\"\n").contains("a whole number without quotes"));
    assert!(faults(&[], "[limits]\nhead_timeout = 5\n").contains("a duration in double quotes"));
}

#[test]
fn plain_keys_are_names_not_everything() {
    assert_eq!(
        config(&[("PLAIN_ENV_KEYS", "A,*_ON,LC_*")], "").secrets.plain_env_keys,
        ["A", "*_ON", "LC_*"]
    );
    assert!(config(&[("PLAIN_ENV_KEYS", "")], "").secrets.plain_env_keys.is_empty());
    for wrong in ["*", "**", "_*", "*A*", "A*B", "A-B"] {
        assert!(
            faults(&[("PLAIN_ENV_KEYS", wrong)], "").contains("the name of an environment key"),
            "{wrong}"
        );
    }
}

#[test]
fn the_default_plain_keys_are_those_that_the_secrets_crate_shows() {
    let plain = gateway_secrets::PlainKeys::default();
    for pattern in config(&[], "").secrets.plain_env_keys {
        assert!(plain.is_plain(&pattern.replace('*', "X")), "{pattern}");
    }
}

const ROUTE: &str = "[[rack.route]]\nmethod = \"GET\"\npath = \"/things/{name}\"\naction = \"thing:read\"\nclass = \"read\"\n";

#[test]
fn further_routes_become_rows() {
    let file = format!(
        "{ROUTE}role = \"viewer\"\nparams = [\"a@query:string\", \"b@query:int\"]\nsecrets = [\"x\", \"y\"]\n"
    );
    assert_eq!(
        config(&[], &file).routes.extra_rows,
        "GET\t/things/{name}\tthing:read\tread\tviewer\tno\tx,y\ta@query:string b@query:int\t\t\n"
    );
    assert_eq!(
        config(&[], ROUTE).routes.extra_rows,
        "GET\t/things/{name}\tthing:read\tread\tadmin\tno\t\t\t\t\n"
    );
}

#[test]
fn bad_routes_are_refused_with_their_line() {
    let wrong = |from: &str, to: &str, expected: &str| {
        let faults = faults(&[], &ROUTE.replace(from, to));
        assert!(faults.contains(expected), "{to}: {faults}");
    };
    wrong("method = \"GET\"\n", "", "rack.route.method (rack-gateway.toml line 1): is not set");
    wrong("\"read\"\n", "\"open\"\n", "rack.route.class (rack-gateway.toml line 5): `open` is not a class");
    wrong("/things/{name}", "/a\\tb", "`/a\\tb` is not a path from the root");
    wrong("thing:read", "thing", "is not an action");
    wrong("class", "clas", "did you mean `class`?");
    wrong("/things/{name}", "/apps", "already in the table");
    wrong("[[rack.route]]", "[rack.route]", "must be tables written as [[rack.route]], not a table");
    assert!(
        faults(&[], &format!("{ROUTE}params = [\"a\"]\n")).contains("rack.route (rack-gateway.toml line 1)")
    );
    assert!(faults(&[], &format!("{ROUTE}{ROUTE}")).contains("already in the table"));
}

#[test]
fn refused_actions_are_switched_on_by_name() {
    let routes = config(&[("RACK_SWITCHED_ON", "convox:rack:mint_jwt,kubernetes:any")], "").routes;
    assert_eq!(routes.switched_on, ["rack:mint_jwt", "kubernetes:any"]);
    assert!(faults(&[("RACK_SWITCHED_ON", "rack:nothing")], "").contains("no route has the action"));
    assert!(faults(&[("RACK_SWITCHED_ON", "app:list")], "").contains("is not refused"));
}

/// A table of every field.
const OKTA: &str = "[[identity.provider]]\nname = \"okta\"\nissuer = \"https://example.okta.com\"\nclient_id = \"id\"\nclient_secret = \"env:OKTA\"\nallowed_domains = [\"Example.com\"]\ngroups_claim = \"groups\"\nrole_map = { \"platform admins\" = \"admin\", dev = \"deployer\" }\n";

#[test]
fn providers_are_tables() {
    let identity = config(&[("OKTA", "s3cret")], OKTA).identity;
    let [okta] = identity.providers.as_slice() else { panic!("one provider") };
    assert_eq!((okta.name.as_str(), okta.issuer.as_str()), ("okta", "https://example.okta.com"));
    assert_eq!((okta.client_id.as_str(), okta.client_secret.expose().as_str()), ("id", "s3cret"));
    assert_eq!(okta.allowed_domains, ["example.com"]);
    assert_eq!(okta.groups_claim.as_deref(), Some("groups"));
    assert_eq!(okta.role_map.get("platform admins"), Some(&Role::Admin));
    assert_eq!(okta.role_map.get("dev"), Some(&Role::Deployer));

    let table = OKTA.replace("role_map = {", "[identity.provider.role_map]\n#");
    let rest = format!("{table}dev = \"viewer\"\n");
    let okta = config(&[("OKTA", "s3cret")], &rest).identity.providers.remove(0);
    assert_eq!(okta.role_map.into_iter().collect::<Vec<_>>(), [("dev".to_owned(), Role::Viewer)]);

    let second = OKTA.replace("\"okta\"", "\"keycloak\"");
    let google = [("OKTA", "s3cret"), ("GOOGLE_CLIENT_ID", "g"), ("GOOGLE_CLIENT_SECRET", "g")];
    let names = config(&google, &format!("{OKTA}{second}")).identity.providers;
    assert_eq!(names.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["google", "okta", "keycloak"]);
}

#[test]
fn a_table_named_google_completes_the_variables() {
    let google = [("GOOGLE_CLIENT_ID", "id"), ("GOOGLE_CLIENT_SECRET", "secret")];
    let issuer = "[[identity.provider]]\nname = \"google\"\nissuer = \"http://127.0.0.1:9000/idp\"\n";
    let [local] = config(&google, issuer).identity.providers.try_into().unwrap();
    assert_eq!((local.name.as_str(), local.issuer.as_str()), ("google", "http://127.0.0.1:9000/idp"));
    assert_eq!((local.client_id.as_str(), local.client_secret.expose().as_str()), ("id", "secret"));

    let groups =
        "[[identity.provider]]\nname = \"google\"\nclient_id = \"file\"\nallowed_domains = [\"a.com\"]\n";
    let [google_with_groups] = config(&google, groups).identity.providers.try_into().unwrap();
    assert_eq!(google_with_groups.issuer, "https://accounts.google.com");
    assert_eq!(google_with_groups.client_id, "id", "a variable comes before the file");
    assert_eq!(google_with_groups.allowed_domains, ["a.com"]);
    let domain = [&google[..], &[("GOOGLE_ALLOWED_DOMAIN", "b.com")]].concat();
    assert_eq!(config(&domain, groups).identity.providers.remove(0).allowed_domains, ["b.com"]);

    let faults = faults(&google[..1], groups);
    assert!(
        faults.contains("identity.provider.client_secret (rack-gateway.toml line 1): is not set"),
        "{faults}"
    );
}

#[test]
fn bad_providers_are_refused_with_their_line() {
    let wrong = |from: &str, to: &str, expected: &str| {
        let faults = faults(&[("OKTA", "s3cret")], &OKTA.replace(from, to));
        assert!(faults.contains(expected), "{to}: {faults}");
        assert!(!faults.contains("s3cret") && !faults.contains("hunter2"), "{faults}");
    };
    for name in ["Okta", "ok_ta", "-okta", "okta-", "a/b", "", "ø", &"a".repeat(33)] {
        let expected = if name.is_empty() { "is set but empty" } else { "is not a name of at most 32" };
        wrong("\"okta\"", &format!("\"{name}\""), expected);
    }
    for issuer in [
        "http://example.okta.com",
        "http://127.0.0.1.evil.com",
        "https://example.okta.com/?a=b",
        "https://example.okta.com/#",
        "https://user:hunter2@example.okta.com",
        "example.okta.com",
        "javascript:alert(1)",
        " https://example.okta.com",
        "https://example.\\tokta.com",
    ] {
        wrong("https://example.okta.com", issuer, "line 3): is not an issuer: an https address");
    }
    wrong("client_id", "client_idd", "did you mean `client_id`?");
    wrong("client_id = \"id\"\n", "", "identity.provider.client_id (rack-gateway.toml line 1): is not set");
    wrong("env:OKTA", "env:NONE", "refers to the variable NONE, which is not set");
    wrong("[\"Example.com\"]", "[\"@example.com\"]", "`@example.com` is not a domain");
    wrong("[\"Example.com\"]", "\"example.com\"", "must be an array of strings");
    wrong("\"groups\"", "\"a b\"", "is not the name of a claim");
    wrong("\"deployer\"", "\"cicd\"", "`cicd` is not a role: viewer, ops, deployer, admin or auditor");
    wrong("\"deployer\"", "\"root\"", "`root` is not a role");
    wrong("\"deployer\"", "7", "must be a role");
    wrong("groups_claim = \"groups\"\n", "", "needs identity.provider.groups_claim too");
    wrong("role_map = {", "role_map = [", "the file");
    wrong("[[identity.provider]]", "[identity.provider]", "must be tables written as [[identity.provider]]");
    wrong(
        "[[identity.provider]]",
        "[identity]\nprovidr = 1\n[[identity.provider]]",
        "did you mean `identity.provider`?",
    );
    assert!(faults(&[("OKTA", "s")], &format!("{OKTA}{OKTA}")).contains("`okta` is given twice"));
    let google = "[[identity.provider]]\nname = \"google\"\nclient_id = \"a\"\nclient_secret = \"b\"\n";
    assert!(faults(&[], &format!("{google}{google}")).contains("`google` is given twice"));
    for local in ["http://127.0.0.1:9000", "http://[::1]:9000/a", "http://localhost:9000"] {
        let text = OKTA.replace("https://example.okta.com", local);
        assert_eq!(config(&[("OKTA", "s")], &text).identity.providers.remove(0).issuer, local);
    }
}

#[test]
fn providers_are_explained_without_their_secret() {
    let config = config(&[("OKTA", "s3cret")], OKTA);
    let shown = format!("{config:?} {:?}", config.sources);
    assert!(shown.contains("identity.provider.okta.issuer") && !shown.contains("s3cret"), "{shown}");
}

const GITHUB: &str = "[[identity.provider]]\nname = \"github\"\nclient_id = \"id\"\nclient_secret = \"s3cret\"\nallowed_orgs = [\"Example-Inc\"]\nallowed_teams = [\"Example-Inc/Platform\"]\nrole_map = { \"Example-Inc/Platform\" = \"deployer\" }\n";

#[test]
fn github_is_a_provider_with_organizations_and_teams() {
    let [github] = config(&[], GITHUB).identity.providers.try_into().unwrap();
    let kind = |api_url: &str| crate::ProviderKind::GitHub { api_url: api_url.to_owned() };
    assert_eq!((github.issuer.as_str(), github.kind), ("https://github.com", kind("https://api.github.com")));
    assert_eq!(github.allowed_groups, ["example-inc", "example-inc/platform"]);
    assert!(github.role_map.contains_key("example-inc/platform") && !github.refresh);
    let enterprise =
        format!("{GITHUB}issuer = \"https://git.example.com\"\nkind = \"github\"\nrefresh = true\n");
    let [enterprise] = config(&[], &enterprise).identity.providers.try_into().unwrap();
    assert_eq!((enterprise.kind, enterprise.refresh), (kind("https://git.example.com/api/v3"), true));
    let wrong = |more: &str, expected: &str| {
        let faults = faults(&[("OKTA", "s3cret")], &format!("{more}\n"));
        assert!(faults.contains(expected), "{more}: {faults}");
    };
    wrong(&format!("{GITHUB}groups_claim = \"groups\""), "not for GitHub");
    wrong(&format!("{GITHUB}email_verified_claim = \"xms_edov\""), "not for GitHub");
    wrong(&format!("{OKTA}allowed_orgs = [\"a\"]"), "only for");
    wrong(&format!("{OKTA}kind = \"saml\""), "is not oidc, google or github");
    wrong(&format!("{OKTA}refresh = \"yes\""), "must be true or false");
    wrong(&GITHUB.replace("Example-Inc/Platform\"]", "platform\"]"), "an organization and the team's name");
    let twice = "= \"deployer\", \"example-inc/platform\" = \"ops\"";
    wrong(&GITHUB.replace("= \"deployer\"", twice), "`example-inc/platform` is given twice");
    wrong(&GITHUB.replace("[\"Example-Inc\"]", "[\"a/b\"]"), "the name of an organization");
    let groups =
        OKTA.replace("groups_claim = \"groups\"\n", "allowed_groups = [\"a\"]\n").replace("role_map", "#");
    wrong(&groups, "needs identity.provider.groups_claim too");
}

#[test]
fn a_compose_file_is_watched_where_one_is_named() {
    assert_eq!(config(&[], "").compose_file, None);
    let named = config(&[("CANDIDATES_COMPOSE_FILE", "/srv/compose.yaml")], "").compose_file;
    assert_eq!(named.unwrap().to_str(), Some("/srv/compose.yaml"));
}

#[test]
fn the_probe_has_manifest_and_hosts_or_neither() {
    let none = config(&[], "").probe;
    assert_eq!((none.interval.as_secs(), none.ports), (300, None));
    let variables =
        [("ZONE_PROBE_MANIFEST", "/etc/zone.toml"), ("ZONE_PROBE_HOSTS", "10.0.0.5,db.internal,fd00::1")];
    let ports = config(&variables, "").probe.ports.unwrap();
    assert_eq!((ports.manifest.to_str(), ports.hosts.len()), (Some("/etc/zone.toml"), 3));
    let off = config(&[("ZONE_PROBE_INTERVAL", "0s")], "").probe;
    assert!(off.interval.is_zero());
    let bad = |variables: &[(&str, &str)]| {
        let environment = [&[("RACK_HOST", "rack.example.com"), ("RACK_TOKEN", "t")], variables].concat();
        parse(sources(&environment, "")).unwrap_err().to_string()
    };
    assert!(bad(&variables[..1]).contains("zone.probe_hosts"));
    assert!(bad(&variables[1..]).contains("zone.probe_manifest"));
    for host in ["10.0.0.5:22", "https://db", "a b"] {
        let given = [variables[0], ("ZONE_PROBE_HOSTS", host)];
        assert!(bad(&given).contains("without a port"), "{host}");
    }
}

#[test]
fn traces_have_a_collector_and_a_share() {
    let told = |ratio: &str| {
        let config = config(
            &[("TRACES_ADDRESS", "https://collector.example.com"), ("TRACES_RATIO", ratio)],
            "[traces]\nheader = \"X-Key: abc def\"\n",
        );
        config.traces.unwrap()
    };
    let traces = told("0.05");
    assert_eq!((traces.url.as_str(), traces.per_million), ("https://collector.example.com/", 50_000));
    let (name, value) = traces.header.unwrap();
    assert_eq!((name.as_str(), value.expose().as_str()), ("x-key", "abc def"));
    assert_eq!((told("0").per_million, told("1").per_million), (0, 1_000_000));
    assert_eq!(config(&[], "").traces, None, "nobody is told unless somebody is named");
    for (variable, value) in [
        ("TRACES_RATIO", "1.5"),
        ("TRACES_RATIO", "-0.1"),
        ("TRACES_RATIO", "NaN"),
        ("TRACES_RATIO", "5%"),
        ("TRACES_ADDRESS", "http://collector.example.com"),
        ("TRACES_ADDRESS", "collector.example.com:4318"),
        ("TRACES_HEADER", "x-key: abc"),
        ("TRACES_CA_FILE", "/etc/ca.pem"),
    ] {
        let said = faults(&[(variable, value)], "");
        assert!(said.contains(variable), "{variable}={value}: {said}");
    }
}
