//! Secret values by reference: `env:NAME`, `file:/path`, or the value itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateway_types::Secret;

use crate::fault::FaultKind;

/// A file that holds a secret.
#[derive(Clone, Debug)]
pub struct SecretFile {
    /// Its whole content.
    pub content: Secret<String>,
    /// Its Unix permission bits.
    pub mode: u32,
}

/// Where `file:/path` references are read: the disk in [`load`](crate::load()), a map in tests.
pub trait SecretFiles {
    /// The file at `path`.
    ///
    /// # Errors
    /// Why it could not be read; `InvalidData` when it is not UTF-8.
    fn read(&self, path: &Path) -> Result<SecretFile, io::ErrorKind>;
}

/// No files at all: every `file:` reference is a fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecretFiles;

impl SecretFiles for NoSecretFiles {
    fn read(&self, _path: &Path) -> Result<SecretFile, io::ErrorKind> {
        Err(io::ErrorKind::Unsupported)
    }
}

/// A secret with what should be said about the file it came from.
pub(crate) struct Resolved {
    pub(crate) secret: Secret<String>,
    pub(crate) world_readable: Option<PathBuf>,
}

/// What a secret looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// A token or a password.
    Line,
    /// A text of several lines, such as PEM.
    Lines,
}

/// Follows one reference. What it leads to is taken as it stands, never as a further reference.
pub(crate) fn resolve(
    text: &str,
    shape: Shape,
    environment: &BTreeMap<String, String>,
    files: &dyn SecretFiles,
) -> Result<Resolved, FaultKind> {
    if let Some(name) = text.strip_prefix("env:") {
        let value =
            environment.get(name).ok_or_else(|| FaultKind::ReferenceUnset { name: name.to_owned() })?;
        return literal(value, shape);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return from_file(Path::new(path), shape, files);
    }
    if text.starts_with("vault:") {
        return Err(FaultKind::NotAvailable {
            value: "vault:…".to_owned(),
            instead: "write env:NAME or file:/path",
        });
    }
    if text.starts_with("aws:secretsmanager:") {
        return Err(FaultKind::NotAvailable {
            value: "aws:secretsmanager:…".to_owned(),
            instead: "write env:NAME or file:/path; for rack.token the form is aws:secretsmanager:NAME#key",
        });
    }
    literal(text, shape)
}

fn literal(value: &str, shape: Shape) -> Result<Resolved, FaultKind> {
    if value.is_empty() {
        return Err(FaultKind::Empty);
    }
    // A control character is always a mistake in how the secret got here, and would end in a header.
    let (is_odd, expected): (fn(char) -> bool, _) = match shape {
        Shape::Line => (char::is_control, "a secret on one line without control characters"),
        Shape::Lines => (
            |c| c.is_control() && !matches!(c, '\n' | '\r'),
            "a text in PEM without control characters but line ends",
        ),
    };
    if value.chars().any(is_odd) {
        return Err(FaultKind::MalformedSecret { expected });
    }
    Ok(Resolved { secret: Secret::new(value.to_owned()), world_readable: None })
}

fn from_file(path: &Path, shape: Shape, files: &dyn SecretFiles) -> Result<Resolved, FaultKind> {
    if !path.is_absolute() {
        return Err(FaultKind::Malformed {
            value: format!("file:{}", path.display()),
            expected: "an absolute path, such as file:/run/secrets/rack-token",
        });
    }
    let file = files
        .read(path)
        .map_err(|reason| FaultKind::ReferenceUnreadable { path: path.to_owned(), reason })?;
    if file.mode & 0o002 != 0 {
        return Err(FaultKind::ReferenceWorldWritable { path: path.to_owned() });
    }
    let content = file.content.expose();
    // Editors and `echo` end a file with one newline that is not part of the secret.
    let value =
        content.strip_suffix('\n').map_or(content.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let world_readable = (file.mode & 0o004 != 0).then(|| path.to_owned());
    literal(value, shape).map(|resolved| Resolved { world_readable, ..resolved })
}
