//! Deploy approvals.

use gateway_types::wire::Listing;
use gateway_types::wire::approvals::{Approval, DecideApproval, RequestApproval, SignApproval};
use http::Method;
use serde_json::Value;
use url::Url;

use super::{Client, Page, with_query};
use crate::error::ClientError;

/// Which approvals are listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApprovalsAsked {
    /// Only of this app.
    pub app: Option<String>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only those that are not over.
    pub open: bool,
    /// Only those that the caller asked for.
    pub mine: bool,
}

impl Client {
    /// Approvals, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approvals(
        &self,
        page: &Page,
        asked: &ApprovalsAsked,
    ) -> Result<Listing<Approval>, ClientError> {
        let page = Page { search: None, ..page.clone() };
        let parameters = [
            ("app", asked.app.as_deref()),
            ("state", asked.state.as_deref()),
            ("open", asked.open.then_some("true")),
            ("mine", asked.mine.then_some("true")),
        ];
        self.read(with_query(page.on(self.address().api(&["approvals"])), &parameters)).await
    }

    /// An approval, with what its deploy would touch.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approval(&self, id: &str) -> Result<Approval, ClientError> {
        self.read(self.address().api(&["approvals", id])).await
    }

    /// All that was signed of an approval, as `rack-gateway approvals verify` reads it. What is signed in it are texts,
    /// so that nothing is lost by reading the document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approval_evidence(&self, id: &str) -> Result<Value, ClientError> {
        let url = self.address().api(&["approvals", id]);
        self.read(with_query(url, &[("evidence", Some("true"))])).await
    }

    /// Asks for an approval; the one that is open for the same app and commit is answered in its place.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request_approval(&self, asked: &RequestApproval) -> Result<Approval, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["approvals"]), asked, None).await?.value)
    }

    /// Approves somebody else's request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve_approval(&self, id: &str, given: &SignApproval) -> Result<Approval, ClientError> {
        let url = self.address().api(&["approvals", id, "approve"]);
        Ok(self.change(Method::POST, url, given, None).await?.value)
    }

    /// Makes one good for as long again, once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn extend_approval(&self, id: &str, given: &SignApproval) -> Result<Approval, ClientError> {
        let url = self.address().api(&["approvals", id, "extend"]);
        Ok(self.change(Method::POST, url, given, None).await?.value)
    }

    /// Says no, also to what was approved before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reject_approval(&self, id: &str, reason: Option<&str>) -> Result<Approval, ClientError> {
        self.decide_approval(self.address().api(&["approvals", id, "reject"]), reason).await
    }

    /// Takes one's own request back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn withdraw_approval(&self, id: &str, reason: Option<&str>) -> Result<Approval, ClientError> {
        self.decide_approval(self.address().api(&["approvals", id, "withdraw"]), reason).await
    }

    async fn decide_approval(&self, url: Url, reason: Option<&str>) -> Result<Approval, ClientError> {
        let body = DecideApproval { reason: reason.map(str::to_owned) };
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }
}
