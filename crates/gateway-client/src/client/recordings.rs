//! Sessions in the rack and their recordings.

use std::io::Write;

use gateway_types::wire::Listing;
use gateway_types::wire::recordings::{RecordedSession, RecordingPart};
use http::Method;

use super::{Client, Page, with_query};
use crate::error::ClientError;
use crate::transport::Call;

/// Which recordings are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordingSearch {
    /// Also those of others.
    pub all: bool,
    /// Only of this app.
    pub app: Option<String>,
}

impl Client {
    /// A page of the sessions of which something was recorded.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn recordings(
        &self,
        search: &RecordingSearch,
        page: &Page,
    ) -> Result<Listing<RecordedSession>, ClientError> {
        let limit = page.limit.map(|limit| limit.to_string());
        let asked = [
            ("all", search.all.then_some("true")),
            ("app", search.app.as_deref()),
            ("q", page.search.as_deref()),
            ("cursor", page.cursor.as_deref()),
            ("limit", limit.as_deref()),
        ];
        self.read(with_query(self.address().api(&["recordings"]), &asked)).await
    }

    /// Some pieces of a recording, from `from` on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn recording(&self, id: &str, from: u64) -> Result<RecordingPart, ClientError> {
        let from = from.to_string();
        let url = self.address().api(&["recordings", id]);
        self.read(with_query(url, &[("from", Some(from.as_str()))])).await
    }

    /// Sessions that go on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn live_sessions(&self) -> Result<Listing<RecordedSession>, ClientError> {
        self.read(self.address().api(&["live"])).await
    }

    /// Watches one of them: writes server-sent events as they come, until it is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch_session(&self, id: &str, out: &mut (dyn Write + Send)) -> Result<(), ClientError> {
        let call = Call::new(Method::GET, self.address().api(&["live", id, "watch"]));
        self.transport.download(call, out).await.map(drop)
    }

    /// Joins one of them as its second person.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn join_session(&self, id: &str) -> Result<(), ClientError> {
        self.order(Method::POST, self.address().api(&["live", id, "join"]), None).await
    }

    /// Ends one of them. Its person sees the reason.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn end_session(&self, id: &str, reason: &str) -> Result<(), ClientError> {
        let url = with_query(self.address().api(&["live", id]), &[("reason", Some(reason))]);
        self.order(Method::DELETE, url, None).await
    }
}
