//! What can be typed, and what help says about it.

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
        "rack-gateway completion zsh",
        "rack-gateway --config f --json serve",
    ] {
        parsed(line);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "rack-gateway",
        "rack-gateway can convox:app:list",
        "rack-gateway can convox:app:list --user a --token b",
        "rack-gateway tokens create --name x",
        "rack-gateway tokens create --name x --role root",
        "rack-gateway tokens create --name x --role viewer --expires soon",
        "rack-gateway audit verify --key k",
        "rack-gateway audit verify --file f --data-dir d",
        "rack-gateway audit export",
        "rack-gateway demo --rack-url https://x --rack-port 1",
        "rack-gateway serve --port 70000",
        "rack-gateway convox",
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
      serve       Run the gateway
      demo        Run everything on this machine to try it out: a gateway, a simulated rack, people and
                  tokens
      config      Look at the configuration without starting anything
      migrate     Bring the database's schema up to date (`serve` does it too)
      tokens      Make, list and revoke API tokens on the server's own machine
      audit       Verify, follow and export the audit log
      why         Show what decided about a request: the layer, the rules and the facts
      can         Ask whether a person or a token may do something
      who-can     Ask who may do something
      convox      Run the installed `convox` client through the gateway
      completion  Print a completion script for a shell
      help        Print this message or the help of the given subcommand(s)

    Options:
          --config <FILE>  Configuration file [env: RACK_GATEWAY_CONFIG] [default: ./rack-gateway.toml
                           if it exists]
          --json           Answer in JSON
      -h, --help           Print help
      -V, --version        Print version

    Exit codes: 0 ok, 1 failed, 2 usage, 3 not signed in, 4 refused, 5 gateway or rack unreachable.
    ");
}
