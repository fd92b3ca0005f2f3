//! Whether a command works on the database of this machine or asks a gateway.

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::DataPlace;

use super::Target;

/// Whose answer is wanted.
#[derive(Debug)]
pub(crate) enum Whose {
    /// The database's on this machine.
    Local,
    /// A gateway's.
    Remote(Box<Target>),
}

/// What is named first decides: a flag for either, then `RACK_GATEWAY_URL`, then a variable that names a
/// database or a configuration. When nothing is named, the gateway that somebody signed in to is asked, and
/// where there is none, the database of the configuration in the working directory.
///
/// # Errors
/// When both are named by flags, or what is kept on this machine cannot be used.
pub(crate) fn whose(context: &Context, place: &DataPlace) -> Result<Whose, Failure> {
    let local_flag = *place != DataPlace::default() || context.config.is_some();
    if local_flag && context.rack.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "--rack asks a gateway, and --config, --data-dir and --database-url name a database of this machine: give one of them",
        ));
    }
    if local_flag {
        return Ok(Whose::Local);
    }
    let named = context.rack.is_some() || context.environment.url.is_some();
    if !named && context.environment.names_database {
        return Ok(Whose::Local);
    }
    Ok(Target::known(context)?.map_or(Whose::Local, |target| Whose::Remote(Box::new(target))))
}
