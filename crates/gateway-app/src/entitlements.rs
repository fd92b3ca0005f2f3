//! What people hold besides their roles, in force: live elevations and grants of roles, for everybody, in memory.
//!
//! A request asks here and not in the database. What is over by the clock gives nothing from that moment on, whether
//! or not anybody read the database since.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway_store::{Store, StoreError};
use gateway_types::{Resource, ResourceKind, Role, RoleSet, Timestamp, UserId};

/// What people hold, exchanged whole.
#[derive(Debug, Default)]
pub struct Entitlements {
    held: ArcSwap<HashMap<UserId, Held>>,
}

/// What one person holds.
#[derive(Debug, Default)]
struct Held {
    elevations: Vec<Elevated>,
    grants: Vec<Granted>,
}

#[derive(Debug)]
struct Elevated {
    role: Role,
    app: Option<String>,
    expires: Timestamp,
}

#[derive(Debug)]
struct Granted {
    role: String,
    app: Option<String>,
}

impl Entitlements {
    /// Reads them.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn read(store: &Store) -> Result<Arc<Self>, StoreError> {
        let entitlements = Arc::new(Self::default());
        entitlements.refresh(store).await?;
        Ok(entitlements)
    }

    /// Reads them again; when that fails the last ones hold, each until its own end.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let (live, granted) = (store.elevations().live().await?, store.role_grants().held().await?);
        let mut held: HashMap<UserId, Held> = HashMap::new();
        for one in live {
            let elevated = Elevated { role: one.role, app: one.app, expires: one.expires };
            held.entry(one.user).or_default().elevations.push(elevated);
        }
        for one in granted {
            held.entry(one.user).or_default().grants.push(Granted { role: one.role, app: one.app });
        }
        self.held.store(Arc::new(held));
        Ok(())
    }

    /// The roles that elevations give `user` on `resource` now, and the names of those that grants give.
    pub(crate) fn of(
        &self,
        user: UserId,
        resource: &Resource,
        now: Timestamp,
    ) -> (RoleSet, BTreeSet<String>) {
        let held = self.held.load();
        let Some(held) = held.get(&user) else { return (RoleSet::EMPTY, BTreeSet::new()) };
        let reaches = |app: &Option<String>| reaches(app.as_deref(), resource);
        let elevated = held.elevations.iter().filter(|one| now < one.expires && reaches(&one.app));
        let granted = held.grants.iter().filter(|one| reaches(&one.app));
        (elevated.map(|one| one.role).collect(), granted.map(|one| one.role.clone()).collect())
    }

    /// The apps that anything of `user` names.
    pub(crate) fn apps_of(&self, user: UserId, now: Timestamp) -> BTreeSet<String> {
        let held = self.held.load();
        let Some(held) = held.get(&user) else { return BTreeSet::new() };
        let elevated = held.elevations.iter().filter(|one| now < one.expires).map(|one| &one.app);
        elevated.chain(held.grants.iter().map(|one| &one.app)).flatten().cloned().collect()
    }
}

/// Whether what is held on `app` (`None` = everywhere) reaches this. Nothing that is held reaches the gateway itself.
pub(crate) fn reaches(app: Option<&str>, resource: &Resource) -> bool {
    match (app, resource.kind) {
        (_, ResourceKind::Gateway) => false,
        (None, ResourceKind::Rack | ResourceKind::App | ResourceKind::Service) => true,
        (Some(app), ResourceKind::App) => resource.id == app,
        (Some(_), ResourceKind::Rack | ResourceKind::Service) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_reaches_its_app_and_never_the_gateway() {
        let check = |app: Option<&str>, resource: &Resource, expected: bool| {
            assert_eq!(reaches(app, resource), expected, "{app:?} {resource}");
        };
        check(None, &Resource::rack(), true);
        check(None, &Resource::app("web"), true);
        check(None, &Resource::gateway(), false);
        check(Some("web"), &Resource::app("web"), true);
        check(Some("web"), &Resource::app("web2"), false);
        check(Some("web"), &Resource::rack(), false);
        check(Some("web"), &Resource::gateway(), false);
    }
}
