//! People, their sessions, roles and groups.

use gateway_types::wire::Listing;
use gateway_types::wire::groups::{Group, UpdateGroup};
use gateway_types::wire::sessions::{Session, SessionsEnded};
use gateway_types::wire::users::{InviteUser, LockUser, RoleInfo, UpdateUser, User};
use gateway_types::{Role, RoleSet};
use http::Method;

use super::{Client, Page, Tagged, with_query};
use crate::error::ClientError;

impl Client {
    /// People; with a role, those who hold it; with `locked`, those who are locked out, or are not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn users(
        &self,
        page: &Page,
        role: Option<Role>,
        locked: Option<bool>,
    ) -> Result<Listing<User>, ClientError> {
        let locked = locked.map(|locked| locked.to_string());
        let filter = [("role", role.map(Role::name)), ("locked", locked.as_deref())];
        self.read(with_query(page.on(self.address().api(&["users"])), &filter)).await
    }

    /// One person.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn user(&self, id: &str) -> Result<Tagged<User>, ClientError> {
        self.read_tagged(self.address().api(&["users", id])).await
    }

    /// Adds somebody who is not there yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn invite(&self, invitation: &InviteUser) -> Result<User, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["users"]), invitation, None).await?.value)
    }

    /// Changes somebody, if they are still as read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_user(&self, id: &str, etag: &str, update: &UpdateUser) -> Result<User, ClientError> {
        Ok(self.change(Method::PUT, self.address().api(&["users", id]), update, Some(etag)).await?.value)
    }

    /// Locks somebody out: their sessions and tokens end at once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn lock_user(&self, id: &str, reason: Option<&str>) -> Result<(), ClientError> {
        let body = LockUser { reason: reason.map(str::to_owned) };
        self.order_with(Method::POST, self.address().api(&["users", id, "lock"]), &body, None).await
    }

    /// Lets somebody in again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unlock_user(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::POST, self.address().api(&["users", id, "unlock"]), None).await
    }

    /// Takes somebody's second factors and sessions away, so that they enrol anew.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reset_factors(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::POST, self.address().api(&["users", id, "reset-factors"]), None).await
    }

    /// Removes somebody.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_user(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["users", id]), None).await
    }

    /// Somebody's live sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions_of(&self, user: &str, page: &Page) -> Result<Listing<Session>, ClientError> {
        self.read(page.on(self.address().api(&["users", user, "sessions"]))).await
    }

    /// Ends all of somebody's sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_sessions_of(&self, user: &str) -> Result<SessionsEnded, ClientError> {
        self.delete(self.address().api(&["users", user, "sessions"])).await
    }

    /// Ends one of somebody's sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_session_of(&self, user: &str, session: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["users", user, "sessions", session]), None).await
    }

    /// The built-in roles.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn roles(&self) -> Result<Listing<RoleInfo>, ClientError> {
        self.read(self.address().api(&["roles"])).await
    }

    /// Groups of identity providers and what their members get.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn groups(&self, page: &Page) -> Result<Listing<Group>, ClientError> {
        self.read(page.on(self.address().api(&["groups"]))).await
    }

    /// Sets what a group's members get, if it is still as read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_group(&self, id: &str, etag: &str, roles: RoleSet) -> Result<Group, ClientError> {
        let body = UpdateGroup { roles };
        Ok(self.change(Method::PUT, self.address().api(&["groups", id]), &body, Some(etag)).await?.value)
    }
}
