//! Self-checks: a permit from an admin, and the scan that it begins.

use gateway_types::wire::selfcheck::{AskPermit, BeginScan, ScanPermit};
use http::Method;

use super::{Client, call};
use crate::error::ClientError;
use crate::transport::Credential;

impl Client {
    /// A permit for one scan of this host.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn scan_permit(&self, host: &str) -> Result<ScanPermit, ClientError> {
        let asked = AskPermit { host: host.to_owned() };
        let url = self.address().api(&["selfcheck", "permit"]);
        Ok(self.change(Method::POST, url, &asked, None).await?.value)
    }

    /// Begins the scan of a permit; needs no credential and shows none. What is returned is the key of the scan.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin_scan(&self, permit: &str) -> Result<ScanPermit, ClientError> {
        let asked = BeginScan { permit: permit.to_owned() };
        let mut call = call(Method::POST, self.address().api(&["selfcheck", "scan"]), &asked, None)?;
        call.credential = Credential::Never;
        let reply = self.transport.send(call).await?;
        self.transport.document(&reply.body)
    }
}
