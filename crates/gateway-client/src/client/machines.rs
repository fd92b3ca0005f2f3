//! Trust rules, and the offline codes for emergencies.

use gateway_types::wire::break_glass::{
    BreakGlass, BreakGlassUse, CloseReview, DrillCodes, Drilled, GlassBroken, InitBreakGlass, NewCodes,
    RedeemCodes,
};
use gateway_types::wire::trust_rules::{TrustRule, TrustRules, WriteTrustRule};
use http::Method;

use super::{Client, Page, call, etag, with_query};
use crate::error::ClientError;
use crate::transport::Credential;

impl Client {
    /// Every trust rule.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn trust_rules(&self) -> Result<TrustRules, ClientError> {
        self.read(self.address().api(&["trust-rules"])).await
    }

    /// Writes a trust rule, if it is still at this version; 0 = there is none yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn write_trust_rule(
        &self,
        name: &str,
        rule: &WriteTrustRule,
        version: i64,
    ) -> Result<TrustRule, ClientError> {
        let url = self.address().api(&["trust-rules", name]);
        Ok(self.change(Method::PUT, url, rule, Some(&etag(version))).await?.value)
    }

    /// Removes a trust rule, if it is still at this version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_trust_rule(&self, name: &str, version: i64) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["trust-rules", name]), Some(&etag(version))).await
    }

    /// The codes in force, and what they were used for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn break_glass(&self, open_only: bool, page: &Page) -> Result<BreakGlass, ClientError> {
        let url = page.on(self.address().api(&["break-glass"]));
        self.read(with_query(url, &[("open", open_only.then_some("true"))])).await
    }

    /// Makes new codes, told this once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn init_break_glass(&self, init: &InitBreakGlass) -> Result<NewCodes, ClientError> {
        Ok(self.change(Method::PUT, self.address().api(&["break-glass"]), init, None).await?.value)
    }

    /// Spends codes. Nobody has to be signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn redeem_codes(&self, redeem: &RedeemCodes) -> Result<GlassBroken, ClientError> {
        let mut call = call(Method::POST, self.address().at(&["auth", "break-glass"]), redeem, None)?;
        call.credential = Credential::Never;
        let (status, headers, body) = self.transport.raw(call).await?;
        let answered = self.transport.judge(status, &headers, body)?;
        self.transport.document(&answered.body)
    }

    /// Which codes are good. Spends none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn drill_codes(&self, drill: &DrillCodes) -> Result<Drilled, ClientError> {
        Ok(self.change(Method::POST, self.address().api(&["break-glass", "drill"]), drill, None).await?.value)
    }

    /// Closes the task of looking at a use.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn review_break_glass(&self, id: &str, found: &str) -> Result<BreakGlassUse, ClientError> {
        let body = CloseReview { review: found.to_owned() };
        let url = self.address().api(&["break-glass", id, "review"]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// Ends what codes gave.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_break_glass(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["break-glass", id]), None).await
    }
}
