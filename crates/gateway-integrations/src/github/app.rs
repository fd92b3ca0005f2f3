//! Asking as a GitHub App: a short assertion that the App signed is exchanged for a token of an hour.
//!
//! The assertion itself is made elsewhere, where the App's key is.

use gateway_types::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::GitHub;
use crate::http::{CallFault, Http};

/// A token of an installation.
#[derive(Clone, Debug)]
pub struct InstallationToken {
    /// The token.
    pub token: Secret<String>,
    /// Until when it is good.
    pub expires: Timestamp,
}

#[derive(Serialize)]
struct NoLimits {}

#[derive(Deserialize)]
struct TokenDocument {
    token: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct AppDocument {
    slug: String,
}

#[derive(Deserialize)]
struct UserDocument {
    login: String,
}

impl GitHub {
    /// As whom GitHub knows the token that this client was made with.
    ///
    /// `GET /user`.
    ///
    /// # Errors
    /// When GitHub does not take the token, or cannot be asked.
    pub async fn who(&self, http: &dyn Http) -> Result<String, CallFault> {
        let known: UserDocument = self.endpoint.read(http, self.endpoint.at(&["user"])).await?;
        Ok(known.login)
    }

    /// The App whose assertion this client was made with.
    ///
    /// `GET /app`.
    ///
    /// # Errors
    /// When GitHub does not take the assertion, or cannot be asked.
    pub async fn app(&self, http: &dyn Http) -> Result<String, CallFault> {
        let known: AppDocument = self.endpoint.read(http, self.endpoint.at(&["app"])).await?;
        Ok(known.slug)
    }

    /// Exchanges the assertion that this client was made with for a token of an installation of the App.
    ///
    /// `POST /app/installations/{installation_id}/access_tokens`.
    ///
    /// # Errors
    /// When GitHub does not take the assertion, or answers without a token.
    pub async fn installation_token(
        &self,
        http: &dyn Http,
        installation: u64,
    ) -> Result<InstallationToken, CallFault> {
        let url =
            self.endpoint.at(&["app", "installations", installation.to_string().as_str(), "access_tokens"]);
        let path = url.path().to_owned();
        let answer = self.endpoint.post(http, url, &NoLimits {}).await.map_err(|failure| failure.cause)?;
        let document: TokenDocument = answer.document()?;
        let bad = || CallFault::Form { host: self.endpoint.host(), path: path.clone(), line: 0, column: 0 };
        let expires = Timestamp::parse_rfc3339(&document.expires_at).ok_or_else(bad)?;
        let is_token =
            !document.token.is_empty() && document.token.bytes().all(|byte| byte.is_ascii_graphic());
        if is_token {
            Ok(InstallationToken { token: Secret::new(document.token), expires })
        } else {
            Err(bad())
        }
    }
}
