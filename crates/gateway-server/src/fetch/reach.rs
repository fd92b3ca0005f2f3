//! Which addresses may be dialled for what an operator, or a provider's own documents, wrote down.
//!
//! # Security
//! A name is resolved once, here, and what is dialled is what was looked at, so that a name that answers otherwise
//! the next moment gains nothing. Never asked are this machine, unless it is called `localhost` or by its number,
//! and what only the link it stands on answers: the metadata services of clouds among them. Private networks are
//! asked: providers stand there.

use std::net::SocketAddr;

use gateway_types::may_be_asked;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to no address that may be asked")]
struct NoAddress;

/// Resolves as the machine does, and leaves out what may not be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let is_local = name.as_str().eq_ignore_ascii_case("localhost");
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found
                .filter(|address| {
                    let ip = address.ip();
                    may_be_asked(ip) || (is_local && ip.is_loopback())
                })
                .collect();
            if permitted.is_empty() {
                return Err(NoAddress.into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i1_a_name_that_leads_to_this_machine_leads_nowhere() {
        let resolve =
            async |name: &str| Guarded.resolve(name.parse().unwrap()).await.map(|found| found.count());
        assert!(resolve("localhost").await.unwrap() > 0);
        assert!(resolve("127.0.0.1").await.is_err());
        assert!(resolve("169.254.169.254").await.is_err());
    }
}
