//! Actions in words.

/// What does not read well when it is put together from its parts.
const SAID_BETTER: &[(&str, &str)] = &[
    ("convox:process:exec", "Run a command in a process"),
    ("convox:process:start", "Start a process"),
    ("convox:process:terminate", "Stop a process"),
    ("convox:log:read", "Read logs"),
    ("convox:release:create", "Change the environment or the release"),
    ("convox:release:promote", "Promote a release"),
    ("convox:resource:console", "Open a console on a resource"),
    ("convox:resource:export", "Take the data out of a resource"),
    ("convox:resource:import", "Replace the data of a resource"),
    ("convox:instance:shell", "Open a shell on an instance"),
    ("convox:instance:keyroll", "Replace the keys of the instances"),
    ("convox:network:proxy", "Open a tunnel into the rack's network"),
    ("convox:file:read", "Copy files out of a process"),
    ("convox:file:write", "Copy files into a process"),
    ("convox:app:delete", "Delete an app"),
    ("gateway:approval:approve", "Decide about a deploy"),
    ("gateway:approval:request", "Ask for a deploy to be approved"),
    ("gateway:approval:withdraw", "Take back what was asked for a deploy"),
    ("gateway:user:reset_factors", "Reset somebody's second factors"),
    ("gateway:factor:enrol", "Add a second factor"),
    ("gateway:factor:remove", "Remove a second factor"),
    ("gateway:factor:backup_codes", "Make new backup codes"),
    ("gateway:token:create", "Make an API token"),
    ("gateway:token:update", "Change an API token"),
    ("gateway:token:rotate", "Rotate an API token"),
    ("gateway:setting:update", "Change a setting"),
    ("gateway:audit:evidence", "Record an evidence bundle"),
    ("gateway:audit:share", "Make a link for an auditor"),
    ("gateway:audit:revoke_share", "Revoke a link for an auditor"),
    ("gateway:audit:export", "Export the audit log"),
];

/// An action's full name in words, such as `Delete an app` for `convox:app:delete`; empty for none.
pub(crate) fn action_in_words(action: &str) -> String {
    if let Some((_, words)) = SAID_BETTER.iter().find(|(name, _)| *name == action) {
        return (*words).to_owned();
    }
    let mut parts = action.split(':').skip(1);
    let (Some(object), Some(verb)) = (parts.next(), parts.next()) else { return action.to_owned() };
    let verb = verb.replace('_', " ");
    let mut letters = verb.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase()).into_iter();
    let verb: String = first.chain(letters).collect();
    format!("{verb}: {}", object.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_in_words() {
        assert_eq!(action_in_words("convox:app:delete"), "Delete an app");
        assert_eq!(action_in_words("convox:rack_resource:link"), "Link: rack resource");
        assert_eq!(action_in_words("gateway:user:reset_all"), "Reset all: user");
        assert_eq!(action_in_words(""), "");
        assert_eq!(action_in_words("odd"), "odd");
    }
}
