//! Settings that are texts of a form of their own: repositories, branches, checks, people.
//!
//! What a text stands for is read where it is used; here a text that could stand for nothing is refused, so that
//! whoever writes it is told at once.

use super::{SettingFault, SettingKey, SettingValue};
use crate::email::canonical_email;

/// The characters of one text.
const LONGEST_TEXT: usize = 4000;

/// The entries of one list.
const MOST_ENTRIES: usize = 200;

/// The words of one rule about commands.
const MOST_WORDS: usize = 20;

/// Reads the text of a setting that is one.
pub(super) fn of_form(key: SettingKey, text: &str) -> Result<SettingValue, SettingFault> {
    let text = text.trim();
    let (is_fine, expected): (fn(&str) -> bool, &'static str) = match form(key) {
        Form::Repository => {
            (|text| text.is_empty() || is_repository(text), "a repository as owner/name, such as acme/shop")
        }
        Form::Branch => (is_branch, "the name of a branch, without refs/heads/"),
        Form::People => (is_people, "EMAIL=LOGIN separated by commas, such as ann@example.com=ann"),
        Form::Project => (
            |text| text.is_empty() || is_project(text),
            "a project of CircleCI: gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID",
        ),
        Form::Channel => (
            |text| text.is_empty() || is_channel(text),
            "a channel of Slack: its id (C0123456789) or its name (#deploys)",
        ),
        Form::Moments => (is_moments, "some of requested, decided, deployed, separated by commas"),
        Form::Words => (|text| entries(text).count() <= MOST_ENTRIES, "names of visible characters"),
        Form::Commands => (
            is_commands,
            "commands separated by `;`, each of at most 20 words without quotes or backslashes, such as rm *",
        ),
        Form::Builders => (
            is_builders,
            "whole identities of workflows separated by commas, such as https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main",
        ),
        Form::Checks => {
            (is_checks, "names of checks separated by commas, or `*` and -NAME for those that do not count")
        }
    };
    if text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control) && is_fine(text) {
        Ok(SettingValue::Text(text.to_owned()))
    } else {
        Err(SettingFault::NotOfForm { text: text.chars().take(200).collect(), expected })
    }
}

enum Form {
    Repository,
    Branch,
    People,
    Project,
    Channel,
    Moments,
    Words,
    Commands,
    Builders,
    Checks,
}

fn form(key: SettingKey) -> Form {
    if key == SettingKey::GithubRepository {
        Form::Repository
    } else if key == SettingKey::GithubBranch {
        Form::Branch
    } else if key == SettingKey::GithubPeople {
        Form::People
    } else if key == SettingKey::CircleciProject {
        Form::Project
    } else if key == SettingKey::SlackChannel {
        Form::Channel
    } else if key == SettingKey::SlackEvents {
        Form::Moments
    } else if matches!(key, SettingKey::CircleciJob | SettingKey::GithubEnvironments) {
        Form::Words
    } else if matches!(key, SettingKey::CommandsRefused | SettingKey::CommandsSecondPerson) {
        Form::Commands
    } else if key == SettingKey::AttestationBuilders {
        Form::Builders
    } else {
        Form::Checks
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=100).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            && !matches!(part, "." | "..")
    };
    text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

fn is_project(text: &str) -> bool {
    let rest =
        ["gh/", "github/", "bb/", "bitbucket/", "circleci/"].iter().find_map(|vcs| text.strip_prefix(vcs));
    rest.is_some_and(is_repository)
}

fn is_channel(text: &str) -> bool {
    let is_id = text.starts_with(['C', 'G', 'D'])
        && (9..=20).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_name = text.strip_prefix('#').is_some_and(|name| {
        let is_fine = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_');
        (1..=80).contains(&name.chars().count()) && name.chars().all(is_fine)
    });
    is_id || is_name
}

fn is_moments(text: &str) -> bool {
    entries(text).all(|entry| matches!(entry, "requested" | "decided" | "deployed"))
}

fn is_branch(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || "~^:?*[\\".contains(c);
    (1..=255).contains(&text.len())
        && !text.contains(is_odd)
        && !text.contains("..")
        && !text.starts_with(['-', '/', '.'])
        && !text.starts_with("refs/")
        && !text.ends_with(['/', '.'])
}

fn is_people(text: &str) -> bool {
    let is_login = |login: &str| {
        (1..=100).contains(&login.len())
            && login.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_entry = |entry: &str| {
        entry.split_once('=').is_some_and(|(email, login)| canonical_email(email).is_ok() && is_login(login))
    };
    entries(text).count() <= MOST_ENTRIES && entries(text).all(is_entry)
}

/// Words of a rule stand for words after quotes were taken away; one with a quote in it would never cover anything.
fn is_commands(text: &str) -> bool {
    let rules = || text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
    rules().count() <= MOST_ENTRIES
        && rules().all(|rule| {
            rule.split_whitespace().count() <= MOST_WORDS && !rule.contains(['\'', '"', '\\', '`'])
        })
}

fn is_checks(text: &str) -> bool {
    let all = entries(text).any(|entry| entry == "*");
    // Without `*` there is nothing that an exception could be one of.
    let is_entry = |entry: &str| entry == "*" || !entry.starts_with('-') || (all && entry.len() > 1);
    entries(text).count() <= MOST_ENTRIES && entries(text).all(is_entry)
}

/// Identities are compared as a whole, so that one that is no address could never be met.
fn is_builders(text: &str) -> bool {
    let is_entry = |entry: &str| {
        entry.strip_prefix("https://").is_some_and(|rest| rest.contains('/'))
            && !entry.contains(|c: char| c.is_whitespace() || c == '*')
    };
    // A list of nobody would ask for nothing, as no list does.
    let names_somebody = text.is_empty() || entries(text).next().is_some();
    names_somebody && entries(text).count() <= MOST_ENTRIES && entries(text).all(is_entry)
}

#[cfg(test)]
mod tests {
    use super::{SettingKey, SettingValue};

    #[test]
    fn texts_have_their_form() {
        let check = |key: SettingKey, text: &str, good: bool| {
            let parsed = key.parse(text);
            assert_eq!(parsed.is_ok(), good, "{key:?} {text:?}: {parsed:?}");
            if good {
                assert_eq!(parsed, Ok(SettingValue::Text(text.trim().to_owned())));
            }
        };
        check(SettingKey::GithubRepository, "", true);
        check(SettingKey::GithubRepository, " acme/shop ", true);
        check(SettingKey::GithubRepository, "acme", false);
        check(SettingKey::GithubRepository, "acme/shop/x", false);
        check(SettingKey::GithubRepository, "acme/..", false);
        check(SettingKey::GithubRepository, "https://github.com/acme/shop", false);
        check(SettingKey::CircleciProject, "", true);
        check(SettingKey::CircleciProject, "gh/acme/shop", true);
        check(SettingKey::CircleciProject, "acme/shop", false);
        check(SettingKey::CircleciProject, "gh/acme/../x", false);
        check(SettingKey::CircleciJob, "wait for approval", true);
        check(SettingKey::CircleciJob, "a\u{7}b", false);
        check(SettingKey::SlackChannel, "", true);
        check(SettingKey::SlackChannel, "#deploys", true);
        check(SettingKey::SlackChannel, "C0123456789", true);
        for bad in ["deploys", "#Deploys", "#a b", "c0123456789", "C012", "#"] {
            check(SettingKey::SlackChannel, bad, false);
        }
        check(SettingKey::SlackEvents, "", true);
        check(SettingKey::SlackEvents, "requested, deployed", true);
        check(SettingKey::SlackEvents, "requested,opened", false);
        check(SettingKey::GithubBranch, "release/1.2", true);
        for bad in ["", "a b", "refs/heads/main", "-x", "a..b", "a/", "a\u{1b}"] {
            check(SettingKey::GithubBranch, bad, false);
        }
        check(SettingKey::AttestationBuilders, "", true);
        check(SettingKey::AttestationBuilders, " , ", false);
        let builder = "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main";
        check(SettingKey::AttestationBuilders, &format!("{builder}, {builder}2"), true);
        for bad in [
            "acme/shop",
            "https://github.com",
            "http://github.com/acme",
            "https://github.com/*",
            "https://a b/c",
        ] {
            check(SettingKey::AttestationBuilders, bad, false);
        }
        check(SettingKey::GithubPeople, "", true);
        check(SettingKey::GithubPeople, "ann@example.com=ann, bo@example.com=bo-x", true);
        check(SettingKey::GithubPeople, "ann", false);
        check(SettingKey::GithubPeople, "ann@example.com=", false);
        check(SettingKey::GithubPeople, "ann@example.com=a b", false);
        check(SettingKey::CommandsRefused, "", true);
        check(SettingKey::CommandsRefused, "rm *; rails db:drop *;", true);
        check(SettingKey::CommandsSecondPerson, "psql *", true);
        check(SettingKey::CommandsSecondPerson, "psql '*'", false);
        check(SettingKey::CommandsSecondPerson, "psql \\*", false);
        check(SettingKey::CommandsRefused, &"x ".repeat(21), false);
        check(SettingKey::GithubChecks, "", true);
        check(SettingKey::GithubChecks, "*,-wait for approval,unit", true);
        check(SettingKey::GithubChecks, "ci/build, test (3.1)", true);
        check(SettingKey::GithubChecks, "-deploy", false);
        check(SettingKey::GithubChecks, "*,-", false);
    }

    #[test]
    fn words_and_numbers_are_the_keys_own() {
        assert!(SettingKey::GithubPlace.parse("branch_head").is_ok());
        assert!(SettingKey::GithubPlace.parse("commit").is_err());
        assert!(SettingKey::ApprovalOrder.parse("branch").is_err());
        assert!(
            SettingKey::GithubReviews.parse("0").is_ok() && SettingKey::GithubReviews.parse("6").is_err()
        );
        assert!(SettingKey::ApprovalQuorum.parse("0").is_err());
    }
}
