//! The offline codes for emergencies, and each use of them. Only digests of codes are kept. Who may make codes, what
//! a use gives, and whom it pages, is not known here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{BreakGlassId, Grant, RoleSet, Secret, Timestamp, TokenKind, WorkloadId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{Page, moment, optional_moment, optional_parsed, page_size, parsed, storable};
use crate::secrets::{credential_digest, digest_text, sha256_hex};
use crate::sign_ins;
use crate::statement::Statement;
use crate::store::Core;
use crate::tokens;

/// What the digest of a code begins with, so that no digest of anything else can be taken for one.
const DOMAIN: &str = "rack-gateway break-glass code v1";

/// The codes in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakGlassSet {
    /// Which set.
    pub id: BreakGlassId,
    /// How many codes one use takes.
    pub threshold: u32,
    /// How many there were.
    pub codes: u32,
    /// How many are not used yet.
    pub left: u32,
    /// When they were made.
    pub created: Timestamp,
    /// Who made them, as a display name.
    pub created_by: String,
}

/// A use of the codes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakGlassUse {
    /// Which one.
    pub id: BreakGlassId,
    /// Who said to be it.
    pub person: String,
    /// Why.
    pub reason: String,
    /// For what, in words.
    pub scope: String,
    /// The roles it gives.
    pub roles: RoleSet,
    /// What it grants.
    pub grants: Vec<Grant>,
    /// From which address; `None` = on the server's own machine.
    pub source_ip: Option<IpAddr>,
    /// When it began.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// When it was ended before that.
    pub ended: Option<Timestamp>,
    /// Who ended it, as a display name.
    pub ended_by: Option<String>,
    /// When it was looked at; `None` = that is still to be done.
    pub reviewed: Option<Timestamp>,
    /// Who looked at it, as a display name.
    pub reviewed_by: Option<String>,
    /// What they found.
    pub review: Option<String>,
}

impl BreakGlassUse {
    /// Whether it still gives something.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.ends
    }
}

/// A use that is to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBreakGlassUse {
    /// Who says to be it.
    pub person: String,
    /// Why.
    pub reason: String,
    /// For what, in words.
    pub scope: String,
    /// The roles it gives.
    pub roles: RoleSet,
    /// What it grants.
    pub grants: Vec<Grant>,
    /// From which address.
    pub source_ip: Option<IpAddr>,
    /// How long.
    pub fuse: Duration,
}

/// What became of codes that were presented.
#[derive(Debug)]
pub enum Redeemed {
    /// They are spent, and this is the token for it.
    Opened(Box<BreakGlassUse>, Secret<String>),
    /// Too few of them are good; none is spent.
    TooFew {
        /// How many are good.
        good: u32,
        /// How many it takes.
        threshold: u32,
    },
    /// There are no codes in force.
    NotSetUp,
}

/// The codes and their uses.
#[derive(Clone, Debug)]
pub struct BreakGlass {
    pub(crate) core: Arc<Core>,
}

const USE: &str = "SELECT id, person, reason, scope, roles, grants, source_ip, opened, ends, ended, ended_by, \
     reviewed, reviewed_by, review FROM break_glass_uses";

impl BreakGlass {
    /// The codes in force.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn in_force(&self) -> Result<Option<BreakGlassSet>, StoreError> {
        let row = sqlx::query(
            "SELECT s.id, s.threshold, s.codes, s.created, s.created_by, \
             (SELECT COUNT(*) FROM break_glass_codes AS c WHERE c.set_id = s.id AND c.used IS NULL) AS unused \
             FROM break_glass_sets AS s WHERE s.retired IS NULL",
        )
        .fetch_optional(self.core.database.pool())
        .await?;
        row.as_ref().map(set).transpose()
    }

    /// Puts these codes in force, and those before out of it, if those before are `expected`; `None` = if there are
    /// none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when others are in force.
    pub async fn init(
        &self,
        threshold: u32,
        codes: &[Secret<String>],
        created_by: &str,
        expected: Option<BreakGlassId>,
    ) -> Result<BreakGlassSet, StoreError> {
        storable("the actor", created_by)?;
        let now = self.core.clock.now();
        let id = BreakGlassId::new(now, &*self.core.entropy);
        let count = u32::try_from(codes.len()).map_err(|_| StoreError::OutOfRange { field: "the codes" })?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let present = sqlx::query("SELECT id FROM break_glass_sets WHERE retired IS NULL")
            .fetch_optional(tx.connection())
            .await?;
        let present: Option<BreakGlassId> =
            present.as_ref().map(|row| parsed(row, "id", "id of codes")).transpose()?;
        if present != expected {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        }
        sqlx::query("UPDATE break_glass_sets SET retired = $1 WHERE retired IS NULL")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO break_glass_sets (id, threshold, codes, created, created_by) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(i64::from(threshold))
        .bind(i64::from(count))
        .bind(now.micros())
        .bind(created_by.to_owned())
        .execute(tx.connection())
        .await?;
        for (number, code) in (1_i64..).zip(codes) {
            sqlx::query("INSERT INTO break_glass_codes (digest, set_id, number) VALUES ($1, $2, $3)")
                .bind(code_digest(code.expose()))
                .bind(id.to_string())
                .bind(number)
                .execute(tx.connection())
                .await?;
        }
        self.core.changes.commit(tx, version).await?;
        let created_by = created_by.to_owned();
        Ok(BreakGlassSet { id, threshold, codes: count, left: count, created: now, created_by })
    }

    /// The numbers of those of these codes that are in force and not used. Spends none.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn good(&self, codes: &BTreeSet<String>) -> Result<BTreeSet<u32>, StoreError> {
        if codes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut statement = Statement::new(
            "SELECT c.number FROM break_glass_codes AS c JOIN break_glass_sets AS s ON s.id = c.set_id \
             WHERE s.retired IS NULL AND c.used IS NULL AND c.digest IN (",
        );
        digests(&mut statement, codes);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(|row| small(row, "number")).collect()
    }

    /// Spends these codes for one use, if they are as many as it takes and each is in force and not used. What is
    /// asked of two instances at one time is done by one of them.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn redeem(
        &self,
        codes: &BTreeSet<String>,
        new: NewBreakGlassUse,
    ) -> Result<Redeemed, StoreError> {
        for (field, text) in
            [("the person", &new.person), ("the reason", &new.reason), ("the scope", &new.scope)]
        {
            storable(field, text)?;
        }
        let Some(set) = self.in_force().await? else { return Ok(Redeemed::NotSetUp) };
        if codes.is_empty() {
            return Ok(Redeemed::TooFew { good: 0, threshold: set.threshold });
        }
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let mut spend = Statement::new("UPDATE break_glass_codes SET used = ");
        spend.number(now.micros()).sql(" WHERE used IS NULL AND set_id IN (SELECT id FROM break_glass_sets ");
        spend.sql("WHERE retired IS NULL AND id = ").text(&set.id.to_string()).sql(") AND digest IN (");
        digests(&mut spend, codes);
        let good = spend.query().execute(tx.connection()).await?.rows_affected();
        let good = u32::try_from(good).unwrap_or(u32::MAX);
        if good < set.threshold {
            tx.rollback().await?;
            return Ok(Redeemed::TooFew { good, threshold: set.threshold });
        }
        let opened = self.used(new, now);
        insert_use(&mut tx, &set, &opened).await?;
        let mut name = Statement::new("UPDATE break_glass_codes SET use_id = ");
        name.text(&opened.id.to_string()).sql(" WHERE digest IN (");
        digests(&mut name, codes);
        name.query().execute(tx.connection()).await?;
        let secret = TokenKind::Workload.generate(&*self.core.entropy);
        sqlx::query(
            "INSERT INTO workloads (id, digest, break_glass, subject, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(WorkloadId::new(now, &*self.core.entropy).to_string())
        .bind(digest_text(&credential_digest(secret.expose())))
        .bind(opened.id.to_string())
        .bind(opened.person.clone())
        .bind(now.micros())
        .bind(opened.ends.micros())
        .execute(tx.connection())
        .await?;
        self.core.changes.commit(tx, version).await?;
        Ok(Redeemed::Opened(Box::new(opened), secret))
    }

    fn used(&self, new: NewBreakGlassUse, now: Timestamp) -> BreakGlassUse {
        BreakGlassUse {
            id: BreakGlassId::new(now, &*self.core.entropy),
            person: new.person,
            reason: new.reason,
            scope: new.scope,
            roles: new.roles,
            grants: new.grants,
            source_ip: new.source_ip,
            opened: now,
            ends: now.saturating_add(new.fuse),
            ended: None,
            ended_by: None,
            reviewed: None,
            reviewed_by: None,
            review: None,
        }
    }

    /// Counts a try from this address, of IPv6 from its /64; false when there were `limit` within `period` already,
    /// which then stays so until they are older.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn may_try(&self, source: IpAddr, limit: u32, period: Duration) -> Result<bool, StoreError> {
        let now = self.core.clock.now();
        let micros = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
        let since = now.micros().saturating_sub(micros);
        let source = sign_ins::source(source);
        // Not a change of who may do what: a stranger must not empty everybody's caches with it. Two tries at one
        // instant may both count the other as not there yet, which is one try more.
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM break_glass_tries WHERE tried <= $1")
            .bind(since)
            .execute(tx.connection())
            .await?;
        sqlx::query("INSERT INTO break_glass_tries (id, source, tried) VALUES ($1, $2, $3)")
            .bind(BreakGlassId::new(now, &*self.core.entropy).to_string())
            .bind(source.clone())
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        let row = sqlx::query("SELECT COUNT(*) AS tries FROM break_glass_tries WHERE source = $1")
            .bind(source)
            .fetch_one(tx.connection())
            .await?;
        if row.try_get::<i64, _>("tries")? > i64::from(limit) {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// One page of uses, newest first. With `open_only`, those that nobody looked at yet.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn uses(
        &self,
        open_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<BreakGlassUse>, StoreError> {
        let limit = page_size(limit);
        let mut statement = Statement::new(USE);
        statement.sql(" WHERE 1 = 1");
        if open_only {
            statement.sql(" AND reviewed IS NULL");
        }
        if let Some(cursor) = cursor.and_then(|cursor| cursor.parse::<BreakGlassId>().ok()) {
            statement.sql(" AND id < ").text(&cursor.to_string());
        }
        statement.sql(" ORDER BY id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let uses = rows.iter().map(one_use).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(uses, limit, |used| used.id.to_string()))
    }

    /// One use.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: BreakGlassId) -> Result<Option<BreakGlassUse>, StoreError> {
        let mut statement = Statement::new(USE);
        statement.sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(one_use).transpose()
    }

    /// Ends a use before its time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none or it is over.
    pub async fn end(&self, id: BreakGlassId, by: &str) -> Result<(), StoreError> {
        storable("the actor", by)?;
        let now = self.core.clock.now().micros();
        let mut statement = Statement::new("UPDATE break_glass_uses SET ended = ");
        statement.number(now).sql(", ended_by = ").text(by).sql(" WHERE id = ").text(&id.to_string());
        statement.sql(" AND ended IS NULL AND ends > ").number(now);
        self.change(statement).await
    }

    /// Writes down what somebody found who looked at a use that is over.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, it is not over, or somebody did that.
    pub async fn review(&self, id: BreakGlassId, by: &str, found: &str) -> Result<(), StoreError> {
        storable("the actor", by)?;
        storable("the review", found)?;
        let now = self.core.clock.now().micros();
        let mut statement = Statement::new("UPDATE break_glass_uses SET reviewed = ");
        statement.number(now).sql(", reviewed_by = ").text(by).sql(", review = ").text(found);
        statement
            .sql(" WHERE id = ")
            .text(&id.to_string())
            .sql(" AND reviewed IS NULL AND (ended IS NOT NULL");
        statement.sql(" OR ends <= ").number(now).sql(")");
        self.change(statement).await
    }

    async fn change(&self, statement: Statement) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        if statement.query().execute(tx.connection()).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        self.core.changes.commit(tx, version).await
    }

    /// The uses that are over and of which [`BreakGlass::end_told`] was not said. Whoever tells of them holds a lease,
    /// so that no other instance does.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn untold_ends(&self) -> Result<Vec<BreakGlassUse>, StoreError> {
        let now = self.core.clock.now().micros();
        let mut over = Statement::new(USE);
        over.sql(" WHERE end_told IS NULL AND (ended IS NOT NULL OR ends <= ").number(now).sql(")");
        let rows = over.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(one_use).collect()
    }

    /// The end of this use stands in the log, and the admins are told.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn end_told(&self, id: BreakGlassId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE break_glass_uses SET end_told = $1 WHERE id = $2 AND end_told IS NULL")
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }
}

async fn insert_use(
    tx: &mut crate::database::WriteTx,
    set: &BreakGlassSet,
    opened: &BreakGlassUse,
) -> Result<(), StoreError> {
    let grants = serde_json::to_string(&opened.grants).map_err(|source| StoreError::Json { source })?;
    let mut insert = Statement::new(
        "INSERT INTO break_glass_uses (id, set_id, person, reason, scope, roles, grants, source_ip, opened, ends) \
         VALUES (",
    );
    insert.text(&opened.id.to_string()).sql(", ").text(&set.id.to_string());
    insert.sql(", ").text(&opened.person).sql(", ").text(&opened.reason).sql(", ").text(&opened.scope);
    insert.sql(", ").text(&opened.roles.to_string()).sql(", ").text(&grants);
    insert.sql(", ").optional_text(opened.source_ip.map(|ip| ip.to_string()).as_deref());
    insert.sql(", ").number(opened.opened.micros()).sql(", ").number(opened.ends.micros()).sql(")");
    insert.query().execute(tx.connection()).await?;
    Ok(())
}

/// The digests of codes as parameters, with the closing bracket.
fn digests(statement: &mut Statement, codes: &BTreeSet<String>) {
    for (n, code) in codes.iter().enumerate() {
        statement.sql(if n == 0 { "" } else { ", " }).text(&code_digest(code));
    }
    statement.sql(")");
}

/// What is kept of a code. Codes hold more than 120 random bits, so that a plain digest cannot be searched.
fn code_digest(code: &str) -> String {
    sha256_hex(format!("{DOMAIN}\0{code}").as_bytes())
}

fn small(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?)
        .map_err(|_large| StoreError::Corrupt { what: "number of a break-glass code" })
}

fn set(row: &AnyRow) -> Result<BreakGlassSet, StoreError> {
    Ok(BreakGlassSet {
        id: parsed(row, "id", "id of codes")?,
        threshold: small(row, "threshold")?,
        codes: small(row, "codes")?,
        left: small(row, "unused")?,
        created: moment(row, "created")?,
        created_by: row.try_get("created_by")?,
    })
}

fn one_use(row: &AnyRow) -> Result<BreakGlassUse, StoreError> {
    Ok(BreakGlassUse {
        id: parsed(row, "id", "id of a use of codes")?,
        person: row.try_get("person")?,
        reason: row.try_get("reason")?,
        scope: row.try_get("scope")?,
        roles: parsed(row, "roles", "set of roles")?,
        grants: tokens::grants(&row.try_get::<String, _>("grants")?)?,
        source_ip: optional_parsed(row, "source_ip", "address")?,
        opened: moment(row, "opened")?,
        ends: moment(row, "ends")?,
        ended: optional_moment(row, "ended")?,
        ended_by: row.try_get("ended_by")?,
        reviewed: optional_moment(row, "reviewed")?,
        reviewed_by: row.try_get("reviewed_by")?,
        review: row.try_get("review")?,
    })
}
