//! The environment variables that the command line itself reads, one constant each, and the only place
//! that reads them. What configures the gateway is in `gateway_config::variables`.

use std::ffi::OsString;

/// The gateway's address for client commands: `https://gateway.example.com`. The flag `--url` comes
/// before it.
pub(crate) const RACK_GATEWAY_URL: &str = "RACK_GATEWAY_URL";

/// The caller's API token or CLI session for client commands. `--token-file` comes before it.
pub(crate) const RACK_GATEWAY_TOKEN: &str = "RACK_GATEWAY_TOKEN";

/// Set to anything but nothing: no colours (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// What the official client reads the rack's address and credential from. Only ever written, for that
/// client alone.
pub(crate) const RACK_URL: &str = "RACK_URL";

/// The value of a variable; `None` when it is unset or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the command line that reads its own variables"
)]
pub(crate) fn read(name: &'static str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
