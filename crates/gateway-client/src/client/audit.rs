//! The audit log: searched, read, exported.

use std::io::Write;

use gateway_types::wire::Listing;
use gateway_types::wire::audit::{
    AuditEntry, AuditPhase, AuditPruned, AuditQuery, AuditRetention, AuditShare, AuditStory, AuditVerdict,
    ExportAudit, IndexedEvent, LegalHold, RecordEvidence, SaveSearch, SavedSearch, SetHold, ShareAudit,
    SharedAudit, StoryQuery, ToldStory,
};
use http::Method;

use super::{Client, call, with_query};
use crate::error::ClientError;

impl Client {
    /// One page of events, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, query: &AuditQuery) -> Result<Listing<IndexedEvent>, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let parameters = [
            ("actor", query.actor.as_deref()),
            ("action", query.action.as_deref()),
            ("app", query.app.as_deref()),
            ("verdict", query.verdict.map(verdict)),
            ("phase", query.phase.map(phase)),
            ("from", query.from.as_deref()),
            ("to", query.to.as_deref()),
            ("q", query.q.as_deref()),
            ("request", query.request.as_deref()),
            ("mine", query.mine.then_some("true")),
            ("cursor", query.cursor.as_deref()),
            ("limit", limit.as_deref()),
        ];
        self.read(with_query(self.address().api(&["audit"]), &parameters)).await
    }

    /// One entry of the log, with the proof that it is in it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn event(&self, index: u64) -> Result<AuditEntry, ClientError> {
        self.read(self.address().api(&["audit", &index.to_string()])).await
    }

    /// One page of stories: deploys, those with the newest end first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stories(&self, query: &StoryQuery) -> Result<Listing<AuditStory>, ClientError> {
        let parameters = [
            ("actor", query.actor.as_deref()),
            ("app", query.app.as_deref()),
            ("from", query.from.as_deref()),
            ("to", query.to.as_deref()),
            ("mine", query.mine.then_some("true")),
            ("cursor", query.cursor.as_deref()),
        ];
        self.read(with_query(self.address().api(&["audit", "stories"]), &parameters)).await
    }

    /// The story that an entry belongs to, with its events; with `mine` only what one did oneself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn story(&self, index: u64, mine: bool) -> Result<ToldStory, ClientError> {
        let address = self.address().api(&["audit", "stories", &index.to_string()]);
        self.read(with_query(address, &[("mine", mine.then_some("true"))])).await
    }

    /// One's own searches, and those that others shared.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn saved_searches(&self) -> Result<Listing<SavedSearch>, ClientError> {
        self.read(self.address().api(&["audit", "searches"])).await
    }

    /// Keeps a search, in the place of one's own of the same name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn save_search(&self, search: &SaveSearch) -> Result<SavedSearch, ClientError> {
        let url = self.address().api(&["audit", "searches"]);
        Ok(self.change(Method::POST, url, search, None).await?.value)
    }

    /// Forgets a search.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_search(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["audit", "searches", id]), None).await
    }

    /// Links by which somebody without an account reads a part of the log.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit_shares(&self) -> Result<Listing<AuditShare>, ClientError> {
        self.read(self.address().api(&["audit", "shares"])).await
    }

    /// Makes a link. Its address is told only now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn share_audit(&self, asked: &ShareAudit) -> Result<SharedAudit, ClientError> {
        let url = self.address().api(&["audit", "share"]);
        Ok(self.change(Method::POST, url, asked, None).await?.value)
    }

    /// Ends a link before its time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_audit_share(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["audit", "shares", id]), None).await
    }

    /// What the log still has, and what pruning would remove.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit_retention(&self) -> Result<AuditRetention, ClientError> {
        self.read(self.address().api(&["audit", "retention"])).await
    }

    /// Removes the bodies of old entries now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn prune_audit(&self) -> Result<AuditPruned, ClientError> {
        self.post_bare(self.address().api(&["audit", "prune"])).await
    }

    /// Keeps every body from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn hold_audit(&self, hold: &SetHold) -> Result<LegalHold, ClientError> {
        Ok(self.change(Method::PUT, self.address().api(&["audit", "hold"]), hold, None).await?.value)
    }

    /// Lifts the legal hold.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn lift_audit_hold(&self) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["audit", "hold"]), None).await
    }

    /// Has the digest of an evidence bundle recorded.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn record_evidence(&self, evidence: &RecordEvidence) -> Result<(), ClientError> {
        self.order_with(Method::POST, self.address().api(&["audit", "evidence"]), evidence, None).await
    }

    /// Writes one piece of an export to `out`; returns where the next one begins, `None` after the last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_events(
        &self,
        question: &ExportAudit,
        out: &mut (dyn Write + Send),
    ) -> Result<Option<String>, ClientError> {
        let call = call(Method::POST, self.address().api(&["audit", "export"]), question, None)?;
        let headers = self.transport.download(call, out).await?;
        Ok(headers.get("next-cursor").and_then(|value| value.to_str().ok()).map(str::to_owned))
    }
}

const fn verdict(verdict: AuditVerdict) -> &'static str {
    match verdict {
        AuditVerdict::Allow => "allow",
        AuditVerdict::Refuse => "refuse",
    }
}

const fn phase(phase: AuditPhase) -> &'static str {
    match phase {
        AuditPhase::Intent => "intent",
        AuditPhase::Outcome => "outcome",
        AuditPhase::Single => "single",
    }
}
