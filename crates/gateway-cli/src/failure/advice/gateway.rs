//! What a gateway's no means for the exit code, and what to do about it.

use gateway_client::sign_in::SignInError;
use gateway_client::{BadReply, ClientError, Refusal};
use gateway_types::ProblemKind;

use super::Exit;

/// The exit code (DESIGN 4.1).
pub(super) fn exit(error: &ClientError) -> Exit {
    match error {
        ClientError::NotSignedIn { .. } => Exit::NotSignedIn,
        ClientError::StepUp { .. } => Exit::Refused,
        ClientError::Refused { refusal } => refused(refusal),
        ClientError::Unreachable { .. } => Exit::Unreachable,
        ClientError::BadReply { what: BadReply::Status { status: 502..=504 }, .. } => Exit::Unreachable,
        ClientError::Rack { status: 502..=504, .. } => Exit::Unreachable,
        ClientError::BadName(_) => Exit::Usage,
        ClientError::BadReply { .. }
        | ClientError::Rack { .. }
        | ClientError::Tls(_)
        | ClientError::Setup(_)
        | ClientError::BadHeader(_)
        | ClientError::Encode(_)
        | ClientError::Write(_) => Exit::Failed,
    }
}

fn refused(refusal: &Refusal) -> Exit {
    let Some(kind) = refusal.kind() else {
        return if refusal.status == 403 { Exit::Refused } else { Exit::Failed };
    };
    match kind {
        ProblemKind::Unauthenticated => Exit::NotSignedIn,
        ProblemKind::StepUpRequired
        | ProblemKind::Refused
        | ProblemKind::NotPossible
        | ProblemKind::ForeignOrigin
        | ProblemKind::TooManyRequests
        | ProblemKind::ReadOnly
        | ProblemKind::StaleForm => Exit::Refused,
        ProblemKind::UpstreamUnreachable
        | ProblemKind::UpstreamTimeout
        | ProblemKind::CannotRecord
        | ProblemKind::Draining => Exit::Unreachable,
        ProblemKind::MalformedRequest
        | ProblemKind::BadParameter
        | ProblemKind::UnknownRoute
        | ProblemKind::MethodNotAllowed
        | ProblemKind::TooLarge
        | ProblemKind::TooSlow
        | ProblemKind::HeadersTooLarge
        | ProblemKind::MisdirectedRequest
        | ProblemKind::NotFound
        | ProblemKind::Stale
        | ProblemKind::Pruned
        | ProblemKind::PreconditionRequired
        | ProblemKind::SignInFailed
        | ProblemKind::Conflict
        | ProblemKind::UnknownHandle
        | ProblemKind::Internal
        | ProblemKind::BadUpstream => Exit::Failed,
    }
}

/// The exit code of a sign-in that signed nobody in.
pub(super) fn sign_in_exit(error: &SignInError) -> Exit {
    match error {
        SignInError::Denied => Exit::Refused,
        SignInError::Expired | SignInError::Protocol { .. } => Exit::Failed,
        SignInError::Client(error) => exit(error),
    }
}

/// What to do.
pub(super) fn hint(error: &ClientError) -> Option<String> {
    match error {
        ClientError::NotSignedIn { gateway, .. } => Some(format!("sign in with `rack-gateway login {gateway}`")),
        ClientError::StepUp { refusal } | ClientError::Refused { refusal } => remedies(refusal),
        ClientError::Unreachable { .. } if error.is_untrusted() => Some(
            "the certificate is not from an authority that this machine trusts: when the gateway has one of its own, name it with `rack-gateway login --ca-file FILE` or RACK_GATEWAY_CA_FILE".to_owned(),
        ),
        ClientError::Unreachable { .. } => {
            Some("look whether the gateway runs and whether this machine reaches it (network, VPN, proxy)".to_owned())
        }
        ClientError::BadReply { .. } => {
            Some("look at the address: `rack-gateway rack` shows which one is asked".to_owned())
        }
        ClientError::Rack { .. }
        | ClientError::BadName(_)
        | ClientError::Tls(_)
        | ClientError::Setup(_)
        | ClientError::BadHeader(_)
        | ClientError::Encode(_)
        | ClientError::Write(_) => None,
    }
}

/// What would turn the no into a yes, each with its page and command, and where the reasons are.
fn remedies(refusal: &Refusal) -> Option<String> {
    let mut ways = Vec::new();
    if refusal.wants_code() {
        ways.push("give the code of your second factor with --code".to_owned());
    }
    for remedy in &refusal.remedies {
        let steps_up = matches!(remedy.kind.as_str(), "step_up" | "step_up_bound");
        let command = match remedy.url.as_deref().filter(|_| steps_up) {
            // The link says what it is for; without it only the window would open.
            Some(url) => Some(format!("rack-gateway step-up {url}")),
            None => remedy.command.clone(),
        };
        let places: Vec<String> = [
            remedy.url.as_deref().map(|url| format!("at {url}")),
            command.map(|command| format!("with `{command}`")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !places.is_empty() {
            ways.push(format!("{} {}", words(&remedy.kind), places.join(" or ")));
        }
    }
    if let Some(seconds) = refusal.retry_after_seconds {
        ways.push(format!("wait {seconds} s, then repeat it"));
    }
    let advice = refusal.kind().filter(|_| ways.is_empty()).map(ProblemKind::advice);
    ways.extend(advice.filter(|advice| !advice.contains("REQUEST_ID")).map(str::to_owned));
    let asks_why = matches!(refusal.kind(), Some(ProblemKind::Refused | ProblemKind::StepUpRequired));
    if asks_why && !refusal.instance.is_empty() {
        ways.push(format!("see why with `rack-gateway why {}`", refusal.instance));
    }
    (!ways.is_empty()).then(|| ways.join("; "))
}

/// A remedy in words.
fn words(kind: &str) -> &str {
    match kind {
        "step_up" | "step_up_bound" => "confirm it",
        "enrol" => "enrol a second factor",
        "approval" => "get it approved",
        "elevation" => "ask for a higher role for a while",
        "role" => "ask an admin for the role",
        "setting" => "ask an admin to change the setting",
        other => other,
    }
}
