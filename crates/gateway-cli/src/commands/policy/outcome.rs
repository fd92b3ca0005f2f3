//! What a change of the policies would do, for people and for programs.

use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_types::wire::policy::{ObservedRefusals, PolicyCheck, PolicyFault};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::Tone;
use crate::table::Rows;

/// Says whether it would be accepted.
pub(super) fn check(context: &Context, check: &PolicyCheck) -> Result<ExitCode, Failure> {
    context.output.answer(check, || verdict(context, check))?;
    Ok(code(check))
}

/// Says who would gain or lose what.
pub(super) fn plan(context: &Context, check: &PolicyCheck) -> Result<ExitCode, Failure> {
    context.output.answer(check, || {
        let mut text = verdict(context, check);
        let mut roles = Rows::new(&["WHO", "ACTION", "NOW", "THEN"]);
        for change in &check.roles {
            roles.add(vec![
                change.who.clone(),
                change.action.clone(),
                change.before.clone(),
                change.after.clone(),
            ]);
        }
        section(&mut text, context, "by role", &roles, "no role gains or loses anything");
        let mut replayed = Rows::new(&["", "WHO", "ACTION", "ON", "NOW", "THEN", "TIMES", "EXAMPLE"]);
        for change in &check.replay.changes {
            replayed.add(vec![
                change.effect.clone(),
                change.actor.clone(),
                change.action.clone(),
                change.resource.clone(),
                change.before.clone(),
                change.after.clone(),
                change.count.to_string(),
                example(change.examples.first(), change.newest),
            ]);
        }
        let title = format!(
            "of {} recorded decisions asked again ({} could not be)",
            check.replay.replayed, check.replay.skipped
        );
        section(&mut text, context, &title, &replayed, "none would be answered otherwise");
        text
    })?;
    Ok(code(check))
}

/// Says what was observed.
pub(super) fn observed(context: &Context, found: &ObservedRefusals) -> Result<ExitCode, Failure> {
    let mut rows = Rows::new(&["POLICY", "WHO", "ACTION", "ON", "TIMES", "EXAMPLE"]);
    for one in &found.items {
        rows.add(vec![
            one.rule.clone(),
            one.actor.clone(),
            one.action.clone(),
            one.resource.clone(),
            one.count.to_string(),
            example(one.examples.first(), one.newest),
        ]);
    }
    context.output.answer(found, || {
        let mode = if found.observing {
            "all policies of your own are only observed (the setting observe_policies)\n"
        } else {
            ""
        };
        let title = format!("{mode}of {} recorded decisions", found.decisions);
        let table = if rows.is_empty() {
            "none would have been refused".to_owned()
        } else {
            rows.render(context.output.looks)
        };
        format!("{title}:\n{table}")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What `why` takes, or where the event stands.
fn example(request: Option<&String>, newest: u64) -> String {
    request.cloned().unwrap_or_else(|| format!("#{newest}"))
}

fn section(text: &mut String, context: &Context, title: &str, rows: &Rows, nothing: &str) {
    let table = if rows.is_empty() { nothing.to_owned() } else { rows.render(context.output.looks) };
    text.push_str(&format!("\n\n{title}:\n{table}"));
}

fn verdict(context: &Context, check: &PolicyCheck) -> String {
    if check.acceptable {
        let version = check.policy_version.as_deref().map(one_line).unwrap_or_default();
        return format!(
            "{}: the set would have version {version}",
            context.output.toned(Tone::Good, "acceptable")
        );
    }
    let faults: Vec<String> = check.faults.iter().map(fault).collect();
    format!("{}\n{}", context.output.toned(Tone::Bad, "not acceptable"), faults.join("\n"))
}

fn fault(fault: &PolicyFault) -> String {
    let place = match (fault.line, fault.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    };
    format!("  {place}{}", one_line(&fault.message))
}

fn code(check: &PolicyCheck) -> ExitCode {
    if check.acceptable { ExitCode::SUCCESS } else { Exit::Failed.code() }
}

#[cfg(test)]
mod tests {
    use gateway_types::wire::policy::{Replay, ReplayChange, RoleChange};

    use super::*;

    #[test]
    fn a_fault_names_its_place() {
        let check = PolicyCheck {
            acceptable: false,
            faults: vec![PolicyFault {
                message: "unexpected `}`\u{1b}[2J".to_owned(),
                line: Some(3),
                column: Some(7),
            }],
            policy_version: None,
            roles: vec![RoleChange {
                route: "GET /apps".to_owned(),
                action: "convox:app:list".to_owned(),
                who: "viewer".to_owned(),
                before: "yes".to_owned(),
                after: "role".to_owned(),
            }],
            replay: Replay {
                replayed: 10,
                skipped: 1,
                changes: vec![ReplayChange {
                    actor: "ann@example.com".to_owned(),
                    action: "convox:app:list".to_owned(),
                    resource: "App::web".to_owned(),
                    before: "yes".to_owned(),
                    after: "no".to_owned(),
                    effect: "loses".to_owned(),
                    count: 3,
                    newest: 41,
                    examples: Vec::new(),
                }],
                oldest: None,
                next: None,
            },
        };
        let context = Context::for_tests();
        assert_eq!(
            verdict(&context, &check),
            "not acceptable\n  line 3, column 7: unexpected `}`\u{fffd}[2J"
        );
        assert!(plan(&context, &check).is_ok());
    }
}
