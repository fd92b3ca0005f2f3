//! What the rack is asked on the gateway's own account: releases and present values.

use gateway_types::{Principal, Problem};
use serde::Deserialize;

use crate::asking::read_json;
use crate::plane::DataPlane;

/// How many older releases are searched for the value of a handle.
const SEARCHED_RELEASES: usize = 50;

/// A release as the rack tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Release {
    pub(super) id: String,
    #[serde(default)]
    pub(super) env: String,
    #[serde(default)]
    pub(super) manifest: String,
}

/// Reads of the gateway's own, with the caller's name on them in the rack's log.
pub(super) struct RackReader<'a> {
    pub(super) plane: &'a DataPlane,
    pub(super) principal: &'a Principal,
    pub(super) app: &'a str,
}

impl RackReader<'_> {
    /// The newest release; `None` when there is none. v2 racks leave the environment out of lists.
    pub(super) async fn newest(&self) -> Result<Option<Release>, Problem> {
        let list: Option<Vec<Release>> = self.read(&format!("/apps/{}/releases?limit=1", self.app)).await?;
        match list.and_then(|list| list.into_iter().next()) {
            Some(release) if release.env.is_empty() => self.release(&release.id).await,
            other => Ok(other),
        }
    }

    pub(super) async fn release(&self, id: &str) -> Result<Option<Release>, Problem> {
        self.read(&format!("/apps/{}/releases/{id}", self.app)).await
    }

    pub(super) async fn older(&self) -> Result<Vec<Release>, Problem> {
        let list: Option<Vec<Release>> =
            self.read(&format!("/apps/{}/releases?limit={SEARCHED_RELEASES}", self.app)).await?;
        let mut releases = Vec::new();
        for release in list.unwrap_or_default() {
            if release.env.is_empty() {
                releases.extend(self.release(&release.id).await?);
            } else {
                releases.push(release);
            }
        }
        Ok(releases)
    }

    /// Reads JSON at `target`; `None` when the rack says that it is not there.
    pub(super) async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        target: &str,
    ) -> Result<Option<T>, Problem> {
        read_json(&self.plane.parts.upstream, self.principal, target).await
    }
}
