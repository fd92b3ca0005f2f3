//! Sessions for command lines: for a code that a browser brought (RFC 6749, RFC 7636), or for a device that a
//! person let in (RFC 8628).

use aws_lc_rs::{constant_time, digest};
use data_encoding::BASE64URL_NOPAD;
use gateway_store::{CliCode, Poll, SessionSource, StoreError, TakenCode, User};
use gateway_types::{Channel, CredentialKind, ProviderSessionId, Secret, UserId};

use super::addresses::is_unreserved;
use super::{SignInError, Visitor, client_name, events, session};
use crate::error::AppError;
use crate::{App, record};

/// The one client there is: public, so its id is no secret.
pub const CLIENT_ID: &str = "rack-gateway-cli";

/// The longest form that is read, in bytes.
const LONGEST: usize = 16 * 1024;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A session for a command line.
#[derive(Debug)]
pub struct Issued {
    /// Its secret, an `rgs_…` token.
    pub secret: Secret<String>,
    /// How long it lasts at most, in seconds.
    pub expires_in: u64,
    /// Whose it is.
    pub email: String,
}

/// Why there is none, as RFC 6749 (section 5.2) and RFC 8628 (section 3.5) name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// A parameter is missing, twice or malformed.
    InvalidRequest,
    /// There is no such client.
    InvalidClient,
    /// The code is unknown, over, spent, or for somebody else.
    InvalidGrant,
    /// There is no such grant.
    UnsupportedGrantType,
    /// Nobody decided about the device yet.
    AuthorizationPending,
    /// The device asks too often.
    SlowDown,
    /// A person refused the device.
    AccessDenied,
    /// The device's code is over.
    ExpiredToken,
}

impl TokenFault {
    /// The value of `error`.
    pub const fn code(self) -> &'static str {
        match self {
            TokenFault::InvalidRequest => "invalid_request",
            TokenFault::InvalidClient => "invalid_client",
            TokenFault::InvalidGrant => "invalid_grant",
            TokenFault::UnsupportedGrantType => "unsupported_grant_type",
            TokenFault::AuthorizationPending => "authorization_pending",
            TokenFault::SlowDown => "slow_down",
            TokenFault::AccessDenied => "access_denied",
            TokenFault::ExpiredToken => "expired_token",
        }
    }

    /// The value of `error_description`.
    pub const fn description(self) -> &'static str {
        match self {
            TokenFault::InvalidRequest => "a parameter is missing, there twice, or not of its form",
            TokenFault::InvalidClient => "client_id must be rack-gateway-cli",
            TokenFault::InvalidGrant => {
                "the code is unknown, over or spent; begin again with rack-gateway login"
            }
            TokenFault::UnsupportedGrantType => {
                "grant_type must be authorization_code, the device_code grant or the token-exchange grant"
            }
            TokenFault::AuthorizationPending => "nobody decided about this device yet",
            TokenFault::SlowDown => "wait five seconds longer between polls",
            TokenFault::AccessDenied => "the sign-in was refused",
            TokenFault::ExpiredToken => "the code is over; begin again with rack-gateway login",
        }
    }
}

/// Why no session was given.
#[derive(Debug)]
pub enum TokenError {
    /// The client is told so in the terms of OAuth.
    Fault(TokenFault),
    /// The gateway cannot now.
    Failed(SignInError),
}

impl From<TokenFault> for TokenError {
    fn from(fault: TokenFault) -> Self {
        TokenError::Fault(fault)
    }
}

impl From<SignInError> for TokenError {
    fn from(error: SignInError) -> Self {
        TokenError::Failed(error)
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        TokenError::Failed(error.into())
    }
}

impl From<AppError> for TokenError {
    fn from(error: AppError) -> Self {
        TokenError::Failed(error.into())
    }
}

/// The fields of a form, each at most once.
#[derive(Debug)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a form of a command line.
    ///
    /// # Errors
    /// [`TokenFault::InvalidRequest`] when it is too long, has a field twice, or is no text.
    pub fn read(body: &[u8]) -> Result<Self, TokenFault> {
        if body.len() > LONGEST {
            return Err(TokenFault::InvalidRequest);
        }
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            let no_text = name.contains('\u{fffd}') || value.contains('\u{fffd}') || value.contains('\0');
            if no_text || fields.len() == 32 || fields.iter().any(|(known, _)| *known == name) {
                return Err(TokenFault::InvalidRequest);
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// A field that is there.
    ///
    /// # Errors
    /// [`TokenFault::InvalidRequest`] when it is not, or is empty.
    pub fn need(&self, name: &str) -> Result<&str, TokenFault> {
        self.get(name).filter(|value| !value.is_empty()).ok_or(TokenFault::InvalidRequest)
    }

    /// A field that may be there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks who asks.
    ///
    /// # Errors
    /// [`TokenFault::InvalidClient`].
    pub fn client(&self) -> Result<(), TokenFault> {
        if self.need("client_id")? == CLIENT_ID { Ok(()) } else { Err(TokenFault::InvalidClient) }
    }
}

/// Gives a command line its session.
///
/// # Errors
/// [`TokenError`].
pub async fn issue(app: &App, fields: &Fields, visitor: Visitor<'_>) -> Result<Issued, TokenError> {
    fields.client()?;
    match fields.need("grant_type")? {
        "authorization_code" => of_code(app, fields, visitor).await,
        DEVICE_GRANT => of_device(app, fields, visitor).await,
        _ => Err(TokenFault::UnsupportedGrantType.into()),
    }
}

async fn of_code(app: &App, fields: &Fields, visitor: Visitor<'_>) -> Result<Issued, TokenError> {
    let (code, verifier) = (fields.need("code")?, fields.need("code_verifier")?);
    let redirect_uri = fields.need("redirect_uri")?;
    if !is_verifier(verifier) {
        return Err(TokenFault::InvalidRequest.into());
    }
    let about = [("grant_type", "authorization_code")];
    let taken = match app.store.cli_codes().take(code).await? {
        TakenCode::Taken(taken) => taken,
        TakenCode::Refused => return Err(TokenFault::InvalidGrant.into()),
        TakenCode::Replayed(session) => {
            refused(app, visitor, &about, "the code was presented a second time").await;
            if let Some(session) = session {
                end(app, session).await?;
            }
            return Err(TokenFault::InvalidGrant.into());
        }
    };
    // Wrong or not, the code is spent: whoever guesses gets one try.
    if !belongs(&taken, verifier, redirect_uri) {
        refused(app, visitor, &about, "the code came with another verifier or redirect_uri").await;
        return Err(TokenFault::InvalidGrant.into());
    }
    let came = Came { user: taken.user, device: &taken.device, of: taken.provider_session };
    let (issued, session) = open(app, came, "authorization_code", visitor).await?;
    match app.store.cli_codes().opened(code, session).await {
        Ok(()) => Ok(issued),
        // It came again while the session was made: neither of the two may have it.
        Err(StoreError::Conflict) => {
            end(app, session).await?;
            Err(TokenFault::InvalidGrant.into())
        }
        Err(error) => {
            end(app, session).await?;
            Err(error.into())
        }
    }
}

async fn of_device(app: &App, fields: &Fields, visitor: Visitor<'_>) -> Result<Issued, TokenError> {
    let (user, device, of) = match app.store.devices().poll(fields.need("device_code")?).await? {
        Poll::Approved { user, device, provider_session } => (user, device, provider_session),
        Poll::Pending => return Err(TokenFault::AuthorizationPending.into()),
        Poll::TooEarly(_interval) => return Err(TokenFault::SlowDown.into()),
        Poll::Denied => return Err(TokenFault::AccessDenied.into()),
        Poll::Expired => return Err(TokenFault::ExpiredToken.into()),
        Poll::Unknown => return Err(TokenFault::InvalidGrant.into()),
    };
    Ok(open(app, Came { user, device: &device, of }, "device_code", visitor).await?.0)
}

/// Who came, with what, and of which session at a provider.
struct Came<'a> {
    user: UserId,
    device: &'a str,
    of: Option<ProviderSessionId>,
}

/// Opens the session, after its event; a person who was locked or removed meanwhile gets none.
async fn open(
    app: &App,
    came: Came<'_>,
    grant_type: &str,
    visitor: Visitor<'_>,
) -> Result<(Issued, gateway_types::SessionId), TokenError> {
    let Came { user, device, of } = came;
    let found: Option<User> = app.store.users().by_id(user).await?.filter(|user| !user.locked);
    let about = [("grant_type", grant_type), ("device", device)];
    let Some(user) = found else {
        refused(app, visitor, &about, "the person was locked or removed meanwhile").await;
        return Err(TokenFault::AccessDenied.into());
    };
    let operator = events::known(&events::stranger(app, Channel::Api, &visitor), &user);
    record(&app.store, events::event(&operator, events::TOKEN, &about)).await?;
    let kind = CredentialKind::CliSession;
    let source = SessionSource { provider_session: of, client: client_name(visitor.client) };
    let ip = visitor.source_ip;
    let opening = session::Opening { operator: &operator, kind, device, ip, source };
    let (session, secret) = session::open(app, &user, opening).await?;
    let lasts = session.expires.checked_since(session.created).unwrap_or_default();
    let issued = Issued { secret, expires_in: lasts.as_secs(), email: user.email };
    Ok((issued, session.id))
}

async fn end(app: &App, session: gateway_types::SessionId) -> Result<(), StoreError> {
    match app.store.sessions().revoke(session).await {
        Ok(()) | Err(StoreError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn refused(app: &App, visitor: Visitor<'_>, about: &[(&str, &str)], reason: &str) {
    let operator = events::stranger(app, Channel::Api, &visitor);
    events::refused(app, events::event(&operator, events::TOKEN, about), reason).await;
}

/// RFC 7636, section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)
}

/// Whether whoever presents a code is who asked for it.
fn belongs(code: &CliCode, verifier: &str, redirect_uri: &str) -> bool {
    let shown = BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
    let same =
        constant_time::verify_slices_are_equal(shown.as_bytes(), code.code_challenge.as_bytes()).is_ok();
    same && code.redirect_uri == redirect_uri
}
