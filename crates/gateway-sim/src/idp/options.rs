//! Who is known to a development provider.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_types::{Clock, SystemClock};
use url::{Host, Url};

use super::IdpFault;

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevPerson {
    /// The subject: who it is, whatever the address is.
    pub subject: String,
    /// The address, also what `POST /authorize` names the person by.
    pub email: String,
    /// The name for people.
    pub name: String,
    /// The claim `groups`.
    pub groups: Vec<String>,
}

impl DevPerson {
    /// A person whose subject is made from the address.
    pub fn new(email: &str, name: &str, groups: &[&str]) -> Self {
        let digest = HEXLOWER.encode(digest(&SHA256, email.as_bytes()).as_ref());
        Self {
            subject: format!("dev-{}", digest.get(..16).unwrap_or_default()),
            email: email.to_owned(),
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }
}

/// A party that may ask who somebody is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevClient {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Addresses for the way back, exact. Those on this machine are allowed without being listed.
    pub redirect_uris: Vec<String>,
}

impl DevClient {
    /// The client `rack-gateway`, which comes back to this machine.
    pub fn gateway(secret: &str) -> Self {
        Self { id: "rack-gateway".to_owned(), secret: secret.to_owned(), redirect_uris: Vec::new() }
    }

    /// The address as a URL, when people may be sent there.
    pub(super) fn redirect(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        let is_local = match url.host() {
            Some(Host::Ipv4(host)) => host.is_loopback(),
            Some(Host::Ipv6(host)) => host.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let is_listed = self.redirect_uris.iter().any(|listed| listed == address);
        (is_plain && (is_local || is_listed)).then_some(url)
    }
}

/// How to start a [`super::DevIdp`].
#[derive(Clone, Debug)]
pub struct IdpOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who may sign in, in the order of the page.
    pub people: Vec<DevPerson>,
    /// Who may ask.
    pub clients: Vec<DevClient>,
    /// The time of its tokens and codes.
    pub clock: Arc<dyn Clock>,
    /// Which rules it breaks from the start.
    pub faults: Vec<IdpFault>,
}

impl IdpOptions {
    /// On a free loopback port, with these people, the client `rack-gateway` and the machine's clock.
    pub fn new(people: Vec<DevPerson>, secret: &str) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            people,
            clients: vec![DevClient::gateway(secret)],
            clock: Arc::new(SystemClock),
            faults: Vec::new(),
        }
    }
}
