//! Grants of roles: to a person or to the members of a group, on one app or on the rack and every app. The role is a
//! built-in one, or a name of the operator's own that policies give a meaning (`context.roles_here`): a custom role.

use gateway_audit::bounded;
use gateway_store::{GrantHolder, RoleGrant, StoreError};
use gateway_types::{Caller, Layer, Problem, ProblemKind, Resource, Role, RoleGrantId};
use serde_json::{Value, json};

use crate::elevations::is_app;
use crate::error::AppError;
use crate::rights::person_behind;
use crate::users::by;
use crate::{App, Operator, problems, record};

/// The most grants of one gateway: all of them are held in memory.
pub const MOST: usize = 5000;

/// Why a grant was not made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum RoleGrantError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There is no such grant.
    #[error("there is no grant with this id")]
    Unknown,
    /// Nobody has this address.
    #[error("nobody has the address `{0}`; invite the person first")]
    NobodyCalled(String),
    /// Nobody grants themselves anything, nor a group that they are in.
    #[error("you cannot grant a role to yourself or to a group of yours; ask another admin")]
    Oneself,
    /// Neither or both of the two holders.
    #[error("name either a person or a group")]
    NotOneHolder,
    /// Not a name of a group.
    #[error("a group's name has 1 to 200 visible characters")]
    BadGroup,
    /// Not a name of a role.
    #[error(
        "a role is viewer, ops, deployer or admin, or a name of your own: 1 to 63 small letters, digits and dashes \
         that begins with a letter, which policies give a meaning"
    )]
    BadRole,
    /// No app has such a name.
    #[error("an app's name has 1 to 63 small letters, digits and dashes")]
    BadApp,
    /// The holder has it.
    #[error("this grant is there already")]
    Exists,
    /// There are too many.
    #[error("there are {MOST} grants; write a policy for what holds for many")]
    TooMany,
}

impl From<RoleGrantError> for Problem {
    fn from(error: RoleGrantError) -> Self {
        let (kind, layer) = match error {
            RoleGrantError::Store(error) => return problems::of_store(&error),
            RoleGrantError::Record(error) => return error.into(),
            RoleGrantError::Unknown => (ProblemKind::NotFound, Layer::Authorization),
            RoleGrantError::Oneself => (ProblemKind::Refused, Layer::Authorization),
            RoleGrantError::Exists | RoleGrantError::TooMany => {
                (ProblemKind::NotPossible, Layer::Authorization)
            }
            RoleGrantError::NobodyCalled(_)
            | RoleGrantError::NotOneHolder
            | RoleGrantError::BadGroup
            | RoleGrantError::BadRole
            | RoleGrantError::BadApp => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// A grant as people ask for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewRoleGrant {
    /// The address of the person who gets it.
    pub person: Option<String>,
    /// The group whose members get it.
    pub group: Option<String>,
    /// The role.
    pub role: String,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
}

/// A grant with the address of its holder, when that is a person.
pub type Shown = (RoleGrant, Option<String>);

/// All grants, oldest first.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<Shown>, RoleGrantError> {
    let mut shown = Vec::new();
    for grant in app.store.role_grants().list().await? {
        shown.push(with_address(app, grant).await?);
    }
    Ok(shown)
}

async fn with_address(app: &App, grant: RoleGrant) -> Result<Shown, RoleGrantError> {
    let email = match &grant.holder {
        GrantHolder::Person(id) => app.store.users().by_id(*id).await?.map(|user| user.email),
        GrantHolder::Group(_) => None,
    };
    Ok((grant, email))
}

/// Grants a role.
///
/// # Errors
/// [`RoleGrantError`]; when it cannot be recorded, nothing was granted.
pub async fn create(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    new: &NewRoleGrant,
) -> Result<Shown, RoleGrantError> {
    let (holder, email) = holder(app, caller, new).await?;
    if !is_role(&new.role) {
        return Err(RoleGrantError::BadRole);
    }
    let of_app = new.app.as_deref();
    if of_app.is_some_and(|app| !is_app(app)) {
        return Err(RoleGrantError::BadApp);
    }
    let present = app.store.role_grants().list().await?;
    let same = |grant: &RoleGrant| {
        grant.holder == holder && grant.role == new.role && grant.app.as_deref() == of_app
    };
    if present.iter().any(same) {
        return Err(RoleGrantError::Exists);
    }
    if present.len() >= MOST {
        return Err(RoleGrantError::TooMany);
    }
    let id = RoleGrantId::new(operator.clock.now(), operator.entropy);
    let after = shown(&holder, email.as_deref(), &new.role, of_app);
    let mut event = operator.event("gateway:grant:create");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("role".to_owned(), new.role.clone());
    event.resource = of_app.map_or_else(Resource::gateway, Resource::app);
    event.before = Some(Value::Null);
    event.after = Some(after);
    record(&app.store, event).await?;
    let grants = app.store.role_grants();
    let created = grants.create(id, &holder, &new.role, of_app, &by(operator)).await;
    let created = created.map_err(|error| match error {
        StoreError::Exists => RoleGrantError::Exists,
        other => other.into(),
    })?;
    app.entitlements.refresh(&app.store).await?;
    Ok((created, email))
}

/// Takes a grant back.
///
/// # Errors
/// [`RoleGrantError::Unknown`], or the store's.
pub async fn remove(app: &App, operator: &Operator<'_>, id: RoleGrantId) -> Result<(), RoleGrantError> {
    let found = app.store.role_grants().list().await?.into_iter().find(|grant| grant.id == id);
    let (before, email) = with_address(app, found.ok_or(RoleGrantError::Unknown)?).await?;
    let mut event = operator.event("gateway:grant:remove");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("role".to_owned(), before.role.clone());
    event.resource = before.app.as_deref().map_or_else(Resource::gateway, Resource::app);
    event.before = Some(shown(&before.holder, email.as_deref(), &before.role, before.app.as_deref()));
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    app.store.role_grants().remove(id).await.map_err(|error| match error {
        StoreError::NotFound => RoleGrantError::Unknown,
        other => other.into(),
    })?;
    app.entitlements.refresh(&app.store).await?;
    Ok(())
}

async fn holder(
    app: &App,
    caller: &Caller,
    new: &NewRoleGrant,
) -> Result<(GrantHolder, Option<String>), RoleGrantError> {
    match (&new.person, &new.group) {
        (Some(email), None) => {
            let found = app.store.users().by_email(email).await?;
            let user = found.ok_or_else(|| RoleGrantError::NobodyCalled(bounded(email)))?;
            if person_behind(caller) == Some(user.id) {
                return Err(RoleGrantError::Oneself);
            }
            Ok((GrantHolder::Person(user.id), Some(user.email)))
        }
        (None, Some(group)) => {
            let hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
            if !(1..=200).contains(&group.chars().count()) || group.chars().any(hazard) {
                return Err(RoleGrantError::BadGroup);
            }
            if let Some(oneself) = person_behind(caller)
                && app.store.role_grants().groups_of(oneself).await?.contains(group)
            {
                return Err(RoleGrantError::Oneself);
            }
            Ok((GrantHolder::Group(group.clone()), None))
        }
        (Some(_), Some(_)) | (None, None) => Err(RoleGrantError::NotOneHolder),
    }
}

/// A built-in role for people that an app can be the place of, or a name of the operator's own.
fn is_role(name: &str) -> bool {
    match name.parse::<Role>() {
        Ok(Role::Viewer | Role::Ops | Role::Deployer | Role::Admin) => true,
        Ok(Role::Auditor | Role::Cicd) => false,
        Err(_) => is_app(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
    }
}

fn shown(holder: &GrantHolder, email: Option<&str>, role: &str, app: Option<&str>) -> Value {
    let holder = match holder {
        GrantHolder::Person(id) => json!({ "person": email, "id": id.to_string() }),
        GrantHolder::Group(name) => json!({ "group": name }),
    };
    json!({ "holder": holder, "role": role, "app": app })
}

#[cfg(test)]
mod tests {
    use gateway_types::{ProblemKind, Role};

    use super::{NewRoleGrant, create, is_role};
    use crate::tests::{World, refused};

    #[tokio::test]
    async fn nobody_grants_a_group_of_theirs_a_role() {
        for world in World::both().await {
            let ann = world.person("ann", &[Role::Admin]).await;
            let bo = world.person("bo", &[Role::Admin]).await;
            world.app.store.role_grants().set_groups(ann.user.id, &["web".to_owned()]).await.unwrap();
            let new = NewRoleGrant {
                group: Some("web".to_owned()),
                role: "deployer".to_owned(),
                ..NewRoleGrant::default()
            };
            let by = async |person: &crate::tests::Person| {
                create(&world.app, &world.operator(&person.caller), &person.caller, &new).await
            };
            refused(by(&ann).await, ProblemKind::Refused, "yours");
            by(&bo).await.unwrap();
        }
    }

    #[test]
    fn roles_are_built_in_ones_or_plain_names() {
        for name in ["viewer", "ops", "deployer", "admin", "release-manager", "r2"] {
            assert!(is_role(name), "{name}");
        }
        for name in ["auditor", "cicd", "", "2r", "Release", "a b", "a_b", "é"] {
            assert!(!is_role(name), "{name}");
        }
    }
}
