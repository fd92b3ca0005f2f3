//! Reports of vantage points, on both databases.

use gateway_store::EventFilter;
use gateway_types::wire::vantage::{Found, Sighting};
use gateway_types::{RequestId, Role};

use super::*;
use crate::tests::{Person, World};

const RACK: &str = "rack.internal:443";

fn report(found: &[(&str, Found)]) -> VantageReport {
    let sighting = |(target, found): &(&str, Found)| Sighting {
        target: (*target).to_owned(),
        meaning: "the rack's API".to_owned(),
        found: *found,
    };
    VantageReport { every_seconds: 60, sightings: found.iter().map(sighting).collect() }
}

async fn said(world: &World, person: &Person, found: &[(&str, Found)]) -> Vec<String> {
    let app = &world.app;
    let operator = app.operator(&person.caller, RequestId::new(app.clock.now(), &*app.entropy));
    let turns = take(app, &operator, "office", &report(found)).await.unwrap();
    turns.iter().map(ToString::to_string).collect()
}

async fn events(world: &World, action: &str) -> usize {
    let filter = EventFilter { action: Some(action.to_owned()), ..EventFilter::default() };
    world.app.store.events().search(&filter, None, 100).await.unwrap().items.len()
}

async fn state(world: &World) -> (String, &'static str) {
    let listed = list(&world.app.store).await.unwrap();
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    (one.reporter.clone(), one.state.name())
}

#[tokio::test]
async fn what_answers_is_told_once_until_it_changes() {
    for world in World::both().await {
        let ops = world.person("ops", &[Role::Ops]).await;
        assert_eq!(said(&world, &ops, &[(RACK, Found::Closed)]).await, Vec::<String>::new());
        assert_eq!(state(&world).await, ("ops@example.com".to_owned(), "quiet"));
        let opened = format!("{RACK} answers: the rack's API");
        assert_eq!(said(&world, &ops, &[(RACK, Found::Open)]).await, std::slice::from_ref(&opened));
        assert_eq!(said(&world, &ops, &[(RACK, Found::Open)]).await, Vec::<String>::new());
        // What could not be looked at is no good sign.
        assert_eq!(said(&world, &ops, &[(RACK, Found::Unclear)]).await, Vec::<String>::new());
        assert_eq!(state(&world).await.1, "open");
        assert_eq!(said(&world, &ops, &[(RACK, Found::Closed)]).await, [format!("{RACK} answers no more")]);
        assert_eq!(said(&world, &ops, &[(RACK, Found::Unclear)]).await, Vec::<String>::new());
        assert_eq!(state(&world).await.1, "unclear");
        assert_eq!(said(&world, &ops, &[(RACK, Found::Open)]).await, [opened]);
        let other = said(&world, &ops, &[("10.0.0.1:22", Found::Closed)]).await;
        assert_eq!(other, [format!("{RACK} answered, and is not looked at any more")]);
        assert_eq!(
            events(&world, "gateway:vantage:begin").await,
            1,
            "whose the name is, is in the log, once"
        );
        assert_eq!(events(&world, "gateway:vantage:exposed").await, 2);
        assert_eq!(events(&world, "gateway:vantage:closed").await, 2);
        let told = world.told();
        assert_eq!(told.iter().filter(|one| matches!(one, Notice::Exposed { .. })).count(), 2, "{told:?}");
    }
}

#[tokio::test]
async fn reports_that_stay_away_are_told_of_once_until_they_come_again() {
    for world in World::both().await {
        let ops = world.person("ops", &[Role::Ops]).await;
        said(&world, &ops, &[(RACK, Found::Closed)]).await;
        take_own(&world.app, &report(&[(RACK, Found::Closed)])).await.unwrap();
        world.clock.advance(Duration::from_secs(210));
        assert_eq!(tell_of_silence(&world.app).await.unwrap(), Vec::<String>::new());
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(tell_of_silence(&world.app).await.unwrap(), ["office"], "and not of the gateway's own");
        assert_eq!(tell_of_silence(&world.app).await.unwrap(), Vec::<String>::new());
        let listed = list(&world.app.store).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.state.name()).collect::<Vec<_>>(), ["quiet", "silent"]);
        assert_eq!(said(&world, &ops, &[(RACK, Found::Closed)]).await, ["its reports come again"]);
        assert_eq!(events(&world, "gateway:vantage:silent").await, 1);
        assert_eq!(events(&world, "gateway:vantage:returned").await, 1);
        let is_silent = |one: &&Notice| matches!(one, Notice::VantageSilent { .. });
        assert_eq!(world.told().iter().filter(is_silent).count(), 1);
    }
}

#[tokio::test]
async fn nobody_speaks_for_somebody_elses_vantage_point() {
    for world in World::both().await {
        let (ann, bob) = (world.person("ann", &[Role::Ops]).await, world.person("bob", &[Role::Ops]).await);
        said(&world, &ann, &[(RACK, Found::Open)]).await;
        let app = &world.app;
        let operator = app.operator(&bob.caller, RequestId::new(app.clock.now(), &*app.entropy));
        let all_well = report(&[(RACK, Found::Closed)]);
        let refused = take(app, &operator, "office", &all_well).await.unwrap_err();
        assert!(matches!(&refused, VantageError::Taken { reporter, .. } if reporter == "ann@example.com"));
        for name in ["gateway", "", "Office", "a b"] {
            let refused = take(app, &operator, name, &all_well).await;
            assert!(matches!(refused, Err(VantageError::Name)), "{name}");
        }
        remove(app, &operator, "office").await.unwrap();
        assert!(matches!(remove(app, &operator, "office").await, Err(VantageError::Unknown { .. })));
        assert_eq!(take(app, &operator, "office", &all_well).await.unwrap(), []);
    }
}

#[test]
fn reports_are_bounded() {
    let good = report(&[(RACK, Found::Closed)]);
    assert!(check(&good).is_ok());
    let long = "x".repeat(LONGEST_TEXT + 1);
    for bad in [
        report(&[]),
        report(&[("", Found::Open)]),
        report(&[("a\u{1b}[2J", Found::Open)]),
        report(&[(&long, Found::Open)]),
        report(&vec![(RACK, Found::Open); MOST_TARGETS + 1]),
        VantageReport { every_seconds: 9, ..good.clone() },
        VantageReport { every_seconds: 3601, ..good.clone() },
    ] {
        assert!(matches!(check(&bad), Err(VantageError::Report)), "{bad:?}");
    }
}

fn refused(peer: &str, reason: &str, count: u64) -> RefusedThere {
    RefusedThere { peer: peer.to_owned(), claimed: None, reason: reason.to_owned(), count }
}

#[tokio::test]
async fn what_the_gateway_tried_itself_is_no_news_and_everything_else_is() {
    for world in World::both().await {
        let store = &world.app.store;
        let own = refused("10.0.0.1", "no_certificate", 1);
        let more = refused("10.0.0.1", "no_certificate", 3);
        let others = [
            refused("10.0.0.2", "no_certificate", 1),
            refused("10.0.0.1", "no_zone_tls", 1),
            RefusedThere { claimed: Some("spiffe://a/svc/b".to_owned()), ..own.clone() },
        ];
        let heard = async |refused: &[RefusedThere]| {
            without_own_knocks(store, "dns", refused, world.app.clock.now()).await.unwrap()
        };
        assert_eq!(heard(std::slice::from_ref(&own)).await, std::slice::from_ref(&own), "nobody knocked yet");
        let knock = async || {
            let source = "::ffff:10.0.0.1".parse().unwrap();
            note_knock(&world.app, "dns", source, 1).await.unwrap();
        };
        knock().await;
        assert_eq!(heard(&others).await, others);
        assert_eq!(heard(std::slice::from_ref(&own)).await, []);
        assert_eq!(heard(std::slice::from_ref(&own)).await, std::slice::from_ref(&own), "once for each");
        knock().await;
        assert_eq!(heard(std::slice::from_ref(&more)).await, [refused("10.0.0.1", "no_certificate", 2)]);
        // Two looks between two reports.
        knock().await;
        knock().await;
        assert_eq!(heard(&[more]).await, std::slice::from_ref(&own));
        knock().await;
        world.clock.advance(Duration::from_secs(31));
        assert_eq!(heard(std::slice::from_ref(&own)).await, [own]);
    }
}
