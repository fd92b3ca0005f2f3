//! Where the client is sent, and with what.

use super::*;

fn context(token: Option<&str>) -> Context {
    let mut context = Context::for_tests();
    context.environment.token = token.map(|token| Ok(Secret::new(token.to_owned())));
    context
}

fn arguments(url: Option<&str>, token_file: Option<PathBuf>) -> ConvoxArguments {
    ConvoxArguments { url: url.map(str::to_owned), token_file, command: vec!["ps".into()] }
}

fn check(gateway: &str, expected: Option<&str>) {
    let context = context(Some("rgw_AB-c_d.totp.123456"));
    let made = target_and_token(&context, &arguments(Some(gateway), None))
        .and_then(|(target, token)| rack_url(&target.address, &token));
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
    check("g.example.com", Some(&format!("https://{CREDENTIAL}@g.example.com/api/v1/rack-proxy")));
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
        "",
    ] {
        check(address, None);
        let failure = target_and_token(&context(Some("rgw_a")), &arguments(Some(address), None)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "{address}");
    }
}

#[test]
fn faults_do_not_repeat_a_credential() {
    let url = Some("https://convox:rgw_secret@g.example.com");
    let failure = target_and_token(&context(Some("rgw_a")), &arguments(url, None)).unwrap_err();
    assert!(!failure.to_string().contains("rgw_secret"));
}

#[test]
fn m3_a_session_of_this_machine_is_used_and_never_an_argument() {
    let home = tempfile::tempdir().unwrap();
    let mut context = context(None);
    context.environment.directory = Some(home.path().join("rack-gateway"));
    context.environment.keeping = Ok(crate::environment::Keeping::File);
    let url: GatewayAddress = "https://g.example.com".parse().unwrap();
    let racks = crate::racks::Racks::of(&context.environment).unwrap();
    let kept = racks.vault().keep(&url, &Secret::new("rgs_mine".to_owned())).unwrap();
    let rack = crate::racks::Rack {
        name: "prod".to_owned(),
        url,
        gateway_id: "g".to_owned(),
        email: "ann@example.com".to_owned(),
        kept: Some(kept),
        ca_file: None,
        checkpoint: None,
        promises: Vec::new(),
    };
    racks.change(|book| book.put(rack)).unwrap();
    let (target, token) = target_and_token(&context, &arguments(None, None)).unwrap();
    assert_eq!((target.name().as_str(), token.expose().as_str()), ("prod", "rgs_mine"));
    // Another gateway does not get it.
    let other = target_and_token(&context, &arguments(Some("https://evil.example.com"), None)).unwrap_err();
    assert_eq!(other.exit(), Exit::NotSignedIn);
    context.code = Some("123456".parse().unwrap());
    let token = with_factor(&context, token).unwrap();
    assert_eq!(token.expose(), "rgs_mine.totp.123456");
    assert_eq!(with_factor(&context, token).unwrap_err().exit(), Exit::Usage);
}

fn token_in(content: &str) -> Result<String, Exit> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, content).unwrap();
    target_and_token(&context(None), &arguments(Some("https://g"), Some(path)))
        .map(|(_, token)| token.expose().clone())
        .map_err(|failure| failure.exit())
}

#[test]
fn a_token_is_the_first_line_of_its_file() {
    assert_eq!(token_in("rgw_abc\nmore\n"), Ok("rgw_abc".to_owned()));
    assert_eq!(token_in(" rgw_abc.totp.123456\r\n"), Ok("rgw_abc.totp.123456".to_owned()));
    assert_eq!(token_in(""), Err(Exit::NotSignedIn));
    assert_eq!(token_in("\nrgw_abc"), Err(Exit::NotSignedIn));
    assert_eq!(token_in("rgw_a b"), Err(Exit::Usage));
    assert_eq!(token_in("rgw_a@evil.example.com/"), Err(Exit::Usage));
    assert_eq!(first_line(Path::new("/nowhere/token")).unwrap_err().exit(), Exit::Failed);
}
