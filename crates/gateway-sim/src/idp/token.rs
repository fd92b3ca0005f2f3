//! The token endpoint: a code for an ID token.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use gateway_types::Timestamp;
use serde_json::{Value, json};

use super::authorize::{Grant, is_fresh};
use super::key::{compact, hs256, message};
use super::server::{Access, Request, Shared, State, once};
use super::{DevClient, DevPerson, IdpFault};
use crate::options::random_bytes;
use crate::reply::Reply;

/// How long an ID token lives, in seconds.
const TOKEN_LIVES: i64 = 300;

/// `POST /token`. Source: RFC 6749, sections 4.1.3 and 5; RFC 7636, section 4.6.
pub(super) fn exchange(shared: &Shared, request: &Request) -> Reply {
    let Some(client) = client(shared, request) else {
        return refusal(401, "invalid_client", "this client and its secret are not known here")
            .with("Www-Authenticate", "Basic realm=\"token\"");
    };
    if once(&request.form, "grant_type") != Some("authorization_code") {
        return refusal(400, "unsupported_grant_type", "grant_type must be authorization_code");
    }
    // Whatever is wrong with the rest, a code that was presented never works again.
    let grant = once(&request.form, "code").and_then(|code| shared.state().grants.remove(code));
    match grant.ok_or("it is unknown or was used").and_then(|grant| check(shared, request, client, grant)) {
        Ok(grant) => {
            let access = BASE64URL_NOPAD.encode(&random_bytes::<32>());
            let now = shared.now();
            let mut state = shared.state();
            state.access.retain(|_, access| is_in_time(access, now));
            state.access.insert(access.clone(), Access { person: grant.person.clone(), given_at: now });
            drop(state);
            Reply::json(&json!({
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": TOKEN_LIVES,
                "id_token": id_token(shared, client, &grant),
            }))
        }
        Err(why) => refusal(400, "invalid_grant", &format!("the code cannot be exchanged: {why}")),
    }
}

/// `GET /userinfo`. Source: OpenID Connect Core 1.0, section 5.3; RFC 6750, section 3.
pub(super) fn user_info(shared: &Shared, request: &Request) -> Reply {
    let state = shared.state();
    let token = request.head.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    let access = token.and_then(|token| state.access.get(token));
    let Some(Access { person, .. }) = access.filter(|access| is_in_time(access, shared.now())) else {
        return Reply::empty(401).with("Www-Authenticate", "Bearer error=\"invalid_token\"");
    };
    let mut claims = json!({"sub": person.subject});
    describe(&mut claims, person);
    for fault in &state.faults {
        if let IdpFault::UserInfo(name, value) = fault {
            change(&mut claims, name, value.clone());
        }
    }
    Reply::json(&claims)
}

fn is_in_time(access: &Access, now: Timestamp) -> bool {
    now.checked_since(access.given_at).is_none_or(|age| age.as_secs() < TOKEN_LIVES.unsigned_abs())
}

fn check(
    shared: &Shared,
    request: &Request,
    client: &DevClient,
    grant: Grant,
) -> Result<Grant, &'static str> {
    let verifier = once(&request.form, "code_verifier").unwrap_or_default();
    if !is_fresh(&grant, shared.now()) {
        Err("it has expired")
    } else if grant.client != client.id {
        Err("it is another client's")
    } else if once(&request.form, "redirect_uri") != Some(&grant.redirect_uri) {
        Err("the redirect_uri is another")
    } else if !is_verifier(verifier) {
        Err("the code_verifier is none")
    } else if BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref()) != grant.challenge {
        Err("the code_verifier is another")
    } else {
        Ok(grant)
    }
}

/// Source: RFC 7636, section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// The client that shows its secret, in one of the two places.
fn client<'a>(shared: &'a Shared, request: &Request) -> Option<&'a DevClient> {
    let basic = request.head.header("authorization").map(basic);
    let posted = once(&request.form, "client_secret")
        .zip(once(&request.form, "client_id"))
        .map(|(secret, id)| (id.to_owned(), secret.to_owned()));
    let (id, secret) = match (basic, posted) {
        (Some(basic), None) => basic?,
        (None, Some(posted)) => posted,
        (Some(_), Some(_)) | (None, None) => return None,
    };
    shared.options.clients.iter().find(|client| {
        client.id == id && verify_slices_are_equal(client.secret.as_bytes(), secret.as_bytes()).is_ok()
    })
}

/// Source: RFC 6749, section 2.3.1: both parts are form-encoded within the credential.
fn basic(header: &str) -> Option<(String, String)> {
    let decoded = BASE64.decode(header.strip_prefix("Basic ")?.as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    let plain = text.replace('+', " ");
    percent_encoding::percent_decode_str(&plain).decode_utf8_lossy().into_owned()
}

fn refusal(status: u16, error: &str, description: &str) -> Reply {
    let mut reply = Reply::json(&json!({"error": error, "error_description": description}));
    reply.status = status;
    reply
}

fn id_token(shared: &Shared, client: &DevClient, grant: &Grant) -> String {
    let state = shared.state();
    let claims = claims(shared, &state, grant);
    let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": state.key.id()});
    let mut set = |name: &str, value: Option<Value>| change(&mut header, name, value);
    if state.breaks(&IdpFault::NoKeyId) {
        set("kid", None);
    }
    if state.breaks(&IdpFault::AlgorithmNone) {
        set("alg", Some("none".into()));
        return compact(&message(&header, &claims), &[]);
    }
    if state.breaks(&IdpFault::AlgorithmHs256) {
        set("alg", Some("HS256".into()));
        let message = message(&header, &claims);
        return compact(&message, &hs256(&client.secret, &message));
    }
    let message = message(&header, &claims);
    let mut signature = state.key.sign(&message);
    if state.breaks(&IdpFault::WrongSignature)
        && let Some(byte) = signature.last_mut()
    {
        *byte ^= 1;
    }
    compact(&message, &signature)
}

/// Source: OpenID Connect Core 1.0, sections 2 and 5.1.
fn claims(shared: &Shared, state: &State, grant: &Grant) -> Value {
    let mut now = shared.now().micros().div_euclid(1_000_000);
    if state.breaks(&IdpFault::Expired) {
        now -= 3600 + TOKEN_LIVES;
    }
    let mut claims = json!({
        "iss": shared.issuer(),
        "sub": grant.person.subject,
        "aud": grant.client,
        "azp": grant.client,
        "exp": now + TOKEN_LIVES,
        "iat": now,
        "auth_time": now,
    });
    describe(&mut claims, &grant.person);
    change(&mut claims, "nonce", grant.nonce.clone().map(Value::from));
    for fault in &state.faults {
        if let IdpFault::Claim(name, value) = fault {
            change(&mut claims, name, value.clone());
        }
    }
    claims
}

/// What the scopes `email`, `profile` and `groups` tell. Source: OpenID Connect Core 1.0, section 5.4.
fn describe(claims: &mut Value, person: &DevPerson) {
    let told = [
        ("email", person.email.clone().into()),
        ("email_verified", true.into()),
        ("name", person.name.clone().into()),
        ("groups", person.groups.clone().into()),
    ];
    for (name, value) in told {
        change(claims, name, Some(value));
    }
}

fn change(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
}
