//! A text in the person's own editor: in a file that only they can read, and that is gone afterwards.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::process::{Command, Stdio};

use crate::environment::{self, EDITOR, VISUAL};
use crate::failure::{Exit, Failure, Problem};
use crate::terminal::waiting;

/// The largest text that is taken back, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// Lets the person change a text, and returns it.
///
/// # Errors
/// When there is no editor, or it says that it failed.
pub(super) fn edit(text: &str) -> Result<String, Failure> {
    let editor = environment::read(VISUAL).or_else(|| environment::read(EDITOR)).ok_or_else(|| {
        Failure::new(Exit::Usage, "no editor is named")
            .hint("set VISUAL or EDITOR, or use `rack-gateway env set`")
    })?;
    // Made with the rights 0600 (tempfile), and removed when it goes out of scope, also after a fault.
    let mut file = tempfile::Builder::new()
        .prefix("rack-gateway-env-")
        .suffix(".env")
        .tempfile()
        .problem("a temporary file cannot be made")?;
    file.write_all(text.as_bytes()).problem("the temporary file cannot be written")?;
    file.flush().problem("the temporary file cannot be written")?;
    let path = file.path().to_owned();
    // An editor may be given with arguments (`code --wait`), as git and the official client take it.
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg("exec $RACK_GATEWAY_EDITOR \"$1\"").arg("editor").arg(&path);
    command.env("RACK_GATEWAY_EDITOR", editor).stdin(Stdio::inherit());
    let status = waiting(|| command.status()).problem("the editor cannot be started")?;
    if !status.success() {
        return Err(Failure::new(Exit::Failed, "the editor ended with a fault; nothing was changed"));
    }
    file.rewind().problem("the temporary file cannot be read")?;
    // Editors replace a file as often as they write into it: it is read by its name.
    let length = fs::metadata(&path).problem("the temporary file cannot be read")?.len();
    if length > MOST_BYTES {
        return Err(Failure::new(Exit::Failed, "the text is larger than an environment can be"));
    }
    fs::read_to_string(&path).problem("the temporary file cannot be read as text")
}
