//! Second factors of people: how one is presented beside a credential, one-time codes, backup codes.
//!
//! Pure: it reads no clock, asks no store and knows no HTTP. Whether a code was spent before is the
//! store's to say; what a factor is needed for is policy's. Start reading at [`inline`] (how a code
//! comes in), then [`totp`].

pub mod backup;
pub mod inline;
pub mod totp;

pub use backup::BackupCode;
pub use inline::{InlineError, InlineFactor, Presented};
pub use totp::{TotpCode, TotpSecret, TotpStep};
