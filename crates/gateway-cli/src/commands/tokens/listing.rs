//! `tokens list`, and how a token is shown.

use clap::Args;
use gateway_app::reading::announce;
use gateway_app::tokens::list;
use gateway_store::{ApiToken, TokenFilter};
use gateway_types::{Grant, RoleSet, Timestamp};
use serde::Serialize;

use super::grant::typed;
use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};
use crate::table::Rows;

/// The arguments of `tokens list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Also those that are revoked or expired
    #[arg(long)]
    pub(crate) all: bool,
    /// Also those of others (on the server's own machine they are always listed)
    #[arg(long)]
    pub(crate) everyone: bool,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// A token without its secret.
#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) roles: RoleSet,
    pub(super) grants: Vec<Grant>,
    pub(super) creator: String,
    created: String,
    pub(super) expires: Option<String>,
    last_used: Option<String>,
    last_used_ip: Option<String>,
    revoked: Option<String>,
}

impl Shown {
    pub(super) fn grants_text(&self) -> String {
        let typed: Vec<String> = self.grants.iter().map(typed).collect();
        typed.join(" ")
    }
}

/// A token as it is shown, with its creator's address.
pub(super) async fn shown(local: &LocalStore, token: &ApiToken) -> Result<Shown, Failure> {
    // Somebody who was removed has no row any more; the tokens they made are revoked.
    let creator = local.store.users().by_id(token.creator).await?;
    let moment = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
    Ok(Shown {
        id: token.id.to_string(),
        name: token.name.clone(),
        state: state(token, local.now()),
        roles: token.roles,
        grants: token.grants.clone(),
        creator: creator.map_or_else(|| token.creator.to_string(), |creator| creator.email),
        created: token.created.to_rfc3339(),
        expires: moment(token.expires),
        last_used: moment(token.last_used),
        last_used_ip: token.last_used_ip.map(|address| address.to_string()),
        revoked: moment(token.revoked),
    })
}

fn state(token: &ApiToken, now: Timestamp) -> &'static str {
    if token.revoked.is_some() {
        "revoked"
    } else if token.expires.is_some_and(|expires| expires <= now) {
        "expired"
    } else {
        "live"
    }
}

/// Lists tokens, newest first.
pub(super) async fn run(context: &Context, arguments: &ListArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    announce(&local.store, &local.operator(), "gateway:token:list", &[]).await?;
    let mut filter = TokenFilter {
        search: arguments.search.clone(),
        live_only: !arguments.all,
        limit: 1000,
        ..TokenFilter::default()
    };
    let mut tokens = Vec::new();
    loop {
        let page = list(&local.store, &filter).await?;
        for token in &page.items {
            tokens.push(shown(&local, token).await?);
        }
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    local.close().await;
    let mut rows = Rows::new(&["NAME", "ID", "STATE", "ROLES", "GRANTS", "FOR", "EXPIRES", "LAST USED"]);
    for token in &tokens {
        rows.add(cells(token));
    }
    context.output.listing(&tokens, &rows, "there are no tokens")
}

fn cells(token: &Shown) -> Vec<String> {
    let day = |time: &Option<String>, never: &str| {
        time.as_deref()
            .and_then(|time| time.get(..16))
            .map_or_else(|| never.to_owned(), |text| text.replace('T', " "))
    };
    vec![
        token.name.clone(),
        token.id.clone(),
        token.state.to_owned(),
        token.roles.to_string(),
        token.grants_text(),
        token.creator.clone(),
        day(&token.expires, "never"),
        day(&token.last_used, "never"),
    ]
}
