//! `ci trust`: trust rules written from the few words that people know of a repository, with the plan shown before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway_app::workloads::{Kind, matching};
use gateway_client::elsewhere;
use gateway_client::text::one_line;
use gateway_identity::ClientCertificate;
use gateway_types::wire::trust_rules::{TrustRule, WriteTrustRule};
use gateway_types::{Grant, Role, Secret};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::Context;
use crate::commands::tokens::{TypedGrant, read_certificate, typed};
use crate::environment;
use crate::failure::{Exit, Failure, Problem};
use crate::lines::Lines;
use crate::output::{Format, remark};
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

type Claims = BTreeMap<String, Vec<String>>;

/// The arguments of `ci trust`.
#[derive(Args, Debug)]
pub(crate) struct TrustArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TrustCommand,
}

/// What to do with trust rules.
#[derive(Subcommand, Debug)]
pub(crate) enum TrustCommand {
    /// Trust jobs of a repository's GitHub Actions
    Github {
        /// The repository, as ORG/REPO
        #[arg(value_name = "ORG/REPO")]
        repository: String,
        /// Only jobs of this environment
        #[arg(long = "env", value_name = "NAME")]
        environment: Option<String>,
        /// Only jobs of this ref; may be repeated [default: the default branch]
        #[arg(long = "ref", value_name = "REF")]
        refs: Vec<String>,
        /// Only jobs of this file in .github/workflows
        #[arg(long, value_name = "FILE")]
        workflow: Option<String>,
        /// Only jobs set off so; may be repeated [default: push, workflow_dispatch, release, schedule]
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// The repository's number, where GitHub cannot be asked for it
        #[arg(long, value_name = "NUMBER")]
        repository_id: Option<u64>,
        /// GitHub's API
        #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
        api: String,
        #[command(flatten)]
        what: What,
    },
    /// Trust jobs of a GitLab project
    Gitlab {
        /// The project's number, which its page shows
        #[arg(long, value_name = "NUMBER")]
        project_id: u64,
        /// Its path, as GROUP/PROJECT: jobs of a project that was renamed have another
        #[arg(long, value_name = "GROUP/PROJECT")]
        project_path: String,
        /// Only jobs of this environment
        #[arg(long = "env", value_name = "NAME")]
        environment: Option<String>,
        /// Only jobs of this ref, such as refs/heads/main; may be repeated
        #[arg(long = "ref", value_name = "REF", required_unless_present = "environment")]
        refs: Vec<String>,
        #[command(flatten)]
        what: What,
    },
    /// Trust jobs of a CircleCI project
    Circleci {
        /// The organization's id
        #[arg(long, value_name = "ID")]
        org_id: String,
        /// The project's id
        #[arg(long, value_name = "ID")]
        project_id: String,
        /// The repository, as github.com/ORG/REPO: jobs of forks have another
        #[arg(long, value_name = "ORIGIN")]
        origin: String,
        /// Only jobs of this ref; may be repeated
        #[arg(long = "ref", value_name = "REF", required = true)]
        refs: Vec<String>,
        #[command(flatten)]
        what: What,
    },
    /// Trust jobs of a Buildkite pipeline, which must build no forks, or prefix the branch names of forks
    Buildkite {
        /// The organization's id
        #[arg(long, value_name = "ID")]
        org_id: String,
        /// The pipeline's id
        #[arg(long, value_name = "ID")]
        pipeline_id: String,
        /// Only builds of this branch; may be repeated
        #[arg(long = "branch", value_name = "BRANCH", required = true)]
        branches: Vec<String>,
        #[command(flatten)]
        what: What,
    },
    /// Trust clients by their certificate
    Certificate {
        /// Its SPIFFE id; may be repeated
        #[arg(long, value_name = "URI")]
        spiffe_id: Vec<String>,
        /// Its DNS name; may be repeated
        #[arg(long, value_name = "NAME")]
        dns: Vec<String>,
        /// The certificate itself, in PEM
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// The certificate in PEM that must have signed a client's
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
        #[command(flatten)]
        what: What,
    },
    /// List trust rules, and the audience that tokens must be made for
    List,
    /// Remove a trust rule; what machines got under it is refused from their next request on
    Remove {
        /// The rule's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a machine gets.
#[derive(Args, Debug)]
pub(crate) struct What {
    /// What to call the rule [default: made of whom it trusts]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// viewer, ops, deployer or cicd; may be repeated
    #[arg(long = "role", value_name = "ROLE", default_value = "cicd")]
    roles: Vec<Role>,
    /// An app that it may do everything with that its role may; may be repeated
    #[arg(long = "app", value_name = "APP", required_unless_present = "grants")]
    apps: Vec<String>,
    /// What it may do instead; may be repeated
    #[arg(long = "grant", value_name = "ACTIONS[@APP,APP]")]
    grants: Vec<TypedGrant>,
    /// The issuer of the tokens, where the CI system is one's own [default: the CI system's usual one]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// How long what it gets lives: 1m to 1h
    #[arg(long = "for", value_name = "AGE", default_value = "15m")]
    lifetime: String,
    /// From where what it gets may be used; may be repeated
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    plan: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What would be written.
#[derive(Serialize)]
struct Plan<'a> {
    name: &'a str,
    rule: &'a WriteTrustRule,
    in_words: String,
    replaces: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    removed: bool,
}

/// Whom a rule trusts.
struct Whom {
    kind: Kind,
    name: String,
    issuer: Option<String>,
    claims: Claims,
    authority: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: TrustArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    let (whom, what) = match arguments.command {
        TrustCommand::List => return list(context, &remote).await,
        TrustCommand::Remove { name, yes } => return remove(context, &remote, &name, yes).await,
        TrustCommand::Github {
            repository,
            environment,
            refs,
            workflow,
            events,
            repository_id,
            api,
            what,
        } => {
            let asked = Github { repository, environment, refs, workflow, events, repository_id, api };
            (asked.whom(&remote).await?, what)
        }
        TrustCommand::Gitlab { project_id, project_path, environment, refs, what } => {
            let mut claims = Claims::from([
                one("project_id", &project_id.to_string()),
                one("project_path", &project_path),
            ]);
            claims.extend(environment.as_deref().map(|name| one("environment", name)));
            claims.extend(some("ref_path", refs));
            let name = format!("gitlab-{project_id}-{}", environment.as_deref().unwrap_or("ref"));
            (Whom { kind: Kind::Gitlab, name, issuer: None, claims, authority: None }, what)
        }
        TrustCommand::Circleci { org_id, project_id, origin, refs, what } => {
            let mut claims = Claims::from([
                one("oidc.circleci.com/project-id", &project_id),
                one("oidc.circleci.com/vcs-origin", &origin),
            ]);
            claims.extend(some("oidc.circleci.com/vcs-ref", refs));
            let issuer = Some(format!("https://oidc.circleci.com/org/{org_id}"));
            let name = format!("circleci-{origin}");
            (Whom { kind: Kind::Circleci, name, issuer, claims, authority: None }, what)
        }
        TrustCommand::Buildkite { org_id, pipeline_id, branches, what } => {
            let mut claims =
                Claims::from([one("organization_id", &org_id), one("pipeline_id", &pipeline_id)]);
            claims.extend(some("build_branch", branches));
            let name = format!("buildkite-{pipeline_id}");
            (Whom { kind: Kind::Buildkite, name, issuer: None, claims, authority: None }, what)
        }
        TrustCommand::Certificate { spiffe_id, dns, certificate, authority, what } => {
            (of_certificate(spiffe_id, dns, certificate, authority)?, what)
        }
    };
    write(context, &remote, whom, what).await
}

fn one(name: &str, value: &str) -> (String, Vec<String>) {
    (name.to_owned(), vec![value.to_owned()])
}

fn some(name: &str, values: Vec<String>) -> Option<(String, Vec<String>)> {
    (!values.is_empty()).then(|| (name.to_owned(), values))
}

fn of_certificate(
    spiffe_id: Vec<String>,
    dns: Vec<String>,
    certificate: Option<PathBuf>,
    authority: Option<PathBuf>,
) -> Result<Whom, Failure> {
    let mut claims = Claims::new();
    let name = spiffe_id.first().or(dns.first()).cloned();
    claims.extend(some("spiffe_id", spiffe_id));
    claims.extend(some("dns", dns));
    if let Some(path) = certificate {
        let pem = read_certificate(&path)?;
        let read = ClientCertificate::from_pem(&pem).problem("the certificate cannot be read")?;
        claims.insert("fingerprint".to_owned(), vec![read.names().fingerprint]);
    }
    let authority = authority.as_deref().map(std::fs::read_to_string).transpose();
    let authority = authority.problem("the authority's certificate cannot be read")?;
    let name = format!("certificate-{}", name.unwrap_or_else(|| "fingerprint".to_owned()));
    Ok(Whom { kind: Kind::Certificate, name, issuer: None, claims, authority })
}

/// What is asked for a repository at GitHub.
struct Github {
    repository: String,
    environment: Option<String>,
    refs: Vec<String>,
    workflow: Option<String>,
    events: Vec<String>,
    repository_id: Option<u64>,
    api: String,
}

impl Github {
    async fn whom(self, remote: &Remote) -> Result<Whom, Failure> {
        let is_repository = self.repository.split('/').filter(|part| !part.is_empty()).count() == 2;
        if !is_repository || !self.repository.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c))
        {
            return Err(Failure::new(Exit::Usage, "write the repository as ORG/REPO"));
        }
        let (id, owner, repository, branch) = match self.repository_id {
            Some(id) => (id.to_string(), None, self.repository.clone(), None),
            None => self.ask(remote).await?,
        };
        let refs: Vec<String> = if self.refs.is_empty() {
            branch.map(|branch| format!("refs/heads/{branch}")).into_iter().collect()
        } else {
            self.refs
        };
        // Without one the rule would be for every branch, and for every pull request of the environment.
        if refs.is_empty() {
            let unknown = "the default branch is not known, because GitHub was not asked or does not say";
            return Err(Failure::new(Exit::Usage, unknown).hint("say which: --ref refs/heads/BRANCH"));
        }
        let mut claims = Claims::from([one("repository_id", &id), one("repository", &repository)]);
        claims.extend(owner.map(|owner| one("repository_owner_id", &owner)));
        claims.extend(self.environment.as_deref().map(|name| one("environment", name)));
        if let Some(file) = &self.workflow {
            let of = |at: &String| format!("{repository}/.github/workflows/{file}@{at}");
            claims.extend(some("workflow_ref", refs.iter().map(of).collect()));
        }
        claims.extend(some("ref", refs));
        claims.extend(some("event_name", self.events));
        let name = format!("github-{repository}-{}", self.environment.as_deref().unwrap_or("ref"));
        Ok(Whom { kind: Kind::Github, name, issuer: None, claims, authority: None })
    }

    /// The repository's number, its owner's, its name as GitHub spells it, and its default branch.
    async fn ask(
        &self,
        remote: &Remote,
    ) -> Result<(String, Option<String>, String, Option<String>), Failure> {
        let url = format!("{}/repos/{}", self.api.trim_end_matches('/'), self.repository);
        let url = Url::parse(&url).problem("--api is no address")?;
        let token =
            environment::read("GITHUB_TOKEN").and_then(|token| token.into_string().ok()).map(Secret::new);
        let found = elsewhere::document(&url, token.as_ref(), &remote.target.tls()).await;
        let hint = "give --repository-id NUMBER, which `gh api repos/ORG/REPO --jq .id` prints; of a private repository, set GITHUB_TOKEN";
        let found = found
            .problem("the repository's number cannot be read from GitHub")
            .map_err(|failure| failure.hint(hint))?;
        let number = |value: &Value| value.as_u64().map(|number| number.to_string());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = found.get("id").and_then(number);
        let id = id.ok_or_else(|| Failure::new(Exit::Failed, "GitHub's answer has no number").hint(hint))?;
        Ok((
            id,
            found.get("owner").and_then(|owner| owner.get("id")).and_then(number),
            found.get("full_name").and_then(text).unwrap_or_else(|| self.repository.clone()),
            found.get("default_branch").and_then(text),
        ))
    }
}

/// A name that a rule can have.
fn rule_name(text: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).collect();
    let name = name.trim_matches('-').to_owned();
    name.chars().take(63).collect()
}

async fn write(context: &Context, remote: &Remote, whom: Whom, what: What) -> Result<(), Failure> {
    let name = what.name.clone().unwrap_or_else(|| rule_name(&whom.name));
    let mut grants: Vec<Grant> = what.grants.into_iter().map(|TypedGrant(grant)| grant).collect();
    if !what.apps.is_empty() {
        // What it deploys, and the approvals that its deploys may need.
        for actions in ["convox:*", "gateway:approval:*"] {
            grants.push(Grant { actions: actions.to_owned(), apps: what.apps.clone(), critical: false });
        }
    }
    let issuer = what.issuer.or(whom.issuer).or_else(|| whom.kind.usual_issuer().map(str::to_owned));
    let rule = WriteTrustRule {
        kind: whom.kind.name().to_owned(),
        issuer,
        claims: whom.kind.completed(whom.claims),
        authority: whom.authority,
        roles: what.roles.into_iter().collect(),
        grants: grants.into_iter().map(Into::into).collect(),
        networks: what.networks,
        lifetime: Some(what.lifetime),
    };
    let known = remote.ask(async |client| client.trust_rules().await).await?;
    let version = known.items.iter().find(|known| known.name == name).map_or(0, |known| known.version);
    let issuer = rule.issuer.as_deref().unwrap_or_default();
    let plan = Plan {
        name: &name,
        in_words: matching::in_words(whom.kind, issuer, &rule.claims),
        rule: &rule,
        replaces: version != 0,
    };
    if what.plan {
        return context.output.answer(&plan, || shown(&plan));
    }
    if context.output.format == Format::Text {
        remark(&shown(&plan));
    }
    let verb = if plan.replaces { "written anew" } else { "written" };
    waiting(|| context.terminal.confirm(&format!("the trust rule {name} is {verb}"), Assent::of(what.yes)))?;
    let written = remote.ask(async |client| client.write_trust_rule(&name, &rule, version).await).await?;
    context.output.answer(&written, || {
        let audience = written.audience.as_deref().unwrap_or("none");
        format!("written: {}\n  audience  {}\n", one_line(&written.name), one_line(audience))
    })
}

fn shown(plan: &Plan<'_>) -> String {
    let mut lines = Lines::default();
    lines.line("rule", plan.name);
    lines.line("when", &plan.in_words);
    lines.line("roles", &plan.rule.roles.to_string());
    let grants: Vec<String> =
        plan.rule.grants.iter().map(|grant| typed(&Grant::from(grant.clone()))).collect();
    lines.line("grants", &grants.join(" "));
    lines.some("lives", plan.rule.lifetime.as_deref());
    lines.some("networks", Some(&plan.rule.networks.join(" ")));
    lines.to_string()
}

async fn list(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let known = remote.ask(async |client| client.trust_rules().await).await?;
    if context.output.format == Format::Text {
        remark(&format!("audience: {}", one_line(&known.audience)));
    }
    let mut rows = Rows::new(&["NAME", "KIND", "WHEN", "ROLES", "GRANTS", "LAST USED"]);
    for rule in &known.items {
        rows.add(vec![
            rule.name.clone(),
            rule.kind.clone(),
            rule.in_words.clone(),
            rule.roles.to_string(),
            grants_text(rule),
            used(rule),
        ]);
    }
    context.output.listing(&known.items, &rows, "there are no trust rules")
}

fn grants_text(rule: &TrustRule) -> String {
    let grants: Vec<String> = rule.grants.iter().map(|grant| typed(&Grant::from(grant.clone()))).collect();
    grants.join(" ")
}

fn used(rule: &TrustRule) -> String {
    match (&rule.last_used, &rule.last_used_ip) {
        (Some(when), Some(ip)) => format!("{when} from {ip}"),
        (Some(when), None) => when.clone(),
        (None, _) => "never".to_owned(),
    }
}

async fn remove(context: &Context, remote: &Remote, name: &str, yes: bool) -> Result<(), Failure> {
    let known = remote.ask(async |client| client.trust_rules().await).await?;
    let rule = known.items.iter().find(|rule| rule.name == name).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("there is no trust rule `{}`", one_line(name)))
            .hint("`rack-gateway ci trust list` shows those there are")
    })?;
    let what = format!("machines of the trust rule {name} are refused from their next request on");
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    remote.ask(async |client| client.remove_trust_rule(name, rule.version).await).await?;
    context.output.answer(&Removed { name, removed: true }, || format!("removed {name}"))
}

#[cfg(test)]
mod tests {
    use super::rule_name;

    #[test]
    fn names_of_rules_are_made_of_names_of_repositories() {
        assert_eq!(rule_name("github-Acme/Shop.js-prod"), "github-acme-shop.js-prod");
        assert_eq!(rule_name("certificate-spiffe://zone/api"), "certificate-spiffe---zone-api");
    }
}
