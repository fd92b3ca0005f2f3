//! Approvals as the API and the pages show them, and as evidence.

use std::collections::BTreeMap;

use gateway_approvals::chain::{Order, ReadManifest};
use gateway_approvals::evidence::{Evidence, FORMAT, Method, Signature};
use gateway_approvals::images::{Digests, ImageRules};
use gateway_approvals::manifest::Manifest;
use gateway_approvals::outline;
use gateway_approvals::state::State;
use gateway_approvals::statement::KeyChange;
use gateway_store::{Approval, ApprovalFilter};
use gateway_types::wire::approvals as wire;
use gateway_types::{Caller, Timestamp};

use super::is_own;
use super::standing::Standing;
use crate::App;

/// What a CI system may call the link to its run or to the change, in the order in which one is shown.
const LINKS: [&str; 4] = ["pull_request", "link", "run", "url"];

pub(super) fn shown(app: &App, caller: &Caller, standing: &Standing) -> wire::Approval {
    let Standing { row, asked, bound, .. } = standing;
    wire::Approval {
        id: row.id.to_string(),
        app: row.app.clone(),
        commit: row.commit.clone(),
        branch: asked.branch.clone(),
        message: asked.message.clone(),
        requester: row.requester_name.clone(),
        own: is_own(&caller.principal, row),
        metadata: asked.metadata.clone(),
        commands: asked.commands.clone(),
        order: order(asked.order).to_owned(),
        manifest: asked.manifest.clone(),
        statement: standing.digest().to_owned(),
        state: standing.state.name().to_owned(),
        created: row.created.to_rfc3339(),
        answer_by: row.answer_by.to_rfc3339(),
        expires: standing.expires.map(Timestamp::to_rfc3339),
        extended: row.extended,
        quorum: asked.quorum.max(1),
        signatures: standing
            .signatures
            .iter()
            .map(|one| wire::ApprovalSignature {
                by: one.kept.name.clone(),
                purpose: one.kept.purpose.clone(),
                method: one.kept.method.clone(),
                made: one.kept.made.to_rfc3339(),
                expires: one.kept.expires.to_rfc3339(),
                reason: one.kept.reason.clone(),
                fault: one.fault.clone(),
            })
            .collect(),
        environment: asked
            .environment
            .iter()
            .map(|one| wire::ApprovalEnvironment {
                key: one.key.clone(),
                change: match one.change {
                    KeyChange::Added => "added",
                    KeyChange::Changed => "changed",
                    KeyChange::Removed => "removed",
                }
                .to_owned(),
            })
            .collect(),
        artefact: bound.uploaded.as_ref().map(|uploaded| wire::ApprovalArtefact {
            object: uploaded.object.clone(),
            sha256: uploaded.sha256.clone(),
            size_bytes: uploaded.size_bytes,
            manifests: uploaded
                .manifests
                .iter()
                .map(|(path, read)| {
                    let manifest = wire::ApprovalManifest {
                        sha256: read.sha256.clone(),
                        images: read.images.clone(),
                        fault: read.fault.clone(),
                    };
                    (path.clone(), manifest)
                })
                .collect(),
            fault: uploaded.fault.clone(),
        }),
        build: bound.build.clone(),
        release: bound.release.clone(),
        processes: bound.processes.iter().cloned().collect(),
        impact: None,
        findings: Vec::new(),
        waits_for: waits_for(app, standing),
        closed_by: row.closed_by.clone(),
        reason: row.reason.clone(),
    }
}

/// A row that does not count.
pub(super) fn faulty(caller: &Caller, row: &Approval, fault: String) -> wire::Approval {
    wire::Approval {
        id: row.id.to_string(),
        app: row.app.clone(),
        commit: row.commit.clone(),
        branch: None,
        message: None,
        requester: row.requester_name.clone(),
        own: is_own(&caller.principal, row),
        metadata: BTreeMap::new(),
        commands: Vec::new(),
        order: order(Order::Commit).to_owned(),
        manifest: String::new(),
        statement: String::new(),
        state: State::Expired.name().to_owned(),
        created: row.created.to_rfc3339(),
        answer_by: row.answer_by.to_rfc3339(),
        expires: None,
        extended: row.extended,
        quorum: 1,
        signatures: Vec::new(),
        environment: Vec::new(),
        artefact: None,
        build: None,
        release: None,
        processes: Vec::new(),
        impact: None,
        findings: Vec::new(),
        waits_for: Some(fault),
        closed_by: None,
        reason: None,
    }
}

const fn order(order: Order) -> &'static str {
    match order {
        Order::Commit => "commit",
        Order::Artefact => "artefact",
    }
}

/// What stands in the way, for people.
fn waits_for(app: &App, standing: &Standing) -> Option<String> {
    if let Some(fault) = &standing.fault {
        return Some(fault.clone());
    }
    if standing.state != State::Pending {
        return None;
    }
    if standing.asked.order == Order::Artefact && standing.bound.uploaded.is_none() {
        return Some("the upload of its archive".to_owned());
    }
    let missing = usize::try_from(standing.asked.quorum.max(1))
        .unwrap_or(usize::MAX)
        .saturating_sub(standing.counting().len());
    let how = if app.settings.approval_passkeys(&standing.row.app) { " with a passkey" } else { "" };
    Some(match missing {
        1 => format!("the approval of one more person{how}"),
        many => format!("the approvals of {many} more people{how}"),
    })
}

/// What a promote would touch; `None` when the rack does not tell.
pub(super) async fn impact(app: &App, caller: &Caller, standing: &Standing) -> Option<wire::ApprovalImpact> {
    let found = match app.rack.impact(&caller.principal, &standing.row.app).await {
        Ok(found) => found,
        Err(problem) => {
            tracing::info!(detail = %problem.detail, "the rack does not tell what a deploy would touch");
            return None;
        }
    };
    let metadata = &standing.asked.metadata;
    let link = LINKS.iter().find_map(|name| metadata.get(*name)).filter(|link| link.starts_with("https://"));
    let active_commit = match &found.active_release {
        Some(release) => deployed_commit(app, &standing.row.app, release).await,
        None => None,
    };
    let compare = active_commit.as_deref().and_then(|from| compare_page(app, standing, from));
    let manifest =
        standing.bound.uploaded.as_ref().and_then(|one| one.manifests.get(&standing.asked.manifest));
    Some(wire::ApprovalImpact {
        manifest: manifest.map(|new| manifest_differences(&found, new)).unwrap_or_default(),
        before_start: manifest.map(before_start).unwrap_or_default(),
        active_release: found.active_release,
        active_description: found.active_description,
        active_commit,
        compare,
        processes: found.processes,
        link: link.cloned(),
    })
}

/// How many deploys are looked through for the one that runs.
const LOOKED_THROUGH: u32 = 50;

/// The commit of the release that runs, where an approval of this gateway deployed it.
async fn deployed_commit(app: &App, of_app: &str, release: &str) -> Option<String> {
    let filter = ApprovalFilter {
        app: Some(of_app.to_owned()),
        state: Some(State::Deployed),
        limit: LOOKED_THROUGH,
        ..ApprovalFilter::default()
    };
    let rows = match app.store.approvals().list(&filter).await {
        Ok(page) => page.items,
        Err(error) => {
            tracing::info!(error = &error as &dyn std::error::Error, "the commit that runs is not known");
            return None;
        }
    };
    rows.into_iter()
        // Only what this gateway wrote says what it deployed.
        .filter(|row| super::seal::is_right(&app.store, row))
        .find(|row| {
            let bound = serde_json::from_str::<gateway_approvals::chain::Bound>(&row.bound);
            bound.is_ok_and(|bound| bound.release.as_deref() == Some(release))
        })
        .map(|row| row.commit)
}

/// The page that compares the commit that runs with the one that is asked for.
fn compare_page(app: &App, standing: &Standing, from: &str) -> Option<String> {
    let to = &standing.row.commit;
    let repository = super::commit::bound(app, standing).ok().flatten()?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from != to).then(|| app.integrations.github().map(|desk| desk.compare_page(&repository, &from, &to)))?
}

/// Lines that are gone and new. Nothing of a value that may be secret is in them; that some of these differ is said.
fn manifest_differences(found: &super::RackImpact, new: &ReadManifest) -> Vec<String> {
    if new.outline.is_empty() {
        return differences(&found.images, &new.images);
    }
    let mut lines = outline::differences(&found.outline, &new.outline);
    let is_same = found.manifest_sha256.as_deref().is_none_or(|sha256| sha256 == new.sha256);
    if lines.is_empty() && !is_same {
        lines.push("only values that are not shown, comments or the layout differ".to_owned());
    }
    lines
}

/// What runs before processes of a service begin: where migrations usually are.
fn before_start(new: &ReadManifest) -> Vec<String> {
    let command = |line: &String| {
        let (place, command) = line.split_once(": ")?;
        let service = place.strip_prefix("services.")?.strip_suffix(".initContainer.command")?;
        Some(format!("{service}: {command}"))
    };
    new.outline.iter().filter_map(command).collect()
}

/// Images that are gone (`-`) and new (`+`), by service.
fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let lines = |sign: &str, these: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
        these
            .iter()
            .filter(|(service, image)| others.get(*service) != Some(image))
            .map(|(service, image)| format!("{sign} {service}: {image}"))
            .collect::<Vec<_>>()
    };
    let mut all = lines("-", before, after);
    all.extend(lines("+", after, before));
    all
}

pub(super) fn evidence(app: &App, standing: &Standing) -> Evidence {
    Evidence {
        format: FORMAT.to_owned(),
        gateway: app.store.gateway_id().to_string(),
        approval: standing.row.id.to_string(),
        state: standing.state.name().to_owned(),
        signatures: standing
            .signatures
            .iter()
            .map(|one| Signature {
                approver: one.kept.user.to_string(),
                name: one.kept.name.clone(),
                method: Method::from_name(&one.kept.method).unwrap_or(Method::None),
                made: one.kept.made.to_rfc3339(),
                statement: one.kept.statement.clone(),
                proof: one.proof.clone(),
                fault: one.fault.clone(),
            })
            .collect(),
        bound: standing.bound.clone(),
    }
}

/// Reads a manifest, and checks its images.
pub(super) fn read_manifest(bytes: &[u8], rules: &[String], digests: bool, commit: &str) -> ReadManifest {
    let sha256 = super::enforcement::sha256(bytes);
    let faulty = |fault: String| ReadManifest {
        sha256: sha256.clone(),
        images: BTreeMap::new(),
        outline: Vec::new(),
        fault: Some(fault),
    };
    let manifest = match Manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(fault) => return faulty(fault.to_string()),
    };
    let rules = match ImageRules::parse(rules) {
        Ok(rules) => rules,
        Err(fault) => return faulty(fault.to_string()),
    };
    let digests = if digests { Digests::Required } else { Digests::Optional };
    match rules.check(&manifest, commit, digests) {
        Ok(images) => ReadManifest { sha256, images, outline: manifest.outline, fault: None },
        Err(fault) => faulty(fault.to_string()),
    }
}
