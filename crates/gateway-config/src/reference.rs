//! The two documents for operators, written from the table of keys: `rack-gateway.toml.example` and
//! `docs/config.md`. Tests compare both files with what is written here;
//! `cargo run -p gateway-config --example reference` writes them anew.

use crate::keys::{self, Fallback, Key, Kind, variables};
use crate::providers::{self, Speaks};
use crate::routes::FIELDS;
use crate::settings::{SettingKey, SettingScope, SettingValue};
use crate::sinks;

/// The reference file, as it stands at the root of the repository.
pub const EXAMPLE: &str = include_str!("../../../rack-gateway.toml.example");

/// How wide comments are.
const WIDTH: usize = 100;

/// What continued lines of a value start with, unlike comments for people.
const INDENT: &str = "    ";

/// The sections of the file with what they are about; `""` is what stands before the first section.
const SECTIONS: [(&str, &str); 26] = [
    ("", "Where the gateway keeps what it knows."),
    ("listener", "The public listener: the rack API, the JSON API and the web pages."),
    ("acme", "Certificates by ACME, with `listener.tls = \"acme\"`."),
    ("acme.dns", "The DNS server in which names are proved, where they are proved by TXT records."),
    ("network", "From where the gateway is used, over the public listener."),
    ("admin_listener", "The second listener: metrics and readiness, never public."),
    (
        "rack",
        "The rack behind the gateway. Its address and its token are the only values without which the gateway does not start.",
    ),
    ("proxy", "Where the rack is offered."),
    ("users", "People who get a role when they are first seen. The lists never reset somebody edited since."),
    ("yubico", "The validation server for the one-time passwords that YubiKeys type. Passkeys need none."),
    (
        "mail",
        "Mail to people: invitations, changes of their access, new sign-ins. Without a server nobody is mailed.",
    ),
    ("mail.smtp", "An SMTP server that takes the gateway's mail."),
    ("mail.postmark", "Postmark, in place of an SMTP server."),
    (
        "integrations.github",
        "GitHub, which is asked about the commits of deploys: by a token, or as a GitHub App.",
    ),
    ("integrations.attestations", "Whose attestations of builds are believed."),
    ("integrations.circleci", "CircleCI, whose jobs wait for approvals."),
    ("integrations.slack", "Slack, where people are told of approvals."),
    ("secrets", "What is a secret. People see handles instead of secrets."),
    ("vault", "Vault, for `vault:` references in the credentials of services."),
    (
        "audit.anchors",
        "Checkpoints of the audit log, kept where whoever can write the log cannot alter them. The log is held to them.",
    ),
    (
        "aws",
        "AWS, for `aws:secretsmanager:` references. Credentials are found as the SDKs of AWS find them; `docs/secrets.md` says where.",
    ),
    ("traces", "Who is told what took how long in single requests."),
    ("candidates", "Services that a compose file asks for by labels, until somebody approves."),
    ("zone", "Where the gateway itself looks whether anything answers past it."),
    ("limits", "Sizes, times and rates."),
    ("log", "The program's own log on standard error. It is not the audit log."),
];

const INTRODUCTION: &str = "Every key is shown with its default, or with an example where it has none. A key may also be given \
as the environment variable named beside it, and some as a command-line flag. A flag comes before the variable, the variable \
before this file. Unknown keys are errors, and all errors are reported at once: `rack-gateway config check`. \
`rack-gateway config explain` shows every value with where it came from. A secret is the value itself, `env:NAME` (another \
variable) or `file:/path` (one final newline is not part of it).";

const SETTINGS: &str =
    "Settings can be changed while the gateway runs; a value in its database comes before one given here.";

const ROUTES: &str = "A further row for the table of rack routes, for an API that the built-in table does not know. Repeat the \
table for each row. A request that no row describes is answered with 404.";

const NETWORKS: &str = "Names of networks, for policies: `context.networks` is the set of the names whose networks hold \
the caller's address, so `unless { context.networks.contains(\"office\") }` is only for the office. A name is made of small \
letters, digits and hyphens.";

const PROVIDERS: &str = "An OpenID Connect provider at which people sign in. Repeat the table for each provider. Register \
`https://DOMAIN/auth/callback/NAME` there as the address for the way back.";

const SINKS: &str = "Where the entries of the audit log go besides the log. Repeat the table for each sink. Each remembers how far it is, so a \
sink that was away, and a gateway that was started again, go on where they were.";

/// `rack-gateway.toml.example`, from the table of keys.
pub fn example_text() -> String {
    let mut text = String::from("# Rack Gateway: the configuration file.\n#\n");
    comment(&mut text, INTRODUCTION);
    for (section, about) in SECTIONS {
        text.push('\n');
        if !section.is_empty() {
            text.push_str(&format!("[{section}]\n"));
        }
        comment(&mut text, about);
        for key in in_section(section) {
            example_key(&mut text, key);
        }
    }
    example_networks(&mut text);
    example_settings(&mut text);
    example_provider(&mut text);
    example_sinks(&mut text);
    example_route(&mut text);
    text
}

fn example_key(text: &mut String, key: &Key) {
    let Some(name) = key.name else { return };
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    let (value, remark) = match key.fallback {
        Fallback::Value(value) => (value, String::new()),
        Fallback::Required { example } => (example, " Required.".to_owned()),
        Fallback::Absent { means, example } => (example, format!(" Without it, {means}.")),
    };
    text.push('\n');
    comment(text, &format!("{}{remark}", key.meaning()));
    comment(text, &places(key));
    let line = format!("{last} = {}", toml_value(key.kind, value));
    if line.len() < WIDTH {
        text.push_str(&format!("#{line}\n"));
    } else {
        long_line(text, &line);
    }
}

/// A long array over several lines, which one uncomments together.
fn long_line(text: &mut String, line: &str) {
    let mut rest = line;
    let mut indent = "";
    while rest.len() > WIDTH {
        let at = rest.get(..WIDTH).and_then(|start| start.rfind(", ")).map_or(rest.len(), |comma| comma + 1);
        let (start, end) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(&format!("#{indent}{start}\n"));
        (rest, indent) = (end.trim_start(), INDENT);
    }
    text.push_str(&format!("#{indent}{rest}\n"));
}

fn places(key: &Key) -> String {
    match key.flag {
        Some(flag) => format!("Variable {}, flag {flag}.", key.variable),
        None => format!("Variable {}.", key.variable),
    }
}

fn example_settings(text: &mut String) {
    text.push_str("\n[settings]\n");
    comment(text, SETTINGS);
    for key in SettingKey::ALL {
        text.push('\n');
        comment(text, key.describe());
        comment(text, &format!("Variable {}.", key.variable()));
        text.push_str(&format!("#{} = {}\n", key.name(), setting_value(key)));
    }
    text.push('\n');
    comment(text, "Some settings may differ for one app:");
    text.push_str("#[settings.app.myapp]\n");
    for key in SettingKey::ALL.into_iter().filter(|key| key.scope() == SettingScope::GatewayOrApp) {
        comment(text, &format!("Variable {}.", key.app_variable("myapp")));
        text.push_str(&format!("#{} = {}\n", key.name(), setting_value(key)));
    }
}

fn example_networks(text: &mut String) {
    text.push('\n');
    comment(text, NETWORKS);
    text.push_str("#[network.named]\n#office = [\"203.0.113.0/24\", \"2001:db8:1::/48\"]\n");
}

fn example_provider(text: &mut String) {
    text.push('\n');
    comment(text, PROVIDERS);
    text.push_str("#[[identity.provider]]\n");
    for field in providers::FIELDS.iter().filter(|field| field.only != Some(Speaks::GitHub)) {
        text.push_str(&format!("#{} = {}\n", field.name, field.example));
    }
    text.push('\n');
    comment(text, "GitHub is asked through its API; what only it has:");
    text.push_str("#[[identity.provider]]\n#name = \"github\"\n#client_id = \"Iv1.0123456789abcdef\"\n");
    text.push_str("#client_secret = \"env:GITHUB_CLIENT_SECRET\"\n");
    for field in providers::FIELDS.iter().filter(|field| field.only == Some(Speaks::GitHub)) {
        text.push_str(&format!("#{} = {}\n", field.name, field.example));
    }
}

fn example_sinks(text: &mut String) {
    text.push('\n');
    comment(text, SINKS);
    for kind in ["file", "syslog", "otlp", "webhook"] {
        if kind != "file" {
            text.push('\n');
        }
        text.push_str("#[[audit.sinks]]\n");
        for field in sinks::FIELDS.iter().filter(|field| field.is_shown_of(kind)) {
            text.push_str(&format!("#{} = {}\n", field.name, field.example_of(kind)));
        }
    }
}

fn example_route(text: &mut String) {
    text.push('\n');
    comment(text, ROUTES);
    text.push_str(
        "#[[rack.route]]\n#method = \"GET\"\n#path = \"/apps/{app}/things\"\n#action = \"thing:list\"\n#class = \"read\"\n#role = \"viewer\"\n",
    );
}

/// `docs/config.md`, from the table of keys.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n<!-- Written by `cargo run -p gateway-config --example reference`. Do not edit. -->\n\n",
    );
    paragraph(&mut text, &INTRODUCTION.replace("this file", "the file"));
    paragraph(
        &mut text,
        &format!(
            "The file is the one named by `--config` or the variable `{}`, else `{}` in the working directory if it exists. \
             `rack-gateway.toml.example` shows all of it. A variable that is set but empty is an error, except for a list, \
             where it is the empty list.",
            variables::RACK_GATEWAY_CONFIG,
            crate::load::DEFAULT_FILE
        ),
    );
    for (section, about) in SECTIONS {
        let title = if section.is_empty() { "Top of the file".to_owned() } else { format!("`[{section}]`") };
        text.push_str(&format!("## {title}\n\n"));
        paragraph(&mut text, about);
        in_section(section).for_each(|key| markdown_key(&mut text, key));
    }
    text.push_str("## `[network.named]`\n\n");
    paragraph(&mut text, NETWORKS);
    markdown_provider(&mut text);
    markdown_sinks(&mut text);
    text.push_str("## Variables only\n\n");
    keys::ALL.iter().filter(|key| key.name.is_none()).for_each(|key| markdown_key(&mut text, key));
    markdown_settings(&mut text);
    markdown_route(&mut text);
    text
}

fn markdown_key(text: &mut String, key: &Key) {
    text.push_str(&format!("### `{}`\n\n", key.label()));
    paragraph(text, &key.meaning());
    text.push_str(&format!("- variable: `{}`\n", key.variable));
    if let Some(flag) = key.flag {
        text.push_str(&format!("- flag: `{flag}`\n"));
    }
    text.push_str(&format!("- type: {}\n", key.kind.name()));
    let value = match key.fallback {
        Fallback::Value("") => "- default: empty".to_owned(),
        Fallback::Value(value) => format!("- default: `{}`", value.replace(',', ", ")),
        Fallback::Required { example } => format!("- required, such as `{example}`"),
        Fallback::Absent { means, example } => format!("- without it, {means}; example: `{example}`"),
    };
    text.push_str(&format!("{value}\n\n"));
}

fn markdown_settings(text: &mut String) {
    text.push_str("## `[settings]`\n\n");
    paragraph(text, SETTINGS);
    paragraph(
        text,
        &format!(
            "The variable of a setting is `{}` and its name in capitals. For one app it is `{}<APP>_SETTING_` and the name, \
             with the app's name in capitals and `_` for `-`; in the file it stands under `[settings.app.NAME]`. Apps whose \
             names differ only in case or in `-` and `_` share a variable; the file tells them apart. An app's own value \
             comes before the gateway's.",
            variables::SETTING_PREFIX,
            variables::APP_SETTING_PREFIX
        ),
    );
    for key in SettingKey::ALL {
        text.push_str(&format!("### `settings.{}`\n\n", key.name()));
        paragraph(text, key.describe());
        text.push_str(&format!("- variable: `{}`\n", key.variable()));
        if key.scope() == SettingScope::GatewayOrApp {
            let variable = key.app_variable("<APP>");
            text.push_str(&format!(
                "- for one app: `settings.app.NAME.{}`, variable `{variable}`\n",
                key.name()
            ));
        }
        let words = one_of(key.words());
        let kind = match key.default_value() {
            SettingValue::Switch(_) => "`true`, `false`, `\"on\"` or `\"off\"`",
            SettingValue::Duration(_) => Kind::Duration.name(),
            SettingValue::Number(_) => Kind::Integer.name(),
            SettingValue::TimeZone(_) => "the name of a time zone",
            SettingValue::Labels(_) => "labels, separated by commas",
            SettingValue::Word(_) => words.as_str(),
            SettingValue::Text(_) => "string of the form above",
            SettingValue::Images(_) => "patterns of images, separated by blanks",
            SettingValue::KeyPatterns(_) => "environment keys, separated by commas",
        };
        text.push_str(&format!("- type: {kind}\n- default: `{}`\n\n", key.default_value()));
    }
}

/// `` `a`, `b` or `c` ``.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some(_) | None => quoted.concat(),
    }
}

fn markdown_provider(text: &mut String) {
    text.push_str("## `[[identity.provider]]`\n\n");
    paragraph(text, PROVIDERS);
    for field in providers::FIELDS {
        text.push_str(&format!("- `{}`: {}\n", field.name, field.meaning));
    }
    text.push('\n');
}

fn markdown_sinks(text: &mut String) {
    text.push_str("## `[[audit.sinks]]`\n\n");
    paragraph(text, SINKS);
    for field in sinks::FIELDS {
        text.push_str(&format!("- `{}`{}: {}\n", field.name, field.whose(), field.meaning));
    }
    text.push('\n');
}

fn markdown_route(text: &mut String) {
    text.push_str("## `[[rack.route]]`\n\n");
    paragraph(text, ROUTES);
    paragraph(
        text,
        "The fields are the columns of `routes.tsv`; `secrets`, `params` and `request_secrets` are arrays of strings.",
    );
    for field in FIELDS {
        text.push_str(&format!("- `{}`: {}\n", field.name, field.meaning));
    }
}

fn in_section(section: &str) -> impl Iterator<Item = &'static Key> {
    keys::ALL.iter().filter(move |key| {
        key.name.is_some_and(|name| name.rsplit_once('.').map_or("", |(section, _)| section) == section)
    })
}

fn toml_value(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Integer | Kind::Switch => text.to_owned(),
        Kind::Text | Kind::Duration | Kind::Secret => format!("{text:?}"),
        Kind::List => {
            let items: Vec<String> =
                text.split(',').filter(|item| !item.is_empty()).map(|item| format!("{item:?}")).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn setting_value(key: SettingKey) -> String {
    match key.default_value() {
        SettingValue::Switch(on) => on.to_string(),
        SettingValue::Number(number) => number.to_string(),
        text @ (SettingValue::Duration(_)
        | SettingValue::TimeZone(_)
        | SettingValue::Labels(_)
        | SettingValue::Word(_)
        | SettingValue::Images(_)
        | SettingValue::KeyPatterns(_)
        | SettingValue::Text(_)) => format!("\"{text}\""),
    }
}

fn paragraph(text: &mut String, words: &str) {
    text.push_str(words);
    text.push_str("\n\n");
}

/// Words as comment lines of at most [`WIDTH`] characters.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
