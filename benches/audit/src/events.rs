//! Events as requests of people leave them.

use gateway_audit::{Actor, ActorKind, End, Event, VerdictRecord};
use gateway_types::{
    ActionName, Channel, Clock as _, Decision, Entropy, EventId, Facts, OsEntropy, RequestId, Resource,
    SystemClock,
};

/// The read of an app by a person, as the gateway records it; `number` varies who, and of which app.
pub(crate) fn read(number: u64) -> Event {
    let (now, entropy): (_, &dyn Entropy) = (SystemClock.now(), &OsEntropy);
    let (person, app) = (number % 50, number % 20);
    let actor = Actor {
        credential_id: Some(format!("0190a1b2-0000-7000-8000-{person:012}")),
        id: Some(format!("0190a1b2-0000-7000-9000-{person:012}")),
        kind: ActorKind::User,
        name: format!("person-{person}@example.com"),
        on_behalf_of: None,
    };
    let id = EventId::new(now, entropy);
    let resource = Resource::app(&format!("app-{app}"));
    let mut event = Event::new(now, id, ActionName::new("convox:app:get"), resource, actor);
    event.bytes_in = Some(0);
    event.bytes_out = Some(412);
    event.channel = Some(Channel::RackProxy);
    event.duration_us = Some(1234);
    event.end = Some(End::Completed);
    event.parameters.insert("app".to_owned(), format!("app-{app}"));
    event.request_id = Some(RequestId::new(now, entropy));
    event.route = Some("GET /apps/{app}".to_owned());
    event.source_ip = Some([127, 0, 0, 1].into());
    event.status = Some(200);
    event.verdict = Some(VerdictRecord {
        decision: Decision::Allow,
        facts: Facts::default(),
        observed: Vec::new(),
        policy_version: "3f1c0d5a9be24c77".to_owned(),
        remedies: Vec::new(),
        rules: vec!["viewer-read".to_owned()],
    });
    event
}
