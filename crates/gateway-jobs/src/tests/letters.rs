use std::collections::BTreeSet;

use gateway_app::Notice;
use gateway_types::{Role, RoleSet, Timestamp};

use super::{START, mail_job};
use crate::letter::clean;
use crate::{Audience, Job, Letter, Letterhead};

fn head() -> Letterhead {
    Letterhead { rack: "production".to_owned(), web: Some("https://gateway.example.com".to_owned()) }
}

/// One notice of each kind, in which every text that people choose is `name`.
fn all(name: &str) -> Vec<Notice> {
    let name = || name.to_owned();
    let email = || "ann@example.com".to_owned();
    let roles = RoleSet::of(Role::Deployer).with(Role::Auditor);
    let viewer = RoleSet::of(Role::Viewer);
    vec![
        Notice::Invited { email: email(), roles, by: name() },
        Notice::RolesChanged { email: email(), before: RoleSet::EMPTY, after: viewer, by: name() },
        Notice::Locked { email: email(), reason: Some(name()), by: name() },
        Notice::Unlocked { email: email(), by: name() },
        Notice::Removed { email: email(), by: name() },
        Notice::FactorEnrolled { email: email(), factor: name() },
        Notice::FactorRemoved { email: email(), factor: name(), by: name() },
        Notice::FactorsReset { email: email(), by: name() },
        Notice::FactorsLocked {
            email: email(),
            until: Timestamp::from_micros(START),
            ip: Some("192.0.2.7".parse().unwrap()),
        },
        Notice::PasskeyCopied { email: email(), factor: name(), ip: Some("192.0.2.7".parse().unwrap()) },
        Notice::BackupCodesMade { email: email() },
        Notice::BackupCodesLow { email: email(), left: 3 },
        Notice::NewSignIn {
            email: email(),
            device: name(),
            ip: Some("2001:db8::7".parse().unwrap()),
            at: Timestamp::from_micros(START),
        },
        Notice::ElevationAsked {
            email: email(),
            role: Role::Deployer,
            app: Some("web".to_owned()),
            length: "1h".to_owned(),
            reason: name(),
        },
        Notice::ElevationDecided {
            email: email(),
            role: Role::Deployer,
            app: None,
            approved: true,
            ends: None,
            by: name(),
        },
        Notice::ValuesRevealed {
            email: email(),
            by: name(),
            app: name(),
            what: name(),
            length: Some("5m".to_owned()),
            reason: name(),
        },
        Notice::TokenCreated {
            token: name(),
            owner: email(),
            roles,
            expires: None,
            by: name(),
            for_somebody_else: true,
        },
        Notice::TokenEnding {
            token: name(),
            owner: email(),
            expires: Timestamp::from_micros(START),
            last_used: None,
        },
        Notice::GlassBroken {
            person: email(),
            reason: name(),
            scope: name(),
            ends: Timestamp::from_micros(START),
            ip: None,
        },
        Notice::GlassEnded {
            person: email(),
            scope: name(),
            opened: Timestamp::from_micros(START),
            ended: Timestamp::from_micros(START),
            by: Some(name()),
        },
        Notice::RackBypassed { changes: vec![name(), name()] },
        Notice::Exposed { vantage: name(), targets: vec![name(), name()] },
        Notice::VantageSilent { vantage: name(), last: Timestamp::from_micros(START) },
        Notice::RackParametersChanged { email: Some(email()), by: name(), names: vec![name(), name()] },
    ]
}

fn letters(name: &str) -> Vec<(Letter, String, String)> {
    let mut letters = Vec::new();
    for notice in all(name) {
        for audience in [Audience::Person, Audience::Admin] {
            let letter = Letter::new(&head(), &mail_job(notice.clone(), audience));
            let (text, html) = letter.render().unwrap();
            letters.push((letter, text, html));
        }
    }
    letters
}

#[test]
fn a_letter_reads_like_this() {
    let notice = Notice::Invited {
        email: "ann@example.com".to_owned(),
        roles: RoleSet::of(Role::Deployer).with(Role::Auditor),
        by: "Bo".to_owned(),
    };
    let letter = Letter::new(&head(), &mail_job(notice.clone(), Audience::Person));
    assert_eq!(letter.subject, "Rack Gateway (production): you have access");
    let (text, html) = letter.render().unwrap();
    assert_eq!(
        text,
        "You may use Rack Gateway, the way in to the rack production, from now on. Sign in with the account of this address.\n\
         \n\
         Your roles: deployer, auditor\n\
         Invited by: Bo\n\
         When: 2026-11-18 11:06:40 UTC\n\
         \n\
         If you did not expect this, ask an admin.\n\
         \n\
         https://gateway.example.com/app\n\
         \n\
         -- \n\
         Rack Gateway of the rack production. It never asks for a password, a code or a token by mail."
    );
    assert!(html.contains("<td style=\"padding:2px 0\">deployer, auditor</td>"), "{html}");
    assert!(html.contains("<a href=\"https://gateway.example.com/app\">"), "{html}");

    let admins = Letter::new(&head(), &mail_job(notice.clone(), Audience::Admin));
    assert_eq!(admins.subject, "Rack Gateway (production): ann@example.com was invited");
    let without_web = Letterhead { web: None, ..head() };
    let (text, html) = Letter::new(&without_web, &mail_job(notice, Audience::Person)).render().unwrap();
    assert!(!text.contains("http") && !html.contains("href"), "{text}{html}");
}

#[test]
fn every_notice_has_words_of_its_own() {
    let letters = letters("Bo");
    let subjects: BTreeSet<&str> = letters.iter().map(|(letter, _, _)| letter.subject.as_str()).collect();
    // Four of the notices read otherwise for admins.
    assert_eq!(subjects.len(), all("Bo").len() + 4, "{subjects:?}");
    for (letter, text, html) in &letters {
        for body in [text, html] {
            assert!(body.contains("production") && body.contains("2026-11-18 11:06:40 UTC"), "{body}");
            assert!(!body.contains("{rack}") && !body.contains("{{"), "{body}");
        }
        assert!(html.contains(&format!("<title>{}</title>", letter.subject)), "{html}");
    }
}

/// E: what people call themselves and their things cannot steer a mail (header injection, HTML, hidden text).
#[test]
fn names_cannot_steer_a_mail() {
    let evil = "Bo\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script> \u{202e}txt.exe\u{0}\u{1b}[31m";
    for (letter, text, html) in letters(evil) {
        for (what, part) in [("subject", &letter.subject), ("text", &text), ("html", &html)] {
            assert!(!part.contains(['\r', '\u{202e}', '\0', '\u{1b}']), "{what}: {part:?}");
        }
        assert!(!letter.subject.contains('\n'), "{:?}", letter.subject);
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        assert!(!html.contains("<script"), "{html}");
    }
    let token = letters(evil).into_iter().find(|(_, text, _)| text.contains("Token: ")).unwrap();
    assert!(token.1.contains("Token: Bo Bcc: eve@example.com <script>alert(1)</script> txt.exe [31m\n"));
    assert!(token.2.contains("&#60;script&#62;"), "{}", token.2);
}

#[test]
fn names_are_one_bounded_line() {
    assert_eq!(clean("  a \t b\r\nc "), "a b c");
    assert_eq!(clean("\u{200b}\n"), "(unnamed)");
    assert_eq!(clean(&"é".repeat(120)), "é".repeat(120));
    assert_eq!(clean(&"é".repeat(121)), format!("{}…", "é".repeat(120)));
}

#[test]
fn jobs_are_written_bounded_and_read_again() {
    for notice in all("Bo") {
        let job = Job::Mail(mail_job(notice, Audience::Admin));
        let row = job.to_row().unwrap();
        assert_eq!(Job::from_row(row.kind, &row.payload).unwrap(), job);
    }
    for notice in all(&"é\0".repeat(40_000)) {
        let row = Job::Mail(mail_job(notice, Audience::Person)).to_row().unwrap();
        assert!(row.payload.len() < 4096 && !row.payload.contains("\\u0000"), "{}", row.payload.len());
        Job::from_row(row.kind, &row.payload).unwrap();
    }
    assert!(Job::from_row("mail", "{}").is_err());
    assert!(Job::from_row("other", "{}").is_err());
}
