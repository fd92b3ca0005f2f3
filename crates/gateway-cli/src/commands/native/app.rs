//! Which app is meant.

use std::io;
use std::path::Path;

use clap::Args;

use super::super::completion::apps;
use crate::Context;
use crate::failure::{Exit, Failure, Problem};

/// The file that names the app of a directory.
const FILE: &str = ".convox/app";

/// `--app`.
#[derive(Args, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct AppArgument {
    /// The app [env: CONVOX_APP] [default: what .convox/app says, else the name of this directory]
    #[arg(long, short = 'a', global = true, value_name = "APP", add = apps())]
    pub(crate) app: Option<String>,
}

impl AppArgument {
    /// The app that is meant.
    ///
    /// # Errors
    /// When none is.
    pub(crate) fn name(&self, context: &Context) -> Result<String, Failure> {
        self.name_or(None, context)
    }

    /// The same, where the app may also be named as it is: `apps info web`.
    ///
    /// # Errors
    /// When none is meant, or two are.
    pub(crate) fn name_or(&self, named: Option<&str>, context: &Context) -> Result<String, Failure> {
        let given = match (named, self.app.as_deref()) {
            (Some(one), Some(other)) if one != other => {
                return Err(Failure::new(Exit::Usage, format!("two apps are named: {one} and {other}")));
            }
            (named, app) => named.or(app),
        };
        let variable = context.environment.convox_app.clone().transpose()?;
        let file = match std::fs::read_to_string(FILE) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).problem(format!("{FILE} cannot be read")),
        };
        let directory = std::env::current_dir().ok();
        chosen(given, variable.as_deref(), file.as_deref(), directory.as_deref())
    }
}

fn chosen(
    given: Option<&str>,
    variable: Option<&str>,
    file: Option<&str>,
    directory: Option<&Path>,
) -> Result<String, Failure> {
    let directory = directory.and_then(Path::file_name).and_then(|name| name.to_str());
    [given, variable, file, directory]
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|name| !name.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(Exit::Usage, "no app is named").hint("name it with --app"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_closest_is_meant() {
        let here = Some(Path::new("/work/shop"));
        assert_eq!(chosen(Some("a"), Some("b"), Some("c"), here).unwrap(), "a");
        assert_eq!(chosen(None, Some("b"), Some("c"), here).unwrap(), "b");
        assert_eq!(chosen(None, None, Some("c\n"), here).unwrap(), "c");
        assert_eq!(chosen(None, None, Some("\n"), here).unwrap(), "shop");
        assert_eq!(chosen(None, None, None, Some(Path::new("/"))).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn two_names_for_one_app_are_a_slip() {
        let argument = AppArgument { app: Some("web".to_owned()) };
        let context = Context::for_tests();
        assert_eq!(argument.name_or(Some("web"), &context).unwrap(), "web");
        assert_eq!(argument.name_or(Some("shop"), &context).unwrap_err().exit(), Exit::Usage);
    }
}
