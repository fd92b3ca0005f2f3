//! Environments of apps, and their values.

use gateway_types::wire::Listing;
use gateway_types::wire::environments::{
    AppEnvironment, ChangeEnvironment, ChangedEnvironment, RevealTime, RevealValues, Revealed,
};
use http::Method;

use super::{Client, with_query};
use crate::error::ClientError;

/// What an environment is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared<'a> {
    /// The release that runs.
    Active,
    /// This release.
    Since(&'a str),
    /// The newest release of another app.
    With(&'a str),
}

impl Client {
    /// An app's environment, with handles for what is secret.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn environment(
        &self,
        app: &str,
        release: Option<&str>,
        compared: Compared<'_>,
    ) -> Result<AppEnvironment, ClientError> {
        let (since, with) = match compared {
            Compared::Active => (None, None),
            Compared::Since(release) => (Some(release), None),
            Compared::With(other) => (None, Some(other)),
        };
        let asked = [("release", release), ("since", since), ("with", with)];
        self.read(with_query(self.address().api(&["apps", app, "env"]), &asked)).await
    }

    /// Changes an app's environment: a new release, which is not promoted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_environment(
        &self,
        app: &str,
        change: &ChangeEnvironment,
    ) -> Result<ChangedEnvironment, ClientError> {
        let url = self.address().api(&["apps", app, "env"]);
        Ok(self.change(Method::PUT, url, change, None).await?.value)
    }

    /// Promotes a release, through the rack proxy and its verdict.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn promote(&self, app: &str, release: &str) -> Result<(), ClientError> {
        let path = ["rack-proxy", "apps", app, "releases", release, "promote"];
        self.order(Method::POST, self.address().api(&path), None).await
    }

    /// Values in plaintext, or a time in which this credential reads them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reveal(&self, app: &str, asked: &RevealValues) -> Result<Revealed, ClientError> {
        let url = self.address().api(&["apps", app, "env", "reveal"]);
        Ok(self.change(Method::POST, url, asked, None).await?.value)
    }

    /// Times in which credentials read values, that are not over: one's own, or everybody's.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reveals(&self, all: bool) -> Result<Listing<RevealTime>, ClientError> {
        let asked = [("all", all.then_some("true"))];
        self.read(with_query(self.address().api(&["reveals"]), &asked)).await
    }

    /// Ends such a time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_reveal(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["reveals", id]), None).await
    }
}
