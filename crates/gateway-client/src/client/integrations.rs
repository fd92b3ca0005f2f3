//! Who else is asked about deploys and told of them.

use gateway_types::wire::integrations::{Integration, Integrations, WriteIntegration};
use http::Method;

use super::{Client, etag};
use crate::error::ClientError;

impl Client {
    /// Every integration.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn integrations(&self) -> Result<Integrations, ClientError> {
        self.read(self.address().api(&["integrations"])).await
    }

    /// Gives the gateway credentials, if there are still those of this version; 0 = there are none yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn write_integration(
        &self,
        kind: &str,
        credentials: &WriteIntegration,
        version: i64,
    ) -> Result<Integration, ClientError> {
        let url = self.address().api(&["integrations", kind]);
        Ok(self.change(Method::PUT, url, credentials, Some(&etag(version))).await?.value)
    }

    /// Takes credentials out of the gateway's database, if they are still those of this version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_integration(&self, kind: &str, version: i64) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["integrations", kind]), Some(&etag(version))).await
    }

    /// Asks a service whether it lets the gateway in.
    ///
    /// # Errors
    /// [`ClientError`]; a no of the service is none.
    pub async fn test_integration(&self, kind: &str) -> Result<Integration, ClientError> {
        self.post_bare(self.address().api(&["integrations", kind, "test"])).await
    }
}
