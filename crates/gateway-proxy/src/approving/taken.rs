//! A step that is taken once: taken in the database before the rack sees it, and its end written down after.

use std::sync::Arc;

use bytes::Bytes;
use gateway_app::App;
use gateway_app::approvals::enforcement::{self, Ended};
use gateway_approvals::chain::{Step, Uploaded};
use gateway_convox::RackRequest;
use gateway_types::{ApprovalId, Caller, Layer, Problem, ProblemKind, RequestId};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::scan::{self, Reading, Scan};
use super::step_of;
use crate::plane::DataPlane;

/// A step of a deploy, while the rack is at it.
#[derive(Debug)]
pub(crate) struct Taken {
    app: Arc<App>,
    /// A place among the uploads that are read.
    _place: Option<OwnedSemaphorePermit>,
    caller: Caller,
    request_id: RequestId,
    approval: ApprovalId,
    of_app: String,
    what: What,
    /// It is not known yet what became of it.
    open: bool,
}

/// What is being done.
#[derive(Debug)]
enum What {
    Upload { object: String, reading: Option<Reading> },
    Build,
    Promote { release: String },
    Start { release: String },
}

/// A reply of the rack, as far as it matters here.
#[derive(Deserialize)]
struct Made {
    id: String,
}

impl Taken {
    /// Takes the step that `request` is; `None` for one that leaves nothing behind.
    pub(crate) async fn take(
        plane: &Arc<DataPlane>,
        caller: &Caller,
        request_id: RequestId,
        approval: ApprovalId,
        request: &RackRequest,
    ) -> Result<Option<Self>, Problem> {
        let (Some(step), resource) = (step_of(request), request.resource()) else { return Ok(None) };
        let Some(of_app) = resource.app_name() else { return Ok(None) };
        let what = match step {
            Step::Upload { object } => What::Upload { object: object.to_owned(), reading: None },
            Step::Build { .. } => What::Build,
            Step::Promote { release, .. } => What::Promote { release: release.to_owned() },
            Step::Start { release: Some(release), .. } => What::Start { release: release.to_owned() },
            Step::Start { release: None, .. }
            | Step::Look
            | Step::ReadBuild { .. }
            | Step::ReadRelease { .. }
            | Step::Exec { .. }
            | Step::Process { .. } => return Ok(None),
        };
        let place = if matches!(step, Step::Upload { .. }) {
            Some(plane.scans.clone().try_acquire_owned().map_err(|_full| too_many())?)
        } else {
            None
        };
        let app = plane.parts.app.clone();
        let operator = app.operator(caller, request_id);
        enforcement::take(&app, &operator, &caller.principal, approval, &step).await?;
        let open = step.once().is_some();
        let of_app = of_app.to_owned();
        Ok(Some(Self {
            app,
            _place: place,
            caller: caller.clone(),
            request_id,
            approval,
            of_app,
            what,
            open,
        }))
    }

    /// Whether it goes on when the client leaves before the rack has answered. An upload does not: what was sent
    /// halfway came to nothing.
    pub(crate) fn outlives_its_client(&self) -> bool {
        !matches!(self.what, What::Upload { .. })
    }

    /// Reads the body on its way up, when it is an archive.
    pub(crate) fn scan(&mut self) -> Option<Scan> {
        let What::Upload { reading, .. } = &mut self.what else { return None };
        let (scan, begun) = scan::begin();
        *reading = Some(begun);
        Some(scan)
    }

    /// Whether the reply has to be read to know what was made.
    pub(crate) fn reads_reply(&self) -> bool {
        matches!(self.what, What::Build | What::Start { .. })
    }

    /// The rack did not take it.
    pub(crate) async fn failed(mut self) {
        self.end(Ended::Failed).await;
    }

    /// The rack took it; `body` is what it answered, when [`Taken::reads_reply`].
    pub(crate) async fn done(mut self, body: &Bytes) {
        match &mut self.what {
            What::Upload { object, reading } => {
                let object = object.clone();
                let uploaded = match reading.take() {
                    Some(reading) => self.uploaded(object, reading).await,
                    None => return,
                };
                match uploaded {
                    Ok(uploaded) => self.end(Ended::Uploaded(uploaded)).await,
                    Err(problem) => self.say(&problem),
                }
            }
            What::Build => match serde_json::from_slice::<Made>(body) {
                Ok(Made { id }) => self.end(Ended::Built { build: id }).await,
                // Something was built, and it is not known what: the step stays taken.
                Err(_other) => self.forget("the rack's reply names no build"),
            },
            What::Promote { release } => {
                let release = release.clone();
                self.end(Ended::Promoted { release }).await;
            }
            What::Start { release } => match serde_json::from_slice::<Made>(body) {
                Ok(Made { id }) => {
                    let operator = self.app.operator(&self.caller, self.request_id);
                    let started =
                        enforcement::started(&self.app, &operator, self.approval, release, &id).await;
                    if let Err(problem) = started {
                        self.say(&problem);
                    }
                }
                Err(_other) => self.forget("the rack's reply names no process"),
            },
        }
    }

    async fn uploaded(&self, object: String, reading: Reading) -> Result<Uploaded, Problem> {
        let scanned = reading.result().await;
        let commit = enforcement::commit_of(&self.app, self.approval).await?;
        let (manifests, fault) = match scanned.archive {
            Ok(archive) => (enforcement::manifests(&self.app, &self.of_app, &commit, &archive), None),
            Err(fault) => (Default::default(), Some(fault)),
        };
        let (sha256, size_bytes) = (scanned.sha256, scanned.size_bytes);
        Ok(Uploaded { object, sha256, size_bytes, manifests, fault })
    }

    async fn end(&mut self, ended: Ended) {
        if !self.open {
            return;
        }
        self.open = false;
        let operator = self.app.operator(&self.caller, self.request_id);
        if let Err(problem) = enforcement::end(&self.app, &operator, self.approval, &ended).await {
            self.say(&problem);
        }
    }

    fn forget(&mut self, why: &str) {
        self.open = false;
        tracing::error!(approval = %self.approval, request_id = %self.request_id, "{why}");
    }

    fn say(&self, problem: &Problem) {
        tracing::error!(
            approval = %self.approval,
            request_id = %self.request_id,
            detail = %problem.detail,
            "what became of a step of a deploy could not be written down"
        );
    }
}

fn too_many() -> Problem {
    let mut problem = Problem::new(
        ProblemKind::TooManyRequests,
        Layer::Network,
        "as many archives are being read as can be at one time; repeat the upload in a while",
    );
    problem.retry_after_seconds = Some(10);
    problem
}

impl Drop for Taken {
    /// An upload whose client left came to nothing, and may be made again.
    fn drop(&mut self) {
        if !self.open || self.outlives_its_client() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (app, caller, request_id, approval) =
            (self.app.clone(), self.caller.clone(), self.request_id, self.approval);
        runtime.spawn(async move {
            let operator = app.operator(&caller, request_id);
            if let Err(problem) = enforcement::end(&app, &operator, approval, &Ended::Failed).await {
                tracing::error!(approval = %approval, detail = %problem.detail, "an upload that was broken off stays taken");
            }
        });
    }
}
