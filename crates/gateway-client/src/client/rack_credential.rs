//! What the gateway signs in to the rack with, for admins.

use gateway_types::wire::rack_credential::RackCredential;

use super::Client;
use crate::error::ClientError;

impl Client {
    /// How the rack's credential stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rack_credential(&self) -> Result<RackCredential, ClientError> {
        self.read(self.address().api(&["rack-credential"])).await
    }

    /// Has it read at once where it is kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refresh_rack_credential(&self) -> Result<RackCredential, ClientError> {
        self.post_bare(self.address().api(&["rack-credential", "refresh"])).await
    }
}
