use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, OsEntropy, Secret, Timestamp, ZoneMemberId};

use super::Place;
use crate::rotation::{Rotation, rotate};
use crate::{
    Access, Store, StoreError, ZoneAuthority, ZoneContent, ZoneJoin, ZoneKey, ZoneMember, ZoneRecord,
    ZoneRegistration, ZoneService,
};

const HOUR: Duration = Duration::from_secs(3600);

fn authority(name: &str, root: Option<&str>, phase: &str, now: Timestamp) -> ZoneAuthority {
    let key = match root {
        None => ZoneKey::Custody("sealed by a passphrase".to_owned()),
        Some(_) => ZoneKey::Online(Secret::new(b"the key of an issuer".to_vec())),
    };
    ZoneAuthority {
        name: name.to_owned(),
        root: root.map(str::to_owned),
        phase: phase.to_owned(),
        since: 1,
        certificate: b"der".to_vec(),
        cross_signed: None,
        key,
        created: now,
        expires: now.saturating_add(HOUR),
    }
}

fn content(now: Timestamp) -> ZoneContent {
    ZoneContent {
        zone: ZoneRecord { domain: "prod.internal".to_owned(), sequence: 1, leaf_life: HOUR, created: now },
        authorities: vec![authority("a", None, "active", now), authority("b", Some("a"), "active", now)],
        services: vec![service("dns", now)],
    }
}

fn service(name: &str, now: Timestamp) -> ZoneService {
    ZoneService {
        name: name.to_owned(),
        listeners: "[]".to_owned(),
        callers: "[]".to_owned(),
        updated: now,
        updated_by: "ann".to_owned(),
    }
}

fn member(now: Timestamp) -> ZoneMember {
    ZoneMember {
        id: ZoneMemberId::new(now, &OsEntropy),
        service: "dns".to_owned(),
        issuer: "b".to_owned(),
        serial: "01".to_owned(),
        seen: 1,
        enrolled: now,
        last_seen: now,
        expires: now.saturating_add(HOUR),
        banned: None,
        banned_by: None,
    }
}

fn join(digest: &str, now: Timestamp) -> ZoneJoin {
    ZoneJoin {
        digest: digest.to_owned(),
        service: "dns".to_owned(),
        key_pin: None,
        created_by: "ann".to_owned(),
        expires: now.saturating_add(Duration::from_secs(600)),
    }
}

async fn sequence(store: &Store) -> u64 {
    store.zone().read().await.unwrap().unwrap().zone.sequence
}

#[tokio::test]
async fn there_is_one_zone_and_rotation_is_one_change() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let zones = store.zone();
        assert!(zones.read().await.unwrap().is_none());
        let now = place.clock.now();
        zones.create(&content(now), &[]).await.unwrap();
        assert!(matches!(zones.create(&content(now), &[]).await, Err(StoreError::Exists)));
        let read = zones.read().await.unwrap().unwrap();
        assert_eq!((&read.zone, &read.services), (&content(now).zone, &content(now).services));
        assert_eq!(read.authorities[0].key, ZoneKey::Custody("sealed by a passphrase".to_owned()));
        assert_eq!(read.authorities[1].key, ZoneKey::Online(Secret::new(b"the key of an issuer".to_vec())));

        let moves = [("b".to_owned(), "retired".to_owned())];
        let added = [authority("c", Some("a"), "active", now)];
        let stale = zones.move_on(7, &moves, &added, "retired").await;
        assert!(matches!(stale, Err(StoreError::Conflict)));
        assert_eq!(zones.move_on(1, &moves, &added, "retired").await.unwrap(), 2);
        let read = zones.read().await.unwrap().unwrap();
        let b = read.authorities.iter().find(|one| one.name == "b").unwrap();
        // The key of a retired issuer is erased.
        assert_eq!((b.phase.as_str(), b.since, &b.key), ("retired", 2, &ZoneKey::Gone));
        assert_eq!(read.authorities.iter().find(|one| one.name == "c").unwrap().since, 2);
        store.close().await;
    }
}

#[tokio::test]
async fn a_join_token_lets_one_in() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let zones = store.zone();
        let now = place.clock.now();
        zones.create(&content(now), &[]).await.unwrap();
        zones.keep_join_token(&join("d1", now)).await.unwrap();
        zones.keep_join_token(&join("d2", now)).await.unwrap();
        assert_eq!(zones.join_token("d1").await.unwrap(), Some(join("d1", now)));
        assert!(zones.join_token("other").await.unwrap().is_none());
        let both = [member(now), member(now)];
        let (one, other) = tokio::join!(zones.enrol("d1", &both[0]), zones.enrol("d1", &both[1]));
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
        assert_eq!(zones.members().await.unwrap().len(), 1);
        assert!(zones.join_token("d1").await.unwrap().is_none());
        place.clock.advance(Duration::from_secs(601));
        assert!(matches!(zones.enrol("d2", &member(now)).await, Err(StoreError::NotFound)));
        store.close().await;
    }
}

#[tokio::test]
async fn a_banned_member_renews_nothing() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let zones = store.zone();
        let now = place.clock.now();
        let (one, other) = (member(now), member(now));
        zones.create(&content(now), &[one.clone(), other.clone()]).await.unwrap();
        zones.renewed(one.id, "b", "02", now.saturating_add(HOUR * 2)).await.unwrap();
        zones.heard(one.id, 5).await.unwrap();
        let read = zones.member(one.id).await.unwrap().unwrap();
        assert_eq!((read.serial.as_str(), read.seen), ("02", 5));
        zones.ban(one.id, "ann").await.unwrap();
        assert_eq!((zones.banned().await.unwrap(), sequence(&store).await), (vec![one.id], 2));
        assert!(matches!(zones.ban(one.id, "ann").await, Err(StoreError::NotFound)));
        assert!(matches!(zones.renewed(one.id, "b", "03", now).await, Err(StoreError::NotFound)));

        // A service that is forgotten takes its members and tokens with it.
        zones.keep_join_token(&join("d", now)).await.unwrap();
        zones.put_service(&service("api", now)).await.unwrap();
        zones.remove_service("dns", "ann").await.unwrap();
        assert!(matches!(zones.remove_service("dns", "ann").await, Err(StoreError::NotFound)));
        assert_eq!((zones.banned().await.unwrap().len(), sequence(&store).await), (2, 3));
        assert!(zones.join_token("d").await.unwrap().is_none());

        // A month after its last leaf nobody needs to know it any more.
        place.clock.advance(Duration::from_secs(29 * 24 * 3600));
        zones.tidy().await.unwrap();
        assert_eq!(zones.members().await.unwrap().len(), 2);
        assert!(zones.banned().await.unwrap().is_empty(), "no leaf of theirs would hold");
        place.clock.advance(Duration::from_secs(2 * 24 * 3600));
        zones.tidy().await.unwrap();
        assert!(zones.members().await.unwrap().is_empty());
        store.close().await;
    }
}

#[tokio::test]
async fn issuers_open_under_another_app_secret_key() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let now = place.clock.now();
        store.zone().create(&content(now), &[]).await.unwrap();
        store.close().await;
        drop(store);
        let options = place.options(Access::Tool);
        let new = Secret::new("another key of at least thirty-two characters".to_owned());
        let rotation = Rotation {
            url: options.url.clone(),
            present: options.app_secret_key.clone(),
            new: new.clone(),
            clock: Arc::clone(&options.clock),
            entropy: Arc::new(OsEntropy),
        };
        assert_eq!(rotate(rotation).await.unwrap().sealed, 1);
        let store = Store::open(crate::StoreOptions { app_secret_key: Some(new), ..options }).await.unwrap();
        let read = store.zone().read().await.unwrap().unwrap();
        assert_eq!(read.authorities[1].key, ZoneKey::Online(Secret::new(b"the key of an issuer".to_vec())));
        store.close().await;
    }
}

fn registration(member: &ZoneMember, address: &str, now: Timestamp) -> ZoneRegistration {
    ZoneRegistration {
        member: member.id,
        service: member.service.clone(),
        address: address.to_owned(),
        prefix: None,
        version: Some("v2".to_owned()),
        is_healthy: true,
        capabilities: Some("[\"read\"]".to_owned()),
        registered: now,
        seen: now,
    }
}

#[tokio::test]
async fn registrations_hold_while_their_members_are_heard_of() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let zones = store.zone();
        let now = place.clock.now();
        let (one, other) = (member(now), member(now));
        zones.create(&content(now), &[one.clone(), other.clone()]).await.unwrap();
        let before = Timestamp::from_micros(now.micros() - 1);
        let first = registration(&one, "10.0.0.1:1", now);
        zones.register(&first).await.unwrap();
        zones.register(&registration(&other, "10.0.0.2:1", now)).await.unwrap();
        assert_eq!(zones.registrations(before).await.unwrap().len(), 2);
        let moved = ZoneRegistration { is_healthy: false, ..registration(&one, "10.0.0.3:1", now) };
        assert!(!moved.says_the_same(&first));
        zones.register(&moved).await.unwrap();
        assert_eq!(zones.registration(one.id).await.unwrap(), Some(moved.clone()));

        place.clock.advance(Duration::from_secs(10));
        let later = place.clock.now();
        zones.registration_heard(one.id).await.unwrap();
        let heard = ZoneRegistration { seen: later, ..moved.clone() };
        assert!(heard.says_the_same(&moved));
        assert_eq!(zones.registrations(now).await.unwrap(), [heard]);
        assert_eq!(zones.silent_registrations(now).await.unwrap()[0].member, other.id);
        assert!(!zones.forget_registration(one.id, now).await.unwrap(), "it was heard of since");
        assert!(zones.forget_registration(other.id, now).await.unwrap());
        assert!(!zones.forget_registration(other.id, now).await.unwrap(), "one is told that it was it");

        zones.ban(one.id, "ann").await.unwrap();
        assert_eq!(zones.registrations(before).await.unwrap(), [], "a banned member is nowhere");
        store.close().await;
    }
}
