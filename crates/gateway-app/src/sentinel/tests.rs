//! A rack that is changed behind the gateway, with entries of the log beside it.

use std::sync::{Arc, Mutex};

use gateway_approvals::chain::ReleaseFacts;
use gateway_approvals::statement::EnvironmentChange;
use gateway_types::Principal;

use super::*;
use crate::approvals::{RackImpact, RackView, Viewing};
use crate::tests::World;

const PERIOD: Duration = Duration::from_secs(30);

/// A rack that shows what it is told.
#[derive(Debug, Default)]
struct Rack(Mutex<RackSeen>);

impl RackView for Rack {
    fn release<'a>(&'a self, _: &'a Principal, _: &'a str, _: &'a str) -> Viewing<'a, Option<ReleaseFacts>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn environment<'a>(&'a self, _: &'a Principal, _: &'a str) -> Viewing<'a, Vec<EnvironmentChange>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn impact<'a>(&'a self, _: &'a Principal, _: &'a str) -> Viewing<'a, RackImpact> {
        Box::pin(std::future::ready(Ok(RackImpact::default())))
    }

    fn survey(&self) -> Viewing<'_, RackSeen> {
        let mut seen = self.0.lock().unwrap().clone();
        for app in seen.apps.values_mut() {
            *app = AppSeen { release: app.release.clone(), ..AppSeen::default() };
        }
        Box::pin(std::future::ready(Ok(seen)))
    }

    fn history<'a>(&'a self, app: &'a str) -> Viewing<'a, (BTreeSet<String>, BTreeSet<String>)> {
        let seen = self.0.lock().unwrap().apps.get(app).cloned().unwrap_or_default();
        Box::pin(std::future::ready(Ok((seen.releases, seen.builds))))
    }
}

struct Watched {
    world: World,
    rack: Arc<Rack>,
}

impl Watched {
    async fn both() -> Vec<Watched> {
        let mut all = Vec::new();
        for mut world in World::both().await {
            let rack = Arc::new(Rack::default());
            world.app.rack = rack.clone();
            let watched = Watched { world, rack };
            watched.with(|seen| {
                let app = AppSeen { release: "R1".to_owned(), ..AppSeen::default() };
                seen.apps.insert("web".to_owned(), app);
                seen.apps.insert("shop".to_owned(), AppSeen::default());
            });
            watched.with(|seen| {
                let web = seen.apps.get_mut("web").unwrap();
                web.releases.insert("R1".to_owned());
                web.builds.insert("B1".to_owned());
            });
            all.push(watched);
        }
        all
    }

    fn with(&self, change: impl FnOnce(&mut RackSeen)) {
        change(&mut self.rack.0.lock().unwrap());
    }

    fn web(&self, change: impl FnOnce(&mut AppSeen)) {
        self.with(|seen| change(seen.apps.get_mut("web").unwrap()));
    }

    /// The next look, as texts.
    async fn look(&self) -> Vec<String> {
        self.world.clock.advance(PERIOD);
        look(&self.world.app, PERIOD).await.unwrap().iter().map(ToString::to_string).collect()
    }

    async fn log(&self, action: &str, app: &str, parameters: &[(&str, &str)], refused: bool) {
        let operator = Operator::system(&*self.world.app.clock, &*self.world.app.entropy);
        let mut event = operator.event(action);
        event.resource = Resource::app(app);
        for (name, value) in parameters {
            event.parameters.insert((*name).to_owned(), (*value).to_owned());
        }
        if refused {
            event.verdict = Some(gateway_audit::VerdictRecord {
                decision: Decision::Refuse,
                facts: gateway_types::Facts::default(),
                observed: Vec::new(),
                policy_version: "v".to_owned(),
                remedies: Vec::new(),
                rules: Vec::new(),
            });
        }
        record(&self.world.app.store, event).await.unwrap();
    }

    async fn reported(&self) -> usize {
        let filter =
            EventFilter { action: Some("gateway:rack:bypassed".to_owned()), ..EventFilter::default() };
        self.world.app.store.events().search(&filter, None, 100).await.unwrap().items.len()
    }
}

#[tokio::test]
async fn the_first_look_judges_nothing() {
    for watched in Watched::both().await {
        assert_eq!(watched.look().await, Vec::<String>::new());
        assert_eq!(watched.look().await, Vec::<String>::new());
        assert_eq!(watched.reported().await, 0);
    }
}

#[tokio::test]
async fn what_nobody_asked_for_is_told_once() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.web(|web| {
            web.releases.insert("R2".to_owned());
            web.builds.insert("B2".to_owned());
            web.release = "R2".to_owned();
        });
        watched.with(|seen| {
            seen.apps.remove("shop");
            seen.apps.insert("evil".to_owned(), AppSeen::default());
        });
        let told = [
            "app shop was removed",
            "app evil was made",
            "build B2 of web was made",
            "release R2 of web was made",
            "release R2 of web was promoted",
        ];
        assert_eq!(watched.look().await, told);
        assert_eq!(watched.look().await, Vec::<String>::new());
        assert_eq!(watched.reported().await, told.len());
        assert!(matches!(
            watched.world.told().as_slice(),
            [Notice::RackBypassed { changes }] if changes.len() == told.len()
        ));
    }
}

#[tokio::test]
async fn the_last_look_and_the_last_bypass_are_told() {
    for watched in Watched::both().await {
        let standing = async || standing(&watched.world.app.store).await.unwrap();
        assert_eq!(standing().await, None);
        watched.look().await;
        let first = standing().await.unwrap();
        assert_eq!((first.looked, first.bypasses), (watched.world.app.clock.now(), 0));
        watched.web(|web| web.release = "R2".to_owned());
        watched.look().await;
        let found = watched.world.app.clock.now();
        watched.look().await;
        let standing = standing().await.unwrap();
        assert_eq!(standing.looked, watched.world.app.clock.now());
        assert_eq!(standing.bypasses, 1);
        assert_eq!(standing.last_bypass, Some((found, "release R2 of web was promoted".to_owned())));
    }
}

#[tokio::test]
async fn an_entry_explains_one_change_of_a_kind() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.log("convox:build:create", "web", &[], false).await;
        watched.log("convox:release:promote", "web", &[("id", "R2")], false).await;
        watched.log("convox:app:create", "new", &[("name", "new")], false).await;
        watched.web(|web| {
            web.builds.insert("B2".to_owned());
            web.releases.insert("R2".to_owned());
            web.release = "R2".to_owned();
        });
        watched.with(|seen| {
            seen.apps.insert("new".to_owned(), AppSeen::default());
        });
        assert_eq!(watched.look().await, Vec::<String>::new(), "each was asked for");
        // The same entries do not explain a second build, nor a promote of something else.
        watched.web(|web| {
            web.builds.insert("B3".to_owned());
            web.releases.insert("R3".to_owned());
            web.release = "R1".to_owned();
        });
        let told =
            ["build B3 of web was made", "release R3 of web was made", "release R1 of web was promoted"];
        assert_eq!(watched.look().await, told);
    }
}

#[tokio::test]
async fn neither_refusals_nor_other_apps_nor_what_is_long_ago_explain_anything() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.log("convox:release:promote", "web", &[("id", "R2")], true).await;
        watched.log("convox:release:promote", "shop", &[("id", "R2")], false).await;
        watched.web(|web| web.release = "R2".to_owned());
        assert_eq!(watched.look().await, ["release R2 of web was promoted"]);
        watched.log("convox:release:promote", "web", &[("id", "R1")], false).await;
        watched.world.clock.advance(Duration::from_micros(REACH_MICROS.unsigned_abs()));
        watched.web(|web| web.release = "R1".to_owned());
        assert_eq!(watched.look().await, ["release R1 of web was promoted"]);
    }
}

#[tokio::test]
async fn instances_look_in_turn_and_what_was_listed_before_is_not_new() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.web(|web| web.release = "R2".to_owned());
        assert!(look(&watched.world.app, PERIOD).await.unwrap().is_empty(), "another one looked just now");
        assert_eq!(watched.look().await.len(), 1);
        // An id leaves the list, since it holds the newest only, and comes back.
        watched.web(|web| web.releases.clear());
        assert!(watched.look().await.is_empty());
        watched.web(|web| {
            web.releases.insert("R1".to_owned());
        });
        assert!(watched.look().await.is_empty());
        // Who cannot remember does not guess.
        watched.world.app.store.sentinel().keep("{").await.unwrap();
        watched.world.clock.advance(PERIOD);
        assert!(matches!(look(&watched.world.app, PERIOD).await, Err(SentinelError::Memory(_))));
    }
}

/// Of many apps some are asked in each look; all of them in turn, and those that run something else at once.
#[tokio::test]
async fn many_apps_are_asked_in_turn() {
    for watched in Watched::both().await {
        watched.with(|seen| {
            for number in 0..3 * MOST_ASKED {
                let releases = [format!("R{number}")].into();
                let app = AppSeen { release: format!("R{number}"), releases, ..AppSeen::default() };
                seen.apps.insert(format!("app-{number:03}"), app);
            }
        });
        for _ in 0..4 {
            assert!(watched.look().await.is_empty(), "nothing is new that was not known before");
        }
        watched.with(|seen| {
            for app in ["app-001", "app-031", "app-059"] {
                seen.apps.get_mut(app).unwrap().releases.insert("REVIL".to_owned());
            }
            seen.apps.get_mut("app-045").unwrap().release = "REVIL".to_owned();
        });
        let mut told = watched.look().await;
        assert!(told.contains(&"release REVIL of app-045 was promoted".to_owned()), "{told:?}");
        for _ in 0..3 {
            told.extend(watched.look().await);
        }
        assert_eq!(told.len(), 4, "{told:?}");
    }
}

#[test]
fn who_is_due_goes_around() {
    let apps = |names: &[&str]| RackSeen {
        apps: names.iter().map(|name| ((*name).to_owned(), AppSeen::default())).collect(),
    };
    let all = apps(&["a", "b", "c", "d"]);
    let check = |last: &str, most: usize, expected: &[&str], reached: &str| {
        let (asked, now) = due(&all, &all, last, most);
        assert_eq!(
            (asked.iter().map(String::as_str).collect::<Vec<_>>(), now.as_str()),
            (expected.to_vec(), reached)
        );
    };
    check("", 2, &["a", "b"], "b");
    check("b", 2, &["c", "d"], "d");
    check("d", 3, &["a", "b", "c"], "c");
    check("c", 9, &["d", "a", "b", "c"], "c");
    let (asked, _) = due(&apps(&["a", "b"]), &all, "", 3);
    assert_eq!(asked, ["c", "d", "a"]);
    assert_eq!(due(&RackSeen::default(), &RackSeen::default(), "x", 3), (Vec::new(), "x".to_owned()));
}

/// An app that is polled has more entries than one page, and the one that explains is among the oldest of them.
#[tokio::test]
async fn many_other_entries_hide_none() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.log("convox:build:create", "web", &[], false).await;
        for number in 0..1050 {
            watched.log("convox:process:list", "web", &[], false).await;
            if number < PAGE + 50 {
                watched.log("convox:build:create", "web", &[], true).await;
            }
        }
        watched.web(|web| {
            web.builds.insert("B2".to_owned());
            web.releases.insert("R2".to_owned());
        });
        assert_eq!(watched.look().await, Vec::<String>::new());
    }
}

/// What happens at one app does not free what has explained a change of another.
#[tokio::test]
async fn an_entry_stays_spent_whatever_happens_elsewhere() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.log("convox:build:create", "web", &[], false).await;
        watched.web(|web| {
            web.builds.insert("B2".to_owned());
        });
        assert!(watched.look().await.is_empty());
        watched.log("convox:release:promote", "shop", &[("id", "R9")], false).await;
        watched.with(|seen| seen.apps.get_mut("shop").unwrap().release = "R9".to_owned());
        assert!(watched.look().await.is_empty());
        watched.web(|web| {
            web.builds.insert("B3".to_owned());
        });
        assert_eq!(watched.look().await, ["build B3 of web was made"]);
    }
}

/// A change of the environment has an entry for what is asked and one for what came of it: they are one change.
#[tokio::test]
async fn what_came_of_a_change_explains_no_second_one() {
    for watched in Watched::both().await {
        watched.look().await;
        watched.log("gateway:env:set", "web", &[("rack_call", "POST /apps/web/releases")], false).await;
        watched.log("gateway:env:set", "web", &[], false).await;
        watched.web(|web| {
            web.releases.insert("R2".to_owned());
        });
        assert!(watched.look().await.is_empty());
        watched.web(|web| {
            web.releases.insert("R3".to_owned());
        });
        assert_eq!(watched.look().await, ["release R3 of web was made"]);
    }
}
