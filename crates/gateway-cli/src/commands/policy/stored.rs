//! `policy list` and `policy remove` on the server's own machine: for a gateway that does not start because the
//! policies in its database do not load. Whoever runs them is beyond policy but not beyond the log.

use std::process::ExitCode;

use gateway_app::policies::{remove_stored, stored};
use gateway_client::text::one_line;
use gateway_store::PolicyDocument;
use serde::Serialize;

use super::{PolicyCommand, Removed};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

#[derive(Serialize)]
struct Stored<'a> {
    id: &'a str,
    text: &'a str,
    version: i64,
    updated_by: &'a str,
    updated: String,
}

/// Runs one of the two.
pub(super) async fn run(
    context: &Context,
    command: PolicyCommand,
    place: &DataPlace,
) -> Result<ExitCode, Failure> {
    let local = LocalStore::open(context, place).await?;
    let done = match command {
        PolicyCommand::List { .. } => list(context, &local).await,
        PolicyCommand::Remove { id, yes, .. } => remove(context, &local, &id, yes).await,
        PolicyCommand::Show { .. }
        | PolicyCommand::Check(_)
        | PolicyCommand::Plan { .. }
        | PolicyCommand::Observed { .. }
        | PolicyCommand::Put { .. } => Err(Failure::new(Exit::Usage, "this is asked of a gateway")),
    };
    local.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn list(context: &Context, local: &LocalStore) -> Result<(), Failure> {
    let documents = stored(&local.store).await?;
    let mut rows = Rows::new(&["DOCUMENT", "VERSION", "CHANGED BY", "CHANGED"]);
    for document in &documents {
        rows.add(vec![
            document.id.clone(),
            document.version.to_string(),
            document.updated_by.clone(),
            document.updated.to_rfc3339(),
        ]);
    }
    let shown: Vec<Stored<'_>> = documents.iter().map(Stored::of).collect();
    context.output.listing(&shown, &rows, "the database holds no policies")
}

async fn remove(context: &Context, local: &LocalStore, id: &str, yes: bool) -> Result<(), Failure> {
    let what = format!("the document {} is removed, whatever it forbids", one_line(id));
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    remove_stored(&local.store, &local.operator(), id).await?;
    context.output.answer(&Removed { id, removed: true }, || format!("removed {}", one_line(id)))
}

impl<'a> Stored<'a> {
    fn of(document: &'a PolicyDocument) -> Self {
        Self {
            id: &document.id,
            text: &document.text,
            version: document.version,
            updated_by: &document.updated_by,
            updated: document.updated.to_rfc3339(),
        }
    }
}
