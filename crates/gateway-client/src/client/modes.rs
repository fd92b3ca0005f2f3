//! The mode of the gateway: `/mode`.

use gateway_types::wire::modes::{ModeState, SetMode};
use http::Method;

use super::Client;
use crate::error::ClientError;

impl Client {
    /// Makes all instances read-only for this reason, or without one lets them work as usual.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_mode(&self, read_only: Option<&str>) -> Result<ModeState, ClientError> {
        let mode = if read_only.is_some() { "read-only" } else { "normal" };
        let body = SetMode { mode: mode.to_owned(), reason: read_only.map(str::to_owned) };
        Ok(self.change(Method::POST, self.address().api(&["mode"]), &body, None).await?.value)
    }
}
