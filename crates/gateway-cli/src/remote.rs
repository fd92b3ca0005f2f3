//! The gateway that a command asks: which one, as whom, and a second factor when it wants one.

mod address;
mod rack_url;
mod several;
#[cfg(test)]
mod tests;
mod whose;

use std::path::PathBuf;

use gateway_client::{Client, ClientError, GatewayAddress, SecondFactor, TlsOptions};
use gateway_types::Secret;
use tokio::sync::OnceCell;

use crate::Context;
use crate::environment::ClientEnvironment;
use crate::failure::{Exit, Failure};
use crate::racks::{Book, Kept, Rack, Racks};
use crate::terminal::{Terminal, waiting};
use crate::witness;

pub(crate) use address::typed_address;
pub(crate) use several::{Named, only_one, several};
pub(crate) use whose::{Whose, whose};

/// Who a command asks, before it is known whether anybody is signed in there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where.
    pub(crate) address: GatewayAddress,
    /// Certificate authorities to trust beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// What the gateway is called here, when it is known here.
    pub(crate) rack: Option<Rack>,
    /// A token that the environment gives.
    given: Option<Secret<String>>,
}

/// A gateway, and somebody who is signed in to it.
#[derive(Debug)]
pub(crate) struct Remote {
    /// Where.
    pub(crate) target: Target,
    client: Client,
    terminal: Terminal,
    code: Option<SecondFactor>,
    environment: ClientEnvironment,
    /// The log was looked at, as is done before the first request.
    looked: OnceCell<()>,
}

impl Target {
    /// The gateway that is meant: the one that `--rack` names, the environment's, else the current one.
    ///
    /// # Errors
    /// When none is, or what is kept on this machine cannot be used.
    pub(crate) fn of(context: &Context) -> Result<Self, Failure> {
        match Self::known(context)? {
            Some(target) => Ok(target),
            None => Err(Failure::new(Exit::NotSignedIn, "no gateway is known on this machine")
                .hint("sign in with `rack-gateway login https://GATEWAY`, or set RACK_GATEWAY_URL and RACK_GATEWAY_TOKEN")),
        }
    }

    /// The same; `None` when none is meant.
    ///
    /// # Errors
    /// When what is kept on this machine cannot be used, or the environment makes no sense.
    pub(crate) fn known(context: &Context) -> Result<Option<Self>, Failure> {
        let environment = &context.environment;
        if let Some(name) = &context.rack {
            let book = Racks::of(environment)?.book()?;
            let rack = book.named(name)?.clone();
            return Ok(Some(Self::at_rack(context, rack)));
        }
        let given = environment.token.clone().transpose()?;
        let Some(url) = &environment.url else {
            if given.is_some() {
                return Err(Failure::new(
                    Exit::Usage,
                    "RACK_GATEWAY_TOKEN is set, but not RACK_GATEWAY_URL: a token is not sent to a gateway that was not named with it",
                )
                .hint("set RACK_GATEWAY_URL to the gateway's address, or unset RACK_GATEWAY_TOKEN"));
            }
            let Ok(racks) = Racks::of(environment) else { return Ok(None) };
            return Ok(racks.book()?.current().cloned().map(|rack| Self::at_rack(context, rack)));
        };
        let text = url.to_str().ok_or_else(|| Failure::new(Exit::Usage, "RACK_GATEWAY_URL is not UTF-8"))?;
        Ok(Some(Self::named(context, typed_address(text)?)?))
    }

    /// The gateway at this address, which a flag names: with the environment's token, which was given for
    /// this very command, else with the session that is kept for it.
    ///
    /// # Errors
    /// When what is kept on this machine cannot be used.
    pub(crate) fn named(context: &Context, address: GatewayAddress) -> Result<Self, Failure> {
        let environment = &context.environment;
        let given = environment.token.clone().transpose()?;
        let book = match (&given, Racks::of(environment)) {
            // A token of one's own needs nothing that is kept here.
            (None, Ok(racks)) => racks.book()?,
            _ => Book::default(),
        };
        let rack = book.at(&address).cloned();
        let ca_file =
            environment.ca_file.clone().or_else(|| rack.as_ref().and_then(|rack| rack.ca_file.clone()));
        Ok(Self { address, ca_file, rack, given })
    }

    fn at_rack(context: &Context, rack: Rack) -> Self {
        let ca_file = context.environment.ca_file.clone().or_else(|| rack.ca_file.clone());
        Self { address: rack.url.clone(), ca_file, rack: Some(rack), given: None }
    }

    /// What the gateway is called.
    pub(crate) fn name(&self) -> String {
        self.rack.as_ref().map_or_else(|| self.address.host(), |rack| rack.name.clone())
    }

    /// Where the session is kept on this machine; `None` when there is none.
    pub(crate) fn kept(&self) -> Option<Kept> {
        self.rack.as_ref().and_then(|rack| rack.kept)
    }

    /// The credential: the environment's, else the session that is kept here.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn credential(&self, context: &Context) -> Result<Secret<String>, Failure> {
        if let Some(token) = &self.given {
            let trimmed = token.expose().trim();
            return Ok(Secret::new(trimmed.to_owned()));
        }
        let found = match self.kept() {
            Some(kept) => Racks::of(&context.environment)?.vault().find(&self.address, kept)?,
            None => None,
        };
        found.ok_or_else(|| {
            Failure::new(Exit::NotSignedIn, format!("not signed in to {}", self.address))
                .hint(format!("sign in with `rack-gateway login {}`", self.address))
        })
    }

    /// Whom to trust.
    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions { ca_file: self.ca_file.clone() }
    }
}

impl Remote {
    /// The gateway that is meant, as whoever is signed in to it.
    ///
    /// # Errors
    /// When none is meant or nobody is signed in.
    pub(crate) fn open(context: &Context) -> Result<Self, Failure> {
        Self::at(context, Target::of(context)?)
    }

    /// This gateway.
    ///
    /// # Errors
    /// When nobody is signed in to it.
    pub(crate) fn at(context: &Context, target: Target) -> Result<Self, Failure> {
        let credential = target.credential(context)?;
        let client = Client::new(target.address.clone(), Some(credential), &target.tls())?;
        Ok(Self {
            target,
            client,
            terminal: context.terminal,
            code: context.code.clone(),
            environment: context.environment.clone(),
            looked: OnceCell::new(),
        })
    }

    /// What the environment says.
    pub(crate) const fn environment(&self) -> &ClientEnvironment {
        &self.environment
    }

    /// The client, for what never needs a second factor.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a request, the first one only after a look at the gateway's log. When the gateway wants a second factor, it is made once more with the code of
    /// `--code`, or with the one that the person at the terminal types.
    ///
    /// # Errors
    /// What the gateway says, when there is no code or it does not help.
    pub(crate) async fn ask<T, R>(&self, request: R) -> Result<T, Failure>
    where
        R: AsyncFn(&Client) -> Result<T, ClientError>,
    {
        self.looked.get_or_try_init(async || witness::before(self).await).await?;
        let answer = self.ask_now(request).await;
        witness::after(self)?;
        answer
    }

    async fn ask_now<T, R>(&self, request: R) -> Result<T, Failure>
    where
        R: AsyncFn(&Client) -> Result<T, ClientError>,
    {
        let refused = match request(&self.client).await {
            Err(error @ ClientError::StepUp { .. }) => error,
            answer => return Ok(answer?),
        };
        if !refused.refusal().is_some_and(gateway_client::Refusal::wants_code) {
            return Err(refused.into());
        }
        let code = match &self.code {
            Some(code) => Some(code.clone()),
            None => waiting(|| self.terminal.code("This needs your second factor."))?,
        };
        match code {
            Some(code) => Ok(request(&self.client.with_factor(code)).await?),
            None => Err(refused.into()),
        }
    }
}
