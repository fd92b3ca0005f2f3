//! What the rack is asked on the gateway's own account: releases and present values.

use std::time::Duration;

use gateway_types::{Layer, Principal, Problem, ProblemKind};
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::time::timeout;

use crate::body::{BodyError, RequestBody, collect};
use crate::plane::{DataPlane, LABELLED_REPLY_LIMIT_BYTES};

/// How long the rack may take to tell the present values.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// How many older releases are searched for the value of a handle.
const SEARCHED_RELEASES: usize = 50;

/// A release as the rack tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Release {
    pub(super) id: String,
    #[serde(default)]
    pub(super) env: String,
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
        let unreachable = || {
            Problem::new(
                ProblemKind::UpstreamUnreachable,
                Layer::Network,
                "the rack cannot tell the present values, so nothing was changed",
            )
        };
        let mut request = http::Request::new(RequestBody::Empty);
        *request.method_mut() = Method::GET;
        let actor = crate::phases::forward::actor_value(self.principal);
        request.headers_mut().insert(crate::phases::forward::ACTOR_HEADER, actor);
        let sent = timeout(READ_LIMIT, self.plane.parts.upstream.send(request, target)).await;
        let response = sent.map_err(|_slow| unreachable())?.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the rack could not be asked for present values"
            );
            unreachable()
        })?;
        match response.status().as_u16() {
            200 => {
                let body =
                    collect(response.into_body().map_err(BodyError::Broken), LABELLED_REPLY_LIMIT_BYTES)
                        .await
                        .map_err(|_| unreachable())?;
                serde_json::from_slice(&body).map(Some).map_err(|_| unreachable())
            }
            404 => Ok(None),
            _ => Err(unreachable()),
        }
    }
}
