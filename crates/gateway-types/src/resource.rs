//! What an operation acts on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of thing acted on; also the Cedar entity type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ResourceKind {
    /// The rack as a whole.
    Rack,
    /// One app of the rack.
    App,
    /// The gateway itself: users, tokens, settings, log.
    Gateway,
    /// A service behind the gateway.
    Service,
}

impl ResourceKind {
    /// The Cedar entity type name.
    pub const fn name(self) -> &'static str {
        match self {
            ResourceKind::Rack => "Rack",
            ResourceKind::App => "App",
            ResourceKind::Gateway => "Gateway",
            ResourceKind::Service => "Service",
        }
    }
}

/// One thing acted on. Printed as `App::myapp`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id within the kind: the app's or service's name, `rack`, or `gateway`.
    pub id: String,
}

impl Resource {
    /// The app of this name.
    pub fn app(name: &str) -> Self {
        Self { kind: ResourceKind::App, id: name.to_owned() }
    }

    /// The rack as a whole.
    pub fn rack() -> Self {
        Self { kind: ResourceKind::Rack, id: "rack".to_owned() }
    }

    /// The gateway itself.
    pub fn gateway() -> Self {
        Self { kind: ResourceKind::Gateway, id: "gateway".to_owned() }
    }

    /// The service of this name.
    pub fn service(name: &str) -> Self {
        Self { kind: ResourceKind::Service, id: name.to_owned() }
    }

    /// The app's name, when the resource is an app.
    pub fn app_name(&self) -> Option<&str> {
        match self.kind {
            ResourceKind::App => Some(&self.id),
            ResourceKind::Rack | ResourceKind::Gateway | ResourceKind::Service => None,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.kind.name(), self.id)
    }
}
