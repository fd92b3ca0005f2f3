//! Sinks of the audit log: what is taken, what is refused, and that no secret shows.

use super::*;
use crate::{AuditSink, SinkStart, SinkTarget, SyslogTransport};

const SECRET: &str = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";

fn sinks(tables: &str) -> Vec<AuditSink> {
    config(&[("HOOK", SECRET), ("HEADER", "Authorization: Bearer hunter2")], tables).audit_sinks
}

fn sink(fields: &str) -> AuditSink {
    let [sink] = sinks(&format!("[[audit.sinks]]\nname = \"a\"\n{fields}")).try_into().unwrap();
    sink
}

/// The one fault of a sink with these fields, at this line of the file.
fn fault(fields: &str, line: usize, expected: &str) {
    let expected = expected.replacen(": ", &format!(" (rack-gateway.toml line {line}): "), 1);
    refused(&[], &format!("[[audit.sinks]]\nname = \"a\"\n{fields}"), &expected);
}

#[test]
fn without_tables_there_are_none() {
    assert!(sinks("").is_empty());
}

#[test]
fn each_kind_is_taken() {
    assert_eq!(sink("kind = \"stdout\"").target, SinkTarget::Stdout);
    let SinkTarget::File(file) = sink("kind = \"file\"\npath = \"/var/log/audit.jsonl\"").target else {
        panic!("a file")
    };
    assert_eq!((file.most_bytes, file.keep), (104_857_600, 10));
    let SinkTarget::Syslog(server) = sink("kind = \"syslog\"\naddress = \"tls://Syslog.example.com\"").target
    else {
        panic!("a syslog server")
    };
    assert_eq!(server.port, 6514);
    assert_eq!(server.transport, SyslogTransport::Tls { ca_file: None });
    let local = sink("kind = \"syslog\"\naddress = \"tcp://127.0.0.1:601\"");
    assert!(matches!(local.target, SinkTarget::Syslog(server) if server.transport == SyslogTransport::Tcp));
    let otlp = sink("kind = \"otlp\"\naddress = \"https://c.example.com\"\nheader = \"env:HEADER\"");
    let SinkTarget::Otlp { header: Some((name, value)), .. } = otlp.target else { panic!("a collector") };
    assert_eq!((name.as_str(), value.expose().as_str()), ("authorization", "Bearer hunter2"));
    let hook = sink("kind = \"webhook\"\naddress = \"http://127.0.0.1:9/x?y=1\"\nsecret = \"env:HOOK\"");
    assert!(matches!(hook.target, SinkTarget::Webhook { .. }));
    assert_eq!(hook.start, SinkStart::Now);
    assert_eq!(sink("kind = \"stdout\"\naggregate = [\"convox:*\", \"*\"]").aggregate, ["convox:*", "*"]);
    assert_eq!(sink("kind = \"stdout\"\nstart = \"beginning\"").start, SinkStart::Beginning);
}

#[test]
fn what_is_not_a_sink_is_refused() {
    fault(
        "",
        1,
        "audit.sinks.kind: is not set; write `kind = \"file\"`: `stdout` and `file` (lines of JSON), `syslog` (RFC 5424 over TCP or TLS), `otlp` (OpenTelemetry over HTTP) or `webhook` (CloudEvents, signed as Standard Webhooks)",
    );
    fault(
        "kind = \"kafka\"",
        3,
        "audit.sinks.kind: `kafka` is not a kind of sink: stdout, file, syslog, otlp or webhook",
    );
    fault(
        "kind = \"stdout\"\npat = \"/x\"",
        4,
        "audit.sinks.pat: does not exist; did you mean `path`?; docs/config.md lists all names",
    );
    fault(
        "kind = \"stdout\"\npath = \"/x\"",
        4,
        "audit.sinks.path: is for sinks of kind file, not for stdout",
    );
    fault("kind = \"file\"\npath = \"x\"", 4, "audit.sinks.path: `x` is not the absolute path of a file");
    fault(
        "kind = \"file\"\npath = \"/x\"\nsize_bytes = 4",
        5,
        "audit.sinks.size_bytes: 4 is out of range; write a value from 1048576 to 17179869184",
    );
    fault(
        "kind = \"file\"\npath = \"/x\"\ncompress = 1",
        5,
        "audit.sinks.compress: must be true or false, not an integer",
    );
    fault(
        "kind = \"stdout\"\nsample = [\"convox:*\"]",
        4,
        "audit.sinks.sample: `convox:*`: a rule is ACTION=N, such as convox:process:list=100 or convox:*=10",
    );
    for (rule, reason) in [
        ("=100", "an action is a name such as convox:process:list, or what it begins with and a final *"),
        (
            "con*x=100",
            "an action is a name such as convox:process:list, or what it begins with and a final *",
        ),
        ("convox:*=1", "N is a number from 2 to 1000000: one event in N is kept"),
        ("convox:*=1000001", "N is a number from 2 to 1000000: one event in N is kept"),
        ("convox:*=", "N is a number from 2 to 1000000: one event in N is kept"),
    ] {
        let expected = format!("audit.sinks.sample: `{rule}`: {reason}");
        fault(&format!("kind = \"stdout\"\nsample = [\"{rule}\"]"), 4, &expected);
    }
    fault(
        "kind = \"stdout\"\naggregate = [\"con*x\"]",
        4,
        "audit.sinks.aggregate: `con*x`: an action is a name such as convox:process:list, or what it begins with and a final *",
    );
    fault(
        "kind = \"stdout\"\naggregate = \"convox:*\"",
        4,
        "audit.sinks.aggregate: must be an array of strings, such as [\"convox:process:list\"], not a string",
    );
    let clear = "is not a syslog server, such as tls://syslog.example.com:6514 (tcp:// on this machine only)";
    for address in ["tcp://syslog.example.com:601", "udp://127.0.0.1:514", "tls://a:1/x", "tcp://127.0.0.1"] {
        fault(
            &format!("kind = \"syslog\"\naddress = \"{address}\""),
            4,
            &format!("audit.sinks.address: `{address}` {clear}"),
        );
    }
    let hidden = "audit.sinks.address: is not an https address without user name and fragment, such as https://collector.example.com (http on this machine only) (its value is not shown here)";
    for address in ["http://c.example.com", "https://u:hunter2@c.example.com", "ftp://c", "c.example.com"] {
        fault(&format!("kind = \"otlp\"\naddress = \"{address}\""), 4, hidden);
    }
    for secret in ["hunter2", "whsec_", "whsec_aHVudGVyMg==", "whsec_no base64 at all, not at all, not"] {
        fault(
            &format!("kind = \"webhook\"\naddress = \"https://h\"\nsecret = \"{secret}\""),
            5,
            "audit.sinks.secret: is not a signing secret: whsec_ and the base64 of 24 to 64 random bytes (its value is not shown here)",
        );
    }
    fault(
        "kind = \"otlp\"\naddress = \"https://h\"\nheader = \"Host: hunter2\"",
        5,
        "audit.sinks.header: is not a header, such as `authorization: Bearer …` (its value is not shown here)",
    );
    refused(
        &[],
        "audit.sinks = 1",
        "audit.sinks (rack-gateway.toml line 1): must be tables written as [[audit.sinks]], not an integer",
    );
}

#[test]
fn names_and_files_are_given_once() {
    let twice =
        "[[audit.sinks]]\nname = \"a\"\nkind = \"stdout\"\n[[audit.sinks]]\nname = \"a\"\nkind = \"stdout\"";
    refused(
        &[],
        twice,
        "audit.sinks.name (rack-gateway.toml line 5): `a` is given twice; give each its own name",
    );
    let file = |name| format!("[[audit.sinks]]\nname = \"{name}\"\nkind = \"file\"\npath = \"/x\"\n");
    refused(
        &[],
        &(file("a") + &file("b")),
        "audit.sinks.path (rack-gateway.toml line 8): `/x` is given twice; give each its own name",
    );
}

#[test]
fn no_secret_of_a_sink_is_shown() {
    let tables = "[[audit.sinks]]\nname = \"a\"\nkind = \"otlp\"\naddress = \"https://c\"\nheader = \"x: hunter2\"\n\
                  [[audit.sinks]]\nname = \"b\"\nkind = \"webhook\"\naddress = \"https://c:8/hunter2?hunter2\"\nsecret = \"env:HOOK\"";
    let config = config(&[("HOOK", SECRET)], tables);
    let shown = format!("{config:?} {:?} {:?}", config.sources, config.audit_sinks);
    assert!(!shown.contains("hunter2") && !shown.contains("whsec_"), "{shown}");
    let explained = |key: &str| config.sources.iter().find(|entry| entry.key == key).unwrap().value.clone();
    assert_eq!(explained("audit.sinks.a.header").as_deref(), Some("(hidden)"));
    assert_eq!(explained("audit.sinks.b.address").as_deref(), Some("https://c:8"));
    assert_eq!(explained("audit.sinks.b.kind").as_deref(), Some("webhook"));
}

/// What the reference shows is a sink.
#[test]
fn the_example_of_a_sink_is_valid() {
    let example = crate::reference::EXAMPLE;
    let start = example.find("#[[audit.sinks]]").unwrap();
    let table: String = example[start..]
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let [archive] = sinks(&table).try_into().unwrap();
    assert_eq!(archive.name, "archive");
    assert!(matches!(archive.target, SinkTarget::File(_)));
}

fn config_of_bucket() -> crate::AnchorBucket {
    let variables = [
        ("AUDIT_ANCHOR_BUCKET", "corp-anchors"),
        ("AUDIT_ANCHOR_PREFIX", "gw/"),
        ("AUDIT_ANCHOR_REGION", "eu-west-1"),
    ];
    config(&variables, "").audit_anchors.bucket.unwrap()
}

#[test]
fn anchors_are_kept_where_it_says() {
    let none = config(&[], "").audit_anchors;
    assert_eq!((none.directory, none.webhook, none.interval.as_secs()), (None, None, 3600));
    let variables = [
        ("AUDIT_ANCHOR_DIRECTORY", "/mnt/anchors"),
        ("AUDIT_ANCHOR_WEBHOOK_URL", "https://h/hunter2"),
        ("AUDIT_ANCHOR_WEBHOOK_SECRET", SECRET),
        ("AUDIT_ANCHOR_INTERVAL", "5m"),
    ];
    let config = config(&variables, "");
    let shown = format!("{config:?} {:?} {:?}", config.sources, config.audit_anchors);
    assert!(!shown.contains("hunter2") && !shown.contains("whsec_"), "{shown}");
    assert_eq!(config.audit_anchors.webhook.unwrap().url.as_str(), "https://h/hunter2");
    let bucket = config_of_bucket();
    assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("corp-anchors", "gw/"));
    assert_eq!((bucket.retention.as_secs(), bucket.region.as_deref()), (400 * 24 * 3600, Some("eu-west-1")));
    refused(
        &[("AUDIT_ANCHOR_DIRECTORY", "anchors")],
        "",
        "audit.anchors.directory (variable AUDIT_ANCHOR_DIRECTORY): `anchors` is not the absolute path of a directory, such as /mnt/anchors",
    );
    refused(
        &variables[1..2],
        "",
        "audit.anchors.webhook_url (variable AUDIT_ANCHOR_WEBHOOK_URL): needs audit.anchors.webhook_secret too; set both or none",
    );
    refused(
        &variables[2..3],
        "",
        "audit.anchors.webhook_secret (variable AUDIT_ANCHOR_WEBHOOK_SECRET): needs audit.anchors.webhook_url too; set both or none",
    );
    refused(
        &[("AUDIT_ANCHOR_BUCKET", "Anchors")],
        "",
        "audit.anchors.bucket (variable AUDIT_ANCHOR_BUCKET): `Anchors` is not the name of a bucket: 3 to 63 small letters, digits, `-` and `.`",
    );
    for prefix in ["/a", "a//b", "a/../b", "a b"] {
        let expected = format!(
            "audit.anchors.prefix (variable AUDIT_ANCHOR_PREFIX): `{prefix}` is not letters, digits and `._-/`, without a `/` at its start"
        );
        refused(&[("AUDIT_ANCHOR_PREFIX", prefix)], "", &expected);
    }
    refused(
        &[("AUDIT_ANCHOR_RETENTION_DAYS", "0")],
        "",
        "audit.anchors.retention_days (variable AUDIT_ANCHOR_RETENTION_DAYS): 0 is out of range; write a value from 1 to 36500",
    );
    refused(
        &[("AUDIT_ANCHOR_INTERVAL", "1s")],
        "",
        "audit.anchors.interval (variable AUDIT_ANCHOR_INTERVAL): 1s is out of range; write a value from 1m to 24h",
    );
}
