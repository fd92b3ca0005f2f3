//! Who may do what on a rack: Basic authentication with the rack password, or a JWT it minted itself
//! (API.md 2.1). Nothing finer than read, write, admin exists there; that is why there is a gateway.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::state::{State, now};
use crate::wire::Head;

/// How far a credential reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rights {
    /// `r`
    Read,
    /// `rw`
    Write,
    /// `rwa`
    Admin,
}

/// Checks the credential of a request.
pub(crate) fn authenticate(head: &Head, state: &State) -> Result<Rights, Refusal> {
    // An empty rack password switches password authentication off.
    if state.password.is_empty() {
        return Ok(Rights::Admin);
    }
    let (user, password) = basic(head).ok_or(Refusal::InvalidAuthentication)?;
    if user == "jwt" {
        return token_rights(&password, &state.jwt_key).ok_or(Refusal::InvalidAuthentication);
    }
    constant_time::verify_slices_are_equal(password.as_bytes(), state.password.as_bytes())
        .map_err(|_| Refusal::InvalidAuthentication)?;
    Ok(Rights::Admin)
}

/// User and password of a Basic header, as Go's parser takes it: without a colon it is none.
fn basic(head: &Head) -> Option<(String, String)> {
    let value = head.header("authorization")?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The rights in a token that this rack signed and that has not expired.
fn token_rights(token: &str, key: &[u8]) -> Option<Rights> {
    let (signed, signature) = token.rsplit_once('.')?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (_, claims) = signed.split_once('.')?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    if claims.get("expiresAt")?.as_i64()? < now().micros() / 1_000_000 {
        return None;
    }
    match claims.get("role")?.as_str()? {
        role if role.contains('a') => Some(Rights::Admin),
        role if role.contains('w') => Some(Rights::Write),
        role if role.contains('r') => Some(Rights::Read),
        _ => None,
    }
}

/// Mints a token for a role (`read`, `write`, `admin`); `None` for another one.
pub(crate) fn mint(role: &str, hours: i64, key: &[u8]) -> Option<String> {
    let short = match role {
        "read" => "r",
        "write" => "rw",
        "admin" => "rwa",
        _ => return None,
    };
    let expires = now().micros() / 1_000_000 + hours * 3600;
    let header = json!({"alg": "HS256", "typ": "JWT"}).to_string();
    let claims = json!({"expiresAt": expires, "role": short, "user": format!("system-{role}")}).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}
