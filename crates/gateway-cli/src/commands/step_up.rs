//! `step-up`: a second factor ahead of what needs it, or for what was refused without it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_client::text::one_line;
use gateway_client::{Challenge, Client, ClientError, SecondFactor, WINDOW};
use gateway_types::Secret;
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::login::open_page;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::output::{Tone, remark};
use crate::remote::Remote;
use crate::stop::StopSignals;
use crate::terminal::waiting;

/// The arguments of `step-up`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without a link it opens the window of this session: for as long as the gateway's setting says, what\nneeds a second factor needs no other. What is critical needs one of its own: give the link that the\nrefusal printed."
)]
pub(crate) struct StepUpArguments {
    /// The link that a refusal printed, or the id at its end
    #[arg(value_name = "LINK")]
    pub(crate) link: Option<String>,
    /// Confirm what was refused for this action, on this resource; with a link, only if it is for that
    #[arg(long = "for", num_args = 1..=2, value_names = ["ACTION", "RESOURCE"])]
    pub(crate) only_for: Vec<String>,
    /// Confirm on a page in the browser, where passkeys and security keys are
    #[arg(long)]
    pub(crate) browser: bool,
}

#[derive(Serialize)]
struct Answer {
    confirmed: bool,
    /// What was confirmed; absent for the window alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Challenge>,
    /// How long the window is open, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<u64>,
}

/// Confirms.
pub(crate) async fn run(context: &Context, arguments: StepUpArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let challenge = match &arguments.link {
        Some(link) => {
            let challenge = remote.client().challenge(&id_of(&remote, link)?).await?;
            is_for(&challenge, &arguments.only_for)?;
            remark(&told(&challenge));
            Some(challenge)
        }
        None if arguments.only_for.is_empty() => None,
        None => {
            let challenge = refused(remote.client(), &arguments.only_for).await?;
            remark(&told(&challenge));
            Some(challenge)
        }
    };
    let code = if arguments.browser { None } else { code(context, challenge.as_ref())? };
    match code {
        Some(code) => {
            let id = challenge.as_ref().map_or(WINDOW, |challenge| challenge.id.as_str());
            remote.client().step_up(id, &code).await?;
        }
        None => in_browser(remote.client(), challenge.as_ref()).await?,
    }
    let window_seconds = window(remote.client()).await;
    let answer = Answer { confirmed: true, challenge, window_seconds };
    context.output.answer(&answer, || {
        let good = context.output.toned(Tone::Good, "confirmed");
        match (&answer.challenge, answer.window_seconds) {
            (Some(challenge), _) if challenge.bound => format!("{good}: repeat what you were doing"),
            (_, Some(seconds)) => format!("{good}: good for {} minutes", seconds.div_ceil(60)),
            (_, None) => good,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What this session was refused and can be confirmed, by action and resource.
async fn refused(client: &Client, wanted: &[String]) -> Result<Challenge, Failure> {
    let waiting = client.challenge(WINDOW).await?.waiting;
    waiting.into_iter().find(|challenge| is_for(challenge, wanted).is_ok()).ok_or_else(|| {
        let what = format!("nothing of this session waits to be confirmed for {}", wanted.join(" on "));
        Failure::new(Exit::Failed, what).hint("run the command first; its refusal is what can be confirmed")
    })
}

/// How often it is looked whether the person confirmed.
const LOOK: Duration = Duration::from_secs(3);

/// How many looks in a row may fail before the step-up is given up.
const FAILED_LOOKS: u32 = 5;

/// Has it confirmed on its page, by whatever factor the person has, on this or another device.
async fn in_browser(client: &Client, challenge: Option<&Challenge>) -> Result<(), Failure> {
    let opened = match challenge {
        Some(challenge) => challenge.clone(),
        None => client.open_step_up().await?,
    };
    let page = client.address().at(&["step-up", &opened.id]);
    let words = match open_page(client.address(), &page) {
        true => "Confirm it in the browser, here or on a phone, at",
        false => "Open this in a browser, here or on a phone, and confirm it:",
    };
    remark(&format!("{words}\n{page}"));
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        confirmed = confirmed(client, &opened.id) => confirmed,
        _ = signals.next() => Err(Failure::new(Exit::Failed, "the step-up was given up")),
    }
}

async fn confirmed(client: &Client, id: &str) -> Result<(), Failure> {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = 0;
    loop {
        looks.tick().await;
        match client.challenge(id).await {
            Ok(challenge) if challenge.confirmed => return Ok(()),
            Ok(_) => failed = 0,
            // A challenge that ended is not found, which ends this too.
            Err(error) if is_over(&error) || failed + 1 >= FAILED_LOOKS => return Err(error.into()),
            // The gateway starts again, or the network is away for a moment.
            Err(_) => failed += 1,
        }
    }
}

/// Whether there is nothing more to wait for: the challenge or the session ended.
fn is_over(error: &ClientError) -> bool {
    match error {
        ClientError::NotSignedIn { .. } => true,
        ClientError::StepUp { refusal } | ClientError::Refused { refusal } => refusal.status == 404,
        ClientError::Unreachable { .. }
        | ClientError::Rack { .. }
        | ClientError::BadName(_)
        | ClientError::BadReply { .. }
        | ClientError::Tls(_)
        | ClientError::Setup(_)
        | ClientError::BadHeader(_)
        | ClientError::Encode(_)
        | ClientError::Write(_) => false,
    }
}

/// The id of a challenge: alone, or at the end of a link of this very gateway.
fn id_of(remote: &Remote, link: &str) -> Result<String, Failure> {
    let wrong = |what: &'static str| {
        Failure::new(Exit::Usage, what).hint("give the link that the refusal printed, or the id at its end")
    };
    let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if is_id(link) {
        return Ok(link.to_owned());
    }
    let url = Url::parse(link).map_err(|_| wrong("that is no link"))?;
    if !remote.target.address.owns(&url) {
        return Err(wrong("that is a link of another place than the gateway that was signed in to"));
    }
    let mut segments = url.path_segments().into_iter().flatten().rev();
    match (segments.next(), segments.next()) {
        (Some(id), Some("step-up")) if is_id(id) => Ok(id.to_owned()),
        _ => Err(wrong("that is no link to confirm something")),
    }
}

/// Whether a challenge is what the person means.
fn is_for(challenge: &Challenge, wanted: &[String]) -> Result<(), Failure> {
    let (action, resource) = (wanted.first(), wanted.get(1));
    let matches = action.is_none_or(|action| *action == challenge.action)
        && resource.is_none_or(|resource| *resource == challenge.resource);
    if matches {
        return Ok(());
    }
    let what = format!(
        "the link is for {} on {}, not for {}; nothing was confirmed",
        one_line(&challenge.action),
        one_line(&challenge.resource),
        wanted.join(" on ")
    );
    Err(Failure::new(Exit::Refused, what)
        .hint("a link that somebody else made asks you to confirm what they do: take only the one that your own refusal printed"))
}

fn told(challenge: &Challenge) -> String {
    let mut lines = Lines::default();
    lines.line("what", &format!("{} on {}", challenge.action, challenge.resource));
    lines.some("request", Some(&challenge.target));
    let from = challenge.ip.as_deref().map(|ip| format!(" from {ip}")).unwrap_or_default();
    lines.line("asked by", &format!("{}{from}", challenge.device));
    lines.some("until", Some(&challenge.expires));
    format!("This confirms, for your session:\n{lines}")
}

/// The code that was given, or is typed; `None` when the person wants to confirm in the browser.
fn code(context: &Context, challenge: Option<&Challenge>) -> Result<Option<Secret<String>>, Failure> {
    let why = match challenge {
        Some(_) => "Confirm it only when it is you who does this.",
        None => "Your second factor opens the window of this session.",
    };
    let factor = match &context.code {
        Some(factor) => Some(factor.clone()),
        None => {
            let why = format!("{why} Leave it empty to confirm in the browser, with a passkey.");
            waiting(|| context.terminal.code(&why))?
        }
    };
    match factor {
        Some(SecondFactor::Totp(code) | SecondFactor::Backup(code) | SecondFactor::Yubico(code)) => Ok(Some(code)),
        None if context.terminal.is_there => Ok(None),
        None => Err(Failure::new(Exit::Usage, "no code was given")
            .hint("give the six digits that your authenticator shows with --code, or confirm in a browser with --browser")),
    }
}

/// How long the window is open; that it cannot be asked is no failure of the step-up.
async fn window(client: &Client) -> Option<u64> {
    let factor = client.me().await.ok()?.second_factor?;
    factor.step_up_age_seconds.map(|age| factor.window_seconds.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge {
            id: "1".to_owned(),
            action: "gateway:user:invite".to_owned(),
            resource: "Gateway::gateway".to_owned(),
            target: "POST /api/v1/users\u{1b}[2J".to_owned(),
            bound: true,
            device: "laptop, linux".to_owned(),
            ip: Some("192.0.2.1".to_owned()),
            ..Challenge::default()
        }
    }

    #[test]
    fn a_link_for_something_else_is_not_confirmed() {
        let words = |words: &str| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(is_for(&challenge(), &[]).is_ok());
        assert!(is_for(&challenge(), &words("gateway:user:invite")).is_ok());
        assert!(is_for(&challenge(), &words("gateway:user:invite Gateway::gateway")).is_ok());
        for other in ["gateway:user:lock", "gateway:user:invite App::web"] {
            assert_eq!(is_for(&challenge(), &words(other)).unwrap_err().exit(), Exit::Refused, "{other}");
        }
    }

    #[test]
    fn a_person_is_told_what_they_confirm() {
        insta::assert_snapshot!(told(&challenge()), @r"
        This confirms, for your session:
          what      gateway:user:invite on Gateway::gateway
          request   POST /api/v1/users�[2J
          asked by  laptop, linux from 192.0.2.1
        ");
    }
}
