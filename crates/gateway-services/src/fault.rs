//! What is wrong with a declared service, said so that its author can mend it.

/// One fault of one service.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("service `{service}`: {field}: {kind}")]
pub struct ServiceFault {
    /// The service's name as written; empty when it has none.
    pub service: String,
    /// The field, with its place: `route[2].path`.
    pub field: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FaultKind {
    /// It must be given.
    #[error("must be given: {wanted}")]
    Missing {
        /// What should stand there.
        wanted: &'static str,
    },
    /// It is not what it should be.
    #[error("`{found}` is not {wanted}")]
    Malformed {
        /// What stands there.
        found: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// Two fields do not go together.
    #[error("{why}")]
    Conflict {
        /// Which, and what to do.
        why: String,
    },
    /// It stands there twice.
    #[error("`{found}` stands there twice")]
    Twice {
        /// What.
        found: String,
    },
}

/// Collects the faults of one service.
pub(crate) struct Faults {
    service: String,
    found: Vec<ServiceFault>,
}

impl Faults {
    pub(crate) fn of(service: &str) -> Self {
        Self { service: service.chars().take(80).collect(), found: Vec::new() }
    }

    pub(crate) fn add(&mut self, field: impl Into<String>, kind: FaultKind) {
        self.found.push(ServiceFault { service: self.service.clone(), field: field.into(), kind });
    }

    pub(crate) fn malformed(&mut self, field: impl Into<String>, found: &str, wanted: &'static str) {
        let found = found.chars().take(200).collect();
        self.add(field, FaultKind::Malformed { found, wanted });
    }

    pub(crate) fn conflict(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.add(field, FaultKind::Conflict { why: why.into() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_found(self) -> Vec<ServiceFault> {
        self.found
    }
}
