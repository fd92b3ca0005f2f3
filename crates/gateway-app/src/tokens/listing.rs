//! Tokens with their owners, page by page.

use std::collections::BTreeMap;

use gateway_store::{ApiToken, Page, TokenFilter};
use gateway_types::{Caller, Facts, Principal, UserId};

use crate::App;
use crate::error::PeopleError;
use crate::rights::person_behind;

/// A token and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedToken {
    /// The token.
    pub token: ApiToken,
    /// Its owner's address; `None` when that person is gone.
    pub owner_email: Option<String>,
}

/// Which tokens somebody wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Their own. A token sees itself.
    Own,
    /// Everybody's.
    All,
}

/// One page of tokens, newest first. `facts` are those of the request's verdict; the filter's `creator` is
/// for [`Scope::All`].
///
/// # Errors
/// [`PeopleError::NotOwn`] when everybody's are asked for and the verdict was about one's own, or the
/// store's.
pub async fn page(
    app: &App,
    caller: &Caller,
    facts: &Facts,
    scope: Scope,
    mut filter: TokenFilter,
) -> Result<Page<OwnedToken>, PeopleError> {
    let tokens = match scope {
        Scope::All if facts.own_object => return Err(PeopleError::NotOwn),
        Scope::All => app.store.tokens().list(&filter).await?,
        Scope::Own => match &caller.principal {
            Principal::ApiToken { id, .. } => {
                Page { items: app.store.tokens().by_id(*id).await?.into_iter().collect(), next: None }
            }
            Principal::User { .. }
            | Principal::Anonymous
            | Principal::AccessToken { .. }
            | Principal::Workload { .. } => {
                filter.creator = Some(person_behind(caller).ok_or(PeopleError::NotOwn)?);
                app.store.tokens().list(&filter).await?
            }
        },
    };
    with_owners(app, tokens).await
}

async fn with_owners(app: &App, page: Page<ApiToken>) -> Result<Page<OwnedToken>, PeopleError> {
    let mut emails: BTreeMap<UserId, Option<String>> = BTreeMap::new();
    let mut items = Vec::with_capacity(page.items.len());
    for token in page.items {
        let owner_email = match emails.get(&token.creator) {
            Some(known) => known.clone(),
            None => {
                let email = app.store.users().by_id(token.creator).await?.map(|owner| owner.email);
                emails.insert(token.creator, email.clone());
                email
            }
        };
        items.push(OwnedToken { token, owner_email });
    }
    Ok(Page { items, next: page.next })
}
