//! Secrets by reference, and that none is ever shown.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateway_types::Secret;

use super::*;
use crate::{ConfigFaults, SecretFile, SecretFiles, Warning, masked_database_url, parse_with};

struct Files(BTreeMap<PathBuf, (&'static str, u32)>);

impl SecretFiles for Files {
    fn read(&self, path: &Path) -> Result<SecretFile, io::ErrorKind> {
        let (content, mode) = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(SecretFile { content: Secret::new((*content).to_owned()), mode: *mode })
    }
}

fn token(reference: &str) -> Result<Config, ConfigFaults> {
    let files = [
        ("/s/plain", ("abc\n", 0o100_600)),
        ("/s/two-lines", ("abc\n\n", 0o100_600)),
        ("/s/windows", ("abc\r\n", 0o100_600)),
        ("/s/empty", ("\n", 0o100_600)),
        ("/s/reference", ("env:OTHER", 0o100_600)),
        ("/s/readable", ("abc", 0o100_644)),
        ("/s/writable", ("abc", 0o100_606)),
    ];
    let files = Files(files.into_iter().map(|(path, file)| (PathBuf::from(path), file)).collect());
    let environment = [("RACK_HOST", "r"), ("RACK_TOKEN", reference), ("OTHER", "xyz")];
    parse_with(sources(&environment, ""), &files)
}

fn resolves(reference: &str, expected: &str) {
    assert_eq!(token(reference).unwrap().rack.token.expose(), expected, "{reference}");
}

fn fails(reference: &str, expected: &str) {
    let faults = token(reference).unwrap_err().to_string();
    assert!(faults.contains(expected), "{reference}: {faults}");
}

#[test]
fn references_are_followed_once() {
    resolves("abc", "abc");
    resolves("env:OTHER", "xyz");
    resolves("file:/s/plain", "abc");
    resolves("file:/s/windows", "abc");
    resolves("file:/s/reference", "env:OTHER");
    fails("env:NONE", "refers to the variable NONE, which is not set");
    fails("file:/s/none", "refers to /s/none, which cannot be read: entity not found");
    fails("file:relative", "is not an absolute path");
    fails("file:/s/empty", "is set but empty");
    fails("file:/s/two-lines", "on one line without control characters");
    fails("file:/s/writable", "run `chmod o-w /s/writable`");
    fails("aws:secretsmanager:a b", "the form is aws:secretsmanager:NAME#key");
    fails("vault:secret", "`vault:…` is not available in this version; write env:NAME or file:/path");
}

#[test]
fn the_racks_token_may_be_kept_where_it_changes() {
    let kept = |reference: &str| token(reference).unwrap().rack.token_from.map(|kept| kept.to_string());
    assert_eq!(kept("vault:secret/rack#token").as_deref(), Some("vault:secret/rack#token"));
    let arn =
        "aws:secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:rack-AbCdEf?stage=AWSCURRENT#token";
    assert_eq!(kept(arn).as_deref(), Some(arn));
    assert_eq!(kept("file:/s/plain").as_deref(), Some("file:/s/plain"));
    assert_eq!(kept("the token itself"), None);
    assert!(token("vault:secret/rack#token").unwrap().rack.token.expose().is_empty());
}

#[test]
fn a_role_at_aws_is_an_arn() {
    let role = ("AWS_ASSUME_ROLE_ARN", "arn:aws:iam::123456789012:role/secrets");
    let given =
        config(&[("AWS_REGION", "eu-west-1"), role, ("AWS_ASSUME_ROLE_EXTERNAL_ID", "of-us")], "").aws;
    assert_eq!(given.region.as_deref(), Some("eu-west-1"));
    assert_eq!((given.assume_role.as_deref(), given.external_id.as_deref()), (Some(role.1), Some("of-us")));
    assert_eq!(config(&[], "").aws, crate::Aws::default());
    for (name, value, said) in [
        ("AWS_REGION", "EU west", "a region such as eu-west-1"),
        ("AWS_ASSUME_ROLE_ARN", "secrets", "the ARN of a role"),
        ("AWS_ASSUME_ROLE_EXTERNAL_ID", "of-us", "aws.assume_role"),
    ] {
        let told = faults(&[(name, value)], "");
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_readable_file_is_a_warning() {
    let config = token("file:/s/readable").unwrap();
    let expected =
        Warning::SecretFileWorldReadable { key: "rack.token".to_owned(), path: "/s/readable".into() };
    assert!(config.warnings.contains(&expected));
    assert_eq!(token("file:/s/plain").unwrap().warnings.len() + 1, config.warnings.len());
}

#[test]
fn parse_reads_no_files() {
    refused(
        &[("APP_SECRET_KEY", "file:/etc/hostname")],
        "",
        "app_secret_key (variable APP_SECRET_KEY): refers to /etc/hostname, which cannot be read: unsupported",
    );
}

#[test]
fn nothing_shows_a_secret() {
    let environment = [
        ("APP_SECRET_KEY", "hunter2hunter2hunter2hunter2hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@db/g?password=hunter2"),
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "hunter2"),
    ];
    let config = config(&environment, "");
    let shown = format!("{config:?} {:?} {:?} {:?}", config.sources, config.identity, config.rack);
    assert!(!shown.contains("hunter2") && !shown.contains("t0ken"), "{shown}");
    assert!(shown.contains("postgres://u:hidden@db/g"), "{shown}");

    for (variable, value) in [
        ("APP_SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@"),
        ("RACK_HOST", "https://convox:hunter2@rack.example.com"),
        ("RACK_TOKEN", "hunter2\u{7}"),
    ] {
        let faults = faults(&[(variable, value)], "");
        assert!(!faults.contains("hunter2") && faults.contains("not shown"), "{variable}: {faults}");
    }
}

#[test]
fn database_urls_are_masked() {
    assert_eq!(masked_database_url("postgres://u@h/db?sslmode=require"), "postgres://u@h/db");
    assert_eq!(masked_database_url("sqlite:///a/b"), "sqlite:///a/b");
    assert_eq!(masked_database_url("secret"), "(hidden)");
}

/// Keys and certificates have lines; a token that has some is a mistake.
#[test]
fn pem_has_lines_and_tokens_have_one() {
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\r\nBBBB\n-----END PRIVATE KEY-----\n";
    let app = [("GITHUB_APP_ID", "7"), ("GITHUB_APP_INSTALLATION", "42"), ("GITHUB_APP_PRIVATE_KEY", pem)];
    let Some(crate::GitHubAccess::App { key, .. }) = config(&app, "").integrations.github.access else {
        panic!("no App");
    };
    assert!(key.expose().starts_with("-----BEGIN") && key.expose().contains("\nAAAA"));
    let trust = [("ATTESTATION_AUTHORITY", pem), ("ATTESTATION_LOG_KEY", pem)];
    let attestations = config(&trust, "").integrations.attestations.unwrap();
    assert_eq!(attestations.issuer, "https://token.actions.githubusercontent.com");
    assert!(faults(&trust[..1], "").contains("integrations.attestations.log_key"));
    assert!(faults(&trust[1..], "").contains("integrations.attestations.authority"));
    let plain = [trust[0], trust[1], ("ATTESTATION_ISSUER", "http://issuer.example")];
    assert!(faults(&plain, "").contains("the https address of an issuer"));
    let odd = [("ATTESTATION_AUTHORITY", "a\u{1b}[31m"), ("ATTESTATION_LOG_KEY", pem)];
    assert!(faults(&odd, "").contains("without control characters"));
    assert!(faults(&[("GITHUB_TOKEN", "ghp_a\nghp_b")], "").contains("on one line"));
}
