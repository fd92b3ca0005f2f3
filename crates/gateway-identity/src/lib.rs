//! Who people are: sign-in at an OpenID Connect provider, second factors beside a credential, one-time
//! codes, passkeys, backup codes.
//!
//! Pure: it reads no clock, asks no store and opens no socket ([`oidc::Fetch`] is passed in). Whether a
//! code was spent before is the store's to say; what a factor is needed for is policy's. Start reading at
//! [`oidc`] (how a person comes in), [`inline`] (how a code comes in), then [`totp`].

pub mod backup;
pub mod certificate;
pub mod inline;
pub mod oidc;
pub mod totp;
pub mod webauthn;
pub mod yubico;

pub use backup::BackupCode;
pub use certificate::{Authority, CertificateFault, ClientCertificate, Names};
pub use inline::{InlineError, InlineFactor, Presented};
pub use totp::{TotpCode, TotpSecret, TotpStep};
pub use webauthn::{Assertion, Attestation, Passkey, RelyingParty, WebauthnFault};
pub use yubico::YubicoOtp;
