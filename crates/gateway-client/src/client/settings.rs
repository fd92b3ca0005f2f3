//! Settings, of the gateway and of single apps.

use gateway_types::wire::Listing;
use gateway_types::wire::settings::{ChangeAppSetting, ChangeSetting, Setting};
use http::Method;
use serde::Deserialize;
use url::Url;

use super::{Client, etag};
use crate::error::ClientError;

/// As much of an app as the rack tells of it that is of interest here.
#[derive(Deserialize)]
struct RackApp {
    name: String,
}

impl Client {
    /// Settings with their source: the gateway's, or those that hold for an app.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn settings(&self, app: Option<&str>) -> Result<Listing<Setting>, ClientError> {
        self.read(self.settings_of(app)).await
    }

    /// Gives a setting another value, if it is still at this version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_setting(
        &self,
        app: Option<&str>,
        key: &str,
        value: &str,
        version: i64,
    ) -> Result<Setting, ClientError> {
        let (url, if_match) = (self.settings_of(app), etag(version));
        let (key, value) = (key.to_owned(), value.to_owned());
        let changed = match app {
            None => self.change(Method::PUT, url, &ChangeSetting { key, value }, Some(&if_match)).await?,
            Some(_) => {
                let change = ChangeAppSetting { key, value: Some(value) };
                self.change(Method::PUT, url, &change, Some(&if_match)).await?
            }
        };
        Ok(changed.value)
    }

    /// Takes a value out of the database, if it is still at this version: what the environment, the file or
    /// the default says holds again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reset_setting(&self, app: Option<&str>, key: &str, version: i64) -> Result<(), ClientError> {
        let if_match = etag(version);
        match app {
            None => self.order(Method::DELETE, self.address().api(&["settings", key]), Some(&if_match)).await,
            Some(_) => {
                let change = ChangeAppSetting { key: key.to_owned(), value: None };
                self.order_with(Method::PUT, self.settings_of(app), &change, Some(&if_match)).await
            }
        }
    }

    /// The names of the rack's apps, through the rack proxy and its verdict.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apps(&self) -> Result<Vec<String>, ClientError> {
        let apps: Vec<RackApp> = self.read(self.address().api(&["rack-proxy", "apps"])).await?;
        Ok(apps.into_iter().map(|app| app.name).collect())
    }

    fn settings_of(&self, app: Option<&str>) -> Url {
        match app {
            None => self.address().api(&["settings"]),
            Some(app) => self.address().api(&["apps", app, "settings"]),
        }
    }
}
