//! Policies, and questions about them.

use gateway_types::wire::policy::{
    CanAnswer, CanQuestion, CheckPolicy, ObservedRefusals, Policies, PolicyCheck, PolicyDocument,
    WhoCanAnswer, WhoCanQuestion, Why, WritePolicy,
};
use http::Method;

use super::{Client, etag, with_query};
use crate::error::ClientError;

impl Client {
    /// Everything that says yes or no.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policies(&self) -> Result<Policies, ClientError> {
        self.read(self.address().api(&["policies"])).await
    }

    /// What a change of a document would do; nothing is changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check_policy(&self, question: &CheckPolicy) -> Result<PolicyCheck, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["policies", "check"]), question, None).await?.value)
    }

    /// What policies in observe mode would have refused, newest decisions first; `before` = `next` of the answer
    /// before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn observed_refusals(
        &self,
        since: Option<&str>,
        before: Option<u64>,
    ) -> Result<ObservedRefusals, ClientError> {
        let before = before.map(|before| before.to_string());
        let parameters = [("since", since), ("before", before.as_deref())];
        self.read(with_query(self.address().api(&["policies", "observed"]), &parameters)).await
    }

    /// Writes a document, if it is still at this version; 0 = there is none yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn write_policy(
        &self,
        id: &str,
        text: &str,
        version: i64,
    ) -> Result<PolicyDocument, ClientError> {
        let body = WritePolicy { text: text.to_owned() };
        let url = self.address().api(&["policies", id]);
        Ok(self.change(Method::PUT, url, &body, Some(&etag(version))).await?.value)
    }

    /// Removes a document, if it is still at this version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_policy(&self, id: &str, version: i64) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["policies", id]), Some(&etag(version))).await
    }

    /// Why a request was answered as it was.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn why(&self, request_id: &str) -> Result<Why, ClientError> {
        self.read(self.address().api(&["policy", "why", request_id])).await
    }

    /// Whether somebody may do something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn can(&self, question: &CanQuestion) -> Result<CanAnswer, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["policy", "can"]), question, None).await?.value)
    }

    /// Who may do something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn who_can(&self, question: &WhoCanQuestion) -> Result<WhoCanAnswer, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["policy", "who-can"]), question, None).await?.value)
    }
}
