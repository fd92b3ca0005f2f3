//! How one event is told.

use gateway_audit::Actor;
use gateway_types::{ActionName, Channel, EventId, Layer, OsEntropy, Resource, Timestamp, Verdict};
use gateway_types::{Remedy, RemedyKind};

use super::*;
use crate::output::Format;
use crate::table::Looks;

const PLAIN: Output = Output { format: Format::Text, looks: Looks::Plain, write: |_| Ok(()) };

fn event() -> Event {
    let time = Timestamp::from_micros(1_795_306_558_721_111);
    let id = EventId::new(time, &OsEntropy);
    let actor = Actor::local_operator("ann\u{1b}[2J");
    let mut event =
        Event::new(time, id, ActionName::new("convox:release:create"), Resource::app("web"), actor);
    event.channel = Some(Channel::RackProxy);
    event.route = Some("POST /apps/{app}/releases".to_owned());
    event
}

#[test]
fn a_refusal_tells_layer_rules_facts_and_remedies() {
    let mut event = event();
    let verdict = Verdict {
        decision: Decision::Refuse,
        layer: Layer::Mfa,
        rules: vec!["step-up".to_owned()],
        observed: Vec::new(),
        remedies: vec![Remedy::new(RemedyKind::StepUp)],
        reason: String::new(),
        policy_version: "0123456789abcdef".to_owned(),
    };
    let facts =
        Facts { mfa_enrolled: true, sensitive_parameters: ["image".to_owned()].into(), ..Facts::default() };
    event.verdict = Some(VerdictRecord::new(&verdict, &facts));
    event.layer = Some(Layer::Mfa);
    event.end = Some(End::Refused);
    event.status = Some(401);
    insta::assert_snapshot!(text(&PLAIN, 12, &event).trim(), @"
    #12 2026-11-22T00:15:58.721111Z single
      who       ann�[2J by rack_proxy
      what      convox:release:create on App::web
      route     POST /apps/{app}/releases
      verdict   refused by the mfa layer
      rules     step-up
      facts     mfa_enrolled, sensitive parameter image
      remedies  step_up
      policy    0123456789abcdef
      status    401
      end       refused
    ");
}

#[test]
fn an_outcome_is_no_refusal_though_it_names_the_layer() {
    let mut event = event();
    event.layer = Some(Layer::Authorization);
    event.end = Some(End::Completed);
    assert!(!text(&PLAIN, 1, &event).contains("verdict"));
    event.end = Some(End::Refused);
    assert!(text(&PLAIN, 1, &event).contains("verdict   refused by the authorization layer"));
}

#[test]
fn a_name_cannot_begin_a_line_of_its_own() {
    let mut event = event();
    event.parameters.insert("app".to_owned(), "x\n  verdict   allowed".to_owned());
    let told = text(&PLAIN, 1, &event);
    assert_eq!(told.lines().filter(|line| line.trim_start().starts_with("verdict")).count(), 0, "{told}");
    assert!(!told.contains('\u{1b}'));
}
