//! The queue of jobs and the work by the clock.

use gateway_types::wire::jobs::{Job, Jobs};

use super::{Client, Page, with_query};
use crate::error::ClientError;

impl Client {
    /// One page of the queue, newest first, and what the instance that answers does by the clock.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn jobs(
        &self,
        page: &Page,
        state: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Jobs, ClientError> {
        let filter = [("state", state), ("kind", kind)];
        self.read(with_query(page.on(self.address().api(&["jobs"])), &filter)).await
    }

    /// Lets a job run now (`retry`), calls it off (`cancel`) or holds it back (`pause`).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn update_job(&self, id: &str, verb: &str) -> Result<Job, ClientError> {
        self.post_bare(self.address().api(&["jobs", id, verb])).await
    }
}
