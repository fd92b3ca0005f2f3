//! What a person is told when a role for a while would help: the page and the command that ask for it.

use std::time::Duration;

use gateway_types::{LowestRole, Operation, Problem, RemedyKind, Resource, ResourceKind};

use super::inspect::Inspected;

/// How long the command asks for, unless less is allowed.
const USUAL: Duration = Duration::from_secs(3600);

/// Completes the remedy of a refusal that an elevation would turn into a yes.
pub(crate) fn advise(problem: &mut Problem, inspected: &Inspected, longest: Duration) {
    let Some(remedy) = problem.remedies.iter_mut().find(|remedy| remedy.kind == RemedyKind::Elevation) else {
        return;
    };
    let (operation, resource) = (inspected.asked.operation(), inspected.asked.resource());
    let Some(Way { command, page }) = way(operation, &resource, longest) else { return };
    remedy.url = Some(inspected.origin.join(&page));
    problem.detail.push_str(&format!(" Ask for it with: {command}"));
    remedy.command = Some(command);
}

/// How to ask for a role.
struct Way {
    command: String,
    /// The page whose form is filled in with the same.
    page: String,
}

/// How to ask for the role that the operation takes, where it takes one.
fn way(operation: &Operation, resource: &Resource, longest: Duration) -> Option<Way> {
    let LowestRole::Role(role) = operation.lowest_role else { return None };
    let minutes = USUAL.min(longest).as_secs() / 60;
    let length = if minutes == 60 { "1h".to_owned() } else { format!("{minutes}m") };
    let app = match resource.kind {
        ResourceKind::App if is_plain(&resource.id) => Some(&resource.id),
        ResourceKind::App | ResourceKind::Rack | ResourceKind::Gateway | ResourceKind::Service => None,
    };
    let flag = app.map(|app| format!(" --app {app}")).unwrap_or_default();
    let field = app.map(|app| format!("&app={app}")).unwrap_or_default();
    Some(Way {
        command: format!("rack-gateway elevate {role}{flag} --for {length} --reason REASON"),
        page: format!("/app/elevations?role={role}{field}&for={length}"),
    })
}

/// Whether a shell takes it as one word. An app that is called otherwise does not exist.
fn is_plain(app: &str) -> bool {
    app.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use gateway_types::{ActionName, Cicd, Class, Role, StepUp};

    use super::*;

    fn check(lowest_role: LowestRole, resource: &Resource, longest: u64, expected: Option<&str>) {
        let operation = Operation {
            route: "DELETE /apps/{app}".into(),
            action: ActionName::new("convox:app:delete"),
            class: Class::Critical,
            lowest_role,
            cicd: Cicd::No,
            people_only: false,
            step_up: StepUp::Bound,
        };
        let found = way(&operation, resource, Duration::from_secs(longest));
        assert_eq!(found.as_ref().map(|way| way.command.as_str()), expected);
        if let Some(Way { page, .. }) = found {
            let query = page.strip_prefix("/app/elevations?role=deployer").unwrap();
            assert!(
                query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"&=".contains(&byte)),
                "{page}"
            );
        }
    }

    #[test]
    fn the_command_can_be_typed() {
        let deployer = LowestRole::Role(Role::Deployer);
        let whole = "rack-gateway elevate deployer --app web --for 1h --reason REASON";
        check(deployer, &Resource::app("web"), 14_400, Some(whole));
        let rack = "rack-gateway elevate deployer --for 10m --reason REASON";
        check(deployer, &Resource::rack(), 600, Some(rack));
        check(deployer, &Resource::app("$(reboot)"), 600, Some(rack));
        check(LowestRole::Own, &Resource::app("web"), 600, None);
    }
}
