//! `whoami`: who the gateway takes the caller for.

use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_types::wire::me::Me;

use crate::Context;
use crate::failure::Failure;
use crate::lines::Lines;
use crate::remote::Remote;

/// Answers.
pub(crate) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let me = remote.ask(async |client| client.me().await).await?;
    context.output.answer(&me, || text(&me, &remote.target.address.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

fn text(me: &Me, address: &str) -> String {
    let mut lines = Lines::default();
    lines.line("roles", &me.roles.to_string());
    lines.some("for", me.on_behalf_of.as_deref());
    lines.line("by", &me.credential.replace('_', " "));
    lines.line("gateway", &format!("{address} ({})", me.gateway_id));
    lines.line("rack", &me.rack);
    if let Some(factor) = &me.second_factor {
        let words = match (factor.asked_for, factor.enrolled, factor.step_up_age_seconds) {
            (false, ..) => "not asked for at this gateway".to_owned(),
            (true, false, _) => "none yet: enrol one with `rack-gateway web account`".to_owned(),
            (true, true, Some(age)) => format!("confirmed {age} s ago, good for {} s", factor.window_seconds),
            (true, true, None) => {
                format!("{} enrolled, {} backup codes left", factor.factors, factor.backup_codes_left)
            }
        };
        lines.line("factor", &words);
    }
    if let Some(session) = &me.session {
        lines.line("session", &format!("since {} on {}", session.created, session.device));
    }
    lines.line("ends", me.expires.as_deref().unwrap_or("never"));
    format!("{}\n{lines}", one_line(&me.name))
}

#[cfg(test)]
mod tests {
    use gateway_types::{Role, RoleSet};

    use super::*;

    #[test]
    fn m5_what_the_gateway_says_cannot_steer_a_terminal() {
        let me = Me {
            id: "1".to_owned(),
            name: "ann@example.com\u{1b}[2J".to_owned(),
            credential: "cli_session".to_owned(),
            roles: RoleSet::of(Role::Ops),
            on_behalf_of: None,
            permissions: Vec::new(),
            second_factor: None,
            session: None,
            expires: Some("2026-11-22T00:00:00Z".to_owned()),
            rack: "prod\n  roles     admin".to_owned(),
            gateway_id: "g-1".to_owned(),
        };
        insta::assert_snapshot!(text(&me, "https://g.example.com"), @r"
        ann@example.com�[2J
          roles     ops
          by        cli session
          gateway   https://g.example.com (g-1)
          rack      prod�  roles     admin
          ends      2026-11-22T00:00:00Z
        ");
    }
}
