//! Moving in from the Go project of this name: what is taken of its people, tokens and settings, and what is not, and why.
//!
//! [`plan`] decides, and touches nothing; [`carry_out`] does what was decided, each thing once, with an event before it.
//! Start reading at [`Fate`]. What is never taken: second factors (their secrets lie in clear there), sessions and trusted
//! devices (people sign in anew), requests for approval (they end within minutes), credentials of integrations.
//!
//! # Security
//! Nothing gets more than it had: roles and permissions that cannot be said here are refused and listed; what is here
//! already is never changed; what was taken once does not come back when it was revoked, removed or reset since.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_encoding::HEXLOWER;
use gateway_config::canonical_email;
use gateway_store::imports::{ImportKind, TakenToken, TakenUser, setting_name};
use gateway_store::predecessor::RawRow;
use gateway_store::predecessor::appendix::Appendix;
use gateway_store::{
    NewToken, NewUser, Predecessor, PredecessorError, SettingScope, Standing, Store, StoreError,
};
use gateway_types::{CredentialDigest, Grant, Role, RoleSet, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::AppError;
use crate::tokens::is_name as is_token_name;
use crate::users::is_name;
use crate::{Operator, record};

mod permissions;
#[cfg(test)]
mod tests;
mod translation;

use translation::Translation;

pub use gateway_store::predecessor::GO_PROJECT;

/// What stands before the name of a token that was taken.
pub const TOKEN_MARK: &str = "imported:";

/// The characters of a token's name, with its mark.
const LONGEST_TOKEN_NAME: usize = 100;

/// What was read there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Found {
    /// Rows of `users`.
    pub users: Vec<RawRow>,
    /// Rows of `api_tokens`.
    pub tokens: Vec<RawRow>,
    /// Rows of `settings`.
    pub settings: Vec<RawRow>,
}

impl Found {
    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(from: &mut Predecessor) -> Result<Self, PredecessorError> {
        Ok(Self {
            users: from.users().await?,
            tokens: from.tokens().await?,
            settings: from.settings().await?,
        })
    }
}

/// What is here already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Present {
    /// Roles of the people who are here, and whether they are locked, by address.
    pub people: BTreeMap<String, (RoleSet, Standing)>,
    /// Values of the settings that the database has.
    pub settings: BTreeMap<String, String>,
    /// What was taken before, by kind.
    pub taken: BTreeMap<ImportKind, BTreeSet<String>>,
}

impl Present {
    /// Asks the store.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let mut present = Present::default();
        let mut cursor = None;
        loop {
            let page = store.users().list(None, cursor.as_deref(), 1000).await?;
            for user in page.items {
                let standing = if user.locked { Standing::Locked } else { Standing::Active };
                present.people.insert(user.email, (user.roles, standing));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        for setting in store.settings().list(None).await? {
            present.settings.insert(setting_name(&setting.scope, &setting.key), setting.value);
        }
        for kind in [ImportKind::User, ImportKind::Token, ImportKind::Setting, ImportKind::Appendix] {
            present.taken.insert(kind, store.imports().taken(GO_PROJECT, kind).await?);
        }
        Ok(present)
    }

    fn was_taken(&self, kind: ImportKind, key: &str) -> bool {
        self.taken.get(&kind).is_some_and(|taken| taken.contains(key))
    }
}

/// What becomes of a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is taken.
    Taken,
    /// It is here, or was taken before; nothing is changed.
    Here,
    /// It is not taken.
    LeftOut,
}

/// A thing, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// `user`, `token` or `setting`.
    pub kind: &'static str,
    /// What it is called there.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What is other than it was there, or why it is not taken.
    pub remarks: Vec<String>,
    /// What is to be done.
    #[serde(skip)]
    act: Option<Act>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Act {
    User(TakenUser),
    Token(Box<TokenDraft>),
    Setting { scope: SettingScope, key: String, value: String },
}

/// A token whose creator may not have a row yet.
#[derive(Clone, PartialEq, Eq, Debug)]
struct TokenDraft {
    creator: String,
    name: String,
    roles: RoleSet,
    grants: Vec<Grant>,
    created: Timestamp,
    expires: Timestamp,
    digest: CredentialDigest,
}

impl Line {
    fn new(kind: ImportKind, name: &str) -> Self {
        let name = gateway_audit::bounded(name);
        Self { kind: kind.word(), name, fate: Fate::Taken, remarks: Vec::new(), act: None }
    }

    fn left_out(mut self, why: impl Into<String>) -> Self {
        self.fate = Fate::LeftOut;
        self.remarks.push(why.into());
        self
    }

    fn here(mut self, remark: impl Into<String>) -> Self {
        self.fate = Fate::Here;
        self.remarks.push(remark.into());
        self
    }

    fn takes(mut self, act: Act) -> Self {
        self.act = Some(act);
        self
    }
}

/// Decides what becomes of each thing: people, then tokens, then settings. Tokens end after `life` at the latest.
pub fn plan(found: &Found, present: &Present, now: Timestamp, life: Duration) -> Vec<Line> {
    let mut owners = BTreeMap::new();
    let mut lines = Vec::new();
    for row in &found.users {
        let (line, owner) = person(row, present);
        if let (Some(id), Some(owner)) = (row.get("id").and_then(Value::as_i64), owner) {
            owners.insert(id, owner);
        }
        lines.push(line);
    }
    let ends = now.saturating_add(life);
    lines.extend(found.tokens.iter().map(|row| token(row, present, &owners, now, ends)));
    lines.extend(settings(&found.settings, present));
    lines
}

fn text<'a>(row: &'a RawRow, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A list that is kept as JSON, or as the text of JSON; `None` when it is neither.
fn names(row: &RawRow, column: &str) -> Option<Vec<String>> {
    let value = match row.get(column)? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    serde_json::from_value(value).ok()
}

/// A time of PostgreSQL as JSON, with or without a zone; those without are UTC.
fn moment(row: &RawRow, column: &str) -> Option<Timestamp> {
    let text = row.get(column)?.as_str()?;
    Timestamp::parse_rfc3339(text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}Z")))
}

/// What becomes of a person; and the address and standing here of whoever owns tokens.
fn person(row: &RawRow, present: &Present) -> (Line, Option<(String, Standing)>) {
    let line = Line::new(ImportKind::User, text(row, "email"));
    let Ok(email) = canonical_email(text(row, "email")) else {
        return (line.left_out("its address is not one"), None);
    };
    let Some(held) = names(row, "roles") else {
        return (line.left_out("the roles cannot be read"), None);
    };
    let is_set = |column: &str| row.get(column).is_some_and(|value| !value.is_null() && value != false);
    let locked = is_set("suspended") || is_set("locked_at");
    let standing = if locked { Standing::Locked } else { Standing::Active };
    let (roles, unknown) = roles(&held);
    if let Some((here, stands)) = present.people.get(&email) {
        let mut line = line.here("is here already, and stays as it is");
        if *here != roles {
            line.remarks.push(format!("has the roles {here} here, {} there", held.join(", ")));
        }
        if standing == Standing::Locked && *stands == Standing::Active {
            line.remarks
                .push("is locked or suspended there and not here: lock them here if that still holds".into());
        }
        return (line, Some((email, *stands)));
    }
    if present.was_taken(ImportKind::User, &email) {
        return (line.here("was taken before and removed here since"), None);
    }
    if roles.is_empty() {
        return (
            line.left_out(format!("none of the roles there is one of people here: {}", held.join(", "))),
            None,
        );
    }
    let mut line = line;
    for role in unknown {
        line.remarks.push(format!(
            "the role {} is not given: it is none of people here",
            gateway_audit::bounded(&role)
        ));
    }
    if locked {
        line.remarks.push("is locked, as there".to_owned());
    }
    let name = Some(text(row, "name").trim()).filter(|name| is_name(name)).unwrap_or(&email).to_owned();
    let new = NewUser { email: email.clone(), name, roles };
    (line.takes(Act::User(TakenUser { new, standing })), Some((email, standing)))
}

/// Roles of people by their names, and those that are none.
fn roles(held: &[String]) -> (RoleSet, Vec<String>) {
    let mut roles = RoleSet::EMPTY;
    let mut unknown = Vec::new();
    for name in held {
        match name.as_str() {
            "viewer" => roles = roles.with(Role::Viewer),
            "ops" => roles = roles.with(Role::Ops),
            "deployer" => roles = roles.with(Role::Deployer),
            "admin" => roles = roles.with(Role::Admin),
            _ => unknown.push(name.clone()),
        }
    }
    (roles, unknown)
}

fn token(
    row: &RawRow,
    present: &Present,
    owners: &BTreeMap<i64, (String, Standing)>,
    now: Timestamp,
    ends: Timestamp,
) -> Line {
    let line = Line::new(ImportKind::Token, text(row, "name"));
    let hash = text(row, "token_hash");
    let Some(digest) = digest(hash) else { return line.left_out("its digest cannot be read") };
    if present.was_taken(ImportKind::Token, hash) {
        return line.here("was taken before; it is as it became here since");
    }
    let owner = row.get("user_id").and_then(Value::as_i64).and_then(|id| owners.get(&id));
    let creator = match owner {
        Some((email, Standing::Active)) => email.clone(),
        Some((email, Standing::Locked)) => return line.left_out(format!("its owner {email} is locked")),
        None => return line.left_out("its owner is not taken"),
    };
    let expires = match row.get("expires_at").filter(|value| !value.is_null()) {
        None => ends,
        Some(_) => match moment(row, "expires_at") {
            Some(moment) if moment <= now => return line.left_out("it has ended"),
            Some(moment) => moment.min(ends),
            None => return line.left_out("when it ends cannot be read"),
        },
    };
    let Some(asked) = names(row, "permissions") else {
        return line.left_out("its permissions cannot be read");
    };
    let rights = permissions::rights(&asked);
    let mut line = line;
    for (permission, why) in &rights.refused {
        line.remarks.push(format!("{} is refused: {why}", gateway_audit::bounded(permission)));
    }
    line.remarks.extend(rights.narrower);
    if rights.grants.is_empty() {
        return line.left_out("nothing of what it may is left");
    }
    let name = token_name(text(row, "name"));
    line.remarks.push(format!(
        "is called `{name}`, ends on {}, and may never do more than {creator}",
        expires.to_rfc3339()
    ));
    let draft = TokenDraft {
        creator,
        name,
        roles: rights.roles,
        grants: rights.grants,
        created: moment(row, "created_at").filter(|created| *created <= now).unwrap_or(now),
        expires,
        digest,
    };
    line.takes(Act::Token(Box::new(draft)))
}

fn digest(text: &str) -> Option<CredentialDigest> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
    Some(CredentialDigest(bytes.try_into().ok()?))
}

/// The name with its mark, of characters that a name may have.
fn token_name(theirs: &str) -> String {
    let is_fine = |c: char| is_token_name(c.encode_utf8(&mut [0; 4])) || c == ' ';
    let plain: String = theirs.chars().map(|c| if is_fine(c) { c } else { '-' }).collect();
    let whole = format!("{TOKEN_MARK}{}", plain.trim());
    whole.chars().take(LONGEST_TOKEN_NAME).collect::<String>().trim_end().to_owned()
}

/// All settings of the gateway and of its apps.
fn settings(rows: &[RawRow], present: &Present) -> Vec<Line> {
    let mut of: BTreeMap<Option<String>, BTreeMap<String, Value>> = BTreeMap::new();
    for row in rows {
        let app = row.get("app_name").and_then(Value::as_str).map(str::to_owned);
        let value = row.get("value").cloned().unwrap_or_default();
        of.entry(app).or_default().insert(text(row, "key").to_owned(), value);
    }
    let mut lines = Vec::new();
    for (app, values) in &of {
        lines.extend(values.keys().map(|key| setting(app.as_deref(), key, values, present)));
    }
    lines
}

fn setting(app: Option<&str>, key: &str, beside: &BTreeMap<String, Value>, present: &Present) -> Line {
    let named = app.map_or_else(|| key.to_owned(), |app| format!("{key} of {app}"));
    let line = Line::new(ImportKind::Setting, &named);
    if crate::settings_changes::check_app(app).is_err() {
        return line.left_out("this is no name of an app");
    }
    let (key, value) = match translation::translate(app, key, beside) {
        Translation::To(key, value) => (key, value),
        Translation::Left(why) => return line.left_out(why),
    };
    let scope = app.map_or(SettingScope::Global, |app| SettingScope::App(app.to_owned()));
    let name = setting_name(&scope, key.name());
    if let Some(here) = present.settings.get(&name) {
        let differs =
            if *here == value { "is so here already" } else { "has another value here, which stays" };
        return line.here(format!("{} {differs}", key.name()));
    }
    if present.was_taken(ImportKind::Setting, &name) {
        return line.here(format!("{} was taken before and reset here since", key.name()));
    }
    let mut line = line;
    line.remarks.push(format!("{} = {value}", key.name()));
    line.takes(Act::Setting { scope, key: key.name().to_owned(), value })
}

/// Does what was decided. What somebody else made at this very moment is [`Fate::Here`] then.
///
/// # Errors
/// The first failure of the store; what was done before it stays, and the next run goes on from there.
pub async fn carry_out(store: &Store, operator: &Operator<'_>, lines: &mut [Line]) -> Result<(), AppError> {
    for line in lines {
        let Some(act) = line.act.take() else { continue };
        let taken = match act {
            Act::User(taken) => take_user(store, operator, taken).await,
            Act::Token(draft) => take_token(store, operator, *draft).await,
            Act::Setting { scope, key, value } => take_setting(store, operator, &scope, &key, &value).await,
        };
        match taken {
            Ok(()) => {}
            Err(AppError::Store(StoreError::Exists)) => {
                line.fate = Fate::Here;
                line.remarks.push("was made here meanwhile, and stays as it is".to_owned());
            }
            Err(AppError::Store(StoreError::NotFound)) => {
                line.fate = Fate::LeftOut;
                line.remarks.push("its owner was removed meanwhile".to_owned());
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

async fn take_user(store: &Store, operator: &Operator<'_>, taken: TakenUser) -> Result<(), AppError> {
    let mut event = operator.event("gateway:user:import");
    event.parameters.insert("email".to_owned(), taken.new.email.clone());
    event.after = Some(json!({
        "email": taken.new.email, "name": taken.new.name, "roles": taken.new.roles.to_string(),
        "locked": taken.standing == Standing::Locked,
    }));
    record(store, event).await?;
    store.imports().take_user(GO_PROJECT, taken).await?;
    Ok(())
}

async fn take_token(store: &Store, operator: &Operator<'_>, draft: TokenDraft) -> Result<(), AppError> {
    let creator = store.users().by_email(&draft.creator).await?.ok_or(StoreError::NotFound)?;
    let mut event = operator.event("gateway:token:import");
    event.parameters.insert("name".to_owned(), draft.name.clone());
    event.parameters.insert("roles".to_owned(), draft.roles.to_string());
    event.parameters.insert("creator".to_owned(), creator.id.to_string());
    event.after = Some(json!({ "grants": draft.grants, "expires": draft.expires.to_rfc3339() }));
    record(store, event).await?;
    let new = NewToken {
        name: draft.name,
        roles: draft.roles,
        grants: draft.grants,
        creator: creator.id,
        expires: Some(draft.expires),
        networks: Vec::new(),
    };
    let taken = TakenToken { new, digest: draft.digest, created: draft.created };
    store.imports().take_token(GO_PROJECT, taken).await?;
    Ok(())
}

async fn take_setting(
    store: &Store,
    operator: &Operator<'_>,
    scope: &SettingScope,
    key: &str,
    value: &str,
) -> Result<(), AppError> {
    let mut event = operator.event("gateway:setting:import");
    if let SettingScope::App(app) = scope {
        event.resource = gateway_types::Resource::app(app);
    }
    event.parameters.insert("key".to_owned(), key.to_owned());
    event.before = Some(json!({ "database": Value::Null }));
    event.after = Some(json!({ "database": value }));
    record(store, event).await?;
    store.imports().take_setting(GO_PROJECT, scope, key, value, &operator.actor.name).await?;
    Ok(())
}

/// Records that the audit rows of the Go project are kept in a file, by their digest, and how their chain stands.
///
/// # Errors
/// Only the store's.
pub async fn record_appendix(
    store: &Store,
    operator: &Operator<'_>,
    appendix: &Appendix,
) -> Result<(), AppError> {
    let mut event = operator.event(APPENDIX_ACTION);
    event.parameters.insert("digest".to_owned(), appendix.digest.clone());
    event.parameters.insert("rows".to_owned(), appendix.rows.to_string());
    event.after = Some(json!({ "chain": appendix.chain, "remark": chain_in_words(appendix) }));
    record(store, event).await?;
    store.imports().take_appendix(GO_PROJECT, &appendix.digest).await.map_err(AppError::from)
}

/// The action of the event that has an appendix's digest.
pub const APPENDIX_ACTION: &str = "gateway:audit:import";

/// How the chain of an appendix stands, for people.
pub fn chain_in_words(appendix: &Appendix) -> String {
    let chain = &appendix.chain;
    let links = match (chain.breaks, chain.first_break) {
        (0, _) => "each row names the hash of the one before it".to_owned(),
        (breaks, Some(at)) => {
            format!("{breaks} rows do not name the hash of the one before them, first the one of index {at}")
        }
        (breaks, None) => format!("{breaks} rows do not name the hash of the one before them"),
    };
    let gaps = match chain.gaps {
        0 => "no index is missing".to_owned(),
        gaps => format!("{gaps} indexes are missing"),
    };
    format!(
        "{links}; {gaps}; its HMACs cannot be recomputed from its rows, so this proves nothing about what was written before the import"
    )
}
