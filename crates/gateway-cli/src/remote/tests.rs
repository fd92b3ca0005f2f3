//! Which gateway is asked, and how often.

use std::cell::Cell;

use gateway_client::Refusal;

use super::*;
use crate::local::DataPlace;

fn context() -> Context {
    Context::for_tests()
}

fn refused(remedy: &str) -> ClientError {
    let text = format!(
        r#"{{"type":"/problems/step-up-required","detail":"more","remedies":[{{"kind":"{remedy}"}}]}}"#
    );
    let refusal: Refusal = serde_json::from_str(&text).unwrap();
    ClientError::StepUp { refusal: Box::new(refusal) }
}

fn remote(terminal: Terminal, code: Option<&str>) -> Remote {
    let mut context = context();
    context.environment.url = Some("https://g.example.com".into());
    context.environment.token = Some(Ok(Secret::new("rgs_x\n".to_owned())));
    context.terminal = terminal;
    context.code = code.map(|code| code.parse().unwrap());
    Remote::open(&context).unwrap()
}

const NOBODY: Terminal = Terminal { is_there: false, ask: |_| Ok(None) };
const SOMEBODY: Terminal = Terminal { is_there: true, ask: |_| Ok(Some("123456".to_owned())) };

/// How often a request is made that wants a factor `wanted` times, and how it ends.
async fn asked(remote: &Remote, remedy: &str, wanted: u32) -> (u32, Result<(), Exit>) {
    let times = Cell::new(0);
    let answer = remote
        .ask(async |_| {
            times.set(times.get() + 1);
            if times.get() > wanted { Ok(()) } else { Err(refused(remedy)) }
        })
        .await;
    (times.get(), answer.map_err(|failure| failure.exit()))
}

#[tokio::test]
async fn a_request_is_repeated_once_with_a_code() {
    assert_eq!(asked(&remote(SOMEBODY, None), "step_up", 0).await, (1, Ok(())));
    assert_eq!(asked(&remote(SOMEBODY, None), "step_up_bound", 1).await, (2, Ok(())));
    assert_eq!(asked(&remote(SOMEBODY, None), "step_up", 9).await, (2, Err(Exit::Refused)));
    assert_eq!(asked(&remote(NOBODY, Some("123456")), "step_up", 1).await, (2, Ok(())));
    assert_eq!(asked(&remote(NOBODY, None), "step_up", 1).await, (1, Err(Exit::Refused)));
    assert_eq!(asked(&remote(SOMEBODY, Some("123456")), "enrol", 1).await, (1, Err(Exit::Refused)));
}

fn whose_with(change: impl Fn(&mut Context, &mut DataPlace)) -> String {
    let (mut context, mut place) = (context(), DataPlace::default());
    change(&mut context, &mut place);
    match whose(&context, &place) {
        Ok(Whose::Local) => "local".to_owned(),
        Ok(Whose::Remote(target)) => target.address.to_string(),
        Err(failure) => format!("{:?}", failure.exit()),
    }
}

#[test]
fn what_is_named_first_is_asked() {
    let url = |context: &mut Context| context.environment.url = Some("https://g".into());
    assert_eq!(whose_with(|_, _| {}), "local");
    assert_eq!(whose_with(|context, _| url(context)), "https://g");
    assert_eq!(whose_with(|context, _| context.environment.names_database = true), "local");
    let both = |context: &mut Context, _: &mut DataPlace| {
        url(context);
        context.environment.names_database = true;
    };
    assert_eq!(whose_with(both), "https://g");
    let flag = |context: &mut Context, place: &mut DataPlace| {
        url(context);
        place.database_url = Some("sqlite:///x".to_owned());
    };
    assert_eq!(whose_with(flag), "local");
    let two_flags = |context: &mut Context, _: &mut DataPlace| {
        context.config = Some("f".into());
        context.rack = Some("prod".to_owned());
    };
    assert_eq!(whose_with(two_flags), "Usage");
}

#[test]
fn a_token_is_not_sent_to_a_gateway_that_was_not_named_with_it() {
    let mut context = context();
    context.environment.token = Some(Ok(Secret::new("rgw_x".to_owned())));
    assert_eq!(Target::known(&context).unwrap_err().exit(), Exit::Usage);
}

#[test]
fn a_bare_name_means_https() {
    assert_eq!(typed_address("g.example.com").unwrap().to_string(), "https://g.example.com");
    assert_eq!(typed_address("g.example.com:8443/a").unwrap().to_string(), "https://g.example.com:8443/a");
    for bad in
        ["", "http://g.example.com", "https://u:rgw_secret@g.example.com", "u:rgw_secret@g.example.com"]
    {
        let failure = typed_address(bad).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage, "{bad}");
        assert!(!failure.to_string().contains("rgw_secret"));
    }
}
