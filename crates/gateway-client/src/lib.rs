//! A typed client of the gateway's JSON API, for the command line and the tests.
//!
//! It knows addresses, HTTP and the wire types of `gateway_types::wire`; it knows nothing of terminals,
//! files or where credentials are kept. Start reading at [`Client`].

mod address;
mod client;
pub mod elsewhere;
mod error;
mod factor;
mod handshake;
pub mod rack;
mod rack_session;
mod refusal;
pub mod sign_in;
#[cfg(test)]
mod stub;
pub mod text;
mod tls;
mod transport;
mod tunnel;

pub use address::{AddressFault, GatewayAddress};
pub use client::{
    ApprovalsAsked, Challenge, Client, Compared, Discovery, Page, ProcessOptions, RackProcess,
    RecordingSearch, Tagged, TokenScope, WINDOW, etag,
};
pub use error::{BadReply, ClientError};
pub use factor::{NotACode, SecondFactor};
pub use rack_session::{Conversation, Execution, RackSession, SessionNews, SessionRequest, Window, converse};
pub use refusal::{Refusal, RefusalRemedy};
pub use tls::{TlsError, TlsOptions};
pub use tunnel::{Carried, Tunnel};
