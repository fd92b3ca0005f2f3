//! What the mail section takes and refuses.

use super::*;
use crate::{Mail, SmtpServer, SmtpTls};

const SERVER: [(&str, &str); 2] = [("SMTP_HOST", "smtp.example.com"), ("MAIL_FROM", "Gateway@Example.com")];

fn server(more: &[(&str, &str)]) -> SmtpServer {
    match config(&[&SERVER, more].concat(), "").mail {
        Mail::Smtp { from, server } => {
            assert_eq!(from, "gateway@example.com");
            server
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mail_by_smtp() {
    assert!(matches!(config(&[], "").mail, Mail::Off));
    assert!(matches!(config(&[("MAIL_FROM", "a@example.com")], "").mail, Mail::Off));
    let plain = server(&[]);
    assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("smtp.example.com", 587, SmtpTls::StartTls));
    assert!(plain.credentials.is_none());
    assert_eq!(server(&[("SMTP_TLS", "tls")]).port, 465);
    assert_eq!(server(&[("SMTP_TLS", "tls"), ("SMTP_PORT", "2465")]).port, 2465);
    assert_eq!(server(&[("SMTP_HOST", "[::1]"), ("SMTP_TLS", "off"), ("SMTP_PORT", "25")]).host, "::1");
    let signed_in = server(&[("SMTP_USERNAME", "gateway"), ("SMTP_PASSWORD", "pass word")]).credentials;
    assert_eq!(signed_in.unwrap().password.expose(), "pass word");
    let file = "[mail]\nfrom = \"a@example.com\"\n[mail.smtp]\nhost = \"smtp.example.com\"\n";
    assert!(matches!(config(&[], file).mail, Mail::Smtp { .. }));
    let secret = [("SMTP_USERNAME", "u"), ("SMTP_PASSWORD", "hunter2")];
    let config = config(&[&SERVER[..], &secret].concat(), "");
    assert!(!format!("{config:?} {:?} {:?}", config.mail, config.sources).contains("hunter2"));
}

#[test]
fn mail_is_refused_half_configured_or_in_the_clear() {
    let with = |more: &[(&str, &str)], expected: &str| refused(&[&SERVER, more].concat(), "", expected);
    with(
        &[("SMTP_TLS", "off")],
        "mail.smtp.tls (variable SMTP_TLS): `off` is not a way to reach a server on another machine: write starttls or tls",
    );
    with(
        &[("SMTP_USERNAME", "gateway")],
        "mail.smtp.username (variable SMTP_USERNAME): needs mail.smtp.password too; set both or none",
    );
    with(
        &[("SMTP_PASSWORD", "p")],
        "mail.smtp.password (variable SMTP_PASSWORD): needs mail.smtp.username too; set both or none",
    );
    with(
        &[("POSTMARK_API_TOKEN", "t")],
        "mail.postmark.api_token (variable POSTMARK_API_TOKEN): cannot be combined with mail.smtp.host; keep one of the two",
    );
    with(
        &[("POSTMARK_FROM", "b@example.com")],
        "variable POSTMARK_FROM: cannot be combined with mail.from; keep one of the two",
    );
    with(
        &[("SMTP_HOST", "smtp.example.com:25")],
        "mail.smtp.host (variable SMTP_HOST): `smtp.example.com:25` is not a host name or address without port, such as smtp.example.com",
    );
    refused(
        &[("SMTP_HOST", "smtp.example.com")],
        "",
        "mail.smtp.host (variable SMTP_HOST): needs mail.from too; set both or none",
    );
    refused(
        &[("SMTP_USERNAME", "u"), ("SMTP_PASSWORD", "p")],
        "",
        "mail.smtp.username (variable SMTP_USERNAME): needs mail.smtp.host too; set both or none",
    );
    for wrong in ["a@example.com\r\nBcc: b@example.com", "A <a@example.com>", "a@example.com, b@example.com"]
    {
        assert!(faults(&[("MAIL_FROM", wrong)], "").contains("bare e-mail address"), "{wrong}");
    }
}

#[test]
fn mail_by_postmark() {
    let google = [
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "s"),
        ("GOOGLE_ALLOWED_DOMAIN", "example.com,example.org"),
    ];
    let token = [("POSTMARK_API_TOKEN", "t-1")];
    let Mail::Postmark { from, account } = config(&[&google[..], &token].concat(), "").mail else {
        panic!("Postmark")
    };
    assert_eq!(from, "no-reply@example.com");
    assert_eq!(account.api_base.as_str(), "https://api.postmarkapp.com/");
    assert_eq!((account.token.expose().as_str(), account.stream.as_str()), ("t-1", "outbound"));
    let named = [&token[..], &[("POSTMARK_FROM", "gateway@example.com")]].concat();
    assert!(matches!(config(&named, "").mail, Mail::Postmark { from, .. } if from == "gateway@example.com"));
    let base = |base| faults(&[&named[..], &[("POSTMARK_API_BASE", base)]].concat(), "");
    for wrong in ["http://api.postmarkapp.com", "https://user@api.postmarkapp.com", "https://x/y", "x"] {
        assert!(base(wrong).contains("an https:// URL without path"), "{wrong}");
    }
    let local = [&named[..], &[("POSTMARK_API_BASE", "http://127.0.0.1:8025")]].concat();
    assert!(matches!(config(&local, "").mail, Mail::Postmark { .. }));
    let broken = faults(&[("POSTMARK_API_TOKEN", "a\nb"), ("MAIL_FROM", "a@example.com")], "");
    assert!(broken.contains("(its value is not shown here)"), "{broken}");
}
