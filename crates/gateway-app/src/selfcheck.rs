//! Scan permits: an admin lets one scan of one host begin, so that `rack-gateway selfcheck` is pointed at nobody
//! else's gateway. What the scan may ask is only what arrived of its own requests.
//!
//! A permit and the key of the scan that it begins are texts with a keyed digest; nothing is kept but that a permit
//! was used. They are derived from this gateway's own key, so another gateway takes neither.

use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind, Secret, Timestamp};

use crate::error::AppError;
use crate::{App, Operator, problems, record};

/// How long a permit is good, and the scan that it begins.
pub const PERMIT_LIMIT: Duration = Duration::from_secs(600);

/// What the key of permits is derived for.
const KEY: &str = "selfcheck/v1";

/// A permit, or the key of a scan.
#[derive(Debug)]
pub struct Permit {
    /// The text; whoever has it may scan.
    pub text: Secret<String>,
    /// The host and port that it is for, as in `Host`.
    pub host: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a text is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// To begin one scan.
    Permit,
    /// To ask what arrived.
    Scan,
}

impl Use {
    const fn name(self) -> &'static str {
        match self {
            Use::Permit => "permit",
            Use::Scan => "scan",
        }
    }
}

/// Why there is no permit or no scan.
#[derive(Debug, thiserror::Error)]
pub enum SelfcheckError {
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// That a permit is given could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// The host is none.
    #[error(
        "give the host that is scanned as it stands in its address: `gateway.example.com` or with a port"
    )]
    BadHost,
    /// The text is none of this gateway's, or is over.
    #[error("the scan permit is not of this gateway, or its ten minutes are over")]
    NoPermit,
    /// The permit began a scan already.
    #[error("the scan permit was used; each is good for one scan")]
    Used,
    /// Another host.
    #[error("the scan permit is for `{host}`, and the request came for `{found}`")]
    OtherHost {
        /// The host that it is for.
        host: String,
        /// The host that the request named when it arrived.
        found: String,
    },
}

impl From<SelfcheckError> for Problem {
    fn from(error: SelfcheckError) -> Self {
        let kind = match error {
            SelfcheckError::Store(error) => return problems::of_store(&error),
            SelfcheckError::Record(error) => return error.into(),
            SelfcheckError::BadHost => ProblemKind::BadParameter,
            SelfcheckError::NoPermit | SelfcheckError::Used | SelfcheckError::OtherHost { .. } => {
                ProblemKind::Refused
            }
        };
        Problem::new(kind, Layer::Authorization, error.to_string())
    }
}

/// A permit for one scan of `host`.
///
/// # Errors
/// [`SelfcheckError::BadHost`], or that it cannot be recorded.
pub async fn permit(app: &App, operator: &Operator<'_>, host: &str) -> Result<Permit, SelfcheckError> {
    let host = host.to_ascii_lowercase();
    let is_host = (1..=260).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
    if !is_host {
        return Err(SelfcheckError::BadHost);
    }
    let expires = app.clock.now().saturating_add(PERMIT_LIMIT);
    let mut id = [0; 16];
    app.entropy.fill(&mut id);
    let id = HEXLOWER.encode(&id);
    let mut event = operator.event("gateway:selfcheck:permit");
    event.parameters.insert("host".to_owned(), host.clone());
    event.after = Some(serde_json::json!({ "id": id, "host": host, "expires": expires.to_rfc3339() }));
    record(&app.store, event).await?;
    Ok(Permit { text: signed(app, Use::Permit, &id, expires, &host), host, expires })
}

/// Begins the scan of a permit; returns its key. `found` is the host of the request.
///
/// # Errors
/// [`SelfcheckError::NoPermit`], [`SelfcheckError::OtherHost`], [`SelfcheckError::Used`].
pub async fn begin(app: &App, permit: &str, found: &str) -> Result<Permit, SelfcheckError> {
    let Checked { id, expires, host } = check(app, Use::Permit, permit, found)?;
    let mut mine = [0; 16];
    app.entropy.fill(&mut mine);
    let mine = HEXLOWER.encode(&mine);
    // Of any number that begin at once, on any instance, one holds.
    if app.store.kept().keep(&format!("selfcheck/{id}"), &mine).await? != mine {
        return Err(SelfcheckError::Used);
    }
    Ok(Permit { text: signed(app, Use::Scan, &id, expires, &host), host, expires })
}

/// Whether `key` is that of a scan that goes on, of the host `found`.
///
/// # Errors
/// [`SelfcheckError::NoPermit`], [`SelfcheckError::OtherHost`].
pub fn goes_on(app: &App, key: &str, found: &str) -> Result<(), SelfcheckError> {
    check(app, Use::Scan, key, found).map(|_| ())
}

struct Checked {
    id: String,
    expires: Timestamp,
    host: String,
}

fn signed(app: &App, what: Use, id: &str, expires: Timestamp, host: &str) -> Secret<String> {
    let tag = hmac::sign(&key(app), &message(what, id, expires, host));
    let body = format!("{id}.{}.{}", expires.micros(), BASE64URL_NOPAD.encode(host.as_bytes()));
    Secret::new(format!("{body}.{}", BASE64URL_NOPAD.encode(tag.as_ref())))
}

fn check(app: &App, what: Use, text: &str, found: &str) -> Result<Checked, SelfcheckError> {
    let parsed = parse(text).ok_or(SelfcheckError::NoPermit)?;
    let Parsed { id, expires, host, tag } = parsed;
    hmac::verify(&key(app), &message(what, &id, expires, &host), &tag)
        .map_err(|_forged| SelfcheckError::NoPermit)?;
    if expires <= app.clock.now() {
        return Err(SelfcheckError::NoPermit);
    }
    if !host.eq_ignore_ascii_case(found) {
        return Err(SelfcheckError::OtherHost { host, found: found.chars().take(260).collect() });
    }
    Ok(Checked { id, expires, host })
}

fn key(app: &App) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, app.store.derive_key(KEY).expose())
}

/// No two different sets of values make the same message: none of them holds a line feed.
fn message(what: Use, id: &str, expires: Timestamp, host: &str) -> Vec<u8> {
    format!("{}\n{id}\n{}\n{host}", what.name(), expires.micros()).into_bytes()
}

struct Parsed {
    id: String,
    expires: Timestamp,
    host: String,
    tag: Vec<u8>,
}

fn parse(text: &str) -> Option<Parsed> {
    let parts: Vec<&str> = text.split('.').collect();
    let [id, expires, host, tag] = parts.as_slice() else { return None };
    let host = String::from_utf8(BASE64URL_NOPAD.decode(host.as_bytes()).ok()?).ok()?;
    let is_plain = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && !host.contains('\n');
    is_plain.then_some(Parsed {
        id: (*id).to_owned(),
        expires: Timestamp::from_micros(expires.parse().ok()?),
        host,
        tag: BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?,
    })
}
