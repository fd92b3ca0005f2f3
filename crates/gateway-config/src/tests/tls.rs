//! TLS at the listener.

use super::*;
use crate::{AcmeChallenge, CertificateFiles, Tls, TsigAlgorithm};

const YES: (&str, &str) = ("ACME_ACCEPT_TERMS", "true");
const DOMAIN: (&str, &str) = ("DOMAIN", "gateway.example.com");

const DNS: [(&str, &str); 4] = [
    ("ACME_DNS_SERVER", "10.0.0.53"),
    ("ACME_DNS_ZONE", "example.com."),
    ("ACME_DNS_TSIG_NAME", "Acme_key"),
    ("ACME_DNS_TSIG_SECRET", "c2VjcmV0"),
];

fn listener(environment: &[(&str, &str)]) -> crate::Listener {
    config(environment, "").listener
}

fn way(environment: &[(&str, &str)]) -> String {
    let listener = listener(environment);
    let way = match listener.tls {
        Tls::Off => "off",
        Tls::Files(_) => "files",
        Tls::Acme(_) => "acme",
    };
    let port = listener.addresses.first().unwrap().port();
    format!("{way} {port} {:?}", listener.http_port)
}

#[test]
fn what_holds_when_nobody_says() {
    let check = |environment: &[(&str, &str)], expected: &str| {
        assert_eq!(way(environment), expected, "{environment:?}");
    };
    check(&[], "off 8443 None");
    check(&[DOMAIN, ("PORT", "8443")], "off 8443 None");
    check(&[DOMAIN, YES], "acme 443 Some(80)");
    check(&[DOMAIN, ("LISTENER_TLS", "off")], "off 8443 None");
    check(&[DOMAIN, YES, ("PORT", "8443"), ("LISTENER_TLS", "acme")], "acme 8443 Some(80)");
    check(&[DOMAIN, YES, ("HTTP_PORT", "off")], "acme 443 None");
    check(&[DOMAIN, YES, ("HTTP_PORT", "8080")], "acme 443 Some(8080)");
    let files = [("LISTENER_TLS", "files"), ("TLS_CERTIFICATE_FILES", "/c"), ("TLS_KEY_FILES", "/k")];
    check(&files, "files 8443 None");
    check(&[&files[..], &[("HTTP_PORT", "0")]].concat(), "files 8443 Some(0)");
    let explained = |key: &str| {
        let config = config(&[DOMAIN, YES], "");
        config.sources.into_iter().find(|entry| entry.key == key).unwrap().value.unwrap()
    };
    assert_eq!(explained("listener.tls"), "acme");
    assert_eq!(explained("listener.port"), "443");
    assert_eq!(explained("listener.http_port"), "80");
}

#[test]
fn what_cannot_be() {
    let check = |environment: &[(&str, &str)], expected: &str| {
        let faults = faults(environment, "");
        assert!(faults.contains(expected) && faults.lines().count() == 1, "{environment:?}: {faults}");
    };
    check(&[("LISTENER_TLS", "on")], "acme, files or off");
    check(&[DOMAIN], "listener.domain (variable DOMAIN): TLS by ACME needs a yes to the terms");
    check(
        &[DOMAIN, ("LISTENER_TLS", "acme")],
        "listener.tls (variable LISTENER_TLS): TLS by ACME needs a yes",
    );
    check(&[YES, ("LISTENER_TLS", "acme")], "needs listener.domain too");
    check(&[("LISTENER_TLS", "files")], "needs listener.tls_certificate_files too");
    check(&[("TLS_CERTIFICATE_FILES", "/c"), ("TLS_KEY_FILES", "/k")], "needs listener.tls = \"files\" too");
    check(&[("TLS_CERTIFICATE_FILES", "/c,/d"), ("TLS_KEY_FILES", "/k")], "as many files");
    check(&[("TLS_CERTIFICATE_FILES", "c"), ("TLS_KEY_FILES", "/k")], "an absolute path");
    check(&[("HTTP_PORT", "80")], "needs listener.tls");
    check(&[("CLIENT_CERTIFICATES", "true")], "needs listener.tls");
    check(&[DOMAIN, YES, ("HTTP_PORT", "443")], "the same port in listener.port");
    check(&[DOMAIN, YES, ("HTTP_PORT", "http")], "a port from 0 to 65535, or off");
    check(
        &[DOMAIN, YES, ("ACME_CHALLENGE", "http-01"), ("HTTP_PORT", "off")],
        "needs listener.http_port too",
    );
    check(&[DOMAIN, YES, ("ACME_CHALLENGE", "dns-01")], "needs acme.dns.server too");
    check(&[DOMAIN, YES, ("ACME_CHALLENGE", "dns-02")], "tls-alpn-01, http-01 or dns-01");
    check(&[DOMAIN, YES, ("ACME_EAB_KEY_ID", "k")], "needs acme.eab_key too");
    check(&[DOMAIN, YES, ("ACME_EAB_KEY_ID", "k"), ("ACME_EAB_KEY", "a b")], "base64url");
    for directory in ["http://acme.example.com/", "ftp://localhost/", "acme", "https://u@acme.example.com/"] {
        check(&[("ACME_DIRECTORY", directory)], "the https:// address of an ACME directory");
    }
    for left_out in 0..DNS.len() {
        let some: Vec<_> =
            DNS.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, pair)| *pair).collect();
        check(&some, " needs acme.dns.");
    }
    let secret = ("ACME_DNS_TSIG_SECRET", "not base64");
    check(&[DNS[0], DNS[1], DNS[2], secret], "a TSIG key in base64");
    check(&[&DNS[..], &[("ACME_CHALLENGE", "http-01")]].concat(), "cannot be combined with acme.dns.server");
}

#[test]
fn acme() {
    let more =
        [("ACME_EAB_KEY_ID", "kid"), ("ACME_EAB_KEY", "c2VjcmV0"), ("ACME_CONTACT", "Ops@Example.com")];
    let Tls::Acme(acme) = listener(&[&[DOMAIN, YES], &DNS[..], &more].concat()).tls else {
        panic!("not acme")
    };
    let AcmeChallenge::Dns01(dns) = &acme.challenge else { panic!("not dns-01") };
    assert_eq!(dns.server, "10.0.0.53:53".parse().unwrap());
    assert_eq!((dns.zone.as_str(), dns.key_name.as_str()), ("example.com", "acme_key"));
    assert_eq!((dns.algorithm, dns.secret.expose().as_slice()), (TsigAlgorithm::HmacSha256, &b"secret"[..]));
    let account = acme.external_account.as_ref().unwrap();
    assert_eq!((account.key_id.as_str(), account.key.expose().as_slice()), ("kid", &b"secret"[..]));
    assert_eq!(acme.contact.as_deref(), Some("ops@example.com"));
    let text = format!("{:?}", config(&[&[DOMAIN, YES], &DNS[..], &more].concat(), ""));
    assert!(!text.contains("c2VjcmV0"), "{text}");
}

#[test]
fn files() {
    let Tls::Files(files) = listener(&[
        ("LISTENER_TLS", "files"),
        ("TLS_CERTIFICATE_FILES", "/a.pem, /b.pem"),
        ("TLS_KEY_FILES", "/a.key, /b.key"),
        ("CLIENT_CERTIFICATES", "true"),
    ])
    .tls
    else {
        panic!("not files")
    };
    let pair = |name: &str| CertificateFiles {
        certificate: format!("/{name}.pem").into(),
        key: format!("/{name}.key").into(),
    };
    assert_eq!(files, [pair("a"), pair("b")]);
}
