//! Environments as people write them: `KEY=VALUE` in arguments, in a file, on standard input.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use gateway_client::text::one_line;
use gateway_types::wire::environments::{AppEnvironment, ChangeEnvironment};

use crate::failure::{Exit, Failure, Problem};
use crate::terminal::{Terminal, waiting};

/// The largest environment that is read, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// `KEY=VALUE` as it is printed: what would steer the terminal is made visible.
pub(in crate::commands) fn line(name: &str, value: &str) -> String {
    format!("{}={}", one_line(name), visible(value))
}

/// A value as it is printed; its lines stay lines.
pub(super) fn visible(value: &str) -> String {
    value.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// The pairs of a command line. A bare name is asked for at the terminal, or read from standard input.
pub(super) fn pairs(given: &[String], terminal: Terminal) -> Result<BTreeMap<String, String>, Failure> {
    let bare: Vec<&String> = given.iter().filter(|pair| !pair.contains('=')).collect();
    if bare.len() > 1 && !terminal.is_there {
        return Err(Failure::new(
            Exit::Usage,
            "standard input holds the value of one KEY, and several are named",
        )
        .hint("set them one by one, or use `rack-gateway env import`"));
    }
    let mut set = BTreeMap::new();
    for pair in given {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (pair.clone(), value_of(pair, terminal)?),
        };
        insert(&mut set, name, value)?;
    }
    Ok(set)
}

fn value_of(name: &str, terminal: Terminal) -> Result<String, Failure> {
    if terminal.is_there {
        let answer = waiting(|| (terminal.ask)(&format!("Value of {} (it is shown): ", one_line(name))))?;
        return answer.ok_or_else(|| Failure::new(Exit::Usage, "no value was given"));
    }
    let text = read(io::stdin().lock(), "standard input")?;
    Ok(text
        .strip_suffix('\n')
        .map(|text| text.strip_suffix('\r').unwrap_or(text))
        .unwrap_or(&text)
        .to_owned())
}

fn insert(set: &mut BTreeMap<String, String>, name: String, value: String) -> Result<(), Failure> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name {
        return Err(Failure::new(Exit::Usage, format!("`{}` is no name of a variable", one_line(&name))));
    }
    match set.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(Failure::new(Exit::Usage, format!("{} stands twice", one_line(&name)))),
    }
}

/// A file, or standard input.
pub(super) fn file(path: Option<&Path>) -> Result<String, Failure> {
    match path.filter(|path| *path != Path::new("-")) {
        None => read(io::stdin().lock(), "standard input"),
        Some(path) => {
            let shown = path.display().to_string();
            read(File::open(path).problem(format!("{shown} cannot be opened"))?, &shown)
        }
    }
}

fn read(from: impl io::Read, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.problem(format!("{what} cannot be read as text"))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::new(Exit::Usage, format!("{what} is larger than an environment can be")));
    }
    Ok(text)
}

/// The variables of a text: one `KEY=VALUE` a line; blank lines and lines that begin with `#` count for nothing. What
/// stands behind the `=` is the value as it is, quotes too.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut set = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| {
            // The line itself may be a piece of a secret.
            Failure::new(Exit::Usage, format!("line {} is not KEY=VALUE", number + 1))
        })?;
        insert(&mut set, name.trim().to_owned(), value.to_owned())?;
    }
    Ok(set)
}

/// An environment as a text to edit.
///
/// # Errors
/// When a plain value has several lines, which such a text cannot hold.
pub(super) fn text(env: &AppEnvironment) -> Result<String, Failure> {
    if let Some(long) = env.variables.iter().find(|one| one.value.contains(['\n', '\r'])) {
        let what = format!("the value of {} has more than one line", one_line(&long.name));
        return Err(Failure::new(Exit::Failed, what).hint("use `rack-gateway env set` and `env unset`"));
    }
    Ok(env.variables.iter().map(|one| format!("{}={}\n", one.name, one.value)).collect())
}

/// What leads from what was read to what it is to be, named by the release that was read.
pub(super) fn change(env: &AppEnvironment, after: BTreeMap<String, String>) -> ChangeEnvironment {
    let before: BTreeMap<&str, &str> =
        env.variables.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
    let unset = before.keys().filter(|name| !after.contains_key(**name)).map(|name| (*name).to_owned());
    let unset = unset.collect();
    let set = after.into_iter().filter(|(name, value)| before.get(name.as_str()) != Some(&value.as_str()));
    ChangeEnvironment { set: set.collect(), unset, base: env.release.clone() }
}
