//! Deploy approvals: what is asked for, who approved it, and what was done with it. What an approval is for, who may
//! approve and whether a signature is good is not known here; that each change was based on the newest row is.

mod findings;

use std::sync::Arc;
use std::time::Duration;

use gateway_approvals::state::State;
use gateway_types::{ApprovalId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::jobs::{NewJob, insert};
use crate::row::{Page, moment, optional_moment, optional_parsed, page_size, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

pub use findings::{Finding, KeptFinding};

/// How long what a passkey signed waits for the request that it was asked for.
const PROOF_TIME: Duration = Duration::from_secs(5 * 60);

/// An approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The app.
    pub app: String,
    /// The whole id of the commit.
    pub commit: String,
    /// Whose requests it allows: `token:ID`, `user:ID` or `workload:RULE:SUBJECT`.
    pub requester: String,
    /// The same for people.
    pub requester_name: String,
    /// The person who asked, or who made the token that asked.
    pub person: Option<UserId>,
    /// What is asked for besides, as JSON. It never changes.
    pub request: String,
    /// Where it stands, as written; time may have passed since.
    pub state: State,
    /// When it was asked for.
    pub created: Timestamp,
    /// When a pending one is void.
    pub answer_by: Timestamp,
    /// When an approved one is void.
    pub expires: Option<Timestamp>,
    /// Whether that was made later once.
    pub extended: bool,
    /// What was done with it, as JSON.
    pub bound: String,
    /// A keyed digest of what counts of the row.
    pub bound_seal: String,
    /// When it was over.
    pub closed: Option<Timestamp>,
    /// Who ended it.
    pub closed_by: Option<String>,
    /// Why, when that was said.
    pub reason: Option<String>,
    /// Counted up with each change.
    pub version: i64,
}

/// A draft of an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewApproval {
    /// Its id, which is in the log before it is here.
    pub id: ApprovalId,
    /// As [`Approval::app`].
    pub app: String,
    /// As [`Approval::commit`].
    pub commit: String,
    /// As [`Approval::requester`].
    pub requester: String,
    /// As [`Approval::requester_name`].
    pub requester_name: String,
    /// As [`Approval::person`].
    pub person: Option<UserId>,
    /// As [`Approval::request`].
    pub request: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it is void without an answer.
    pub answer_by: Timestamp,
    /// As [`Approval::bound`].
    pub bound: String,
    /// As [`Approval::bound_seal`].
    pub bound_seal: String,
}

/// What somebody approved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptSignature {
    /// Who.
    pub user: UserId,
    /// `approve` or `extend`.
    pub purpose: String,
    /// Their name for people.
    pub name: String,
    /// `passkey`, `code` or `none`.
    pub method: String,
    /// The exact text.
    pub statement: String,
    /// The passkey's signature, as JSON.
    pub proof: Option<String>,
    /// What they said.
    pub reason: Option<String>,
    /// When.
    pub made: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
    /// A keyed digest of all of it.
    pub seal: String,
}

/// What a passkey signed a moment ago.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptProof {
    /// Of which approval.
    pub approval: ApprovalId,
    /// Whose passkey.
    pub user: UserId,
    /// `approve` or `extend`.
    pub purpose: String,
    /// The exact text that was signed.
    pub statement: String,
    /// The signature, as JSON.
    pub proof: String,
}

/// What becomes of an approval; the rest of the row stays as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalChange {
    /// Where it stands from now on.
    pub state: State,
    /// When an approved one is void.
    pub expires: Option<Timestamp>,
    /// Whether that was made later once.
    pub extended: bool,
    /// What was done with it.
    pub bound: String,
    /// The digest of that.
    pub bound_seal: String,
    /// Who ended it.
    pub closed_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// A signature that is added with the change.
    pub signature: Option<KeptSignature>,
    /// Jobs that are queued with the change: both are kept, or neither.
    pub jobs: Vec<NewJob>,
}

impl Approval {
    /// A change that changes nothing yet.
    pub fn change(&self) -> ApprovalChange {
        ApprovalChange {
            state: self.state,
            expires: self.expires,
            extended: self.extended,
            bound: self.bound.clone(),
            bound_seal: self.bound_seal.clone(),
            closed_by: self.closed_by.clone(),
            reason: self.reason.clone(),
            signature: None,
            jobs: Vec::new(),
        }
    }
}

/// Which approvals are listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApprovalFilter {
    /// Only of this app.
    pub app: Option<String>,
    /// Only of this requester.
    pub requester: Option<String>,
    /// Only in this state, as written.
    pub state: Option<State>,
    /// Only those that are not over.
    pub open_only: bool,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// The most of one page.
    pub limit: u32,
}

/// The approvals of this gateway.
#[derive(Clone, Debug)]
pub struct Approvals {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, app, commit_id, requester, requester_name, person, request, state, created, answer_by, \
                       expires, extended, bound, bound_seal, closed, closed_by, reason, version FROM approvals";

impl Approvals {
    /// Keeps a request. The one that waits or is approved for the very same is returned in its place.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn create(&self, new: NewApproval) -> Result<Approval, StoreError> {
        storable("the request", &new.request)?;
        storable("the name", &new.requester_name)?;
        storable("the requester", &new.requester)?;
        let now = self.core.clock.now();
        // All such requests of all instances stand in one line, so that no two can both be the first.
        let (mut tx, version) = self.core.database.begin_change().await?;
        let present = open_twin(&mut tx, &new, now).await;
        match present {
            Ok(None) => {}
            Ok(Some(present)) => {
                tx.rollback().await?;
                return Ok(present);
            }
            Err(error) => {
                tx.rollback().await?;
                return Err(error);
            }
        }
        let mut insert = Statement::new(
            "INSERT INTO approvals (id, app, commit_id, requester, requester_name, person, request, state, created, \
             answer_by, bound, bound_seal) VALUES (",
        );
        insert.text(&new.id.to_string()).sql(", ").text(&new.app).sql(", ").text(&new.commit).sql(", ");
        insert.text(&new.requester).sql(", ").text(&new.requester_name).sql(", ");
        insert.optional_text(new.person.map(|person| person.to_string()).as_deref()).sql(", ");
        insert.text(&new.request).sql(", 'pending', ").number(new.created.micros()).sql(", ");
        insert.number(new.answer_by.micros()).sql(", ").text(&new.bound).sql(", ");
        insert.text(&new.bound_seal).sql(")");
        insert.query().execute(tx.connection()).await?;
        let created = read(&mut tx, new.id).await?.ok_or(StoreError::NotFound)?;
        self.core.changes.commit(tx, version).await?;
        Ok(created)
    }

    /// The approval of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(approval).transpose()
    }

    /// A page of them, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, filter: &ApprovalFilter) -> Result<Page<Approval>, StoreError> {
        let limit = page_size(filter.limit);
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE 1 = 1");
        if let Some(app) = &filter.app {
            statement.sql(" AND app = ").text(app);
        }
        if let Some(requester) = &filter.requester {
            statement.sql(" AND requester = ").text(requester);
        }
        if let Some(state) = filter.state {
            statement.sql(" AND state = ").text(state.name());
        }
        if filter.open_only {
            let now = self.core.clock.now().micros();
            statement.sql(" AND ((state = 'pending' AND answer_by > ").number(now);
            statement.sql(") OR (state IN ('approved', 'deploying') AND expires > ").number(now).sql("))");
        }
        if let Some(cursor) = &filter.cursor {
            statement.sql(" AND id < ").text(cursor);
        }
        // Ids are UUIDv7: their order is that of their time.
        statement.sql(" ORDER BY id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let items = rows.iter().map(approval).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, limit, |last: &Approval| last.id.to_string()))
    }

    /// Who approved it, oldest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn signatures(&self, id: ApprovalId) -> Result<Vec<KeptSignature>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, purpose, name, method, statement, proof, reason, made, expires, seal \
             FROM approval_signatures WHERE approval_id = $1 ORDER BY made, user_id, purpose",
        )
        .bind(id.to_string())
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(KeptSignature {
                    user: parsed(row, "user_id", "id of a person")?,
                    purpose: row.try_get("purpose")?,
                    name: row.try_get("name")?,
                    method: row.try_get("method")?,
                    statement: row.try_get("statement")?,
                    proof: row.try_get("proof")?,
                    reason: row.try_get("reason")?,
                    made: moment(row, "made")?,
                    expires: moment(row, "expires")?,
                    seal: row.try_get("seal")?,
                })
            })
            .collect()
    }

    /// Changes one that is still as it was read, and adds a signature.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody changed it meanwhile, or the move does not exist.
    pub async fn change(&self, seen: &Approval, change: ApprovalChange) -> Result<Approval, StoreError> {
        storable("the reason", change.reason.as_deref().unwrap_or_default())?;
        let now = self.core.clock.now();
        if change.state != seen.state && !is_move(seen.state, change.state) {
            return Err(StoreError::Conflict);
        }
        let (mut tx, version) = self.core.database.begin_change().await?;
        let mut update = Statement::new("UPDATE approvals SET version = version + 1, state = ");
        update.text(change.state.name()).sql(", expires = ");
        match change.expires {
            Some(expires) => update.number(expires.micros()),
            None => update.sql("NULL"),
        };
        update.sql(", extended = ").number(i64::from(change.extended)).sql(", bound = ").text(&change.bound);
        update.sql(", bound_seal = ").text(&change.bound_seal);
        if change.state != seen.state && !change.state.is_open() {
            update.sql(", closed = ").number(now.micros());
        }
        update.sql(", closed_by = ").optional_text(change.closed_by.as_deref());
        update.sql(", reason = ").optional_text(change.reason.as_deref());
        update.sql(" WHERE id = ").text(&seen.id.to_string()).sql(" AND version = ").number(seen.version);
        let changed = update.query().execute(tx.connection()).await?.rows_affected() == 1;
        if changed && let Some(signature) = &change.signature {
            sign(&mut tx, seen.id, signature).await?;
        }
        if changed {
            for job in change.jobs {
                insert(&self.core, tx.connection(), job).await?;
            }
        }
        let after = if changed { read(&mut tx, seen.id).await? } else { None };
        self.core.changes.commit_if(tx, version, changed).await?;
        after.ok_or(StoreError::NotFound)
    }

    /// Keeps what a passkey signed, in the place of what it signed before for the same.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_proof(&self, proof: &KeptProof) -> Result<(), StoreError> {
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM approval_proofs WHERE made <= $1 OR (approval_id = $2 AND user_id = $3 AND purpose = $4)")
            .bind(before(now, PROOF_TIME).micros())
            .bind(proof.approval.to_string())
            .bind(proof.user.to_string())
            .bind(proof.purpose.clone())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO approval_proofs (approval_id, user_id, purpose, statement, proof, made) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(proof.approval.to_string())
        .bind(proof.user.to_string())
        .bind(proof.purpose.clone())
        .bind(proof.statement.clone())
        .bind(proof.proof.clone())
        .bind(now.micros())
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Takes what a passkey of this person signed for this purpose in the last five minutes.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn take_proof(
        &self,
        approval: ApprovalId,
        user: UserId,
        purpose: &str,
    ) -> Result<Option<KeptProof>, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "DELETE FROM approval_proofs WHERE approval_id = $1 AND user_id = $2 AND purpose = $3 AND made > $4 \
             RETURNING statement, proof",
        )
        .bind(approval.to_string())
        .bind(user.to_string())
        .bind(purpose.to_owned())
        .bind(before(self.core.clock.now(), PROOF_TIME).micros())
        .fetch_optional(self.core.database.pool())
        .await?;
        row.map(|row| {
            Ok(KeptProof {
                approval,
                user,
                purpose: purpose.to_owned(),
                statement: row.try_get("statement")?,
                proof: row.try_get("proof")?,
            })
        })
        .transpose()
    }

    /// Those whose time is over though they are not marked so.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn overdue(&self) -> Result<Vec<Approval>, StoreError> {
        let now = self.core.clock.now().micros();
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE (state = 'pending' AND answer_by <= ").number(now);
        statement.sql(") OR (state IN ('approved', 'deploying') AND expires <= ").number(now);
        statement.sql(") ORDER BY id LIMIT 100");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(approval).collect()
    }
}

/// Whether one step leads from one state to the other.
fn is_move(from: State, to: State) -> bool {
    gateway_approvals::state::Move::ALL.into_iter().any(|happening| from.after(happening) == Ok(to))
}

fn before(now: Timestamp, length: Duration) -> Timestamp {
    let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.micros().saturating_sub(micros))
}

async fn open_twin(
    tx: &mut WriteTx,
    new: &NewApproval,
    now: Timestamp,
) -> Result<Option<Approval>, StoreError> {
    let mut twin = Statement::new("SELECT ");
    twin.sql(COLUMNS).sql(" WHERE app = ").text(&new.app).sql(" AND requester = ").text(&new.requester);
    // One that is being used, or that asks for something else, is not what is asked for now.
    twin.sql(" AND commit_id = ").text(&new.commit).sql(" AND request = ").text(&new.request);
    twin.sql(" AND ((state = 'pending' AND answer_by > ").number(now.micros());
    twin.sql(") OR (state = 'approved' AND expires > ").number(now.micros());
    twin.sql(")) ORDER BY id DESC LIMIT 1");
    let row = twin.query().fetch_optional(tx.connection()).await?;
    row.as_ref().map(approval).transpose()
}

async fn sign(tx: &mut WriteTx, id: ApprovalId, signature: &KeptSignature) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM approval_signatures WHERE approval_id = $1 AND user_id = $2 AND purpose = $3")
        .bind(id.to_string())
        .bind(signature.user.to_string())
        .bind(signature.purpose.clone())
        .execute(tx.connection())
        .await?;
    sqlx::query(
        "INSERT INTO approval_signatures \
         (approval_id, user_id, purpose, name, method, statement, proof, reason, made, expires, seal) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id.to_string())
    .bind(signature.user.to_string())
    .bind(signature.purpose.clone())
    .bind(signature.name.clone())
    .bind(signature.method.clone())
    .bind(signature.statement.clone())
    .bind(signature.proof.clone())
    .bind(signature.reason.clone())
    .bind(signature.made.micros())
    .bind(signature.expires.micros())
    .bind(signature.seal.clone())
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn read(tx: &mut WriteTx, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    let mut statement = Statement::new("SELECT ");
    statement.sql(COLUMNS).sql(" WHERE id = ").text(&id.to_string());
    let row = statement.query().fetch_optional(tx.connection()).await?;
    row.as_ref().map(approval).transpose()
}

fn approval(row: &AnyRow) -> Result<Approval, StoreError> {
    Ok(Approval {
        id: parsed(row, "id", "id of an approval")?,
        app: row.try_get("app")?,
        commit: row.try_get("commit_id")?,
        requester: row.try_get("requester")?,
        requester_name: row.try_get("requester_name")?,
        person: optional_parsed(row, "person", "id of a person")?,
        request: row.try_get("request")?,
        state: parsed(row, "state", "state of an approval")?,
        created: moment(row, "created")?,
        answer_by: moment(row, "answer_by")?,
        expires: optional_moment(row, "expires")?,
        extended: row.try_get::<i64, _>("extended")? != 0,
        bound: row.try_get("bound")?,
        bound_seal: row.try_get("bound_seal")?,
        closed: optional_moment(row, "closed")?,
        closed_by: row.try_get("closed_by")?,
        reason: row.try_get("reason")?,
        version: row.try_get("version")?,
    })
}
