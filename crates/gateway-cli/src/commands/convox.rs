//! `convox …`: the installed official client, through the gateway, with the credential in that one
//! process's environment and nowhere else (M3).

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
use gateway_client::{GatewayAddress, SecondFactor};
use gateway_config::Proxy;
use gateway_types::Secret;

use crate::Context;
use crate::environment::{self, RACK_GATEWAY_TOKEN, RACK_URL, SSL_CERT_FILE};
use crate::failure::{Exit, Failure, Problem};
use crate::remote::{Target, typed_address};

/// The official client's program.
const CLIENT: &str = "convox";

/// The most bytes of a token with its factor.
const MOST_TOKEN_BYTES: u64 = 4096;

/// The arguments of `convox`.
#[derive(Args, Debug)]
#[command(
    after_help = "The exit code is the client's own. Example:\n  rack-gateway convox ps --app web\n\nWithout more it is the current rack, with the session of `rack-gateway login`. A token is read from\nRACK_GATEWAY_TOKEN or from --token-file, never from the command line, which every user of the\nmachine can see."
)]
pub(crate) struct ConvoxArguments {
    /// The gateway's address, such as `https://gateway.example.com` [env: RACK_GATEWAY_URL] [default: the current rack's]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Read the token from the first line of this file; - for standard input [default: the variable
    /// RACK_GATEWAY_TOKEN, else the session of `rack-gateway login`]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The client's own command and flags, as they are
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Becomes the client. Returns only when that is not possible.
pub(crate) fn run(context: &Context, arguments: ConvoxArguments) -> Result<ExitCode, Failure> {
    let (target, token) = target_and_token(context, &arguments)?;
    let rack_url = rack_url(&target.address, &with_factor(context, token)?)?;
    let mut client = Command::new(CLIENT);
    client.args(arguments.command).env(RACK_URL, rack_url.expose()).env_remove(RACK_GATEWAY_TOKEN);
    if let (Some(file), None) = (&target.ca_file, environment::read(SSL_CERT_FILE)) {
        client.env(SSL_CERT_FILE, file);
    }
    // The client takes this process's place, so that its terminal, its signals and its exit code are its own.
    let error = client.exec();
    let missing = error.kind() == io::ErrorKind::NotFound;
    let failure = Err::<ExitCode, _>(error).problem(format!("the client `{CLIENT}` cannot be run"));
    failure.map_err(|failure| match missing {
        true => failure.hint("install it from https://docs.convox.com/installation/cli and look at PATH"),
        false => failure,
    })
}

/// Which gateway, and as whom. A token that is given goes to the gateway that is named with it; a session
/// goes to the gateway that gave it.
fn target_and_token(
    context: &Context,
    arguments: &ConvoxArguments,
) -> Result<(Target, Secret<String>), Failure> {
    let target = match &arguments.url {
        Some(url) => Target::named(context, typed_address(url)?)?,
        None => Target::of(context)?,
    };
    let token = match &arguments.token_file {
        Some(path) => checked(first_line(path)?)?,
        None => checked(target.credential(context)?)?,
    };
    Ok((target, token))
}

/// The token with the factor of `--code` behind it, as an unmodified client sends it (DESIGN 4.4).
fn with_factor(context: &Context, token: Secret<String>) -> Result<Secret<String>, Failure> {
    let Some(factor) = &context.code else { return Ok(token) };
    let kind = match factor {
        SecondFactor::Totp(_) => "totp",
        SecondFactor::Backup(_) => "backup",
        SecondFactor::Yubico(_) => "yubico",
    };
    if token.expose().contains('.') {
        return Err(Failure::new(
            Exit::Usage,
            "the token has a second factor behind it already; leave --code out",
        ));
    }
    Ok(Secret::new(format!("{}.{kind}.{}", token.expose(), factor.code().expose())))
}

fn checked(text: Secret<String>) -> Result<Secret<String>, Failure> {
    let trimmed = text.expose().trim();
    if trimmed.is_empty() {
        return Err(Failure::new(Exit::NotSignedIn, "no token is given")
            .hint("set RACK_GATEWAY_TOKEN, or name a file with --token-file (- reads standard input)"));
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
pub(super) fn rack_url(gateway: &GatewayAddress, token: &Secret<String>) -> Result<Secret<String>, Failure> {
    let mut url = gateway.url().clone();
    let path = format!("{}{}", url.path().trim_end_matches('/'), Proxy::PREFIX);
    url.set_path(&path);
    url.set_username("convox")
        .and_then(|()| url.set_password(Some(token.expose())))
        .map_err(|()| Failure::new(Exit::Usage, "the gateway's address has no host"))?;
    Ok(Secret::new(url.into()))
}
