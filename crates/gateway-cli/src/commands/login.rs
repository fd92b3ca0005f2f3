//! `login`: a session at a gateway, through the browser of this machine or on another device.

mod browser;
mod device;
mod loopback;
mod page;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway_client::sign_in::{LoopbackSignIn, SignedIn};
use gateway_client::text::one_line;
use gateway_client::{Client, Discovery, GatewayAddress, TlsOptions};
use gateway_types::{OsEntropy, Secret};
use serde::Serialize;
use tokio::time::{Duration, timeout};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Tone, remark};
use crate::racks::{Book, Kept, Rack, Racks, RacksError};
use crate::remote::{Target, typed_address};
use crate::skew;

pub(crate) use browser::open_page;

use loopback::{Expected, Loopback};

/// How long somebody may take in their browser.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The arguments of `login`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without a display, or over SSH, a code is shown that is confirmed in any browser.\nThe session is kept in the system's keyring, or where there is none in a file that is yours alone\n(always there with RACK_GATEWAY_CREDENTIALS=file)."
)]
pub(crate) struct LoginArguments {
    /// The gateway's address [default: RACK_GATEWAY_URL, else the current rack's]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Show a code that is confirmed in a browser anywhere
    #[arg(long)]
    pub(crate) device: bool,
    /// What to call the rack on this machine [default: the name that the gateway gives it]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print the address to open in a browser of this machine instead of opening one
    #[arg(long, conflicts_with = "device")]
    pub(crate) no_browser: bool,
    /// Certificate authorities (PEM) to trust beside the system's; kept with the rack
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    url: String,
    gateway_id: &'a str,
    email: &'a str,
    kept: Option<Kept>,
    expires_in_seconds: Option<u64>,
}

/// Signs in.
pub(crate) async fn run(context: &Context, arguments: LoginArguments) -> Result<ExitCode, Failure> {
    let racks = Racks::of(&context.environment)?;
    if let Some(name) = &arguments.name {
        checked_name(name)?;
    }
    let place = Place::of(context, &arguments)?;
    // Whatever is wrong with what is kept here is said before anybody goes to a browser.
    let before = racks.book()?.at(&place.address).cloned();
    let client = Client::new(place.address.clone(), None, &place.tls)?;
    let gateway = client.discovery().await?;
    warn_of_another(before.as_ref(), &gateway);
    skew::tell(gateway.version.as_deref());
    let signed_in = sign_in(context, &arguments, &client).await?;
    if signed_in.gateway_id != gateway.gateway_id {
        return Err(Failure::new(
            Exit::Failed,
            "the session is another gateway's than the one that was asked; nothing was kept",
        ));
    }
    let old = session_before(&racks, before.as_ref());
    let rack = keep(&racks, &place, &arguments, &gateway, &signed_in)?;
    end(&place, old).await;
    show(context, &rack, &signed_in)
}

/// Where to sign in, and whom to trust.
struct Place {
    address: GatewayAddress,
    tls: TlsOptions,
}

impl Place {
    fn of(context: &Context, arguments: &LoginArguments) -> Result<Self, Failure> {
        let environment = &context.environment;
        let (address, known_ca) = match &arguments.url {
            Some(url) => {
                let address = typed_address(url)?;
                let book = Racks::of(environment)?.book()?;
                let ca_file = book.at(&address).and_then(|rack| rack.ca_file.clone());
                (address, ca_file)
            }
            None => {
                let target = Target::known(context)?.ok_or_else(|| {
                    Failure::new(Exit::Usage, "it is not said where the gateway is")
                        .hint("write `rack-gateway login https://GATEWAY`")
                })?;
                (target.address, target.ca_file)
            }
        };
        let named = arguments.ca_file.as_ref().or(environment.ca_file.as_ref());
        let ca_file = match named {
            // It is found again from wherever the next command is run.
            Some(path) => Some(std::path::absolute(path)?),
            None => known_ca,
        };
        Ok(Self { address, tls: TlsOptions { ca_file } })
    }
}

fn warn_of_another(before: Option<&Rack>, now: &Discovery) {
    if let Some(before) = before.filter(|before| before.gateway_id != now.gateway_id) {
        remark(&format!(
            "warning: {} is another gateway than before ({} now, {} then); its people, tokens and log are others",
            before.url,
            one_line(&now.gateway_id),
            before.gateway_id
        ));
    }
}

async fn sign_in(
    context: &Context,
    arguments: &LoginArguments,
    client: &Client,
) -> Result<SignedIn, Failure> {
    if arguments.device || (!context.environment.has_display && !arguments.no_browser) {
        return device::sign_in(client).await;
    }
    // The port is this program's before anybody can be sent to it.
    match Loopback::bind().await {
        Ok(loopback) => through_browser(client, loopback, arguments.no_browser).await,
        Err(error) => {
            remark(&format!("no port of this machine can be used ({error}), so a code is shown instead"));
            device::sign_in(client).await
        }
    }
}

async fn through_browser(client: &Client, loopback: Loopback, no_browser: bool) -> Result<SignedIn, Failure> {
    let begun = LoopbackSignIn::begin(loopback.redirect_uri(), &OsEntropy);
    let page = begun.page(client, &browser::this_device());
    if no_browser || !open_page(client.address(), &page) {
        remark(&format!("Open this address in a browser of this machine to sign in:\n\n  {page}\n"));
    } else {
        remark(&format!("Sign in in the browser that was just opened. If there is none, open\n\n  {page}\n"));
    }
    let expected = Expected { state: begun.state().to_owned(), issuer: client.address().origin() };
    let callback = timeout(PATIENCE, loopback.callback(expected)).await.map_err(|_| {
        Failure::new(Exit::Failed, "nobody signed in within ten minutes")
            .hint("run `rack-gateway login` again")
    })??;
    match client.exchange_code(&begun, callback.code()).await {
        Ok(signed_in) => {
            callback.signed_in().await;
            Ok(signed_in)
        }
        Err(error) => {
            callback.failed().await;
            Err(error.into())
        }
    }
}

/// The session that the new one takes the place of.
fn session_before(racks: &Racks, before: Option<&Rack>) -> Option<Secret<String>> {
    let before = before?;
    racks.vault().find(&before.url, before.kept?).ok().flatten()
}

/// Keeps the session and the rack.
fn keep(
    racks: &Racks,
    place: &Place,
    arguments: &LoginArguments,
    gateway: &Discovery,
    signed_in: &SignedIn,
) -> Result<Rack, Failure> {
    let book = racks.book()?;
    let before = book.at(&place.address);
    let name = match (&arguments.name, before) {
        (Some(name), _) => name.clone(),
        (None, Some(rack)) => rack.name.clone(),
        (None, None) => free_name(&book, &gateway.rack, &place.address),
    };
    if let Ok(other) = book.named(&name)
        && other.url != place.address
    {
        return Err(RacksError::NameTaken { name, url: other.url.to_string() }.into());
    }
    let same_gateway = before.filter(|rack| rack.gateway_id == gateway.gateway_id);
    let rack = Rack {
        name,
        url: place.address.clone(),
        gateway_id: one_line(&gateway.gateway_id),
        email: one_line(&signed_in.email),
        kept: Some(racks.vault().keep(&place.address, &signed_in.access_token)?),
        ca_file: place.tls.ca_file.clone(),
        checkpoint: same_gateway.and_then(|rack| rack.checkpoint.clone()),
        promises: same_gateway.map(|rack| rack.promises.clone()).unwrap_or_default(),
    };
    racks.change(|book| book.put(rack.clone()))?;
    Ok(rack)
}

/// Ends the session that the new one took the place of. That it may be gone already is no fault.
async fn end(place: &Place, old: Option<Secret<String>>) {
    let client = old.and_then(|old| Client::new(place.address.clone(), Some(old), &place.tls).ok());
    if let Some(client) = client {
        let _ = client.sign_out().await;
    }
}

/// A name that a person can type.
fn is_name(name: &str) -> bool {
    let fits = (1..=64).contains(&name.len());
    fits && !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c))
}

fn checked_name(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "that is no name for a rack")
        .hint("use letters, digits, dots, dashes, slashes and underscores, at most 64"))
}

/// The name that the gateway gives its rack, when it is one and free, else where the gateway is.
fn free_name(book: &Book, suggested: &str, address: &GatewayAddress) -> String {
    if is_name(suggested) && book.named(suggested).is_err() {
        return suggested.to_owned();
    }
    let host = address.host();
    if book.named(&host).is_err() { host } else { address.to_string() }
}

fn show(context: &Context, rack: &Rack, signed_in: &SignedIn) -> Result<ExitCode, Failure> {
    let answer = Answer {
        name: &rack.name,
        url: rack.url.to_string(),
        gateway_id: &rack.gateway_id,
        email: &rack.email,
        kept: rack.kept,
        expires_in_seconds: signed_in.expires_in,
    };
    context.output.answer(&answer, || {
        let place = match rack.kept {
            Some(Kept::Keyring) => "in the keyring",
            Some(Kept::File) | None => "in a file that is yours alone",
        };
        let good = context.output.toned(Tone::Good, "signed in");
        format!("{good}: {} at {} ({}), kept {place}", answer.email, answer.url, answer.name)
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
