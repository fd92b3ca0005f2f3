//! `man`: the help as manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_mangen::{Man, generate_to};

use crate::Context;
use crate::arguments::Arguments;
use crate::failure::{Failure, Problem};

/// The arguments of `man`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway man | man -l -\n  rack-gateway man --out ~/.local/share/man/man1"
)]
pub(crate) struct ManArguments {
    /// Write a page for each command into this directory [default: print the main page]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Writes them.
pub(crate) fn run(context: &Context, arguments: &ManArguments) -> Result<ExitCode, Failure> {
    match &arguments.out {
        Some(directory) => {
            let cannot = || format!("{} cannot be written", directory.display());
            std::fs::create_dir_all(directory).problem(cannot())?;
            generate_to(Arguments::command(), directory).problem(cannot())?;
            context.output.answer(&directory, || format!("the pages are in {}", directory.display()))?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(Arguments::command()).render(&mut page)?;
            context.output.line(String::from_utf8_lossy(&page).trim_end())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ManArguments { out: Some(directory.path().to_owned()) };
        run(&Context::for_tests(), &arguments).unwrap();
        for page in ["rack-gateway.1", "rack-gateway-deploy.1", "rack-gateway-apps-params-set.1"] {
            let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
    }
}
