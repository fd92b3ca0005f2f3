//! `audit searches`: questions that people kept under a name.

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::audit::{AuditFilter, SaveSearch, SavedSearch};
use serde::Serialize;

use super::search::FilterArguments;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::table::Rows;

/// The arguments of `audit searches`.
#[derive(Args, Debug)]
pub(crate) struct SearchesArguments {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub(crate) command: Option<SearchesCommand>,
}

/// What to do with saved searches.
#[derive(Subcommand, Debug)]
pub(crate) enum SearchesCommand {
    /// List one's own, and those that others shared
    List,
    /// Keep one, in the place of one's own of the same name
    Save {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Only with this text in actor, action, resource or request id
        #[arg(value_name = "TEXT")]
        text: Option<String>,
        /// Which of them.
        #[command(flatten)]
        which: FilterArguments,
        /// Show it to everybody who signs in
        #[arg(long)]
        share: bool,
    },
    /// Forget one
    Remove {
        /// Its name, or its id
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    id: &'a str,
    removed: bool,
}

/// Runs one of them.
pub(super) async fn run(context: &Context, arguments: SearchesArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    match arguments.command.unwrap_or(SearchesCommand::List) {
        SearchesCommand::List => list(context, &remote).await,
        SearchesCommand::Save { name, text, which, share } => {
            let search = SaveSearch { name, filter: which.filter(text.as_deref()), shared: share };
            let kept = remote.ask(async |client| client.save_search(&search).await).await?;
            context.output.answer(&kept, || format!("saved {}", one_line(&kept.name)))
        }
        SearchesCommand::Remove { name } => {
            let search = named(&remote, &name).await?;
            remote.ask(async |client| client.remove_search(&search.id).await).await?;
            let removed = Removed { id: &search.id, removed: true };
            context.output.answer(&removed, || format!("removed {}", one_line(&search.name)))
        }
    }
}

async fn list(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let found = remote.ask(async |client| client.saved_searches().await).await?.items;
    let mut rows = Rows::new(&["NAME", "OWNER", "SHARED", "FILTER"]);
    for search in &found {
        let shared = if search.shared { "yes" } else { "no" };
        let filter = serde_json::to_string(&search.filter)?;
        rows.add(vec![search.name.clone(), search.owner.clone(), shared.to_owned(), filter]);
    }
    context.output.listing(&found, &rows, "no search is saved; keep one with `audit searches save NAME`")
}

/// What a saved search asks for.
pub(super) async fn filter(remote: &Remote, name: &str) -> Result<AuditFilter, Failure> {
    Ok(named(remote, name).await?.filter)
}

/// The search of this name or id; one's own before those of others.
async fn named(remote: &Remote, name: &str) -> Result<SavedSearch, Failure> {
    let found = remote.ask(async |client| client.saved_searches().await).await?.items;
    let mut fitting: Vec<SavedSearch> =
        found.into_iter().filter(|search| search.name == name || search.id == name).collect();
    fitting.sort_by_key(|search| !search.mine);
    let is_clear = fitting.len() == 1 || fitting.first().is_some_and(|search| search.mine);
    match fitting.into_iter().next() {
        Some(search) if is_clear => Ok(search),
        Some(_) => {
            Err(Failure::new(Exit::Usage, format!("several people share a search called {}", one_line(name)))
                .hint("name it by its id: `audit searches --json` shows it"))
        }
        None => Err(Failure::new(Exit::Usage, format!("there is no saved search called {}", one_line(name)))
            .hint("`audit searches` lists them")),
    }
}
