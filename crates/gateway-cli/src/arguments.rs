//! What can be typed: the commands and the flags they share. Each command's own flags are in its module.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use gateway_client::SecondFactor;

use crate::commands;

/// The single entry point in front of a Convox rack: it signs callers in, decides, records, forwards.
#[derive(Parser, Debug)]
#[command(
    name = "rack-gateway",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not signed in, 4 refused, 5 gateway or rack unreachable."
)]
pub(crate) struct Arguments {
    /// Configuration file [env: RACK_GATEWAY_CONFIG] [default: ./rack-gateway.toml if it exists]
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    pub(crate) config: Option<PathBuf>,
    /// Ask the gateway of this name, as `rack-gateway racks` shows it [default: the current one]
    ///
    /// `approvals` also takes some names separated by commas, or `all`.
    #[arg(long, global = true, value_name = "NAME", display_order = 898, add = commands::completion::racks())]
    pub(crate) rack: Option<String>,
    /// A second factor, should the gateway want one: six digits, or a backup code
    #[arg(long, global = true, value_name = "CODE", display_order = 899)]
    pub(crate) code: Option<SecondFactor>,
    /// Answer in JSON
    #[arg(long, global = true, display_order = 901)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway
    Serve(commands::serve::ServeArguments),
    /// Let the gateway on this machine end its work and stop, without cutting anybody off
    Drain(commands::drain::DrainArguments),
    /// Refuse everything that changes, on all instances, or work as usual again
    Mode(commands::mode::ModeArguments),
    /// Run everything on this machine to try it out: a gateway, a simulated rack, people and tokens
    Demo(commands::demo::DemoArguments),
    /// Look at the configuration without starting anything
    Config(commands::config::ConfigArguments),
    /// Bring the database's schema up to date (`serve` does it too)
    Migrate(commands::migrate::MigrateArguments),
    /// Write the whole database as one sealed file, while the gateway serves
    Backup(commands::backup::BackupArguments),
    /// Verify a backup, and restore it, while the gateway is stopped
    Restore(commands::backup::RestoreArguments),
    /// Take over people, tokens, settings and audit rows from another gateway's database
    Import(commands::import::ImportArguments),
    /// Give the gateway another APP_SECRET_KEY, while it is stopped
    RotateKey(commands::rotate_key::RotateKeyArguments),
    /// Let another key sign the audit log from now on, handed over by the one in force
    RotateLogKey(commands::rotate_log_key::RotateLogKeyArguments),
    /// Sign in to a gateway
    Login(commands::login::LoginArguments),
    /// End the session, at the gateway and on this machine
    Logout(commands::logout::LogoutArguments),
    /// Show who the gateway takes you for
    Whoami,
    /// The Convox commands.
    #[command(flatten)]
    Native(commands::native::NativeCommand),
    /// Show the current rack, and check that its log still holds what was seen of it; `rack info`, `rack logs` and
    /// more ask the rack itself
    Rack(commands::racks::RackArguments),
    /// Show how the rack's credential stands, or have it read anew
    RackCredential(commands::rack_credential::RackCredentialArguments),
    /// List the racks that are known on this machine
    Racks,
    /// Make another rack the current one
    Switch(commands::racks::SwitchArguments),
    /// Open the gateway's pages in a browser
    Web(commands::web::WebArguments),
    /// Give a second factor ahead, or for what was refused without it
    StepUp(commands::step_up::StepUpArguments),
    /// Invite, list, lock and remove people
    Users(commands::users::UsersArguments),
    /// List the roles and what each may do
    Roles,
    /// Show and set what the groups of an identity provider get
    Groups(commands::groups::GroupsArguments),
    /// Show and change the roles of persons and groups on single apps
    Grants(commands::grants::GrantsArguments),
    /// Ask for a role for a while, and decide about those that others ask for
    Elevate(commands::elevate::ElevateArguments),
    /// Ask for approvals of deploys, decide about them, and check what was signed
    Approvals(commands::approvals::ApprovalsArguments),
    /// Show and change the environment of an app
    Env(commands::env::EnvArguments),
    /// Show values of an app in plaintext, once or for a while
    Reveal(commands::reveal::RevealArguments),
    /// Write who can do what, for a review
    Access(commands::access::AccessArguments),
    /// List, add and remove your second factors
    Factors(commands::factors::FactorsArguments),
    /// List and end sessions: sign-ins, and what goes on in the rack
    Sessions(commands::sessions::SessionsArguments),
    /// List, replay, export, search and check recordings of sessions in the rack
    Recordings(commands::recordings::RecordingsArguments),
    /// Show and change settings
    Settings(commands::settings::SettingsArguments),
    /// Make users, roles, policies, services and settings as files declare them
    Apply(commands::configuration::ApplyArguments),
    /// Show what `apply` would change
    Diff(commands::configuration::DiffArguments),
    /// Write what the gateway's database has as a file for `apply`
    Export(commands::configuration::ExportArguments),
    /// List, set, remove and test the credentials for GitHub, CircleCI and Slack
    Integrations(commands::integrations::IntegrationsArguments),
    /// List what the gateway has still to do and does by the clock; retry, cancel and pause it
    Jobs(commands::jobs::JobsArguments),
    /// Show what the gateway on this machine is doing, again and again
    Top(commands::top::TopArguments),
    /// Write one file with what somebody who helps must know, and without secrets
    SupportBundle(commands::support_bundle::SupportBundleArguments),
    /// List and change the services of an app, and those behind the gateway (`list`, `show`, `put`, …)
    Services(commands::services::ServicesArguments),
    /// Show, check and change policies
    Policy(commands::policy::PolicyArguments),
    /// Make, list and end API tokens
    Tokens(commands::tokens::TokensArguments),
    /// Sign CI jobs in without secrets: trust rules, and the exchange in a job
    Ci(commands::ci::CiArguments),
    /// Get in with offline codes when nobody can sign in; make, try and review them
    Breakglass(commands::breakglass::BreakglassArguments),
    /// Make, show and change the trust zone, in which services refuse everybody but the gateway
    Zone(commands::zone::ZoneArguments),
    /// Stand before a service in the trust zone: end TLS, let in exactly who may, check request tokens
    Sidecar(commands::sidecar::SidecarArguments),
    /// Look from here, again and again, whether the rack or other guarded ports answer, and tell the gateway
    ProbeAgent(commands::probe_agent::ProbeAgentArguments),
    /// Verify, follow and export the audit log
    Audit(commands::audit::AuditArguments),
    /// Show what decided about a request: the layer, the rules and the facts
    Why(commands::why::WhyArguments),
    /// Ask whether a person or a token may do something
    Can(commands::can::CanArguments),
    /// Ask who may do something
    WhoCan(commands::who_can::WhoCanArguments),
    /// Run a command in a process of an app
    Exec(commands::exec::ExecArguments),
    /// Run a command in a new process of an app
    Run(Box<commands::exec::RunArguments>),
    /// Open the console of a resource of an app
    Console(commands::exec::ConsoleArguments),
    /// Open a shell on an instance of the rack
    Shell(commands::exec::ShellArguments),
    /// Run the installed `convox` client through the gateway
    Convox(commands::convox::ConvoxArguments),
    /// Open a port of this machine that leads to a TCP service behind the gateway
    Tunnel(commands::tunnel::TunnelArguments),
    /// Scan a gateway through what stands in front of it, and say what that lets through
    Selfcheck(commands::selfcheck::SelfcheckArguments),
    /// Print a completion script for a shell
    Completion(commands::completion::CompletionArguments),
    /// Print the manual page, or write those of all commands
    Man(commands::man::ManArguments),
}
