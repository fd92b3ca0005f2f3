//! Deploy approvals: `/approvals`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An approval of a deploy, or the request for one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Id.
    pub id: String,
    /// The app.
    pub app: String,
    /// The whole id of the commit.
    pub commit: String,
    /// The branch, as whoever asked said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What the deploy is about, as whoever asked said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whose requests it allows, for people.
    pub requester: String,
    /// Whether the caller asked for it.
    pub own: bool,
    /// What the CI system told: links, run, author.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Commands that may run in processes of the new release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// `commit`: approved, then uploaded. `artefact`: uploaded, then approved.
    pub order: String,
    /// The manifest that is built, by its path in the archive.
    pub manifest: String,
    /// Digest of what is approved, as it stands: whoever approves says that it is this.
    pub statement: String,
    /// `pending`, `approved`, `deploying`, `deployed`, `rejected`, `expired` or `withdrawn`.
    pub state: String,
    /// When it was asked for.
    pub created: String,
    /// Until when it waits for an answer.
    pub answer_by: String,
    /// Until when an approved one can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether that was made later; it can be once.
    pub extended: bool,
    /// How many people have to approve.
    pub quorum: u32,
    /// Who approved, oldest first.
    pub signatures: Vec<ApprovalSignature>,
    /// How the environment differs from the release that runs. Values are handles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<ApprovalEnvironment>,
    /// The archive, once it was uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<ApprovalArtefact>,
    /// The build, once it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The release, once the rack told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Processes that were started under it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    /// What a promote would do, for whoever has to approve. Only in the answer to one that still can happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ApprovalImpact>,
    /// What others say of the commit, and what became of telling them about the deploy. Only in the answer to one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ApprovalFinding>,
    /// What stands in the way of approving it now, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Who rejected or withdrew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// Why, when that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who approved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalSignature {
    /// The person.
    pub by: String,
    /// `approve` or `extend`.
    pub purpose: String,
    /// `passkey`: it signed the statement. `code`: weaker, a one-time code was given. `none`: second factors are
    /// switched off.
    pub method: String,
    /// When.
    pub made: String,
    /// Until when it is good.
    pub expires: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it does not count, when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What others say of the commit, or what became of telling them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalFinding {
    /// What it is about: a demand that GitHub was asked about, or something that somebody was told.
    pub what: String,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found.
    pub said: String,
    /// Where people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When.
    pub found: String,
}

/// A key of the environment that differs from the release that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalEnvironment {
    /// The key.
    pub key: String,
    /// `added`, `changed` or `removed`.
    pub change: String,
}

/// An archive that was uploaded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalArtefact {
    /// Its key below `object://APP/`.
    pub object: String,
    /// SHA-256 of all its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// The manifests in it, by path, with the image of each service that names one.
    pub manifests: BTreeMap<String, ApprovalManifest>,
    /// Why nothing can be built from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A manifest in an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalManifest {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The image of each service that names one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// Why it cannot be built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What a deploy would touch: its blast radius.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ApprovalImpact {
    /// The release that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_release: Option<String>,
    /// The commit or description of that release, as the rack tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_description: Option<String>,
    /// The commit of that release, when an approval of this gateway deployed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_commit: Option<String>,
    /// The page that compares that commit with this one, when the app is bound to a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<String>,
    /// Commands that run before processes of a service begin, `SERVICE: COMMAND`: where migrations usually are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before_start: Vec<String>,
    /// Services and how many of their processes run, which a promote replaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub processes: BTreeMap<String, u32>,
    /// Lines of the manifest that are new (`+`) and gone (`-`), as places and values, when an archive is there to compare.
    /// Values that may be secret are not in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifest: Vec<String>,
    /// A link to the change at the CI system or repository, when whoever asked gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// `POST /approvals`: asks for one. The one that is open for the same app and commit is answered in its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestApproval {
    /// The app.
    pub app: String,
    /// The whole id of the commit: 40 or 64 hexadecimal digits.
    pub commit: String,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What the deploy is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The manifest that is built, by its path in the archive; `convox.yml` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Commands that may run in processes of the new release: exact, or `re:` and an anchored pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Links, run, author: at most 20 texts of 500 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// `POST /approvals/{id}/approve` and `/extend`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignApproval {
    /// `statement` of the approval that was looked at: when it is another one by now, nothing is approved.
    pub statement: String,
    /// Why, in at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /approvals/{id}/reject` and `/withdraw`; the body may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideApproval {
    /// Why, or why not, in at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
