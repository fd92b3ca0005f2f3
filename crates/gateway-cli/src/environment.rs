//! The environment variables that the command line itself reads, one constant each, and the only place
//! that reads them. What configures the gateway is in `gateway_config::variables`.

use std::ffi::OsString;
use std::path::PathBuf;

use gateway_config::variables::{DATA_DIR, DATABASE_URL, RACK_GATEWAY_CONFIG};
use gateway_types::Secret;

/// The gateway's address for client commands: `https://gateway.example.com`. The flag `--url` comes
/// before it.
pub(crate) const RACK_GATEWAY_URL: &str = "RACK_GATEWAY_URL";

/// The caller's API token or CLI session for client commands. `--token-file` comes before it.
pub(crate) const RACK_GATEWAY_TOKEN: &str = "RACK_GATEWAY_TOKEN";

/// Certificate authorities (a PEM file) to trust beside the system's, for client commands.
pub(crate) const RACK_GATEWAY_CA_FILE: &str = "RACK_GATEWAY_CA_FILE";

/// In a CI job: the token of the CI system, made for this gateway, for `ci login`.
pub(crate) const CI_ID_TOKEN: &str = "RACK_GATEWAY_ID_TOKEN";

/// Where sessions are kept: `keyring`, `file`, or unset for the keyring when there is one.
pub(crate) const RACK_GATEWAY_CREDENTIALS: &str = "RACK_GATEWAY_CREDENTIALS";

/// The person's editor for a whole screen, for `env edit`.
pub(crate) const VISUAL: &str = "VISUAL";

/// The person's editor.
pub(crate) const EDITOR: &str = "EDITOR";

/// Where programs keep their configuration (XDG Base Directory Specification); unset = `~/.config`.
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";

/// The person's own directory.
const HOME: &str = "HOME";

/// Set where windows can be opened (X11, Wayland).
const DISPLAYS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// Set in a shell that somebody sits far away from.
const SSH_CONNECTION: &str = "SSH_CONNECTION";

/// Set to anything but nothing: no colours (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// What the official client reads the rack's address and credential from. The Convox commands take it when it names a
/// gateway; written for that client alone.
pub(crate) const RACK_URL: &str = "RACK_URL";

/// The app that Convox commands are about, when none is named.
const CONVOX_APP: &str = "CONVOX_APP";

/// What the official client reads certificate authorities from. Written for that client alone, when the
/// gateway's is not one of the system's.
pub(crate) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// The value of a variable; `None` when it is unset or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the command line that reads its own variables"
)]
pub(crate) fn read(name: &'static str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where sessions are to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Keeping {
    /// In the keyring when there is one, else in a file.
    #[default]
    Best,
    /// In the keyring or nowhere.
    Keyring,
    /// In a file.
    File,
}

/// What the environment says to client commands.
#[derive(Clone, Debug)]
pub(crate) struct ClientEnvironment {
    /// [`RACK_GATEWAY_URL`].
    pub(crate) url: Option<OsString>,
    /// [`RACK_GATEWAY_TOKEN`]; `Err` when it is not text.
    pub(crate) token: Option<Result<Secret<String>, NotText>>,
    /// [`RACK_GATEWAY_CA_FILE`].
    pub(crate) ca_file: Option<PathBuf>,
    /// [`RACK_URL`]; `Err` when it is not text.
    pub(crate) rack_url: Option<Result<Secret<String>, NotText>>,
    /// [`CONVOX_APP`]; `Err` when it is not text.
    pub(crate) convox_app: Option<Result<String, NotText>>,
    /// Where racks and, without a keyring, sessions are kept; `None` when there is no such place.
    pub(crate) directory: Option<PathBuf>,
    /// [`RACK_GATEWAY_CREDENTIALS`]; the text when it is none of the words.
    pub(crate) keeping: Result<Keeping, UnknownKeeping>,
    /// Whether a variable names the gateway's own configuration or database.
    pub(crate) names_database: bool,
    /// Whether a browser can be opened before whoever sits here.
    pub(crate) has_display: bool,
}

/// A variable that is no text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not UTF-8")]
pub(crate) struct NotText(pub(crate) &'static str);

/// A word that says no place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{RACK_GATEWAY_CREDENTIALS} is `{0}`; write `keyring` or `file`, or leave it unset")]
pub(crate) struct UnknownKeeping(String);

impl Default for ClientEnvironment {
    /// An environment that says nothing.
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            ca_file: None,
            rack_url: None,
            convox_app: None,
            directory: None,
            keeping: Ok(Keeping::default()),
            names_database: false,
            has_display: false,
        }
    }
}

impl ClientEnvironment {
    /// As this process was given it.
    pub(crate) fn of_process() -> Self {
        let elsewhere = read(SSH_CONNECTION).is_some();
        let windows = !cfg!(target_os = "linux") || DISPLAYS.iter().any(|name| read(name).is_some());
        Self {
            url: read(RACK_GATEWAY_URL),
            token: read(RACK_GATEWAY_TOKEN)
                .map(|value| value.into_string().map(Secret::new).map_err(|_| NotText(RACK_GATEWAY_TOKEN))),
            ca_file: read(RACK_GATEWAY_CA_FILE).map(PathBuf::from),
            rack_url: read(RACK_URL)
                .map(|value| value.into_string().map(Secret::new).map_err(|_| NotText(RACK_URL))),
            convox_app: read(CONVOX_APP).map(|value| value.into_string().map_err(|_| NotText(CONVOX_APP))),
            directory: directory(read(XDG_CONFIG_HOME), read(HOME)),
            keeping: keeping(read(RACK_GATEWAY_CREDENTIALS)),
            names_database: [DATABASE_URL, DATA_DIR, RACK_GATEWAY_CONFIG]
                .iter()
                .any(|name| read(name).is_some()),
            has_display: windows && !elsewhere,
        }
    }
}

/// A relative XDG_CONFIG_HOME is to be ignored, the specification says.
fn directory(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    xdg.and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".config")))
        .map(|config| config.join("rack-gateway"))
}

fn keeping(value: Option<OsString>) -> Result<Keeping, UnknownKeeping> {
    match value.map(|value| value.to_string_lossy().into_owned()).as_deref() {
        None => Ok(Keeping::Best),
        Some("keyring") => Ok(Keeping::Keyring),
        Some("file") => Ok(Keeping::File),
        Some(other) => Err(UnknownKeeping(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racks_are_kept_where_the_specification_says() {
        let of = |xdg: Option<&str>, home: Option<&str>| directory(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(of(Some("/x"), Some("/h")), Some("/x/rack-gateway".into()));
        assert_eq!(of(Some("relative"), Some("/h")), Some("/h/.config/rack-gateway".into()));
        assert_eq!(of(None, Some("/h")), Some("/h/.config/rack-gateway".into()));
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn a_slip_in_where_sessions_are_kept_is_an_error() {
        assert_eq!(keeping(None), Ok(Keeping::Best));
        assert_eq!(keeping(Some("file".into())), Ok(Keeping::File));
        assert!(keeping(Some("flie".into())).is_err());
    }
}
