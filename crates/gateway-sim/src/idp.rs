//! A development OpenID Connect provider: people are chosen from a list, without a password.
//!
//! For `rack-gateway demo` and the tests only. Towards its clients it is strict (code flow with PKCE S256,
//! codes that live a minute and work once); towards people it asks nothing. [`IdpFault`] makes it break the
//! rules, for the tests of whoever relies on it. It signs with another library than the gateway verifies
//! with. Nothing here knows of the gateway. Start reading at `idp/server.rs`.

mod authorize;
mod documents;
mod faults;
mod key;
mod options;
mod server;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use faults::IdpFault;
pub use options::{DevClient, DevPerson, IdpOptions};

use key::SigningKey;
use server::Shared;

/// A provider that runs. Dropping it stops it.
#[derive(Debug)]
pub struct DevIdp {
    address: SocketAddr,
    shared: Arc<Shared>,
    sever: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl DevIdp {
    /// Starts a provider; it answers when this returns.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no key can be made.
    pub async fn start(options: IdpOptions) -> std::io::Result<DevIdp> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let key = SigningKey::generate(1)?;
        let shared = Arc::new(Shared::new(format!("http://{address}"), options, key));
        let (sever, severed) = watch::channel(0);
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(crate::server::accept_each(listener, severed, move |stream| {
            server::connection(stream, Arc::clone(&serving))
        }));
        Ok(DevIdp { address, shared, sever, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its issuer, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.shared.issuer().to_owned()
    }

    /// Breaks a rule from now on, besides those that it breaks already.
    pub fn misbehave(&self, fault: IdpFault) {
        self.shared.state().faults.push(fault);
    }

    /// Keeps all rules again.
    pub fn behave(&self) {
        self.shared.state().faults.clear();
    }

    /// Signs with a new key from now on; the old one is published no more.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate_key(&self) -> std::io::Result<()> {
        let number = self.shared.state().key.number() + 1;
        let key = SigningKey::generate(number)?;
        self.shared.state().key = Arc::new(key);
        Ok(())
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.shared.state().asked.get(path).copied().unwrap_or(0)
    }

    /// Cuts all connections that are open; new ones are taken.
    pub fn sever(&self) {
        self.sever.send_modify(|count| *count += 1);
    }

    /// Stops it: the port is closed and all connections are cut when this returns.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for DevIdp {
    fn drop(&mut self) {
        self.task.abort();
    }
}
