//! Second factors: `/me/factors`, `/me/backup-codes`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A second factor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Factor {
    /// Id.
    pub id: String,
    /// `totp`, `webauthn` or `yubico`.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created: String,
    /// When its owner showed that it works; absent while it waits for that and counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
}

/// What a person can confirm with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Factors {
    /// Factors, oldest first.
    pub items: Vec<Factor>,
    /// Backup codes that are not used yet.
    pub backup_codes_left: u64,
}

/// `POST /me/factors/totp`: with `name` alone it begins an enrolment, with `id` and `code` it ends one.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolTotp {
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id that beginning answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The six digits that the authenticator shows now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// An enrolment that was begun. It is the only time that the secret is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpBegun {
    /// What confirming names.
    pub id: String,
    /// Base32, for an authenticator that cannot scan.
    pub secret: String,
    /// The `otpauth://` address that a QR code shows.
    pub url: String,
    /// Until when it can be confirmed.
    pub expires: String,
}

/// An enrolment that was ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpConfirmed {
    /// The authenticator, which counts from now on.
    pub factor: Factor,
    /// Ten backup codes when it is the person's first one; told this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_codes: Option<Vec<String>>,
}

/// `POST /me/factors/webauthn`: with `name` alone it begins an enrolment, with `name` and `credential` it ends one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolPasskey {
    /// What its owner calls it.
    pub name: String,
    /// What the browser's `navigator.credentials.create` answered, as JSON with byte strings in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub credential: Option<serde_json::Value>,
}

/// `POST /me/factors/yubico`: enrols a YubiKey by what it typed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolYubico {
    /// What its owner calls it.
    pub name: String,
    /// The 44 letters that it typed.
    pub code: String,
}

/// A passkey that is to be made, or asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasskeyAsked {
    /// What the browser's `navigator.credentials` takes, as JSON with byte strings in base64url.
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
    /// Until when it may answer.
    pub expires: String,
}

/// `PUT /me/factors/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameFactor {
    /// What its owner calls it from now on.
    pub name: String,
}

/// New backup codes, told this once; those before are void.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupCodes {
    /// Ten codes, each good once.
    pub codes: Vec<String>,
}
