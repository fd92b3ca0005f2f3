//! The trust zone, for admins.

use gateway_types::wire::zone::{
    BackUpZone, InitZone, MakeJoinToken, RegisterZoneService, RestoreZone, RotateZone, Zone, ZoneBackup,
    ZoneJoinToken, ZoneRotated, ZoneService,
};
use http::Method;

use super::Client;
use crate::error::ClientError;

impl Client {
    /// The zone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn zone(&self) -> Result<Zone, ClientError> {
        self.read(self.address().api(&["zone"])).await
    }

    /// Makes the zone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn init_zone(&self, new: &InitZone) -> Result<Zone, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["zone"]), new, None).await?.value)
    }

    /// Registers a service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register_zone_service(
        &self,
        name: &str,
        what: &RegisterZoneService,
    ) -> Result<ZoneService, ClientError> {
        let url = self.address().api(&["zone", "services", name]);
        Ok(self.change(Method::PUT, url, what, None).await?.value)
    }

    /// Forgets a service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unregister_zone_service(&self, name: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["zone", "services", name]), None).await
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn zone_join_token(&self, name: &str, key: Option<&str>) -> Result<ZoneJoinToken, ClientError> {
        let url = self.address().api(&["zone", "services", name, "join-token"]);
        let asked = MakeJoinToken { key: key.map(str::to_owned) };
        Ok(self.change(Method::POST, url, &asked, None).await?.value)
    }

    /// Bans a member.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ban_zone_member(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["zone", "members", id]), None).await
    }

    /// Takes one step of a rotation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_zone(&self, asked: &RotateZone) -> Result<ZoneRotated, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["zone", "rotate"]), asked, None).await?.value)
    }

    /// The zone, sealed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn back_up_zone(&self, asked: &BackUpZone) -> Result<ZoneBackup, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["zone", "backup"]), asked, None).await?.value)
    }

    /// Puts a backup in force.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn restore_zone(&self, asked: &RestoreZone) -> Result<Zone, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["zone", "restore"]), asked, None).await?.value)
    }
}
