//! Reads what goes into an archive from a gateway, into files of a directory.

use std::collections::BTreeMap;
use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_audit::tiles::{TILE_WIDTH, entries_of, tiles_of_range};
use gateway_audit::{Event, Hash, RangeVerifier, TilePath, Tiles, leaf_hash, range_proof};
use gateway_client::{ApprovalsAsked, Client, ClientError, RecordingSearch, TokenScope};
use gateway_types::Timestamp;
use gateway_types::wire::Listing;
use gateway_types::wire::approvals::Approval;
use gateway_types::wire::audit::{AuditQuery, StoryQuery};
use serde::Serialize;
use serde_json::{Value, json};

use super::controls;
use super::manifest::{CHECKPOINT, ENTRIES, Entries, FORM, KEYS, LeftOut, Listed, Manifest};
use crate::commands::listing::{Taken, patiently, take};
use crate::failure::{Exit, Failure, Problem};
use crate::output::remark;
use crate::remote::Remote;
use crate::witness;

/// Events of one page of a search.
const PAGE: u32 = 1000;

/// Why there is no archive.
const NOTHING: &str = "the log has no entries of this time";

/// Collects the files of an archive.
pub(super) struct Collector<'a> {
    remote: &'a Remote,
    place: &'a Path,
    time: (Timestamp, Timestamp),
    files: Vec<Listed>,
    left_out: Vec<LeftOut>,
}

impl<'a> Collector<'a> {
    /// One that has nothing yet.
    pub(super) const fn new(remote: &'a Remote, place: &'a Path, time: (Timestamp, Timestamp)) -> Self {
        Self { remote, place, time, files: Vec::new(), left_out: Vec::new() }
    }

    /// Collects everything.
    ///
    /// # Errors
    /// When the log cannot be read, or does not verify. Everything else that is refused is left out, and listed as such.
    pub(super) async fn collect(mut self) -> Result<Manifest, Failure> {
        let (entries, counted) = self.log().await?;
        self.access().await?;
        self.changes().await?;
        let mapped = controls::mapped(&counted, |file| self.files.iter().any(|one| one.path == file));
        let (from, to) = (self.time.0.to_rfc3339(), self.time.1.to_rfc3339());
        self.keep(
            "controls.json",
            "which control is spoken to by what",
            &serde_json::to_vec_pretty(&mapped)?,
        )?;
        self.keep("README.md", "the same for people", controls::text(&mapped, &from, &to).as_bytes())?;
        Ok(Manifest {
            form: FORM.to_owned(),
            gateway: self.remote.target.address.to_string(),
            from,
            to,
            entries,
            files: self.files,
            left_out: self.left_out,
        })
    }

    /// The piece of the log, proven; and how many entries there are of each action.
    async fn log(&mut self) -> Result<(Entries, BTreeMap<String, u64>), Failure> {
        let chain = witness::trusted_keys(self.remote).await?;
        let keys = self.ask(async |client| client.log_keys().await).await?;
        let found = self.indices().await?;
        self.note_pruned(found.is_some()).await?;
        let Some((first, end)) = found else { return Err(Failure::new(Exit::Failed, NOTHING)) };
        // After the search, so that the checkpoint covers what was found.
        let note = self.ask(async |client| client.checkpoint().await).await?;
        let checkpoint = chain.verify(&note).problem("the checkpoint is not signed as it should be")?;
        let head = checkpoint.head();
        let mut tiles = Tiles::new();
        for tile in tiles_of_range(first, end, head.size).problem("the log has no such entries")? {
            let path = TilePath::Hashes { tile, width: tile.width_at(head.size) };
            let bytes = self.tile(path).await?;
            tiles.insert(tile, bytes.chunks_exact(32).filter_map(Hash::from_slice).collect());
        }
        let proof =
            range_proof(&tiles, first, end, head.size).problem("the gateway's hashes make no proof")?;
        let mut verifier =
            RangeVerifier::new(first, &proof.left).problem("the gateway's hashes make no proof")?;
        let mut counted = BTreeMap::new();
        let mut file = Hashed::create(self.place, ENTRIES)?;
        for bundle in first / TILE_WIDTH..end.div_ceil(TILE_WIDTH) {
            let begins = bundle * TILE_WIDTH;
            let width = (head.size - begins).min(TILE_WIDTH);
            let bytes = self.tile(TilePath::Entries { index: bundle, width }).await?;
            let leaves = entries_of(&bytes).problem("a bundle of entries cannot be read")?;
            for (index, leaf) in (begins..).zip(leaves).filter(|(index, _)| (first..end).contains(index)) {
                verifier.push(leaf_hash(leaf));
                let (event, _nonce) =
                    Event::from_leaf(leaf).problem(format!("entry {index} cannot be understood"))?;
                *counted.entry(event.action.as_str().to_owned()).or_default() += 1;
                let leaf = std::str::from_utf8(leaf).problem(format!("entry {index} is no text"))?;
                file.line(&json!({ "index": index, "leaf": leaf }))?;
            }
            if bundle % 100 == 99 {
                remark(&format!("{} of {} entries", begins + width - first, end - first));
            }
        }
        verifier
            .finish(&head, &proof.right)
            .problem("ALARM: the entries that the gateway gave are not those of its signed log")?;
        self.files
            .push(file.done(ENTRIES, "every entry of the log from the first to the last, as it is hashed")?);
        self.keep(CHECKPOINT, "the signed head of the log that the entries lead to", note.as_bytes())?;
        self.keep(KEYS, "the keys that sign the log", &serde_json::to_vec_pretty(&keys)?)?;
        let hex = |hashes: &[Hash]| hashes.iter().map(Hash::to_hex).collect();
        let entries = Entries { first, count: end - first, left: hex(&proof.left), right: hex(&proof.right) };
        Ok((entries, counted))
    }

    /// The first entry of the time and the one after the last; `None` when there is none. Clocks of instances differ, and what was kept while a database was
    /// away comes later: so every entry of the time is looked at, and what stands between is in the archive too.
    async fn indices(&self) -> Result<Option<(u64, u64)>, Failure> {
        let mut query = AuditQuery {
            from: Some(self.time.0.to_rfc3339()),
            to: Some(self.time.1.to_rfc3339()),
            limit: Some(PAGE),
            ..AuditQuery::default()
        };
        let (mut first, mut end) = (u64::MAX, 0);
        loop {
            let page = self.ask(async |client| client.events(&query).await).await?;
            for event in &page.items {
                first = first.min(event.index);
                end = end.max(event.index + 1);
            }
            match page.next {
                Some(next) if query.cursor.as_ref() != Some(&next) => query.cursor = Some(next),
                Some(_) | None => break,
            }
        }
        Ok((end > 0).then_some((first, end)))
    }

    /// Notes what of the time was pruned: a search finds nothing of that, so that it would be missing in silence.
    ///
    /// # Errors
    /// When nothing else is there.
    async fn note_pruned(&mut self, found: bool) -> Result<(), Failure> {
        let kept = self.ask(async |client| client.audit_retention().await).await?.first_kept;
        if kept == 0 {
            return if found { Ok(()) } else { Err(Failure::new(Exit::Failed, NOTHING)) };
        }
        let entry = self.ask(async |client| client.event(kept).await).await?;
        let (oldest, _nonce) =
            Event::from_leaf(entry.leaf.as_bytes()).problem(format!("entry {kept} cannot be understood"))?;
        let (from, since) = (self.time.0, oldest.time.to_rfc3339());
        if !found {
            let hint =
                format!("the log has bodies from entry {kept} on, of {since}; ask for a time behind that");
            let pruned = "whatever the log had of this time was pruned: it has the hashes and no more";
            let what = if from < oldest.time { pruned } else { NOTHING };
            return Err(Failure::new(Exit::Failed, what).hint(hint));
        }
        if from < oldest.time {
            let why = format!(
                "entries before {kept} were pruned, as audit_retention says, and only their hashes are left; the oldest \
                 with a body is of {since}"
            );
            self.leave_out(ENTRIES, why);
        }
        Ok(())
    }

    async fn tile(&self, path: TilePath) -> Result<Vec<u8>, Failure> {
        let path = path.to_string();
        self.ask(async |client| client.log_tile(&path).await).await
    }

    /// Who may what, now.
    async fn access(&mut self) -> Result<(), Failure> {
        let remote = self.remote;
        let users = take(remote, None, async |client, page| client.users(page, None, None).await).await;
        self.listing("access/users.json", "people, their roles and whether they are locked", users)?;
        let groups = take(remote, None, async |client, page| client.groups(page).await).await;
        self.listing("access/groups.json", "what groups of identity providers get", groups)?;
        let scope = TokenScope { everyone: true, live_only: false };
        let tokens = take(remote, None, async |client, page| client.tokens(scope, page).await).await;
        self.listing("access/tokens.json", "API tokens, without their secrets", tokens)?;
        let grants = take(remote, None, async |client, page| client.role_grants(page).await).await;
        self.listing("access/grants.json", "roles on single apps", grants)?;
        let elevations =
            take(remote, None, async |client, page| client.elevations(page, true, false).await).await;
        self.listing("access/elevations.json", "roles that were asked for, for a while", elevations)?;
        let review = take(remote, None, async |client, page| client.access_review(page).await).await;
        self.listing("access/review.json", "who can do what", review)?;
        let uses = take(remote, None, async |client, page| {
            let found = client.break_glass(false, page).await?;
            Ok(Listing { items: found.uses, next: found.next })
        })
        .await;
        self.listing("access/break-glass.json", "uses of offline codes and their reviews", uses)?;
        self.document("access/roles.json", "the roles", async |client| client.roles().await).await?;
        self.document("access/policies.json", "the policies", async |client| client.policies().await).await?;
        self.document("access/settings.json", "the settings and where each comes from", async |client| {
            client.settings(None).await
        })
        .await?;
        self.document("access/trust-rules.json", "which CI jobs may sign in", async |client| {
            client.trust_rules().await
        })
        .await?;
        self.document("access/services.json", "services behind the gateway", async |client| {
            client.services().await
        })
        .await?;
        self.document("access/zone.json", "the trust zone and its members", async |client| {
            client.zone().await
        })
        .await
    }

    /// What was changed, by whom it was approved, and which sessions there were.
    async fn changes(&mut self) -> Result<(), Failure> {
        let remote = self.remote;
        let asked = ApprovalsAsked::default();
        let approvals =
            match take(remote, None, async |client, page| client.approvals(page, &asked).await).await {
                Err(failure) => Err(failure),
                Ok(Taken { items, is_cut }) => Ok(Taken { items: self.signed(items).await?, is_cut }),
            };
        self.listing("changes/approvals.json", "approvals of deploys with what was signed", approvals)?;
        let stories = self.stories().await.map(|items| Taken { items, is_cut: false });
        self.listing(
            "changes/stories.json",
            "deploys, one each: who, what, approved by whom, with which end",
            stories,
        )?;
        let search = RecordingSearch { all: true, app: None };
        let recordings =
            take(remote, None, async |client, page| client.recordings(&search, page).await).await;
        self.listing(
            "sessions/recordings.json",
            "sessions in the rack and the digests of their recordings",
            recordings,
        )
    }

    /// Approvals, each with what was signed for it.
    async fn signed(&mut self, approvals: Vec<Approval>) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::with_capacity(approvals.len());
        for approval in approvals {
            let signed = match self.ask(async |client| client.approval_evidence(&approval.id).await).await {
                Ok(signed) => signed,
                Err(failure) => {
                    let path = format!("changes/approvals.json, what was signed for {}", approval.id);
                    self.leave_out(&path, failure.sentence());
                    Value::Null
                }
            };
            all.push(json!({ "approval": approval, "evidence": signed }));
        }
        Ok(all)
    }

    /// The deploys that ended in the time. Pages come with the newest end first.
    async fn stories(&self) -> Result<Vec<Value>, Failure> {
        let mut query = StoryQuery::default();
        let (from, to) = (self.time.0.to_rfc3339(), self.time.1.to_rfc3339());
        let mut found = Vec::new();
        loop {
            let page = self.ask(async |client| client.stories(&query).await).await?;
            let mut is_past = false;
            for story in page.items {
                let story = serde_json::to_value(story)?;
                let ended = story.get("ended").and_then(Value::as_str).unwrap_or_default();
                is_past = ended < from.as_str();
                if !is_past && ended < to.as_str() {
                    found.push(story);
                }
            }
            match page.next {
                Some(next) if !is_past && query.cursor.as_ref() != Some(&next) => query.cursor = Some(next),
                Some(_) | None => return Ok(found),
            }
        }
    }

    /// Asks the gateway, and waits when that was too often: a whole log is more requests than its limits take at once.
    async fn ask<T>(&self, request: impl AsyncFn(&Client) -> Result<T, ClientError>) -> Result<T, Failure> {
        self.remote.ask(async |client| patiently(async || request(client).await).await).await
    }

    async fn document<T: Serialize>(
        &mut self,
        path: &str,
        about: &str,
        ask: impl AsyncFn(&Client) -> Result<T, ClientError>,
    ) -> Result<(), Failure> {
        match self.ask(ask).await {
            Ok(answer) => self.keep(path, about, &serde_json::to_vec_pretty(&answer)?),
            Err(failure) => {
                self.leave_out(path, failure.sentence());
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, path: &str, why: String) {
        self.left_out.push(LeftOut { path: path.to_owned(), why });
    }

    /// Keeps a listing. A refusal is noted instead, with its reason; and that a listing goes on is noted too.
    fn listing<T: Serialize>(
        &mut self,
        path: &str,
        about: &str,
        answer: Result<Taken<T>, Failure>,
    ) -> Result<(), Failure> {
        match answer {
            Ok(Taken { items, is_cut }) => {
                if is_cut {
                    let why = format!("there are more than the {} that are in it", items.len());
                    self.leave_out(path, why);
                }
                self.keep(path, about, &serde_json::to_vec_pretty(&items)?)
            }
            Err(failure) => {
                self.leave_out(path, failure.sentence());
                Ok(())
            }
        }
    }

    fn keep(&mut self, path: &str, about: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = Hashed::create(self.place, path)?;
        file.write(bytes)?;
        self.files.push(file.done(path, about)?);
        Ok(())
    }
}

/// A file whose digest is taken while it is written.
struct Hashed {
    out: BufWriter<File>,
    sha256: Context,
    bytes: u64,
}

impl Hashed {
    fn create(place: &Path, path: &str) -> Result<Self, Failure> {
        let path = place.join(path);
        if let Some(parent) = path.parent() {
            create_dir_all(parent).problem("a temporary directory cannot be made")?;
        }
        let file = File::create(&path).problem("a temporary file cannot be written")?;
        Ok(Self { out: BufWriter::new(file), sha256: Context::new(&SHA256), bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).problem("a temporary file cannot be written")
    }

    fn line(&mut self, value: &Value) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.write(&line)
    }

    fn done(mut self, path: &str, about: &str) -> Result<Listed, Failure> {
        self.out.flush().problem("a temporary file cannot be written")?;
        Ok(Listed {
            path: path.to_owned(),
            sha256: data_encoding::HEXLOWER.encode(self.sha256.finish().as_ref()),
            bytes: self.bytes,
            about: about.to_owned(),
        })
    }
}
