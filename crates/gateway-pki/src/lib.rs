//! The trust zone of one deployment: its authorities, the leaves they issue (X.509-SVIDs), join tokens, bundles,
//! rotation, and the check of peers.
//!
//! Pure: no I/O, no clock, no store. Time and randomness are passed in; only keys come from the crypto provider's own
//! generator. Start reading at [`authority`], then [`peer`] and [`rotation`].

pub mod authority;
pub mod bundle;
pub mod custody;
mod der;
pub mod error;
pub mod id;
pub mod listener;
pub mod peer;
pub mod renewal;
pub mod request;
pub mod rotation;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod token;

pub use authority::{CLOCKS_APART, Issuer, IssuerScope, Leaf, LeafRequest, RootAuthority};
pub use bundle::{Bundle, Detail};
pub use custody::{Cost, Custody, Passphrase, Sealed};
pub use der::KeyId;
pub use error::PkiError;
pub use id::{IdFault, SpiffeId, TrustDomain};
pub use listener::{Exposure, Listener, ListenerFault, Transport};
pub use peer::{Peer, PeerFault, Role, check, issuer_of};
pub use request::{RequestFault, RequestedKey};
pub use token::{JoinToken, TokenFault};
