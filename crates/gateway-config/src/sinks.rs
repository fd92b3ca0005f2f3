//! `[[audit.sinks]]`: where the entries of the audit log go besides the log. How they are delivered is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;

use data_encoding::BASE64;
use gateway_types::Secret;
use url::{Host, Url};

use crate::config::{Explained, Warning};
use crate::document::{Located, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::nearest::nearest;
use crate::resolver::Resolver;
use crate::secret_ref::{self, Shape};

/// The table's name in the file.
pub(crate) const SINKS: &str = "audit.sinks";

/// The longest name of a sink.
const MAX_NAME: usize = 32;

/// The most sinks: each reads the log for itself.
const MOST_SINKS: usize = 16;

/// The bounds and the default of a file's size.
const LEAST_SIZE: u64 = 1 << 20;
const MOST_SIZE: u64 = 16 << 30;
const USUAL_SIZE: u64 = 100 << 20;

/// The most, and the usual number of, older files.
const MOST_KEPT: u64 = 1000;
const USUALLY_KEPT: u64 = 10;

/// The largest rate of a rule.
const MOST_RATE: u64 = 1_000_000;

/// What signing secrets begin with (Standard Webhooks); base64 of so many bytes follows.
const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The port of syslog over TLS (RFC 5425).
const SYSLOG_TLS_PORT: u16 = 6514;

/// What a secret looks like in a listing.
const HIDDEN: &str = "(hidden)";

/// A place that gets the entries of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditSink {
    /// What its position is remembered by, and what it is called in metrics.
    pub name: String,
    /// Where it begins when it is new.
    pub start: SinkStart,
    /// Which plain reads it may do without; the first rule about an action counts.
    pub sample: Vec<SampleRule>,
    /// Of which actions plain reads come together as one: the whole action, or what it begins with and a final `*`.
    pub aggregate: Vec<String>,
    /// Where the entries go.
    pub target: SinkTarget,
}

/// Of plain reads with this action one in so many is enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleRule {
    /// The whole action, or what it begins with and a final `*`.
    pub action: String,
    /// The rate, from 2 to 1000000.
    pub one_in: NonZeroU64,
}

/// Why a text is no rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum SampleFault {
    #[error("a rule is ACTION=N, such as convox:process:list=100 or convox:*=10")]
    Form,
    #[error("an action is a name such as convox:process:list, or what it begins with and a final *")]
    Action,
    #[error("N is a number from 2 to 1000000: one event in N is kept")]
    Rate,
}

impl SampleRule {
    fn parse(text: &str) -> Result<Self, SampleFault> {
        let (action, rate) = text.rsplit_once('=').ok_or(SampleFault::Form)?;
        if !is_action(action) {
            return Err(SampleFault::Action);
        }
        let one_in: NonZeroU64 = rate.parse().map_err(|_not_a_number| SampleFault::Rate)?;
        if !(2..=MOST_RATE).contains(&one_in.get()) {
            return Err(SampleFault::Rate);
        }
        Ok(Self { action: action.to_owned(), one_in })
    }
}

/// Whether this is an action, or how one begins and a final `*`.
fn is_action(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.".contains(&byte))
}

/// Where a new sink begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SinkStart {
    /// With what is recorded from now on.
    Now,
    /// With the first entry of the log.
    Beginning,
}

/// Where entries go.
#[derive(Clone, PartialEq, Eq)]
pub enum SinkTarget {
    /// Lines of JSON on standard output.
    Stdout,
    /// Lines of JSON in a file.
    File(SinkFile),
    /// A syslog server, over TCP.
    Syslog(SyslogServer),
    /// A collector of OpenTelemetry.
    Otlp {
        /// Its base address; `/v1/logs` follows.
        url: Url,
        /// A PEM file of further authorities.
        ca_file: Option<PathBuf>,
        /// A header that it wants, and its value.
        header: Option<(String, Secret<String>)>,
    },
    /// Whoever takes CloudEvents.
    Webhook {
        /// Where they are posted.
        url: Url,
        /// A PEM file of further authorities.
        ca_file: Option<PathBuf>,
        /// What they are signed with: the bytes of the secret.
        key: Secret<Vec<u8>>,
    },
}

impl SinkTarget {
    /// How it is called in the file and in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            SinkTarget::Stdout => "stdout",
            SinkTarget::File(_) => "file",
            SinkTarget::Syslog(_) => "syslog",
            SinkTarget::Otlp { .. } => "otlp",
            SinkTarget::Webhook { .. } => "webhook",
        }
    }
}

impl fmt::Debug for SinkTarget {
    /// Prints the kind alone: an address may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// A file that is exchanged before it grows above its limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkFile {
    /// Where the newest lines are.
    pub path: PathBuf,
    /// The most bytes of one file.
    pub most_bytes: u64,
    /// How many older files are kept, at least 1.
    pub keep: u32,
    /// Whether older files are compressed.
    pub compression: SinkCompression,
}

/// Whether older files are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SinkCompression {
    /// As they are.
    None,
    /// With gzip.
    Gzip,
}

/// A syslog server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogServer {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is reached.
    pub transport: SyslogTransport,
}

/// How a syslog server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogTransport {
    /// In the clear, which is for this machine alone.
    Tcp,
    /// Over TLS (RFC 5425).
    Tls {
        /// A PEM file of further authorities.
        ca_file: Option<PathBuf>,
    },
}

/// One `[[audit.sinks]]` as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct RawSink {
    pub(crate) origin: Origin,
    pub(crate) fields: BTreeMap<String, Located>,
}

/// A field of `[[audit.sinks]]`.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
    /// The kinds that have it; none = each.
    kinds: &'static [&'static str],
}

impl Field {
    /// Whether the example of this kind shows it: what every kind has, the first one shows.
    pub(crate) fn is_shown_of(&self, kind: &str) -> bool {
        let is_named = matches!(self.name, "name" | "kind");
        if self.kinds.is_empty() { is_named || kind == "file" } else { self.kinds.contains(&kind) }
    }

    /// The example for this kind.
    pub(crate) fn example_of(&self, kind: &str) -> &'static str {
        match (self.name, kind) {
            ("name", "syslog") => "\"siem\"",
            ("name" | "kind", "otlp") => "\"otlp\"",
            ("name", "webhook") => "\"hook\"",
            ("kind", "syslog") => "\"syslog\"",
            ("kind", "webhook") => "\"webhook\"",
            ("address", "otlp") => "\"https://collector.example.com:4318\"",
            ("address", "webhook") => "\"https://hooks.example.com/audit\"",
            _ => self.example,
        }
    }

    /// The kinds that have it, in parentheses; nothing when each has.
    pub(crate) fn whose(&self) -> String {
        if self.kinds.is_empty() { String::new() } else { format!(" (`{}`)", self.kinds.join("`, `")) }
    }
}

/// The fields, in the order of the reference.
pub(crate) const FIELDS: [Field; 13] = [
    Field {
        name: "name",
        meaning: "what its position in the log is remembered by, and its name in metrics: lower-case letters, digits \
                  and hyphens, at most 32, each name once. A sink with another name begins anew",
        example: "\"archive\"",
        kinds: &[],
    },
    Field {
        name: "kind",
        meaning: "`stdout` and `file` (lines of JSON), `syslog` (RFC 5424 over TCP or TLS), `otlp` (OpenTelemetry over HTTP) \
                  or `webhook` (CloudEvents, signed as Standard Webhooks)",
        example: "\"file\"",
        kinds: &[],
    },
    Field {
        name: "start",
        meaning: "where it begins when its name is new: `now`, or at the `beginning` of the log; without it `now`",
        example: "\"now\"",
        kinds: &[],
    },
    Field {
        name: "sample",
        meaning: "rules `ACTION=N`: of plain reads with this action (a final `*` stands for any end) one in N is sent, \
                  with the rate in it. The first rule about an action counts. Changes, refusals and failures are always \
                  sent, and the log has everything",
        example: "[\"convox:process:list=100\", \"convox:log:*=10\"]",
        kinds: &[],
    },
    Field {
        name: "aggregate",
        meaning: "actions (a final `*` stands for any end) whose plain reads come together: of those of one actor on one \
                  app or other resource in one minute one is sent, with their exact number, the first and the last time. They \
                  wait for up to a minute. Changes, refusals and failures never come together, and are not kept waiting",
        example: "[\"convox:process:list\", \"convox:log:*\"]",
        kinds: &[],
    },
    Field {
        name: "path",
        meaning: "where the newest lines are; older files stand beside it as `.1.gz` and so on. An absolute path in a \
                  directory that exists",
        example: "\"/var/log/rack-gateway/audit.jsonl\"",
        kinds: &["file"],
    },
    Field {
        name: "size_bytes",
        meaning: "the most bytes of one file, from 1048576 to 17179869184; without it 104857600",
        example: "104857600",
        kinds: &["file"],
    },
    Field {
        name: "keep",
        meaning: "how many older files are kept, from 1 to 1000; without it 10",
        example: "10",
        kinds: &["file"],
    },
    Field {
        name: "compress",
        meaning: "whether older files are compressed with gzip; without it they are",
        example: "true",
        kinds: &["file"],
    },
    Field {
        name: "address",
        meaning: "of a syslog server `tls://HOST:PORT`, or `tcp://HOST:PORT` on this machine; of a collector or a web hook an \
                  https address (http on this machine). A collector's is its base address, which `/v1/logs` follows",
        example: "\"tls://syslog.example.com:6514\"",
        kinds: &["syslog", "otlp", "webhook"],
    },
    Field {
        name: "ca_file",
        meaning: "a PEM file of authorities that are believed beside the machine's",
        example: "\"/etc/rack-gateway/ca.pem\"",
        kinds: &["syslog", "otlp", "webhook"],
    },
    Field {
        name: "header",
        meaning: "a header that the collector wants, as `NAME: VALUE`: the text itself, `env:NAME` or `file:/path`",
        example: "\"env:OTLP_HEADER\"",
        kinds: &["otlp"],
    },
    Field {
        name: "secret",
        meaning: "what web hooks are signed with: `whsec_` and base64 of 24 to 64 random bytes, `env:NAME` or `file:/path`",
        example: "\"file:/run/secrets/audit-webhook\"",
        kinds: &["webhook"],
    },
];

/// Reads every table. `None` = a fault was noted; every fault of every table is.
pub(crate) fn sinks(resolver: &mut Resolver<'_>) -> Option<Vec<AuditSink>> {
    let document = resolver.document;
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    let mut sinks = Vec::new();
    for raw in &document.sinks {
        let mut table = Table { raw, resolver };
        let Some(sink) = table.sink() else { continue };
        if !names.insert(sink.name.clone()) {
            table.fault("name", FaultKind::Repeated { value: sink.name });
        } else if let SinkTarget::File(SinkFile { path, .. }) = &sink.target
            && !paths.insert(path.clone())
        {
            table.fault("path", FaultKind::Repeated { value: path.display().to_string() });
        } else {
            sinks.push(sink);
        }
    }
    if let Some(surplus) = document.sinks.get(MOST_SINKS) {
        let reason = format!("there are more than {MOST_SINKS} sinks: each reads the log for itself");
        let kind = FaultKind::Declaration { reason };
        resolver.faults.push(Fault { key: SINKS.to_owned(), origin: surplus.origin.clone(), kind });
        return None;
    }
    (sinks.len() == document.sinks.len()).then_some(sinks)
}

/// One table while it is read.
struct Table<'a, 'r> {
    raw: &'a RawSink,
    resolver: &'a mut Resolver<'r>,
}

impl Table<'_, '_> {
    fn sink(&mut self) -> Option<AuditSink> {
        let name = self.text("name", name);
        let name = self.required("name", name);
        let kind = self.text("kind", kind);
        let kind = self.required("kind", kind);
        let start = self.text("start", start);
        let sample = self.sample();
        let aggregate = self.aggregate();
        let is_known = self.fields_are_known(kind);
        let target = self.target(kind?);
        if !is_known {
            return None;
        }
        let sink = AuditSink {
            name: name?,
            start: start?.unwrap_or(SinkStart::Now),
            sample: sample?,
            aggregate: aggregate?,
            target: target?,
        };
        self.explain(&sink.name);
        Some(sink)
    }

    /// Notes each field that does not exist, or not for this kind.
    fn fields_are_known(&mut self, kind: Option<&'static str>) -> bool {
        let before = self.resolver.faults.len();
        for name in self.raw.fields.keys() {
            let Some(field) = FIELDS.iter().find(|field| field.name == name) else {
                let nearest = nearest(name, FIELDS.iter().map(|field| field.name));
                self.fault(name, FaultKind::Unknown { nearest });
                continue;
            };
            if let Some(kind) = kind
                && !field.kinds.is_empty()
                && !field.kinds.contains(&kind)
            {
                let reason = format!("is for sinks of kind {}, not for {kind}", field.kinds.join(", "));
                self.fault(name, FaultKind::Declaration { reason });
            }
        }
        self.resolver.faults.len() == before
    }

    fn target(&mut self, kind: &str) -> Option<SinkTarget> {
        match kind {
            "stdout" => Some(SinkTarget::Stdout),
            "file" => self.file(),
            "syslog" => {
                let address = self.text("address", syslog_address);
                let (address, ca_file) = (self.required("address", address), self.text("ca_file", absolute));
                let (mut server, ca_file) = (address?, ca_file?);
                match (&mut server.transport, ca_file) {
                    (SyslogTransport::Tls { ca_file }, given) => *ca_file = given,
                    (SyslogTransport::Tcp, None) => {}
                    (SyslogTransport::Tcp, Some(_)) => {
                        let reason = "is for tls:// addresses".to_owned();
                        self.fault("ca_file", FaultKind::Declaration { reason });
                        return None;
                    }
                }
                Some(SinkTarget::Syslog(server))
            }
            "otlp" => {
                let url = self.text("address", web_address);
                let url = self.required("address", url);
                let (ca_file, header) = (self.text("ca_file", absolute), self.secret("header", header));
                Some(SinkTarget::Otlp { url: url?, ca_file: ca_file?, header: header? })
            }
            _ => {
                let url = self.text("address", web_address);
                let url = self.required("address", url);
                let (ca_file, key) = (self.text("ca_file", absolute), self.secret("secret", webhook_key));
                let key = self.required("secret", key);
                Some(SinkTarget::Webhook { url: url?, ca_file: ca_file?, key: key? })
            }
        }
    }

    fn file(&mut self) -> Option<SinkTarget> {
        let path = self.text("path", absolute);
        let path = self.required("path", path);
        let most_bytes = self.number("size_bytes", LEAST_SIZE, MOST_SIZE, USUAL_SIZE);
        let keep = self.number("keep", 1, MOST_KEPT, USUALLY_KEPT);
        let compression = self.compression();
        Some(SinkTarget::File(SinkFile {
            path: path?,
            most_bytes: most_bytes?,
            keep: u32::try_from(keep?).ok()?,
            compression: compression?,
        }))
    }

    fn compression(&mut self) -> Option<SinkCompression> {
        match self.raw.fields.get("compress").map(|located| &located.raw) {
            None | Some(Raw::Switch(true)) => Some(SinkCompression::Gzip),
            Some(Raw::Switch(false)) => Some(SinkCompression::None),
            Some(other) => {
                let kind = FaultKind::WrongType { expected: "true or false", found: other.type_name() };
                self.fault("compress", kind);
                None
            }
        }
    }

    fn number(&mut self, field: &'static str, least: u64, most: u64, usual: u64) -> Option<u64> {
        let Some(located) = self.raw.fields.get(field) else { return Some(usual) };
        let kind = match &located.raw {
            Raw::Integer(text) => match text.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => return Some(number),
                Ok(_) | Err(_) => FaultKind::OutOfRange {
                    value: text.clone(),
                    least: least.to_string(),
                    most: most.to_string(),
                },
            },
            other => {
                FaultKind::WrongType { expected: "a whole number without quotes", found: other.type_name() }
            }
        };
        self.fault(field, kind);
        None
    }

    fn sample(&mut self) -> Option<Vec<SampleRule>> {
        const FIELD: &str = "sample";
        let Some(located) = self.raw.fields.get(FIELD) else { return Some(Vec::new()) };
        let Raw::List(texts) = &located.raw else {
            let expected = "an array of strings, such as [\"convox:process:list=100\"]";
            let kind = FaultKind::WrongType { expected, found: located.raw.type_name() };
            self.fault(FIELD, kind);
            return None;
        };
        let mut rules = Vec::new();
        for text in texts {
            match SampleRule::parse(text) {
                Ok(rule) => rules.push(rule),
                Err(fault) => {
                    let reason = format!("`{}`: {fault}", text.escape_debug());
                    self.fault(FIELD, FaultKind::Declaration { reason });
                }
            }
        }
        (rules.len() == texts.len()).then_some(rules)
    }

    fn aggregate(&mut self) -> Option<Vec<String>> {
        const FIELD: &str = "aggregate";
        let Some(located) = self.raw.fields.get(FIELD) else { return Some(Vec::new()) };
        let Raw::List(texts) = &located.raw else {
            let expected = "an array of strings, such as [\"convox:process:list\"]";
            let kind = FaultKind::WrongType { expected, found: located.raw.type_name() };
            self.fault(FIELD, kind);
            return None;
        };
        let wrong: Vec<_> = texts.iter().filter(|text| !is_action(text)).collect();
        for text in &wrong {
            let reason = format!("`{}`: {}", text.escape_debug(), SampleFault::Action);
            self.fault(FIELD, FaultKind::Declaration { reason });
        }
        wrong.is_empty().then(|| texts.clone())
    }

    /// A text, when there is one. The outer `None` = a fault was noted.
    fn text<T>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, FaultKind>,
    ) -> Option<Option<T>> {
        let Some(located) = self.raw.fields.get(field) else { return Some(None) };
        let parsed = match &located.raw {
            Raw::Text(text) if text.trim().is_empty() => Err(FaultKind::Empty),
            Raw::Text(text) => parse(text),
            other => {
                Err(FaultKind::WrongType { expected: "a string in double quotes", found: other.type_name() })
            }
        };
        parsed.map(Some).map_err(|kind| self.fault(field, kind)).ok()
    }

    /// A secret, its reference followed. The outer `None` = a fault was noted.
    fn secret<T>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&Secret<String>) -> Result<T, FaultKind>,
    ) -> Option<Option<T>> {
        let (environment, files) = (self.resolver.environment, self.resolver.files);
        let resolved = self.text(field, |text| secret_ref::resolve(text, Shape::Line, environment, files))?;
        let Some(resolved) = resolved else { return Some(None) };
        if let Some(path) = resolved.world_readable {
            let key = format!("{SINKS}.{field}");
            self.resolver.warnings.push(Warning::SecretFileWorldReadable { key, path });
        }
        self.resolver.hidden.push(resolved.secret.clone());
        parse(&resolved.secret).map(Some).map_err(|kind| self.fault(field, kind)).ok()
    }

    /// The value, or a note that it is not there.
    fn required<T>(&mut self, field: &'static str, value: Option<Option<T>>) -> Option<T> {
        let value = value?;
        if value.is_none() {
            let known = FIELDS.iter().find(|known| known.name == field);
            let (example, meaning) = known.map_or(("…", ""), |known| (known.example, known.meaning));
            let write = format!("write `{field} = {example}`: {meaning}");
            self.fault(field, FaultKind::Missing { write });
        }
        value
    }

    /// At the field's own line, else at the table's.
    fn fault(&mut self, field: &str, kind: FaultKind) {
        let origin = self.origin(field);
        self.resolver.faults.push(Fault { key: format!("{SINKS}.{field}"), origin, kind });
    }

    fn origin(&self, field: &str) -> Origin {
        self.raw.fields.get(field).map_or_else(|| self.raw.origin.clone(), |located| located.origin.clone())
    }

    fn explain(&mut self, name: &str) {
        for field in FIELDS.iter().filter(|field| field.name != "name") {
            let Some(located) = self.raw.fields.get(field.name) else { continue };
            let value = match &located.raw {
                _ if matches!(field.name, "header" | "secret") => HIDDEN.to_owned(),
                Raw::Text(text) if field.name == "address" => place_of(text),
                Raw::Text(text) | Raw::Integer(text) => text.clone(),
                Raw::Switch(on) => on.to_string(),
                Raw::List(items) => items.join(","),
                Raw::Other(name) => (*name).to_owned(),
            };
            self.resolver.explained.push(Explained {
                key: format!("{SINKS}.{name}.{}", field.name),
                variable: None,
                value: Some(value),
                origin: located.origin.clone(),
                default: None,
            });
        }
    }
}

/// An address without what stands behind its host: many receivers have a token there.
fn place_of(address: &str) -> String {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end =
        address.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(address.len(), |at| host + at);
    address.get(..end).unwrap_or_default().to_owned()
}

fn malformed(text: &str, expected: &'static str) -> FaultKind {
    FaultKind::Malformed { value: text.escape_debug().to_string(), expected }
}

fn name(text: &str) -> Result<String, FaultKind> {
    let is_name = text.len() <= MAX_NAME
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    let expected = "a name of at most 32 lower-case letters, digits and inner hyphens, such as siem";
    if is_name { Ok(text.to_owned()) } else { Err(malformed(text, expected)) }
}

fn kind(text: &str) -> Result<&'static str, FaultKind> {
    let known = ["stdout", "file", "syslog", "otlp", "webhook"].into_iter().find(|known| *known == text);
    known.ok_or_else(|| malformed(text, "a kind of sink: stdout, file, syslog, otlp or webhook"))
}

fn start(text: &str) -> Result<SinkStart, FaultKind> {
    match text {
        "now" => Ok(SinkStart::Now),
        "beginning" => Ok(SinkStart::Beginning),
        _ => Err(malformed(text, "a start: now or beginning")),
    }
}

fn absolute(text: &str) -> Result<PathBuf, FaultKind> {
    let path = PathBuf::from(text);
    let is_file = path.is_absolute() && path.file_name().is_some();
    if is_file { Ok(path) } else { Err(malformed(text, "the absolute path of a file")) }
}

/// Entries say who did what, so whatever leaves this machine is encrypted.
fn syslog_address(text: &str) -> Result<SyslogServer, FaultKind> {
    let expected = "a syslog server, such as tls://syslog.example.com:6514 (tcp:// on this machine only)";
    let url = Url::parse(text).map_err(|_bad| malformed(text, expected))?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if !is_bare || host.is_empty() {
        return Err(malformed(text, expected));
    }
    let transport = match url.scheme() {
        "tls" => SyslogTransport::Tls { ca_file: None },
        "tcp" if is_this_machine(&host) => SyslogTransport::Tcp,
        _ => return Err(malformed(text, expected)),
    };
    let port = url.port().or(matches!(transport, SyslogTransport::Tls { .. }).then_some(SYSLOG_TLS_PORT));
    let port = port.filter(|port| *port > 0).ok_or_else(|| malformed(text, expected))?;
    Ok(SyslogServer { host, port, transport })
}

/// The address may hold a token in its path or query, so it is not repeated.
pub(crate) fn web_address(text: &str) -> Result<Url, FaultKind> {
    let fault = || FaultKind::MalformedSecret {
        expected: "an https address without user name and fragment, such as https://collector.example.com (http on this machine only)",
    };
    let url = Url::parse(text).map_err(|_bad| fault())?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => is_this_machine(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    let is_bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if is_private && is_bare && url.has_host() { Ok(url) } else { Err(fault()) }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(crate) fn header(secret: &Secret<String>) -> Result<(String, Secret<String>), FaultKind> {
    let fault = || FaultKind::MalformedSecret { expected: "a header, such as `authorization: Bearer …`" };
    let (name, value) = secret.expose().split_once(':').ok_or_else(fault)?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // What frames the request is not the operator's.
    let is_free = !["host", "content-length", "content-type", "transfer-encoding", "connection"]
        .contains(&name.as_str());
    let is_value = !value.is_empty() && value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if is_name && is_free && is_value { Ok((name, Secret::new(value.to_owned()))) } else { Err(fault()) }
}

/// The bytes of a signing secret.
pub(crate) fn webhook_key(secret: &Secret<String>) -> Result<Secret<Vec<u8>>, FaultKind> {
    let encoded = secret.expose().strip_prefix(SECRET_PREFIX);
    let bytes = encoded.and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok()).map(Secret::new);
    bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.expose().len())).ok_or(FaultKind::MalformedSecret {
        expected: "a signing secret: whsec_ and the base64 of 24 to 64 random bytes",
    })
}
