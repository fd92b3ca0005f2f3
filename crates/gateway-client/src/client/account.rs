//! The caller themselves: who, sessions, factors, step-up.

use gateway_types::Secret;
use gateway_types::wire::Listing;
use gateway_types::wire::factors::{
    BackupCodes, EnrolTotp, Factor, Factors, RenameFactor, TotpBegun, TotpConfirmed,
};
use gateway_types::wire::me::Me;
use gateway_types::wire::sessions::{Session, SessionsEnded, TrustedDevice};
use http::Method;
use serde_json::json;

pub use gateway_types::wire::step_up::Challenge;

use super::{Client, Page};
use crate::error::ClientError;

/// The id that stands for the window of the session that asks.
pub const WINDOW: &str = "window";

impl Client {
    /// Who the credential stands for, and what they can do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.read(self.address().api(&["me"])).await
    }

    /// Ends the session that asks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.order(Method::POST, self.address().at(&["auth", "logout"]), None).await
    }

    /// One's own live sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions(&self, page: &Page) -> Result<Listing<Session>, ClientError> {
        self.read(page.on(self.address().api(&["me", "sessions"]))).await
    }

    /// Ends one of one's own sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_session(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["me", "sessions", id]), None).await
    }

    /// Ends all of one's own sessions but the one that asks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_other_sessions(&self) -> Result<SessionsEnded, ClientError> {
        let url = self.address().api(&["me", "sessions", "revoke-others"]);
        self.post_bare(url).await
    }

    /// Ends all of one's own sessions, also the one that asks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_all_sessions(&self) -> Result<SessionsEnded, ClientError> {
        let url = self.address().api(&["me", "sessions", "revoke-all"]);
        self.post_bare(url).await
    }

    /// One's own browsers that need no second factor to sign in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trusted_devices(&self) -> Result<Listing<TrustedDevice>, ClientError> {
        self.read(self.address().api(&["me", "trusted-devices"])).await
    }

    /// Trusts one of them no longer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn forget_device(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["me", "trusted-devices", id]), None).await
    }

    /// One's own second factors.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn factors(&self) -> Result<Factors, ClientError> {
        self.read(self.address().api(&["me", "factors"])).await
    }

    /// Begins the enrolment of an authenticator; its secret is told this once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin_totp(&self, name: Option<&str>) -> Result<TotpBegun, ClientError> {
        let body = EnrolTotp { name: name.map(str::to_owned), ..EnrolTotp::default() };
        Ok(self
            .change(Method::POST, self.address().api(&["me", "factors", "totp"]), &body, None)
            .await?
            .value)
    }

    /// Ends an enrolment with a code of the new authenticator.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn confirm_totp(&self, id: &str, code: &str) -> Result<TotpConfirmed, ClientError> {
        let body = EnrolTotp { name: None, id: Some(id.to_owned()), code: Some(code.to_owned()) };
        Ok(self
            .change(Method::POST, self.address().api(&["me", "factors", "totp"]), &body, None)
            .await?
            .value)
    }

    /// Gives a factor another name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rename_factor(&self, id: &str, name: &str) -> Result<Factor, ClientError> {
        let body = RenameFactor { name: name.to_owned() };
        Ok(self.change(Method::PUT, self.address().api(&["me", "factors", id]), &body, None).await?.value)
    }

    /// Removes a factor.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_factor(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["me", "factors", id]), None).await
    }

    /// Makes ten new backup codes; those before are void.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn make_backup_codes(&self) -> Result<BackupCodes, ClientError> {
        let url = self.address().api(&["me", "backup-codes"]);
        self.post_bare(url).await
    }

    /// What a challenge is for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn challenge(&self, id: &str) -> Result<Challenge, ClientError> {
        self.read(self.address().at(&["step-up", id])).await
    }

    /// Opens a challenge of this session's window, to be confirmed on its page in a browser.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_step_up(&self) -> Result<Challenge, ClientError> {
        let body = json!({ "begin": "page" });
        let url = self.address().at(&["step-up", WINDOW]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// Confirms a challenge, or with [`WINDOW`] for its id opens the window of the session that asks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn step_up(&self, id: &str, code: &Secret<String>) -> Result<(), ClientError> {
        let body = json!({ "code": code.expose() });
        self.order_with(Method::POST, self.address().at(&["step-up", id]), &body, None).await
    }

    /// Confirms several challenges of this session with one code: `first`, and those of `also`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn step_up_together(
        &self,
        first: &str,
        also: &[String],
        code: &Secret<String>,
    ) -> Result<(), ClientError> {
        let body = json!({ "code": code.expose(), "also": also });
        self.order_with(Method::POST, self.address().at(&["step-up", first]), &body, None).await
    }
}
