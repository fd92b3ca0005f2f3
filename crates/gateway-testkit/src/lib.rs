//! What the end-to-end tests stand on: a whole gateway with its own database in front of a simulated
//! rack, a clock that only moves when told, and clients that send exactly the bytes they are given.
//!
//! Only tests use this crate; it panics where a test would.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test kit fails the test that uses it"
)]

pub mod authenticator;
pub mod browser;
pub mod clock;
pub mod eventually;
pub mod faulty;
pub mod gateway;
pub mod passkey;
pub mod raw;
pub mod socket;
pub mod stub;
pub mod visitor;

pub use authenticator::Authenticator;
pub use browser::{Journey, Looked};
pub use clock::FakeClock;
pub use eventually::eventually;
pub use faulty::FaultyProxy;
pub use gateway::{Database, TestGateway, TestGatewayBuilder};
pub use passkey::SoftPasskey;
pub use raw::{RawClient, Reply};
pub use socket::Socket;
pub use stub::{StubConnection, StubRack};
pub use visitor::Visitor;
