//! What a setting of the Go project is here. A value that this gateway does not take, or that means something else here,
//! is left out with the reason.

use std::collections::BTreeMap;

use gateway_config::{SettingKey, SettingScope as Reach};
use serde_json::Value;

/// What becomes of a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Translation {
    /// It is this one here.
    To(SettingKey, String),
    /// It is not taken, and why.
    Left(String),
}

/// Translates the setting `key`; `beside` are all settings of the same app, or of the gateway.
pub(super) fn translate(app: Option<&str>, key: &str, beside: &BTreeMap<String, Value>) -> Translation {
    let value = beside.get(key).unwrap_or(&Value::Null);
    if value.is_null() {
        return left("it has no value");
    }
    let (key, text) = match key {
        "mfa_require_all_users" => (SettingKey::MfaRequired, switch(value)),
        "mfa_trusted_device_ttl_days" => (SettingKey::TrustedDevice, days(value)),
        "mfa_step_up_window_minutes" => (SettingKey::StepUpWindow, minutes(value)),
        "allow_destructive_actions" => (SettingKey::DestructiveActions, switch(value)),
        "deploy_approval_window_minutes" => (SettingKey::ApprovalLife, minutes(value)),
        "session_timeout_minutes" => (SettingKey::WebSessionIdle, minutes(value)),
        "vcs_repo" if !is_github(beside) => return left("only repositories at GitHub are known here"),
        "vcs_repo" if beside.get("github_verification") == Some(&Value::Bool(false)) => {
            return left(
                "deploys of this app were not verified at GitHub; set github_repository when they shall be",
            );
        }
        "vcs_repo" => (SettingKey::GithubRepository, text(value)),
        "default_branch" => (SettingKey::GithubBranch, text(value)),
        "require_pr_for_branch" => return place(value, beside),
        "circleci_approval_job_name" => (SettingKey::CircleciJob, text(value)),
        "github_post_pr_comment" => (SettingKey::GithubComment, switch(value)),
        "protected_env_vars" => (SettingKey::EnvProtected, list(value)),
        "secret_env_vars" => (SettingKey::EnvSecret, list(value)),
        "service_image_patterns" => (SettingKey::ServiceImages, images(value)),
        "github_verification" | "allow_deploy_from_default_branch" => {
            return left("it is part of github_repository and github_place here");
        }
        "deploy_approvals_enabled" => {
            return left("approvals are asked of every token and workload with the role cicd here");
        }
        "approved_deploy_commands" => {
            return left(
                "say which commands are refused or need a second person: commands_refused, commands_second_person, or a policy",
            );
        }
        "verify_git_commit_mode" => {
            return left(
                "branches of pull requests are compared with their newest commit here, as github_place says",
            );
        }
        "circleci_auto_approve_on_approval" => {
            return left(
                "the job at CircleCI goes on once the approval is given, where circleci_job names it",
            );
        }
        "rack_tls_cert" => {
            return left("the rack's certificate is looked at anew: see rack_tls in the configuration");
        }
        _ => return left("nothing here is like it"),
    };
    let Some(text) = text else { return left("its value is of another type than it should be") };
    if app.is_some() && key.scope() == Reach::Gateway {
        return left("it is one value for the whole gateway here");
    }
    match key.parse(&text) {
        Ok(value) => Translation::To(key, value.to_string()),
        Err(fault) => Translation::Left(format!("{} does not take it: {fault}", key.name())),
    }
}

fn left(why: &str) -> Translation {
    Translation::Left(why.to_owned())
}

fn switch(value: &Value) -> Option<String> {
    value.as_bool().map(|on| on.to_string())
}

/// Days are said in hours, which every length of time here knows.
fn days(value: &Value) -> Option<String> {
    Some(format!("{}h", value.as_u64()?.checked_mul(24)?))
}

fn minutes(value: &Value) -> Option<String> {
    value.as_u64().map(|minutes| format!("{minutes}m"))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| text.trim().to_owned())
}

fn list(value: &Value) -> Option<String> {
    let names: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    Some(names?.join(","))
}

/// Patterns match whole images here and parts of them there, so that each allows less than it did.
fn images(value: &Value) -> Option<String> {
    let pair = |(service, pattern): (&String, &Value)| {
        let pattern = pattern.as_str().filter(|pattern| !pattern.contains(char::is_whitespace))?;
        Some(format!("{service}={pattern}"))
    };
    let pairs: Option<Vec<String>> = value.as_object()?.iter().map(pair).collect();
    Some(pairs?.join(" "))
}

fn is_github(beside: &BTreeMap<String, Value>) -> bool {
    beside.get("vcs_provider").is_none_or(|provider| provider.is_null() || provider == "github")
}

/// Where a commit has to be.
fn place(required: &Value, beside: &BTreeMap<String, Value>) -> Translation {
    let default_branch = beside.get("allow_deploy_from_default_branch") == Some(&Value::Bool(true));
    match (required.as_bool(), default_branch) {
        (Some(true), false) => Translation::To(SettingKey::GithubPlace, "open_pull_request".to_owned()),
        (Some(true), true) => Translation::To(SettingKey::GithubPlace, "branch_or_pull_request".to_owned()),
        (Some(false), _) => left("commits of any branch cannot be deployed here: see github_place"),
        (None, _) => left("its value is of another type than it should be"),
    }
}
