//! `convox …`: the installed official client, through the gateway, with the credential in that one
//! process's environment and nowhere else.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use gateway_config::Proxy;
use gateway_types::Secret;
use url::{Host, Url};

use crate::environment::{self, RACK_GATEWAY_TOKEN, RACK_GATEWAY_URL, RACK_URL};
use crate::failure::{Exit, Failure, Problem};

/// The official client's program.
const CLIENT: &str = "convox";

/// The most bytes of a token with its factor.
const MOST_TOKEN_BYTES: u64 = 4096;

/// The arguments of `convox`.
#[derive(Args, Debug)]
#[command(
    after_help = "The exit code is the client's own. Example:\n  rack-gateway convox ps --app web\n\nThe token is read from RACK_GATEWAY_TOKEN or from --token-file, never from the command line,\nwhich every user of the machine can see."
)]
pub(crate) struct ConvoxArguments {
    /// The gateway's address, such as `https://gateway.example.com` [env: RACK_GATEWAY_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Read the token from the first line of this file; - for standard input [default: the variable RACK_GATEWAY_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The client's own command and flags, as they are
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Becomes the client. Returns only when that is not possible.
pub(crate) fn run(arguments: ConvoxArguments) -> Result<ExitCode, Failure> {
    let gateway = gateway_url(arguments.url.as_deref())?;
    let token = token(arguments.token_file.as_deref())?;
    let rack_url = rack_url(gateway, &token)?;
    // The client takes this process's place, so that its terminal, its signals and its exit code are its own.
    let error = Command::new(CLIENT)
        .args(arguments.command)
        .env(RACK_URL, rack_url.expose())
        .env_remove(RACK_GATEWAY_TOKEN)
        .exec();
    let missing = error.kind() == io::ErrorKind::NotFound;
    let failure = Err::<ExitCode, _>(error).problem(format!("the client `{CLIENT}` cannot be run"));
    failure.map_err(|failure| match missing {
        true => failure.hint("install it from https://docs.convox.com/installation/cli and look at PATH"),
        false => failure,
    })
}

fn gateway_url(flag: Option<&str>) -> Result<Url, Failure> {
    let wrong = |what: &'static str| {
        Failure::new(Exit::Usage, what)
            .hint("write the gateway's address, such as https://gateway.example.com")
    };
    let text = match flag {
        Some(text) => text.to_owned(),
        None => environment::read(RACK_GATEWAY_URL)
            .ok_or_else(|| wrong("it is not said where the gateway is: give --url or set RACK_GATEWAY_URL"))?
            .into_string()
            .map_err(|_| wrong("RACK_GATEWAY_URL is not UTF-8"))?,
    };
    let url = Url::parse(text.trim()).map_err(|_| wrong("the gateway's address is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "the gateway's address holds a credential; give the token by RACK_GATEWAY_TOKEN or --token-file",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("the gateway's address has a query or a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => {
            Err(wrong("the token would cross the network in the clear: the gateway's address must be https"))
        }
        _ => Err(wrong("the gateway's address must be https")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn token(file: Option<&Path>) -> Result<Secret<String>, Failure> {
    let none = || {
        Failure::new(Exit::NotSignedIn, "no token is given")
            .hint("set RACK_GATEWAY_TOKEN, or name a file with --token-file (- reads standard input)")
    };
    let text = match file {
        Some(path) => first_line(path)?,
        None => Secret::new(
            environment::read(RACK_GATEWAY_TOKEN)
                .ok_or_else(none)?
                .into_string()
                .map_err(|_| Failure::new(Exit::Usage, "RACK_GATEWAY_TOKEN is not UTF-8"))?,
        ),
    };
    let trimmed = text.expose().trim();
    if trimmed.is_empty() {
        return Err(none());
    }
    // RFC 3986 unreserved: anything else would be spelled differently inside of RACK_URL.
    if !trimmed.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)) {
        return Err(Failure::new(Exit::Usage, "the token holds characters that no token of a gateway has")
            .hint("tokens look like rgw_… or rgs_…; look at what is around it"));
    }
    Ok(Secret::new(trimmed.to_owned()))
}

/// Reads up to the first newline and not a byte further: what follows on standard input is the client's.
fn first_line(path: &Path) -> Result<Secret<String>, Failure> {
    let cannot = || format!("the token cannot be read from {}", path.display());
    let opened = if path.as_os_str() == "-" {
        // The same open file and not `io::stdin()`, which reads ahead, nor `/dev/stdin`, which begins anew.
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    let mut file = opened.problem(cannot())?.take(MOST_TOKEN_BYTES);
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    while file.read(&mut byte).problem(cannot())? == 1 && byte != [b'\n'] {
        line.extend_from_slice(&byte);
    }
    String::from_utf8(line).map(Secret::new).problem(cannot())
}

/// What the client is given: the gateway's address with the token as the rack's password.
fn rack_url(mut gateway: Url, token: &Secret<String>) -> Result<Secret<String>, Failure> {
    let path = format!("{}{}", gateway.path().trim_end_matches('/'), Proxy::PREFIX);
    gateway.set_path(&path);
    gateway
        .set_username("convox")
        .and_then(|()| gateway.set_password(Some(token.expose())))
        .map_err(|()| Failure::new(Exit::Usage, "the gateway's address has no host"))?;
    Ok(Secret::new(gateway.into()))
}
