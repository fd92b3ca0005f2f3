//! Where the client is sent, and with what.

use super::*;

fn check(gateway: &str, expected: Option<&str>) {
    let token = Secret::new("rgw_AB-c_d.totp.123456".to_owned());
    let made = gateway_url(Some(gateway)).and_then(|url| rack_url(url, &token));
    assert_eq!(made.ok().map(|url| url.expose().clone()).as_deref(), expected, "{gateway}");
}

#[test]
fn the_rack_url_is_made_of_address_and_token() {
    const CREDENTIAL: &str = "convox:rgw_AB-c_d.totp.123456";
    check("https://g.example.com", Some(&format!("https://{CREDENTIAL}@g.example.com/api/v1/rack-proxy")));
    check(
        "https://g.example.com:8443/",
        Some(&format!("https://{CREDENTIAL}@g.example.com:8443/api/v1/rack-proxy")),
    );
    check("https://g/behind/a/", Some(&format!("https://{CREDENTIAL}@g/behind/a/api/v1/rack-proxy")));
    check("http://localhost:8443", Some(&format!("http://{CREDENTIAL}@localhost:8443/api/v1/rack-proxy")));
    check("http://[::1]:1", Some(&format!("http://{CREDENTIAL}@[::1]:1/api/v1/rack-proxy")));
    check("http://127.0.0.2", Some(&format!("http://{CREDENTIAL}@127.0.0.2/api/v1/rack-proxy")));
}

#[test]
fn a_token_is_not_sent_in_the_clear_nor_to_a_riddle() {
    for address in [
        "http://gateway.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "https://convox:secret@gateway.example.com",
        "https://gateway.example.com?x=1",
        "https://gateway.example.com#x",
        "ftp://gateway.example.com",
        "gateway.example.com",
        "",
    ] {
        check(address, None);
        let failure = gateway_url(Some(address)).err().map(|failure| failure.exit());
        assert_eq!(failure, Some(Exit::Usage), "{address}");
    }
}

#[test]
fn faults_do_not_repeat_a_credential() {
    let failure = gateway_url(Some("https://convox:rgw_secret@g.example.com")).unwrap_err();
    assert!(!failure.to_string().contains("rgw_secret"));
}

fn token_in(content: &str) -> Result<String, Exit> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, content).unwrap();
    token(Some(&path)).map(|token| token.expose().clone()).map_err(|failure| failure.exit())
}

#[test]
fn a_token_is_the_first_line_of_its_file() {
    assert_eq!(token_in("rgw_abc\nmore\n"), Ok("rgw_abc".to_owned()));
    assert_eq!(token_in(" rgw_abc.totp.123456\r\n"), Ok("rgw_abc.totp.123456".to_owned()));
    assert_eq!(token_in(""), Err(Exit::NotSignedIn));
    assert_eq!(token_in("\nrgw_abc"), Err(Exit::NotSignedIn));
    assert_eq!(token_in("rgw_a b"), Err(Exit::Usage));
    assert_eq!(token_in("rgw_a@evil.example.com/"), Err(Exit::Usage));
    assert_eq!(token(Some(Path::new("/nowhere/token"))).unwrap_err().exit(), Exit::Failed);
}
