//! Makers of events for all tests of the crate, and the events of the gateway itself.

use std::sync::Arc;

use gateway_types::{Grant, RoleSet, SessionId, TokenId, UserId};
use serde_json::json;
use uuid::Uuid;

use super::*;

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// The smallest event, at `number` seconds after the epoch.
pub(crate) fn event(number: u64) -> Event {
    let time = Timestamp::from_micros(i64::try_from(number).unwrap() * 1_000_000);
    let action = ActionName::new("convox:app:list");
    Event::new(time, id(u128::from(number)).into(), action, Resource::rack(), Actor::anonymous())
}

/// An event with every member set.
pub(crate) fn full_event() -> Event {
    let facts =
        Facts { mfa_window: true, sensitive_parameters: ["image".to_owned()].into(), ..Facts::default() };
    Event {
        after: Some(json!({ "b": 2, "a": [1, null, { "z": true, "y": "x" }] })),
        approval: Some("ap-1".to_owned()),
        before: Some(Value::Null),
        bytes_in: Some(1),
        bytes_out: Some(u64::MAX),
        channel: Some(Channel::RackProxy),
        count: Some(3),
        duration_us: Some(1234),
        end: Some(End::Completed),
        intent: Some(41),
        layer: Some(Layer::Mfa),
        parameters: [("app".to_owned(), "web".to_owned()), ("".to_owned(), "".to_owned())].into(),
        phase: Phase::Outcome,
        reason: Some("because".to_owned()),
        request_id: Some(id(7).into()),
        resource: Resource::app("web"),
        route: Some("POST /apps/{app}/releases".to_owned()),
        source_ip: Some("2001:db8::1".parse().unwrap()),
        status: Some(201),
        step_up: Some("totp".to_owned()),
        verdict: Some(VerdictRecord {
            decision: Decision::Allow,
            facts,
            observed: vec!["x".to_owned()],
            policy_version: "v".to_owned(),
            remedies: vec![RemedyKind::StepUpBound],
            rules: vec!["deployer-change".to_owned()],
        }),
        actor: Actor {
            credential_id: Some("c".to_owned()),
            id: Some("i".to_owned()),
            kind: ActorKind::ApiToken,
            name: "token:ci".to_owned(),
            on_behalf_of: Some("ada@example.com".to_owned()),
        },
        ..event(42)
    }
}

#[test]
fn an_unclean_end_is_told() {
    let now = Timestamp::from_micros(5);
    let clean = Event::started(now, id(1).into(), PreviousShutdown::Clean);
    assert_eq!((clean.action.as_str(), clean.reason), ("gateway:start", None));
    assert_eq!(clean.actor, Actor::system());
    let unclean = Event::started(now, id(2).into(), PreviousShutdown::Unclean);
    assert!(unclean.reason.unwrap().contains("at most 100 ms of plain reads may be missing"));
    assert_eq!(Event::stopped(now, id(3).into()).action.as_str(), "gateway:stop");
}

#[test]
fn actors_of_principals() {
    let caller = Caller {
        principal: Principal::ApiToken {
            id: TokenId::from(id(1)),
            name: "ci".into(),
            roles: RoleSet::EMPTY,
            grants: Arc::new([Grant::everything()]),
            creator: UserId::from(id(2)),
            creator_email: "ada@example.com".into(),
            creator_roles: RoleSet::EMPTY,
        },
        channel: Channel::Api,
        source_ip: [127, 0, 0, 1].into(),
    };
    let event = event(1).by(&caller);
    assert_eq!(event.channel, Some(Channel::Api));
    assert_eq!(event.source_ip, Some(caller.source_ip));
    assert_eq!(event.actor.name, "token:ci");
    assert_eq!(event.actor.on_behalf_of.as_deref(), Some("ada@example.com"));
    assert_eq!(event.actor.credential_id, Some(id(1).to_string()));

    let person = Principal::User {
        id: UserId::from(id(3)),
        email: "bo@example.com".into(),
        roles: RoleSet::EMPTY,
        session: SessionId::from(id(4)),
        kind: gateway_types::CredentialKind::CliSession,
    };
    let actor = Actor::of(&person);
    assert_eq!((actor.kind, actor.name.as_str()), (ActorKind::User, "bo@example.com"));
    assert_eq!((actor.id, actor.credential_id), (Some(id(3).to_string()), Some(id(4).to_string())));
    assert_eq!(Actor::of(&Principal::Anonymous), Actor::anonymous());
    assert_eq!(Actor::local_operator("root").kind, ActorKind::LocalOperator);
}
