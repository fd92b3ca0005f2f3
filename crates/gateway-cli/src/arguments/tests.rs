//! What can be typed, and what help says about it.

mod book;

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::commands::audit::AuditCommand;
use crate::commands::config::ConfigCommand;
use crate::commands::tokens::TokensCommand;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

fn parsed(line: &str) -> Arguments {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn the_fixed_commands_are_there() {
    for line in [
        "rack-gateway serve --port 0 --admin-port 0",
        "rack-gateway demo --port 0 --admin-port 0 --rack-port 0 --data-dir d --database-url sqlite:///x --json",
        "rack-gateway demo --rack-url https://convox:t@rack.example.com",
        "rack-gateway config check",
        "rack-gateway config explain --json --data-dir d",
        "rack-gateway migrate --database-url postgres://a/b",
        "rack-gateway tokens create --name ci --role cicd --grant convox:build:*@web --for a@b.c --expires 90d --quiet",
        "rack-gateway tokens list --all --json",
        "rack-gateway tokens revoke ci",
        "rack-gateway audit verify --database-url sqlite:///x --json",
        "rack-gateway audit verify --file log --key k",
        "rack-gateway audit tail -n 5 --follow --actor a --action b --app c --refused",
        "rack-gateway audit export --out - --force",
        "rack-gateway why 0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88",
        "rack-gateway can convox:app:list --app web --user a@b.c",
        "rack-gateway can convox:app:list --token ci",
        "rack-gateway who-can convox:app:list --app web",
        "rack-gateway convox apps",
        "rack-gateway exec PID sh -a web",
        "rack-gateway exec -a web PID -- ls -la",
        "rack-gateway run web echo hi -a shop --detach --cpu 1 --memory 2 -t 60",
        "rack-gateway console db -a shop",
        "rack-gateway shell node-1 uptime",
        "rack-gateway completion zsh",
        "rack-gateway env -a web --release R1",
        "rack-gateway env get KEY --app web --json",
        "rack-gateway env set A=1 B --app web -p",
        "rack-gateway env unset A B --app web --promote",
        "rack-gateway env edit --app web",
        "rack-gateway env diff --app web --with other",
        "rack-gateway env import file --replace --app web --code 123456",
        "rack-gateway reveal --app web A B --reason x",
        "rack-gateway reveal --app web --for 5m --reason x",
        "rack-gateway reveal list --all",
        "rack-gateway reveal end ID",
        "rack-gateway rotate-key --new-file -",
        "rack-gateway --config f --json serve",
        "rack-gateway login https://g.example.com --name prod --device --ca-file ca.pem",
        "rack-gateway login --no-browser",
        "rack-gateway logout --all",
        "rack-gateway whoami --json",
        "rack-gateway rack --rack prod",
        "rack-gateway racks",
        "rack-gateway switch prod",
        "rack-gateway web account/factors --no-browser",
        "rack-gateway step-up --code 123456",
        "rack-gateway step-up https://g/step-up/1 --for gateway:user:invite Gateway::gateway",
        "rack-gateway users list --search ann",
        "rack-gateway users show ann@example.com",
        "rack-gateway users invite ann@example.com --role viewer --role auditor --name Ann --code abcde-fgh12",
        "rack-gateway users roles ann@example.com ops auditor",
        "rack-gateway users lock ann@example.com --reason gone --yes",
        "rack-gateway users unlock ann@example.com",
        "rack-gateway users reset-factors ann@example.com --yes",
        "rack-gateway users remove ann@example.com --yes",
        "rack-gateway roles --json",
        "rack-gateway groups list",
        "rack-gateway groups set eng deployer",
        "rack-gateway groups set eng --none --yes",
        "rack-gateway approvals request --app web --commit c --branch b --message m --command 'x' --meta a=b --wait --timeout 5m",
        "rack-gateway approvals list --app web --state pending --open --mine",
        "rack-gateway approvals show 0199 --export approval.json",
        "rack-gateway approvals approve 0199 --reason fine --yes --code 123456",
        "rack-gateway approvals extend 0199 --yes",
        "rack-gateway approvals reject 0199 --reason later",
        "rack-gateway approvals withdraw 0199",
        "rack-gateway approvals wait 0199 --timeout 1h --json",
        "rack-gateway approvals verify approval.json --app web --commit c --accept-codes",
        "rack-gateway factors list",
        "rack-gateway factors add phone --code 123456",
        "rack-gateway factors confirm 0199 123456",
        "rack-gateway factors remove phone --yes",
        "rack-gateway sessions list --user ann@example.com",
        "rack-gateway sessions revoke 0199 --yes",
        "rack-gateway sessions revoke-others --user ann@example.com --yes",
        "rack-gateway settings list --app web",
        "rack-gateway settings get mfa_step_up",
        "rack-gateway settings set mfa_step_up false",
        "rack-gateway settings set x -1 --app web",
        "rack-gateway settings reset mfa_step_up --yes",
        "rack-gateway policy list",
        "rack-gateway policy show step-up",
        "rack-gateway policy check own policies.cedar",
        "rack-gateway policy plan own - --replay 100",
        "rack-gateway policy plan own --remove",
        "rack-gateway policy put own policies.cedar --yes",
        "rack-gateway policy remove own --yes",
        "rack-gateway tokens create --name x --role deployer --grant convox:app:delete --critical",
        "rack-gateway tokens list --everyone",
        "rack-gateway tokens revoke ci --yes",
        "rack-gateway tokens rotate ci --overlap 0s --quiet",
        "rack-gateway tokens update ci --name ci2 --role viewer --grant convox:app:list@web --expires 1d",
        "rack-gateway can convox:app:list",
        "rack-gateway can gateway:token:revoke --own",
        "rack-gateway audit tail --mine",
        "rack-gateway audit export --out - --format csv",
        "rack-gateway audit export --out - --app shop --from 2026-11-22T08:00:00Z --refused",
    ] {
        parsed(line);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "rack-gateway",
        "rack-gateway can convox:app:list --user a --token b",
        "rack-gateway login --device --no-browser",
        "rack-gateway switch",
        "rack-gateway step-up --for",
        "rack-gateway step-up --code 12345",
        "rack-gateway users invite ann@example.com",
        "rack-gateway users roles ann@example.com",
        "rack-gateway groups set eng",
        "rack-gateway groups set eng viewer --none",
        "rack-gateway policy plan own policies.cedar --remove",
        "rack-gateway tokens update ci",
        "rack-gateway tokens create --name x --role viewer --critical",
        "rack-gateway tokens create --name x",
        "rack-gateway tokens create --name x --role root",
        "rack-gateway tokens create --name x --role viewer --expires soon",
        "rack-gateway audit verify --key k",
        "rack-gateway audit verify --file f --data-dir d",
        "rack-gateway audit export",
        "rack-gateway demo --rack-url https://x --rack-port 1",
        "rack-gateway serve --port 70000",
        "rack-gateway convox",
        "rack-gateway approvals request",
        "rack-gateway approvals request --app web --meta a",
        "rack-gateway approvals list --state done",
        "rack-gateway approvals verify",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_tokens_lifetime_is_limited_unless_said() {
    let Command::Tokens(tokens) = parsed("rack-gateway tokens create --name x --role viewer").command else {
        panic!("tokens");
    };
    let TokensCommand::Create(create) = tokens.command else { panic!("create") };
    assert_eq!(format!("{:?}", create.expires), "Limited(7776000s)");
}

#[test]
fn what_follows_the_clients_command_is_the_clients() {
    let arguments = parsed("rack-gateway convox --url https://g env set A=1 --app web --json --url x -h");
    assert!(!arguments.json);
    let Command::Convox(convox) = arguments.command else { panic!("convox") };
    assert_eq!(convox.url.as_deref(), Some("https://g"));
    assert_eq!(convox.command, ["env", "set", "A=1", "--app", "web", "--json", "--url", "x", "-h"]);
    let arguments = parsed("rack-gateway convox ps --rack theirs --code 1");
    assert!(arguments.rack.is_none() && arguments.code.is_none());
}

#[test]
fn flags_stand_behind_their_command() {
    let Command::Config(config) = parsed("rack-gateway config check --data-dir d").command else {
        panic!("config");
    };
    assert!(matches!(config.command, ConfigCommand::Check(place) if place.data_dir.is_some()));
    let Command::Audit(audit) = parsed("rack-gateway audit tail").command else { panic!("audit") };
    assert!(matches!(audit.command, AuditCommand::Tail(tail) if tail.lines == 20 && !tail.follow));
}

#[test]
fn help_is_as_it_was() {
    let help = Arguments::command().term_width(100).render_help().to_string();
    insta::assert_snapshot!(help, @"
    The single entry point in front of a Convox rack: it signs callers in, decides, records, forwards

    Usage: rack-gateway [OPTIONS] <COMMAND>

    Commands:
      serve            Run the gateway
      drain            Let the gateway on this machine end its work and stop, without cutting anybody
                       off
      mode             Refuse everything that changes, on all instances, or work as usual again
      demo             Run everything on this machine to try it out: a gateway, a simulated rack, people
                       and tokens
      config           Look at the configuration without starting anything
      migrate          Bring the database's schema up to date (`serve` does it too)
      backup           Write the whole database as one sealed file, while the gateway serves
      restore          Verify a backup, and restore it, while the gateway is stopped
      import           Take over people, tokens, settings and audit rows from another gateway's database
      rotate-key       Give the gateway another APP_SECRET_KEY, while it is stopped
      rotate-log-key   Let another key sign the audit log from now on, handed over by the one in force
      login            Sign in to a gateway
      logout           End the session, at the gateway and on this machine
      whoami           Show who the gateway takes you for
      apps             List, show, make, remove and change apps
      ps               List, show and stop the processes of an app
      logs             Follow or print the log of an app
      build            Build an app from a directory
      deploy           Build an app from a directory and promote what was built
      builds           List, show, export and import builds
      releases         List, show, promote and roll back releases
      promote          Promote a release: the newest, or the one that is named
      rollback         Make a new release of an older one and promote it
      scale            Show or set how many processes services have, and how large they are
      restart          Restart all services of an app
      resources        List, show, export, import and reach the resources of an app
      certs            List, make, import, renew and remove certificates
      ssl              Show and set which certificate is in front of which service
      letsencrypt      Show and add DNS solvers of Let's Encrypt
      registries       List, add and remove registries of container images
      instances        List and terminate the instances of the rack
      configs          List, print and set the configs of an app
      balancers        List the balancers of an app
      cost             Show what an app costs
      budget           Show and set the budget of an app
      cp               Copy files to or from a process
      proxy            Open ports of this machine that lead to hosts in the rack's network
      deploy-debug     Diagnose why an app does not come up
      api              Make a plain request of the rack's API
      rack             Show the current rack, and check that its log still holds what was seen of it;
                       `rack info`, `rack logs` and more ask the rack itself
      rack-credential  Show how the rack's credential stands, or have it read anew
      racks            List the racks that are known on this machine
      switch           Make another rack the current one
      web              Open the gateway's pages in a browser
      step-up          Give a second factor ahead, or for what was refused without it
      users            Invite, list, lock and remove people
      roles            List the roles and what each may do
      groups           Show and set what the groups of an identity provider get
      grants           Show and change the roles of persons and groups on single apps
      elevate          Ask for a role for a while, and decide about those that others ask for
      approvals        Ask for approvals of deploys, decide about them, and check what was signed
      env              Show and change the environment of an app
      reveal           Show values of an app in plaintext, once or for a while
      access           Write who can do what, for a review
      factors          List, add and remove your second factors
      sessions         List and end sessions: sign-ins, and what goes on in the rack
      recordings       List, replay, export, search and check recordings of sessions in the rack
      settings         Show and change settings
      apply            Make users, roles, policies, services and settings as files declare them
      diff             Show what `apply` would change
      export           Write what the gateway's database has as a file for `apply`
      integrations     List, set, remove and test the credentials for GitHub, CircleCI and Slack
      jobs             List what the gateway has still to do and does by the clock; retry, cancel and
                       pause it
      top              Show what the gateway on this machine is doing, again and again
      support-bundle   Write one file with what somebody who helps must know, and without secrets
      services         List and change the services of an app, and those behind the gateway (`list`,
                       `show`, `put`, …)
      policy           Show, check and change policies
      tokens           Make, list and end API tokens
      ci               Sign CI jobs in without secrets: trust rules, and the exchange in a job
      breakglass       Get in with offline codes when nobody can sign in; make, try and review them
      zone             Make, show and change the trust zone, in which services refuse everybody but the
                       gateway
      sidecar          Stand before a service in the trust zone: end TLS, let in exactly who may, check
                       request tokens
      probe-agent      Look from here, again and again, whether the rack or other guarded ports answer,
                       and tell the gateway
      audit            Verify, follow and export the audit log
      why              Show what decided about a request: the layer, the rules and the facts
      can              Ask whether a person or a token may do something
      who-can          Ask who may do something
      exec             Run a command in a process of an app
      run              Run a command in a new process of an app
      console          Open the console of a resource of an app
      shell            Open a shell on an instance of the rack
      convox           Run the installed `convox` client through the gateway
      tunnel           Open a port of this machine that leads to a TCP service behind the gateway
      selfcheck        Scan a gateway through what stands in front of it, and say what that lets through
      completion       Print a completion script for a shell
      man              Print the manual page, or write those of all commands
      help             Print this message or the help of the given subcommand(s)

    Options:
          --rack <NAME>    Ask the gateway of this name, as `rack-gateway racks` shows it [default: the
                           current one]
          --code <CODE>    A second factor, should the gateway want one: six digits, or a backup code
          --config <FILE>  Configuration file [env: RACK_GATEWAY_CONFIG] [default: ./rack-gateway.toml
                           if it exists]
          --json           Answer in JSON
      -h, --help           Print help (see more with '--help')
      -V, --version        Print version

    Exit codes: 0 ok, 1 failed, 2 usage, 3 not signed in, 4 refused, 5 gateway or rack unreachable.
    ");
}
