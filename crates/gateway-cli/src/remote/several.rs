//! Several gateways at once, as `--rack a,b` and `--rack all` name them.

use super::{Remote, Target};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::racks::Racks;

/// The word for every gateway that somebody is signed in to on this machine.
const ALL: &str = "all";

/// A gateway, or why it cannot be asked. One that cannot is no reason to leave the others out.
#[derive(Debug)]
pub(crate) struct Named {
    /// What it is called.
    pub(crate) name: String,
    /// The gateway.
    pub(crate) remote: Result<Remote, Failure>,
}

/// The gateways that `--rack` names, in its order; `None` when it names one, or is not given.
///
/// # Errors
/// When it names none, or what is kept on this machine cannot be used.
pub(crate) fn several(context: &Context) -> Result<Option<Vec<Named>>, Failure> {
    let Some(text) = context.rack.as_deref() else { return Ok(None) };
    let book = || Ok::<_, Failure>(Racks::of(&context.environment)?.book()?);
    // A gateway that is called so is meant by its name.
    let racks = if text == ALL && book()?.named(ALL).is_err() {
        let racks: Vec<String> =
            book()?.racks().filter(|rack| rack.kept.is_some()).map(|rack| rack.name.clone()).collect();
        if racks.is_empty() {
            return Err(Failure::new(
                Exit::NotSignedIn,
                "nobody is signed in to any gateway on this machine",
            )
            .hint("sign in with `rack-gateway login https://GATEWAY`"));
        }
        racks
    } else if text.contains(',') {
        let mut racks: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !racks.iter().any(|known| known == name) {
                racks.push(name.to_owned());
            }
        }
        if racks.is_empty() {
            return Err(Failure::new(Exit::Usage, "--rack names no gateway").hint(
                "write --rack NAME, --rack ONE,OTHER or --rack all; `rack-gateway racks` shows the names",
            ));
        }
        racks
    } else {
        return Ok(None);
    };
    let book = book()?;
    let open = |name: &String| Remote::at(context, Target::at_rack(context, book.named(name)?.clone()));
    Ok(Some(racks.into_iter().map(|name| Named { remote: open(&name), name }).collect()))
}

/// The one that `--rack` names, for a command that asks one gateway.
///
/// # Errors
/// When it names several.
pub(crate) fn only_one(context: &Context) -> Result<(), Failure> {
    match several(context)? {
        None => Ok(()),
        Some(_) => Err(Failure::new(Exit::Usage, "this asks one gateway, and --rack names several")
            .hint("name the one with --rack NAME")),
    }
}
