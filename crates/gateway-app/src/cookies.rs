//! Cookies of the web pages, as header values.
//!
//! The prefix `__Host-` makes browsers refuse the cookie from a sibling domain, over plain HTTP and for a
//! part of the site (RFC 6265bis, section 4.1.3.2).

use gateway_types::Secret;

/// The web session's cookie.
pub const SESSION: &str = "__Host-rgw";

/// The value of `Set-Cookie` that gives a browser this session. It has no end of its own: the server
/// knows when the session ends.
pub fn session(secret: &Secret<String>) -> String {
    format!("{SESSION}={}; Path=/; Secure; HttpOnly; SameSite=Lax", secret.expose())
}

/// The value of `Set-Cookie` that takes a cookie away again.
pub fn removed(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}
