use gateway_audit::{Actor, End, Event, Phase};
use gateway_types::{ActionName, EventId, Layer, OsEntropy, RequestId, Resource, Timestamp};
use serde_json::json;

use super::{Story, StoryOutcome, stories};

/// Events of a log, one second after the other.
#[derive(Default)]
struct Log {
    events: Vec<(u64, Event)>,
    second: i64,
}

impl Log {
    fn waits(&mut self, seconds: i64) -> &mut Self {
        self.second += seconds;
        self
    }

    fn event(&mut self, who: &str, action: &str, app: &str) -> Event {
        self.second += 1;
        let now = Timestamp::from_micros(self.second * 1_000_000);
        let id = EventId::new(now, &OsEntropy);
        let mut event =
            Event::new(now, id, ActionName::new(action), Resource::app(app), Actor::local_operator(who));
        event.request_id = Some(RequestId::new(now, &OsEntropy));
        event
    }

    fn push(&mut self, event: Event) -> &mut Self {
        let index = 100 + u64::try_from(self.events.len()).unwrap();
        self.events.push((index, event));
        self
    }

    /// A plain read.
    fn looks(&mut self, who: &str, action: &str, app: &str, parameters: &[(&str, &str)]) -> &mut Self {
        let mut event = self.event(who, action, app);
        event.parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        event.end = Some(End::Completed);
        self.push(event)
    }

    /// An intent and its outcome.
    fn does(
        &mut self,
        who: &str,
        action: &str,
        app: &str,
        parameters: &[(&str, &str)],
        end: End,
    ) -> &mut Self {
        let mut intent = self.event(who, action, app);
        intent.parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        intent.phase = Phase::Intent;
        let mut outcome = intent.clone();
        (outcome.phase, outcome.end) = (Phase::Outcome, Some(end));
        outcome.parameters.clear();
        self.push(intent).push(outcome)
    }

    fn approval(&mut self, who: &str, action: &str, app: &str, id: &str, state: &str) -> &mut Self {
        let mut event = self.event(who, action, app);
        event.approval = Some(id.to_owned());
        event.after = Some(json!({ "state": state }));
        self.push(event)
    }

    /// What a client does for one deploy.
    fn deploy(&mut self, who: &str, app: &str, build: &str, release: &str) -> &mut Self {
        self.looks(who, "convox:app:read", app, &[])
            .does(who, "convox:object:create", app, &[], End::Completed)
            .does(who, "convox:build:create", app, &[], End::Completed);
        for _poll in 0..5 {
            self.looks(who, "convox:build:read", app, &[("id", build)]);
        }
        self.looks(who, "convox:release:read", app, &[("id", release)])
            .does(who, "convox:release:promote", app, &[("id", release)], End::Completed)
            .looks(who, "convox:app:read", app, &[])
            .looks(who, "convox:process:list", app, &[])
    }

    fn told(&self) -> Vec<Story> {
        stories(&self.events)
    }
}

fn summary(story: &Story) -> (String, usize, StoryOutcome) {
    (format!("{} {}", story.app, story.actors.join("+")), story.events.len(), story.outcome)
}

#[test]
fn the_requests_of_a_deploy_are_one_story() {
    let mut log = Log::default();
    log.deploy("ann", "web", "BAAA", "RAAA");
    let told = log.told();
    assert_eq!(told.len(), 1);
    // What she looked at before is of no deploy yet.
    assert_eq!(summary(&told[0]), ("web ann".to_owned(), 14, StoryOutcome::Promoted));
    assert_eq!((told[0].first(), told[0].requests), (101, 11));
    assert_eq!(told[0].builds.iter().collect::<Vec<_>>(), ["BAAA"]);
    assert_eq!(told[0].releases.iter().collect::<Vec<_>>(), ["RAAA"]);
}

#[test]
fn deploys_side_by_side_are_told_apart() {
    let mut log = Log::default();
    for (who, app) in [("ann", "web"), ("bo", "api")] {
        log.does(who, "convox:build:create", app, &[], End::Completed);
    }
    for (who, app, release) in [("bo", "api", "RB"), ("ann", "web", "RA")] {
        log.looks(who, "convox:build:read", app, &[("id", release)]).does(
            who,
            "convox:release:promote",
            app,
            &[("id", release)],
            End::Completed,
        );
    }
    // The same person, the same app, the next deploy.
    log.deploy("ann", "web", "BC", "RC");
    let told: Vec<_> = log.told().iter().map(summary).collect();
    assert_eq!(
        told,
        [
            // With the look at the app before the next upload: nothing tells whose it was.
            ("web ann".to_owned(), 6, StoryOutcome::Promoted),
            ("api bo".to_owned(), 5, StoryOutcome::Promoted),
            ("web ann".to_owned(), 14, StoryOutcome::Promoted),
        ]
    );
}

#[test]
fn an_approval_and_sessions_belong_to_their_deploy() {
    let mut log = Log::default();
    log.approval("ci", "gateway:approval:request", "web", "ap1", "pending");
    assert_eq!(log.told()[0].outcome, StoryOutcome::Waiting);
    // Hours later: what ties them is the id.
    log.waits(7200).approval("ann", "gateway:approval:approve", "web", "ap1", "approved").waits(7200);
    let mut build = log.event("ci", "convox:build:create", "web");
    (build.phase, build.approval) = (Phase::Intent, Some("ap1".to_owned()));
    log.push(build)
        .looks("ci", "convox:build:read", "web", &[("id", "B1")])
        .does("ci", "convox:process:start", "web", &[("release", "R1")], End::Completed)
        .does("ci", "convox:process:exec", "web", &[], End::Completed)
        .does("ci", "convox:release:promote", "web", &[("id", "R1")], End::Completed)
        .approval("ci", "gateway:approval:step", "web", "ap1", "deployed");
    // Somebody else's shell in the same app is not the deploy's.
    log.does("eve", "convox:process:exec", "web", &[], End::Completed);
    let told = log.told();
    assert_eq!(told.len(), 1);
    let story = &told[0];
    assert_eq!((story.sessions, story.outcome, story.events.len()), (2, StoryOutcome::Promoted, 11));
    assert_eq!(story.actors, ["ci", "ann"]);
    let approval = story.approval.clone().unwrap();
    assert_eq!((approval.id.as_str(), approval.state.as_str()), ("ap1", "deployed"));
    assert_eq!(approval.by.into_iter().collect::<Vec<_>>(), ["ann"]);
}

#[test]
fn two_threads_that_turn_out_to_be_one_are_one() {
    let mut log = Log::default();
    log.does("ann", "convox:build:create", "web", &[], End::Completed)
        .looks("ann", "convox:build:read", "web", &[("id", "B1")])
        .waits(7200)
        .does("bo", "convox:release:create", "web", &[], End::Completed)
        .looks("bo", "convox:build:read", "web", &[("id", "B1")]);
    assert_eq!(log.told().len(), 2, "bo only looked at it, and ids are of whom they are first");
    let mut log = Log::default();
    log.does("ann", "convox:release:create", "web", &[("build", "B1")], End::Completed)
        .waits(7200)
        .does("bo", "convox:release:promote", "web", &[("id", "R1")], End::Completed)
        .does("cy", "convox:release:create", "web", &[("build", "B1"), ("release", "R1")], End::Completed);
    let told = log.told();
    assert_eq!(
        told.iter().map(summary).collect::<Vec<_>>(),
        [("web ann+bo+cy".to_owned(), 6, StoryOutcome::Promoted)]
    );
}

#[test]
fn what_came_of_it() {
    let check = |build: &mut dyn FnMut(&mut Log), expected: StoryOutcome| {
        let mut log = Log::default();
        build(&mut log);
        let told = log.told();
        assert_eq!(told.iter().map(|story| story.outcome).collect::<Vec<_>>(), [expected]);
    };
    let promote = |log: &mut Log, end| {
        log.does("ann", "convox:release:promote", "web", &[("id", "R1")], end);
    };
    check(&mut |log| promote(log, End::Completed), StoryOutcome::Promoted);
    check(&mut |log| promote(log, End::UpstreamLost), StoryOutcome::Failed);
    check(&mut |log| promote(log, End::Refused), StoryOutcome::Refused);
    check(
        &mut |log| {
            promote(log, End::Refused);
            promote(log, End::Completed);
        },
        StoryOutcome::Promoted,
    );
    check(
        &mut |log| {
            let mut refused = log.event("ann", "convox:build:create", "web");
            (refused.layer, refused.end) = (Some(Layer::Authentication), Some(End::Refused));
            log.push(refused);
        },
        StoryOutcome::Refused,
    );
    check(
        &mut |log| {
            log.does("ann", "convox:build:create", "web", &[], End::Completed);
        },
        StoryOutcome::Unfinished,
    );
    check(
        &mut |log| {
            log.approval("ci", "gateway:approval:request", "web", "a", "pending").approval(
                "bo",
                "gateway:approval:approve",
                "web",
                "a",
                "rejected",
            );
        },
        StoryOutcome::NotApproved,
    );
}

#[test]
fn what_is_of_no_deploy_is_in_no_story() {
    let mut log = Log::default();
    log.looks("ann", "convox:app:read", "web", &[])
        .does("ann", "convox:process:exec", "web", &[], End::Completed)
        .does("ann", "convox:app:update", "web", &[], End::Completed);
    let mut rack = log.event("ann", "convox:rack:read", "web");
    rack.resource = Resource::rack();
    log.push(rack);
    assert_eq!(log.told(), []);
    // After half an hour of nothing, a shell is a shell.
    log.deploy("ann", "web", "B1", "R1").waits(1801).does(
        "ann",
        "convox:process:exec",
        "web",
        &[],
        End::Completed,
    );
    assert_eq!(log.told()[0].sessions, 0);
}
