//! The audit log's reading side: events for people, leaves for those who check. Who may read is not
//! decided here.

use std::sync::Arc;
use std::time::Duration;

use gateway_audit::{Event, Hash, Head, Phase, TileId, Tiles};
use gateway_types::{Decision, RequestId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{Columns, column, complete_nodes, from_column, read_head, read_tile, to_column};
use crate::audit_retention::{AuditRetention, HAS_BODY};
use crate::error::StoreError;
use crate::row::{Page, page_size};
use crate::statement::Statement;
use crate::store::Core;

/// The most leaves of one answer.
pub const MOST_LEAVES: u64 = 1000;
/// The most hashes of one answer.
pub const MOST_HASHES: u64 = 65_536;
/// The most leaves that one search looks at: of those that its index finds, where it has one, else of the log.
pub const MOST_SCANNED: u64 = 20_000;
/// How far apart an event's time and the moment it was committed can be, at the most: clocks of instances
/// differ, and events wait in a queue. Searches by time look at this much more of the log, on both sides.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// Which events a listing holds. Everything left out matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// By exactly this actor's display name.
    pub actor: Option<String>,
    /// Of exactly this action, or of those beginning with what stands before a final `*`.
    pub action: Option<String>,
    /// On this app.
    pub app: Option<String>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Allowed, or refused.
    pub decision: Option<Decision>,
    /// At this stage of its request.
    pub phase: Option<Phase>,
    /// Of this request.
    pub request: Option<RequestId>,
    /// With this text in actor, action, resource or request id.
    pub text: Option<String>,
}

/// A leaf as it is stored: exactly what was hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// Its place in the log.
    pub index: u64,
    /// The canonical bytes; none of a leaf that was pruned.
    pub bytes: Vec<u8>,
    /// The leaf hash, as stored: to be recomputed by whoever verifies.
    pub hash: Hash,
}

impl LeafRow {
    /// Whether the body is not there: it was pruned, or somebody took it away.
    pub fn has_no_body(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A checkpoint as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCheckpoint {
    /// The number of leaves it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was stored.
    pub time: Timestamp,
}

/// What came of comparing columns with leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColumnsCompared {
    /// The index after the last one of the piece.
    pub next: u64,
    /// The first leaf that is not found by what it says.
    pub first_wrong: Option<u64>,
}

/// The member of a filter that an index answers: the one that matches fewest leaves as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key<'a> {
    Request(RequestId),
    Actor(&'a str),
    App(&'a str),
    Action(&'a str),
    Refusals,
}

impl<'a> Key<'a> {
    fn of(filter: &'a EventFilter) -> Option<Self> {
        let exact = |action: &'a str| (!action.ends_with('*')).then_some(Key::Action(action));
        let refusals = || (filter.decision == Some(Decision::Refuse)).then_some(Key::Refusals);
        (filter.request.map(Key::Request))
            .or_else(|| filter.actor.as_deref().map(Key::Actor))
            .or_else(|| filter.app.as_deref().map(Key::App))
            .or_else(|| filter.action.as_deref().and_then(exact))
            .or_else(refusals)
    }

    /// Whether nothing else is asked for, so that every leaf the index finds is one that is shown.
    fn is_all_of(&self, filter: &EventFilter) -> bool {
        let alone = match *self {
            Key::Request(request) => EventFilter { request: Some(request), ..EventFilter::default() },
            Key::Actor(actor) => EventFilter { actor: Some(actor.to_owned()), ..EventFilter::default() },
            Key::App(app) => EventFilter { app: Some(app.to_owned()), ..EventFilter::default() },
            Key::Action(action) => EventFilter { action: Some(action.to_owned()), ..EventFilter::default() },
            Key::Refusals => EventFilter { decision: Some(Decision::Refuse), ..EventFilter::default() },
        };
        *filter == alone
    }

    fn narrow(&self, statement: &mut Statement) {
        match *self {
            Key::Request(request) => statement.sql(" AND request_id = ").text(&request.to_string()),
            Key::Actor(actor) => statement.sql(" AND actor = ").text(&column(actor)),
            Key::App(app) => statement.sql(" AND app = ").text(&column(app)),
            Key::Action(action) => statement.sql(" AND action = ").text(&column(action)),
            Key::Refusals => statement.sql(" AND decision = 'refuse'"),
        };
    }
}

/// The audit log, for reading.
#[derive(Clone, Debug)]
pub struct Events {
    pub(crate) core: Arc<Core>,
}

impl Events {
    /// All events of one request, in the order of the log.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn by_request(&self, request: RequestId) -> Result<Vec<(u64, Event)>, StoreError> {
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE request_id = ");
        statement.text(&request.to_string()).sql(HAS_BODY).sql(" ORDER BY idx LIMIT 1000");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(event).collect()
    }

    /// One page of events, newest first.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn page(
        &self,
        filter: &EventFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<(u64, Event)>, StoreError> {
        let limit = page_size(limit);
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE 1 = 1");
        if let Some(before) = cursor.and_then(|cursor| cursor.parse::<u64>().ok()) {
            statement.sql(" AND idx < ").number(to_column(before)?);
        }
        narrow(&mut statement, filter);
        statement.sql(HAS_BODY).sql(" ORDER BY idx DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(events, limit, |(index, _event)| index.to_string()))
    }

    /// One page of events, newest first, of those before index `before`: in bounded time, however large the
    /// log is.
    ///
    /// At most [`MOST_SCANNED`] leaves are looked at, so a page can be short, even empty, and still have a
    /// `next`: only without a `next` is there no more. A filter that names a request, an actor, an app, an exact
    /// action or refusals looks, by an index, only at leaves that match that; alone it has no short pages.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn search(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<(u64, Event)>, StoreError> {
        self.search_among(filter, before, limit, MOST_SCANNED).await
    }

    /// The first events that match, oldest first, from index `from` on: at most `limit` of them, among the
    /// [`MOST_SCANNED`] leaves after it.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn following(
        &self,
        filter: &EventFilter,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Event)>, StoreError> {
        let from = from.max(self.first_kept().await?);
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE idx >= ");
        statement.number(to_column(from)?).sql(" AND idx < ");
        statement.number(to_column(from.saturating_add(MOST_SCANNED))?);
        narrow(&mut statement, filter);
        statement.sql(HAS_BODY).sql(" ORDER BY idx LIMIT ").number(i64::from(page_size(limit)));
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(event).collect()
    }

    pub(crate) async fn search_among(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: u32,
        most_scanned: u64,
    ) -> Result<Page<(u64, Event)>, StoreError> {
        let limit = page_size(limit);
        let (first, end) = self.stretch(filter, before).await?;
        let from = match Key::of(filter) {
            Some(key) if key.is_all_of(filter) => first,
            Some(key) => self.reach(&key, first, end, most_scanned).await?,
            None => first.max(end.saturating_sub(most_scanned)),
        };
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE idx >= ");
        statement.number(to_column(from)?).sql(" AND idx < ").number(to_column(end)?);
        narrow(&mut statement, filter);
        statement.sql(HAS_BODY).sql(" ORDER BY idx DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let mut page = Page::cut(events, limit, |(index, _event)| index.to_string());
        if page.next.is_none() && from > first {
            page.next = Some(from.to_string());
        }
        Ok(page)
    }

    /// From which index on not more than `most` leaves match `key`, in the stretch from `first` to `end`. Read from
    /// the key's index alone.
    async fn reach(&self, key: &Key<'_>, first: u64, end: u64, most: u64) -> Result<u64, StoreError> {
        let mut statement = Statement::new("SELECT idx FROM audit_leaves WHERE idx >= ");
        statement.number(to_column(first)?).sql(" AND idx < ").number(to_column(end)?);
        key.narrow(&mut statement);
        statement.sql(" ORDER BY idx DESC LIMIT 1 OFFSET ").number(to_column(most)?);
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        let beyond = row.map(|row| from_column(row.try_get(0)?)).transpose()?;
        Ok(beyond.map_or(first, |index| index.saturating_add(1)))
    }

    /// Compares what leaves are found by with what they say, from index `from` up to, not including, `to`; at most
    /// [`MOST_LEAVES`] of them. Returns where the comparison ended, and the first leaf that a search would
    /// show wrongly, or not at all.
    ///
    /// Pruned leaves say nothing, and are not compared. The tree vouches for the bytes of a leaf and not for the columns beside them: whoever can write to the
    /// database could hide an event from searches without touching the log.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn compare_columns(&self, from: u64, to: u64) -> Result<ColumnsCompared, StoreError> {
        let to = to.min(from.saturating_add(MOST_LEAVES));
        let mut statement = Statement::new(
            "SELECT idx, bytes, time, request_id, actor, action, resource, app, phase, decision, \
             (SELECT first_kept FROM audit_retention WHERE id = 1) FROM audit_leaves WHERE idx >= ",
        );
        statement.number(to_column(from)?).sql(" AND idx < ").number(to_column(to)?);
        statement.sql(HAS_BODY).sql(" ORDER BY idx");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let end = to.max(from);
        // Of the same moment as the rows, wherever there are any.
        let first_kept = match rows.first() {
            Some(row) => from_column(row.try_get(10)?)?,
            None => self.first_kept().await?,
        };
        let mut expected = from.max(first_kept).min(end);
        for row in &rows {
            let agrees = from_column(row.try_get(0)?)? == expected
                && match event(row) {
                    Ok((_, event)) => has_columns(row, &Columns::of(&event))?,
                    // Bytes that are no event are found by nothing that they say.
                    Err(StoreError::Corrupt { .. }) => false,
                    Err(error) => return Err(error),
                };
            if !agrees {
                break;
            }
            expected += 1;
        }
        Ok(ColumnsCompared { next: end, first_wrong: (expected < end).then_some(expected) })
    }

    /// The stretch of the log outside of which nothing can match, by index: its start, and its end, which
    /// does not belong to it.
    async fn stretch(&self, filter: &EventFilter, before: Option<u64>) -> Result<(u64, u64), StoreError> {
        let skew = i64::try_from(SKEW.as_micros()).unwrap_or(i64::MAX);
        let size = self.head().await?.size;
        let mut end = before.map_or(size, |before| before.min(size));
        if let Some(until) = filter.until {
            // What was committed after this one was so late that it happened after `until`.
            let after = "SELECT idx FROM audit_leaves WHERE time >= $1 ORDER BY time LIMIT 1";
            end = end.min(self.index_near(after, until.micros().saturating_add(skew)).await?.unwrap_or(end));
        }
        let mut first = self.first_kept().await?;
        if let Some(since) = filter.since {
            // What was committed before this one was so early that it happened before `since`.
            let before = "SELECT idx FROM audit_leaves WHERE time < $1 ORDER BY time DESC LIMIT 1";
            first =
                first.max(self.index_near(before, since.micros().saturating_sub(skew)).await?.unwrap_or(0));
        }
        Ok((first, end))
    }

    async fn first_kept(&self) -> Result<u64, StoreError> {
        AuditRetention { core: Arc::clone(&self.core) }.first_kept().await
    }

    async fn index_near(&self, statement: &'static str, moment: i64) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(statement).bind(moment).fetch_optional(self.core.database.pool()).await?;
        row.map(|row| from_column(row.try_get(0)?)).transpose()
    }

    /// The leaves from index `from` up to, not including, `to`; at most [`MOST_LEAVES`] of them, so
    /// ask again from after the last one until none comes.
    ///
    /// # Errors
    /// When the database or a row cannot be read.
    pub async fn leaves(&self, from: u64, to: u64) -> Result<Vec<LeafRow>, StoreError> {
        let to = to.min(from.saturating_add(MOST_LEAVES));
        let rows = sqlx::query(
            "SELECT idx, bytes, hash FROM audit_leaves WHERE idx >= $1 AND idx < $2 ORDER BY idx",
        )
        .bind(to_column(from)?)
        .bind(to_column(to)?)
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LeafRow {
                    index: from_column(row.try_get(0)?)?,
                    bytes: row.try_get(1)?,
                    hash: hash(row, 2)?,
                })
            })
            .collect()
    }

    /// The leaf hashes from index `from` up to, not including, `to`; at most [`MOST_HASHES`] of them.
    /// What proofs are made of.
    ///
    /// # Errors
    /// When the database or a row cannot be read.
    pub async fn hashes(&self, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        let to = to.min(from.saturating_add(MOST_HASHES));
        let rows = sqlx::query("SELECT hash FROM audit_leaves WHERE idx >= $1 AND idx < $2 ORDER BY idx")
            .bind(to_column(from)?)
            .bind(to_column(to)?)
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(|row| hash(row, 0)).collect()
    }

    /// The first `width` hashes of a tile; `None` when the log does not have so many. In the time of one
    /// read, however large the log is.
    ///
    /// # Errors
    /// When the database cannot be read, or lacks a hash that the log must have.
    pub async fn tile(&self, tile: TileId, width: u64) -> Result<Option<Vec<Hash>>, StoreError> {
        if width == 0 || tile.width_at(self.head().await?.size) < width {
            return Ok(None);
        }
        let database = &self.core.database;
        let mut hashes = read_tile(database, tile, width).await?;
        if hashes.len() as u64 != width && tile.level > 0 {
            // An older program wrote leaves since this one started, and knows no nodes.
            complete_nodes(database).await?;
            hashes = read_tile(database, tile, width).await?;
        }
        if hashes.len() as u64 == width {
            Ok(Some(hashes))
        } else {
            Err(StoreError::Corrupt { what: "tree of the audit log" })
        }
    }

    /// These tiles, each as full as a log of `size` entries has it: what proofs are made of.
    ///
    /// # Errors
    /// As [`tile`](Self::tile).
    pub async fn tiles(&self, wanted: &[TileId], size: u64) -> Result<Tiles, StoreError> {
        let mut tiles = Tiles::new();
        for tile in wanted {
            if let Some(hashes) = self.tile(*tile, tile.width_at(size)).await? {
                tiles.insert(*tile, hashes);
            }
        }
        Ok(tiles)
    }

    /// The newest published checkpoints, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checkpoints(&self, limit: u32) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let rows = sqlx::query("SELECT size, note, time FROM audit_checkpoints ORDER BY size DESC LIMIT $1")
            .bind(i64::from(page_size(limit)))
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredCheckpoint {
                    size: from_column(row.try_get(0)?)?,
                    note: row.try_get(1)?,
                    time: Timestamp::from_micros(row.try_get(2)?),
                })
            })
            .collect()
    }

    /// The present head.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Head, StoreError> {
        Ok(read_head(&self.core.database).await?.head)
    }

    /// A body that did not fit into its leaf, by its SHA-256.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn blob(&self, digest: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM audit_blobs WHERE hash = $1")
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(self.core.database.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

fn narrow(statement: &mut Statement, filter: &EventFilter) {
    if let Some(actor) = &filter.actor {
        statement.sql(" AND actor = ").text(&column(actor));
    }
    match filter.action.as_deref().map(|action| (action, action.strip_suffix('*'))) {
        None => {}
        Some((action, None)) => {
            statement.sql(" AND action = ").text(&column(action));
        }
        Some((_pattern, Some(prefix))) => {
            statement.sql(" AND ").begins_with("action", &column(prefix));
        }
    }
    if let Some(app) = &filter.app {
        statement.sql(" AND app = ").text(&column(app));
    }
    if let Some(since) = filter.since {
        statement.sql(" AND time >= ").number(since.micros());
    }
    if let Some(until) = filter.until {
        statement.sql(" AND time < ").number(until.micros());
    }
    if let Some(decision) = filter.decision {
        statement.sql(match decision {
            Decision::Allow => " AND decision = 'allow'",
            Decision::Refuse => " AND decision = 'refuse'",
        });
    }
    if let Some(phase) = filter.phase {
        statement.sql(" AND phase = ").text(phase.name());
    }
    if let Some(request) = filter.request {
        statement.sql(" AND request_id = ").text(&request.to_string());
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let text = column(text);
        statement.sql(" AND (").contains("lower(actor)", &text).sql(" OR ").contains("lower(action)", &text);
        statement.sql(" OR ").contains("lower(resource)", &text);
        statement.sql(" OR ").contains("request_id", &text).sql(")");
    }
}

/// Whether a row, as `compare_columns` reads it, has these columns.
fn has_columns(row: &AnyRow, said: &Columns) -> Result<bool, StoreError> {
    let text = |place: usize| row.try_get::<String, _>(place);
    let optional = |place: usize| row.try_get::<Option<String>, _>(place);
    Ok(row.try_get::<i64, _>(2)? == said.time
        && text(3)? == said.request_id
        && text(4)? == said.actor
        && text(5)? == said.action
        && text(6)? == said.resource
        && optional(7)? == said.app
        && text(8)? == said.phase
        && optional(9)?.as_deref() == said.decision)
}

fn event(row: &AnyRow) -> Result<(u64, Event), StoreError> {
    let index = from_column(row.try_get(0)?)?;
    let bytes: Vec<u8> = row.try_get(1)?;
    let (event, _nonce) =
        Event::from_leaf(&bytes).map_err(|_bad| StoreError::Corrupt { what: "leaf of the audit log" })?;
    Ok((index, event))
}

fn hash(row: &AnyRow, column: usize) -> Result<Hash, StoreError> {
    Hash::from_slice(&row.try_get::<Vec<u8>, _>(column)?).ok_or(StoreError::Corrupt { what: "leaf hash" })
}
