//! Elevations, grants of roles, and the review of who can do what.

use gateway_types::wire::Listing;
use gateway_types::wire::elevations::{
    AccessLine, CreateRoleGrant, Elevation, RejectElevation, RequestElevation, RoleGrant,
};
use http::Method;

use super::{Client, Page, with_query};
use crate::error::ClientError;

impl Client {
    /// Elevations, newest first: one's own, or everybody's; with `open` only those that wait or are live.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn elevations(
        &self,
        page: &Page,
        all: bool,
        open: bool,
    ) -> Result<Listing<Elevation>, ClientError> {
        let asked = [("all", all.then_some("true")), ("open", open.then_some("true"))];
        self.read(with_query(page.on(self.address().api(&["elevations"])), &asked)).await
    }

    /// Asks for a role for a while, for oneself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request_elevation(&self, asked: &RequestElevation) -> Result<Elevation, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["elevations"]), asked, None).await?.value)
    }

    /// Approves somebody else's request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve_elevation(&self, id: &str) -> Result<Elevation, ClientError> {
        self.post_bare(self.address().api(&["elevations", id, "approve"])).await
    }

    /// Says no to somebody's request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reject_elevation(&self, id: &str, reason: Option<&str>) -> Result<Elevation, ClientError> {
        let body = RejectElevation { reason: reason.map(str::to_owned) };
        let url = self.address().api(&["elevations", id, "reject"]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// Ends an elevation, or takes a request back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_elevation(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["elevations", id]), None).await
    }

    /// Grants of roles to people and groups.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn role_grants(&self, page: &Page) -> Result<Listing<RoleGrant>, ClientError> {
        let page = Page { search: None, ..page.clone() };
        self.read(page.on(self.address().api(&["grants"]))).await
    }

    /// Grants a role.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_role_grant(&self, new: &CreateRoleGrant) -> Result<RoleGrant, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["grants"]), new, None).await?.value)
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_role_grant(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["grants", id]), None).await
    }

    /// Who can do what, a page of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn access_review(&self, page: &Page) -> Result<Listing<AccessLine>, ClientError> {
        let page = Page { search: None, ..page.clone() };
        self.read(page.on(self.address().api(&["access", "review"]))).await
    }
}
