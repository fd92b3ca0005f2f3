//! `ci login`: finds the token in a job of GitHub Actions, GitLab, CircleCI or Buildkite, made for this gateway, and
//! exchanges it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use gateway_client::{Client, elsewhere};
use gateway_types::Secret;
use serde::Serialize;
use url::Url;

use crate::Context;
use crate::environment::{self, CI_ID_TOKEN};
use crate::failure::{Exit, Failure, Problem};
use crate::output::{Format, remark};
use crate::remote::{Target, typed_address};

/// The arguments of `ci login`.
#[derive(Args, Debug)]
#[command(
    after_help = "GitHub Actions: the job needs `permissions: id-token: write`.\nGitLab: give the job `id_tokens: { RACK_GATEWAY_ID_TOKEN: { aud: AUDIENCE } }`; `ci trust list` shows the audience.\nCircleCI and Buildkite: nothing; their own programs are asked.\n\nExample, in a step of GitHub Actions:\n  rack-gateway ci login https://gateway.example.com --env-file \"$GITHUB_ENV\""
)]
pub(crate) struct LoginArguments {
    /// The gateway's address [default: RACK_GATEWAY_URL]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The trust rule, where several take the job's token
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<String>,
    /// Add RACK_GATEWAY_URL, RACK_GATEWAY_TOKEN and RACK_URL to this file, for the steps that follow, and print no token
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Print the token and nothing else
    #[arg(long, short, conflicts_with = "env_file")]
    pub(crate) quiet: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    url: String,
    rule: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

pub(super) async fn run(context: &Context, arguments: LoginArguments) -> Result<(), Failure> {
    let target = match &arguments.url {
        Some(url) => Target::named(context, typed_address(url)?)?,
        None => Target::of(context)?,
    };
    let client = Client::new(target.address.clone(), None, &target.tls())?;
    let gateway = client.discovery().await?;
    let audience = format!("rack-gateway:{}", gateway.gateway_id);
    let token = job_token(&audience, &target).await?;
    let given = client.exchange_token(&token, arguments.rule.as_deref()).await?;
    if given.gateway_id != gateway.gateway_id {
        return Err(Failure::new(Exit::Failed, "the token is another gateway's than the one that was asked"));
    }
    let secret = given.access_token.expose().as_str();
    if environment::read("GITHUB_ACTIONS").is_some() {
        // GitHub blanks it in the job's log from here on.
        remark(&format!("::add-mask::{secret}"));
    }
    if let Some(path) = &arguments.env_file {
        let rack_url = super::super::convox::rack_url(&target.address, &given.access_token)?;
        let lines = format!(
            "RACK_GATEWAY_URL={}\nRACK_GATEWAY_TOKEN={secret}\nRACK_URL={}\n",
            target.address,
            rack_url.expose()
        );
        let cannot = || format!("{} cannot be written", path.display());
        let mut file = for_oneself(path).problem(cannot())?;
        file.write_all(lines.as_bytes()).problem(cannot())?;
    }
    let told = arguments.env_file.is_none().then_some(secret);
    if let (true, Format::Text, Some(secret)) = (arguments.quiet, context.output.format, told) {
        return context.output.line(secret);
    }
    let url = target.address.to_string();
    let answer = Answer { url, rule: &given.rule, expires_in: given.expires_in, token: told };
    context.output.answer(&answer, || match told {
        Some(secret) => format!("RACK_GATEWAY_URL={}\nRACK_GATEWAY_TOKEN={secret}", answer.url),
        None => format!("signed in by the trust rule {} for {} seconds", answer.rule, answer.expires_in),
    })
}

/// The file to add to. One that is made here is read by nobody else, because a token is written to it.
fn for_oneself(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The token of this job for `audience`.
async fn job_token(audience: &str, target: &Target) -> Result<Secret<String>, Failure> {
    let text = |name: &'static str| environment::read(name).and_then(|value| value.into_string().ok());
    if let Some(token) = text(CI_ID_TOKEN) {
        return Ok(Secret::new(token.trim().to_owned()));
    }
    if let Some(url) = text("ACTIONS_ID_TOKEN_REQUEST_URL") {
        return of_github(&url, text("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), audience, target).await;
    }
    if text("CIRCLECI").is_some() {
        let claims = serde_json::json!({ "aud": audience }).to_string();
        return of_program("circleci", &["run", "oidc", "get", "--claims", &claims]);
    }
    if text("BUILDKITE").is_some() {
        let claims = ["--claim", "organization_id", "--claim", "pipeline_id"];
        let arguments = [["oidc", "request-token", "--audience", audience], claims].concat();
        return of_program("buildkite-agent", &arguments);
    }
    let hint = if text("GITLAB_CI").is_some() {
        format!("give the job in .gitlab-ci.yml: id_tokens: {{ {CI_ID_TOKEN}: {{ aud: \"{audience}\" }} }}")
    } else if text("GITHUB_ACTIONS").is_some() {
        "give the job in its workflow: permissions: { id-token: write, contents: read }".to_owned()
    } else {
        format!("run this in a job of GitHub Actions, GitLab, CircleCI or Buildkite, or set {CI_ID_TOKEN}")
    };
    Err(Failure::new(Exit::NotSignedIn, "this job has no token of its CI system").hint(hint))
}

async fn of_github(
    url: &str,
    bearer: Option<String>,
    audience: &str,
    target: &Target,
) -> Result<Secret<String>, Failure> {
    let mut url = Url::parse(url).problem("ACTIONS_ID_TOKEN_REQUEST_URL is no address")?;
    url.query_pairs_mut().append_pair("audience", audience);
    let bearer = bearer.map(Secret::new);
    let document = elsewhere::document(&url, bearer.as_ref(), &target.tls()).await;
    let document = document.problem("GitHub gave this job no token")?;
    let token = document.get("value").and_then(|value| value.as_str());
    token
        .map(|token| Secret::new(token.to_owned()))
        .ok_or_else(|| Failure::new(Exit::Failed, "GitHub's answer holds no token"))
}

fn of_program(program: &str, arguments: &[&str]) -> Result<Secret<String>, Failure> {
    let output = Command::new(program).args(arguments).output();
    let output = output.problem(format!("`{program}` cannot be run for the job's token"))?;
    if !output.status.success() {
        return Err(Failure::new(Exit::Failed, format!("`{program}` gave this job no token")));
    }
    let text = String::from_utf8(output.stdout).problem("the job's token is no text")?;
    Ok(Secret::new(text.trim().to_owned()))
}
