//! The entity types and entities that policies speak of.
//!
//! Its job: names and small entities. It must not know which operation is asked.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use gateway_types::{Resource, ResourceKind, Role, RoleSet};

use crate::decision_key::Seen;
use crate::error::PolicyError;

/// The entity types, parsed once.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    action: EntityTypeName,
    role: EntityTypeName,
    user: EntityTypeName,
    api_token: EntityTypeName,
    access_token: EntityTypeName,
    workload: EntityTypeName,
    anonymous: EntityTypeName,
    rack: EntityTypeName,
    app: EntityTypeName,
    gateway: EntityTypeName,
    service: EntityTypeName,
}

/// The kind of principal, as far as scopes tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum PrincipalKind {
    Anonymous,
    User,
    ApiToken,
    AccessToken,
    Workload,
}

impl PrincipalKind {
    pub(crate) const ALL: [PrincipalKind; 5] = [
        PrincipalKind::Anonymous,
        PrincipalKind::User,
        PrincipalKind::ApiToken,
        PrincipalKind::AccessToken,
        PrincipalKind::Workload,
    ];
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let name = |text: &str| -> Result<EntityTypeName, PolicyError> {
            text.parse().map_err(|errors| PolicyError::Names(Box::new(errors)))
        };
        Ok(Self {
            action: name("Action")?,
            role: name("Role")?,
            user: name("User")?,
            api_token: name("ApiToken")?,
            access_token: name("AccessToken")?,
            workload: name("Workload")?,
            anonymous: name("Anonymous")?,
            rack: name("Rack")?,
            app: name("App")?,
            gateway: name("Gateway")?,
            service: name("Service")?,
        })
    }

    pub(crate) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }

    pub(crate) fn is_role(&self, name: &EntityTypeName) -> bool {
        *name == self.role
    }

    pub(crate) fn is_app(&self, name: &EntityTypeName) -> bool {
        *name == self.app
    }

    pub(crate) fn principal_type(&self, kind: PrincipalKind) -> &EntityTypeName {
        match kind {
            PrincipalKind::Anonymous => &self.anonymous,
            PrincipalKind::User => &self.user,
            PrincipalKind::ApiToken => &self.api_token,
            PrincipalKind::AccessToken => &self.access_token,
            PrincipalKind::Workload => &self.workload,
        }
    }

    /// The roles and what each includes: admin in deployer in ops in viewer; auditor and cicd beside.
    pub(crate) fn roles(&self) -> Vec<Entity> {
        Role::ALL
            .into_iter()
            .map(|role| {
                let parents = included(role).map(|lower| self.role_uid(lower)).into_iter().collect();
                Entity::new_no_attrs(self.role_uid(role), parents)
            })
            .collect()
    }

    fn role_uid(&self, role: Role) -> EntityUid {
        uid(&self.role, role.name())
    }

    pub(crate) fn principal_uid(&self, seen: &Seen) -> EntityUid {
        match seen {
            Seen::Anonymous => uid(&self.anonymous, "anonymous"),
            Seen::User { id, .. } => uid(&self.user, &id.to_string()),
            Seen::ApiToken { id, .. } => uid(&self.api_token, &id.to_string()),
            // No address holds a space, so no two are spelled alike.
            Seen::AccessToken { issuer, subject, .. } => {
                uid(&self.access_token, &format!("{issuer} {subject}"))
            }
            Seen::Workload { name, .. } => uid(&self.workload, name),
        }
    }

    /// The principal with its attribute and roles; `None` when Cedar cannot hold the attribute.
    pub(crate) fn principal(&self, seen: &Seen) -> Option<Entity> {
        let (attribute, roles) = match seen {
            Seen::Anonymous => return Some(Entity::with_uid(self.principal_uid(seen))),
            Seen::AccessToken { issuer, subject, service, role } => {
                return self.access_token(seen, [issuer, subject], service, *role);
            }
            Seen::Workload { name, subject, origin, roles, .. } => {
                return self.workload(seen, [name, subject, origin.name()], *roles);
            }
            Seen::User { email, roles, .. } => (("email", email), roles),
            Seen::ApiToken { name, roles, .. } => (("name", name), roles),
        };
        let (key, value) = attribute;
        let attributes =
            HashMap::from([(key.to_owned(), RestrictedExpression::new_string(value.to_string()))]);
        let parents = roles.iter().map(|role| self.role_uid(role)).collect();
        Entity::new(self.principal_uid(seen), attributes, parents).ok()
    }

    fn workload(&self, seen: &Seen, texts: [&str; 3], roles: RoleSet) -> Option<Entity> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let attributes = ["name", "subject", "origin"].into_iter().zip(texts);
        let attributes = attributes.map(|(name, value)| (name.to_owned(), text(value))).collect();
        let parents = roles.iter().map(|role| self.role_uid(role)).collect();
        Entity::new(self.principal_uid(seen), attributes, parents).ok()
    }

    fn access_token(&self, seen: &Seen, names: [&str; 2], service: &str, role: Role) -> Option<Entity> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let [issuer, subject] = names;
        let attributes = HashMap::from([
            ("issuer".to_owned(), text(issuer)),
            ("subject".to_owned(), text(subject)),
            ("service".to_owned(), RestrictedExpression::new_entity_uid(uid(&self.service, service))),
        ]);
        Entity::new(self.principal_uid(seen), attributes, HashSet::from([self.role_uid(role)])).ok()
    }

    pub(crate) fn resource_uid(&self, resource: &Resource) -> EntityUid {
        let name = match resource.kind {
            ResourceKind::Rack => &self.rack,
            ResourceKind::App => &self.app,
            ResourceKind::Gateway => &self.gateway,
            ResourceKind::Service => &self.service,
        };
        uid(name, &resource.id)
    }

    pub(crate) fn resource(&self, resource: &Resource) -> Entity {
        let parents = match resource.kind {
            ResourceKind::App => HashSet::from([self.resource_uid(&Resource::rack())]),
            ResourceKind::Rack | ResourceKind::Gateway | ResourceKind::Service => HashSet::new(),
        };
        Entity::new_no_attrs(self.resource_uid(resource), parents)
    }
}

/// The role that `role` includes, one step down.
const fn included(role: Role) -> Option<Role> {
    match role {
        Role::Admin => Some(Role::Deployer),
        Role::Deployer => Some(Role::Ops),
        Role::Ops => Some(Role::Viewer),
        Role::Viewer | Role::Auditor | Role::Cicd => None,
    }
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}
