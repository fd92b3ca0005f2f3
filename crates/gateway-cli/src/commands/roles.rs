//! `roles`: the built-in roles and what each may do.

use std::process::ExitCode;

use crate::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::Rows;

/// Lists them.
pub(crate) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let roles = remote.ask(async |client| client.roles().await).await?.items;
    let mut rows = Rows::new(&["ROLE", "INCLUDES", "FOR", "ACTIONS", "WHAT IT IS FOR"]);
    for role in &roles {
        let who = if role.machines_only { "machines" } else { "people, machines" };
        rows.add(vec![
            role.role.clone(),
            role.includes.join(", "),
            who.to_owned(),
            role.actions.len().to_string(),
            role.description.clone(),
        ]);
    }
    context.output.listing(&roles, &rows, "there are no roles")?;
    Ok(ExitCode::SUCCESS)
}
