//! API tokens.

use gateway_types::wire::Listing;
use gateway_types::wire::tokens::{CreateToken, RotateToken, Token, TokenSecret, UpdateToken};
use http::Method;

use super::{Client, Page, with_query};
use crate::error::ClientError;

/// Which tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenScope {
    /// Everybody's, not only one's own.
    pub everyone: bool,
    /// Only those that are neither revoked nor expired.
    pub live_only: bool,
}

impl Client {
    /// Tokens.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tokens(&self, scope: TokenScope, page: &Page) -> Result<Listing<Token>, ClientError> {
        let parameters =
            [("all", scope.everyone.then_some("true")), ("live", scope.live_only.then_some("true"))];
        self.read(with_query(page.on(self.address().api(&["tokens"])), &parameters)).await
    }

    /// Makes a token; its secret is told this once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_token(&self, token: &CreateToken) -> Result<TokenSecret, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["tokens"]), token, None).await?.value)
    }

    /// Narrows a token, if it is still as read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_token(
        &self,
        id: &str,
        etag: &str,
        update: &UpdateToken,
    ) -> Result<Token, ClientError> {
        Ok(self.change(Method::PUT, self.address().api(&["tokens", id]), update, Some(etag)).await?.value)
    }

    /// Gives a token a new secret, or binds it to another certificate.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_token(&self, id: &str, rotation: &RotateToken) -> Result<TokenSecret, ClientError> {
        let url = self.address().api(&["tokens", id, "rotate"]);
        Ok(self.change(Method::POST, url, rotation, None).await?.value)
    }

    /// Ends a token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["tokens", id]), None).await
    }
}
