//! What a demo says once it is ready: one line for programs, a page for people.

use gateway_config::{Config, Proxy};
use gateway_server::Running;
use gateway_types::Role;
use serde::Serialize;

use super::certificate::Certificate;
use super::parties::{DataDirectory, Machine, People, Provider, Rack};
use crate::failure::{Exit, Failure};

/// Everything a demo says.
///
/// # Security
/// It holds every credential of the demo, and has no `Debug` for that reason.
#[derive(Serialize)]
pub(super) struct Announcement<'a> {
    gateway_url: String,
    admin_url: String,
    rack_url: &'a str,
    rack_token: &'a str,
    idp_url: &'a str,
    data_dir: String,
    /// The certificate that the demo signed itself, to be trusted by clients; absent without `--tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_file: Option<String>,
    database_url: &'a str,
    users: Vec<ListedUser<'a>>,
    api_tokens: Vec<ListedToken<'a>>,
    #[serde(skip)]
    is_simulated: bool,
    #[serde(skip)]
    is_kept: bool,
    #[serde(skip)]
    program: String,
}

#[derive(Serialize)]
struct ListedUser<'a> {
    email: &'a str,
    role: Role,
    session_token: &'a str,
    totp_secret: &'a str,
}

#[derive(Serialize)]
struct ListedToken<'a> {
    name: &'a str,
    role: Role,
    token: &'a str,
}

impl<'a> ListedToken<'a> {
    fn of(machine: &'a Machine) -> Self {
        Self { name: &machine.name, role: machine.role, token: machine.token.expose() }
    }
}

/// Where a demo keeps what it has.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) directory: &'a DataDirectory,
    pub(super) certificate: Option<&'a Certificate>,
}

impl<'a> Announcement<'a> {
    pub(super) fn new(
        running: &Running,
        rack: &'a Rack,
        provider: &'a Provider,
        place: Place<'_>,
        config: &'a Config,
        people: &'a People,
    ) -> Result<Self, Failure> {
        let port = running
            .addresses
            .first()
            .map(std::net::SocketAddr::port)
            .ok_or_else(|| Failure::new(Exit::Failed, "the gateway listens nowhere"))?;
        let Place { directory, certificate } = place;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let program = std::env::current_exe().map(|path| path.display().to_string());
        Ok(Self {
            // The name and not the address: passkeys and Secure cookies want it.
            gateway_url: format!("{scheme}://localhost:{port}"),
            certificate_file: certificate.map(|one| one.chain().display().to_string()),
            admin_url: format!("http://{}", running.admin_address),
            rack_url: &rack.url,
            rack_token: rack.token.expose(),
            idp_url: &provider.url,
            data_dir: directory.path().display().to_string(),
            database_url: &config.database_url,
            users: people
                .persons
                .iter()
                .map(|person| ListedUser {
                    email: person.email,
                    role: person.role,
                    session_token: person.session.expose(),
                    totp_secret: person.totp.expose(),
                })
                .collect(),
            api_tokens: people.machines.iter().map(ListedToken::of).collect(),
            is_simulated: rack.is_simulated(),
            is_kept: matches!(directory, DataDirectory::Kept(_)),
            program: program.unwrap_or_else(|_| "rack-gateway".to_owned()),
        })
    }

    /// One line.
    pub(super) fn to_json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string(self)?)
    }

    /// For people: where it is, a RACK_URL for each role, and what to try.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::from("The Rack Gateway demo is ready.\n\n");
        let mut line = |label: &str, value: &str| text.push_str(&format!("  {label:<12} {value}\n"));
        line("web address", &self.gateway_url);
        line("health", &format!("{}/readyz", self.admin_url));
        line(
            "rack",
            &format!("{} ({})", self.rack_url, if self.is_simulated { "simulated" } else { "real" }),
        );
        line(
            "data",
            &format!("{} ({})", self.data_dir, if self.is_kept { "kept" } else { "removed at the end" }),
        );
        text.push_str("\nOpen the web address and sign in as anybody, or sign the command line in:\n\n");
        text.push_str(&format!(
            "  {} login {}{}\n",
            quoted(&self.program),
            self.gateway_url,
            self.trusting("--ca-file")
        ));
        if let Some(file) = &self.certificate_file {
            text.push_str(&format!(
                "\nThe demo signed its certificate itself: a browser asks whether to go on. For other clients:\n\n  export SSL_CERT_FILE={}\n",
                quoted(file)
            ));
        }
        text.push_str("\nA RACK_URL for each role, for any Convox client:\n\n");
        for token in &self.api_tokens {
            text.push_str(&format!(
                "  {:<9} export RACK_URL={}\n",
                token.role.name(),
                self.rack_url_of(token)
            ));
        }
        text.push_str("\nThe people, who need a code of their authenticator to change something (RACK_URL with SESSION.totp.CODE):\n\n");
        for user in &self.users {
            text.push_str(&format!(
                "  {:<22} session {} authenticator {}\n",
                user.email, user.session_token, user.totp_secret
            ));
        }
        text.push_str("\nThree things to try:\n\n");
        for (what, command) in self.to_try() {
            text.push_str(&format!("  # {what}\n  {command}\n\n"));
        }
        text.push_str("Ctrl-C stops it.");
        text
    }

    fn rack_url_of(&self, token: &ListedToken<'_>) -> String {
        let (scheme, place) = self.gateway_url.split_once("://").unwrap_or(("http", &self.gateway_url));
        format!("{scheme}://convox:{}@{place}{}", token.token, Proxy::PREFIX)
    }

    /// What a command is told beside its address to trust the demo's own certificate.
    fn trusting(&self, flag: &str) -> String {
        self.certificate_file.as_deref().map(|file| format!(" {flag} {}", quoted(file))).unwrap_or_default()
    }

    /// Commands that work as they stand.
    fn to_try(&self) -> Vec<(&'static str, String)> {
        let token = |role| self.api_tokens.iter().find(|token| token.role == role);
        let mut tries = Vec::new();
        if let Some(viewer) = token(Role::Viewer) {
            let (url, trusting) = (self.rack_url_of(viewer), self.trusting("--cacert"));
            tries.push((
                "a viewer may list apps (with the Convox client: RACK_URL=… convox apps)",
                format!("curl -s{trusting} {url}/apps"),
            ));
            tries.push((
                "but not start a command: the refusal says who may, and the rack never hears of it",
                format!("curl -s{trusting} -X POST {url}/apps/shop/services/web/processes"),
            ));
        }
        tries.push((
            "everything is in the log, and the log can be checked",
            format!(
                "{program} audit tail --database-url {url} && {program} audit verify --database-url {url}",
                program = quoted(&self.program),
                url = quoted(self.database_url),
            ),
        ));
        tries
    }
}

/// A word that a shell takes as it stands.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-@=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("sqlite:///tmp/a.db"), "sqlite:///tmp/a.db");
        assert_eq!(quoted("/my dir/it's"), "'/my dir/it'\\''s'");
        assert_eq!(quoted("$(id)"), "'$(id)'");
        assert_eq!(quoted(""), "''");
    }
}
