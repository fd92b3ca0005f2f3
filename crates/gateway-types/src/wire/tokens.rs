//! API tokens: `/tokens`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RoleSet;

/// A grant: actions, on apps. What a token may is its grants, cut by its roles and by what its owner may now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// A full action name, or a beginning with a star: `convox:build:*`, `*`.
    pub actions: String,
    /// The apps it is limited to; empty = not limited.
    #[serde(default)]
    pub apps: Vec<String>,
    /// Whether it reaches class *critical*; only a fresh second factor gives that.
    #[serde(default)]
    pub critical: bool,
}

impl From<crate::Grant> for Grant {
    fn from(grant: crate::Grant) -> Self {
        let crate::Grant { actions, apps, critical } = grant;
        Self { actions, apps, critical }
    }
}

impl From<Grant> for crate::Grant {
    fn from(grant: Grant) -> Self {
        let Grant { actions, apps, critical } = grant;
        Self { actions, apps, critical }
    }
}

/// An API token, never with its secret. The `ETag` of a reply with one token is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `live`, `expired` or `revoked`.
    pub state: String,
    /// What it may be.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// What it was granted.
    pub grants: Vec<Grant>,
    /// Whose it is: id.
    pub owner: String,
    /// Whose it is: e-mail address; absent when the person is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_email: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it ends by itself; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was last used, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// From which address it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ip: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// Until when the secret before the last rotation is good too; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_ends: Option<String>,
    /// Whether a client certificate stands for it, so that it has no secret.
    #[serde(default)]
    pub of_certificate: bool,
    /// From which networks it may be used; empty = from everywhere.
    #[serde(default)]
    pub networks: Vec<String>,
    /// What `If-Match` is compared against.
    pub version: i64,
}

/// `POST /tokens`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, as it will stand in the log.
    pub name: String,
    /// At least one, none above its owner's.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// What it is granted; empty = everything its roles may, short of class *critical*.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// When it ends by itself: `90d`, `12h`, a moment in RFC 3339, or `never`; absent = `90d`. At most a
    /// year away; `never` is refused for a grant that reaches class *critical*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whose it is: id or e-mail address; absent = one's own. For somebody else takes an admin.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A client certificate in PEM: the token then has no secret, and a client that proves to hold the
    /// certificate's key is it. Absent = a secret is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// From which networks it may be used, such as `203.0.113.0/24`; empty = from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// A token with a secret that is told this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenSecret {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// The secret: what a machine presents; absent when it presents a client certificate instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// `PUT /tokens/{id}`; what is absent stays. Rights and life can only become smaller.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateToken {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fewer or lower roles, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<RoleSet>,
    /// Fewer or smaller grants, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// An earlier end, written as for [`CreateToken`]; not `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Fewer or smaller networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
}

/// `POST /tokens/{id}/rotate`; the body may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateToken {
    /// How long the secret before is good too: `0s` to `24h`; absent = `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// Another client certificate in PEM: the token then has no secret. Needed for a token that a certificate stands
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}
