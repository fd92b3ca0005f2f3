//! Which app is meant, in the official client's order (API.md 3.1), with `CONVOX_APP` after the flag.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use crate::environment::{self, CONVOX_APP};
use crate::failure::{Exit, Failure, Problem as _};

/// Where a directory says which app it is of.
const FILE: &str = ".convox/app";

/// The longest such file, in bytes.
const MOST_BYTES: u64 = 4096;

/// The app that is meant from here.
///
/// # Errors
/// When what says it cannot be read, or nothing says it.
pub(super) fn app(flag: Option<String>) -> Result<String, Failure> {
    let directory = std::env::current_dir().problem("this directory cannot be told")?;
    found(flag, environment::read(CONVOX_APP), &directory)
}

fn found(flag: Option<String>, variable: Option<OsString>, directory: &Path) -> Result<String, Failure> {
    if let Some(flag) = flag {
        return Ok(flag);
    }
    if let Some(variable) = variable {
        return variable.into_string().map_err(|_| {
            Failure::new(Exit::Usage, "CONVOX_APP is not UTF-8").hint("name the app with -a APP")
        });
    }
    let path = directory.join(FILE);
    match std::fs::metadata(&path) {
        Ok(data) if data.len() <= MOST_BYTES => {
            let text =
                std::fs::read_to_string(&path).problem(format!("{} cannot be read", path.display()))?;
            if !text.trim().is_empty() {
                return Ok(text.trim().to_owned());
            }
        }
        Ok(_) => {
            return Err(Failure::new(Exit::Usage, format!("{} is too long to name an app", path.display())));
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error).problem(format!("{} cannot be read", path.display())),
    }
    directory.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| {
        Failure::new(Exit::Usage, "nothing says which app is meant").hint("name it with -a APP")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_variable_before_the_file_before_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().join("shop");
        std::fs::create_dir_all(here.join(".convox")).unwrap();
        let of = |flag: Option<&str>, variable: Option<&str>| {
            found(flag.map(str::to_owned), variable.map(OsString::from), &here).unwrap()
        };
        assert_eq!(of(None, None), "shop");
        std::fs::write(here.join(FILE), " \n").unwrap();
        assert_eq!(of(None, None), "shop", "an empty file says nothing");
        std::fs::write(here.join(FILE), "from-file\n").unwrap();
        assert_eq!(of(None, None), "from-file");
        assert_eq!(of(None, Some("from-variable")), "from-variable");
        assert_eq!(of(Some("from-flag"), Some("from-variable")), "from-flag");
        std::fs::write(here.join(FILE), vec![b'x'; 5000]).unwrap();
        assert_eq!(found(None, None, &here).unwrap_err().exit(), Exit::Usage);
    }
}
