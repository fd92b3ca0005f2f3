//! A person with a browser that runs no scripts: keeps cookies, follows links, fills in forms.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway_types::Role;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{RawClient, Reply, TestGateway};

/// A visitor.
#[derive(Clone, Debug)]
pub struct Visitor {
    gateway: SocketAddr,
    host: String,
    provider: Option<SocketAddr>,
    /// Its cookies of the gateway.
    pub cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Somebody who is not signed in.
    pub fn of(gateway: &TestGateway) -> Self {
        let provider = gateway.idp.as_ref().map(|idp| idp.addr());
        Self { gateway: gateway.addr(), host: gateway.addr().to_string(), provider, cookies: BTreeMap::new() }
    }

    /// Somebody who is not signed in, before a gateway and a provider that are reached there.
    pub fn at(gateway: SocketAddr, provider: SocketAddr) -> Self {
        Self { gateway, host: gateway.to_string(), provider: Some(provider), cookies: BTreeMap::new() }
    }

    /// The same person at the gateway's name `localhost`, which passkeys need: an address has none.
    #[must_use]
    pub fn at_localhost(mut self) -> Self {
        self.host = format!("localhost:{}", self.gateway.port());
        self
    }

    /// The same browser, before another instance of the gateway.
    #[must_use]
    pub fn before(mut self, instance: &TestGateway) -> Self {
        self.gateway = instance.addr();
        self
    }

    /// The origin of the pages that it sees.
    pub fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// The person with this role, signed in at the development provider.
    pub async fn signed_in(gateway: &TestGateway, role: Role) -> Self {
        let mut visitor = Self::of(gateway);
        let reply = visitor.sign_in(&format!("{role}@example.com")).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        assert!(visitor.cookies.contains_key(gateway_app::cookies::SESSION), "{reply:?}");
        visitor
    }

    /// Goes to the provider and comes back as this person; what the gateway then says.
    pub async fn sign_in(&mut self, email: &str) -> Reply {
        let callback = self.callback_for(email, "/auth/login?provider=dev").await;
        self.get(&callback).await
    }

    /// Begins at `start` and chooses the person; the path, with its query, at which the provider sends
    /// the browser back.
    pub async fn callback_for(&mut self, email: &str, start: &str) -> String {
        let begun = self.get(start).await;
        let location = begun.header("location").unwrap_or_else(|| panic!("{begun:?}")).to_owned();
        let provider = self.provider.expect("a provider");
        let place = path_of(&location);
        let form = format!("person={}", encoded(email));
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let mut client = RawClient::connect(provider).await;
        let chosen = client.ask("POST", &format!("!{place}"), "", &headers, form.as_bytes()).await;
        path_of(chosen.header("location").unwrap_or_else(|| panic!("{chosen:?}"))).to_owned()
    }

    /// Asks for a page.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[("Accept", "text/html"), ("Sec-Fetch-Site", "none")], b"").await
    }

    /// Sends a form with these fields and the token of the session, as the page at `path` would.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.csrf().await;
        let mut all = vec![("_csrf", token.as_str())];
        all.extend_from_slice(fields);
        self.post_as_it_is(path, &all).await
    }

    /// Sends exactly these fields, from the gateway's own origin.
    pub async fn post_as_it_is(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let origin = self.origin();
        let headers = [
            ("Accept", "text/html"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", origin.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.send("POST", path, &headers, body.join("&").as_bytes()).await
    }

    /// The token that the forms of this session carry.
    pub async fn csrf(&mut self) -> String {
        let page = self.get("/app").await.text();
        hidden(&page, "_csrf").unwrap_or_default()
    }

    /// One exchange with these headers and the cookies; new cookies are kept.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let jar = jar.join("; ");
        let mut all = headers.to_vec();
        if !jar.is_empty() {
            all.push(("Cookie", &jar));
        }
        let mut client = RawClient::connect(self.gateway).await.named(&self.host);
        let reply = client.ask(method, &format!("!{path}"), "", &all, body).await;
        for (name, value) in &reply.headers {
            if name == "set-cookie" {
                self.keep(value);
            }
        }
        reply
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie");
        if value.is_empty() || attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The value of a hidden field of a page.
pub fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, after) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    after.split_once('"').map(|(value, _)| value.to_owned())
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Path and query of an address.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}
