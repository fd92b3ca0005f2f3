//! Who calls, as the gateway says.

use serde::Deserialize;

/// What kind of party calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A person with a session.
    User,
    /// A machine with an API token.
    ApiToken,
    /// Whoever holds an access token of another issuer.
    AccessToken,
}

/// The second factor behind the request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepUp {
    /// None that counted for it.
    None,
    /// One within the gateway's window.
    Window,
    /// One for this very request.
    Bound,
}

/// Who calls: what the layer puts among the extensions of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayIdentity {
    /// The caller's id at the gateway. It never becomes another's.
    pub subject: String,
    /// The name for people: an e-mail address, or `token:NAME`.
    pub name: String,
    /// A person's e-mail address.
    pub email: Option<String>,
    /// The e-mail address of the person who made the API token.
    pub on_behalf_of: Option<String>,
    /// What kind of party.
    pub kind: Caller,
    /// Roles at the gateway.
    pub roles: Vec<String>,
    /// The second factor.
    pub step_up: StepUp,
    /// The service's name at the gateway.
    pub service: String,
    /// The request's id, as in the gateway's log.
    pub request_id: String,
}

impl GatewayIdentity {
    /// Whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}
