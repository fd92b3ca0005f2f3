//! What can go wrong at an authority.

/// Why something could not be made, opened or issued.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate or key could not be made.
    #[error("the certificate could not be made")]
    Making(#[from] rcgen::Error),
    /// A certificate that is kept cannot be read.
    #[error("a kept certificate cannot be read")]
    Certificate,
    /// A key that is kept does not belong to its certificate.
    #[error("the key does not belong to the certificate")]
    OtherKey,
    /// A date that no certificate can hold.
    #[error("a date is out of range")]
    Date,
    /// The authority is out of its dates.
    #[error("the authority is not in its dates")]
    AuthorityDates,
    /// The issuer may not issue to this id.
    #[error("the issuer may not issue to {id}")]
    OutOfScope {
        /// For whom it was asked.
        id: String,
    },
    /// The lifetime is not one a leaf may have.
    #[error("a leaf lives between 5 s and 24 h")]
    Lifetime,
    /// The passphrase does not open it, or it was damaged: which of both cannot be told.
    #[error("the passphrase is wrong, or what it should open is damaged")]
    NotOpened,
    /// What was sealed is not of a form that is known.
    #[error("what was sealed has an unknown form")]
    SealedForm,
    /// The passphrase is too short.
    #[error("a passphrase has at least {least} characters")]
    ShortPassphrase {
        /// How many it must have.
        least: usize,
    },
    /// A primitive of the crypto provider failed.
    #[error("the crypto provider failed")]
    Crypto,
    /// A bundle cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Bundle(&'static str),
}
