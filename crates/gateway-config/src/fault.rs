//! What can be wrong with a configuration. A fault names the key, where its value came from, what is
//! wrong and what to write instead; it never repeats the value of a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{} line {line}", path.display()),
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Fault {
    /// The key's name in the file, or the variable's when it has no place there.
    pub key: String,
    /// Where the value came from; [`Origin::Default`] = it is not set.
    pub origin: Origin,
    /// What is wrong and what to write.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => write!(f, "{}: {}", self.key, self.kind),
            // A value without a place in the file is named by its variable: saying it twice helps nobody.
            Origin::Variable(name) if *name == self.key => write!(f, "variable {name}: {}", self.kind),
            origin => write!(f, "{} ({origin}): {}", self.key, self.kind),
        }
    }
}

/// What is wrong and what to write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FaultKind {
    /// A value without which the gateway cannot run.
    #[error("is not set; {write}")]
    Missing {
        /// What to write.
        write: String,
    },
    /// Not TOML.
    #[error("is not valid TOML: {message}")]
    Syntax {
        /// The parser's own words.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}; give an existing file with --config or RACK_GATEWAY_CONFIG", path = path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::ErrorKind,
    },
    /// A key, variable or setting that does not exist.
    #[error("does not exist{}; docs/config.md lists all names", did_you_mean(nearest))]
    Unknown {
        /// The name most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong TOML type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// What is wanted, with an example.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// Set, but to nothing.
    #[error("is set but empty; give it a value or remove it")]
    Empty,
    /// A value outside its grammar.
    #[error("`{value}` is not {expected}")]
    Malformed {
        /// What stands there.
        value: String,
        /// What is wanted, with an example.
        expected: &'static str,
    },
    /// A secret, or a text that may hold one, outside its grammar: not repeated here.
    #[error("is not {expected} (its value is not shown here)")]
    MalformedSecret {
        /// What is wanted, with an example.
        expected: &'static str,
    },
    /// A number or duration outside its range.
    #[error("{value} is out of range; write a value from {least} to {most}")]
    OutOfRange {
        /// What stands there.
        value: String,
        /// The least allowed.
        least: String,
        /// The most allowed.
        most: String,
    },
    /// A name that will be understood in a later version.
    #[error("`{value}` is not available in this version; {instead}")]
    NotAvailable {
        /// What stands there.
        value: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// Two keys that exclude each other.
    #[error("cannot be combined with {other}; keep one of the two")]
    Conflict {
        /// The other key.
        other: &'static str,
    },
    /// A name that may stand once.
    #[error("`{value}` is given twice; give each its own name")]
    Repeated {
        /// The name.
        value: String,
    },
    /// A key that needs another one.
    #[error("needs {other} too; set both or none")]
    Incomplete {
        /// The other key.
        other: &'static str,
    },
    /// Certificates by ACME without a yes to the terms.
    #[error(
        "TLS by ACME needs a yes to the terms of the certificate authority ({directory}): read them and set acme.accept_terms = true; a gateway whose TLS ends in a router in front says listener.tls = \"off\" or gives PORT"
    )]
    TermsNotAccepted {
        /// The server's directory.
        directory: String,
    },
    /// A network so wide that trusting it trusts strangers.
    #[error("{network} is too wide to be trusted; list the networks of your own routers, such as 10.0.0.0/8")]
    TooWide {
        /// The network.
        network: String,
    },
    /// An address that others than the operator can reach.
    #[error(
        "{address} may be public and this listener never is; write 127.0.0.1 or the private address that your probes use"
    )]
    NotPrivate {
        /// The address.
        address: String,
    },
    /// `env:NAME` of a variable that is not set.
    #[error("refers to the variable {name}, which is not set; set it or change the reference")]
    ReferenceUnset {
        /// The variable.
        name: String,
    },
    /// `file:/path` of a file that cannot be used.
    #[error("refers to {path}, which cannot be read: {reason}", path = path.display())]
    ReferenceUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::ErrorKind,
    },
    /// `file:/path` of a file that every user of the machine may change.
    #[error("refers to {path}, which every user of this machine can change; run `chmod o-w {path}`", path = path.display())]
    ReferenceWorldWritable {
        /// The file.
        path: PathBuf,
    },
    /// A row or an action that the table of rack routes does not take.
    #[error("{reason}")]
    Route {
        /// The table's own words.
        reason: String,
    },
    /// A service that cannot be as it is declared.
    #[error("{reason}")]
    Declaration {
        /// What is wrong, in gateway-services' words.
        reason: String,
    },
    /// A setting that has one value for the whole gateway, given for an app.
    #[error("cannot differ between apps; write it as settings.{setting} or {variable}")]
    NotPerApp {
        /// The setting.
        setting: &'static str,
        /// Its variable.
        variable: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Everything that is wrong, all at once.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} fault{}:", if count == 1 { "" } else { "s" })?;
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}
