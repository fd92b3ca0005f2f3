use gateway_app::Operator;
use gateway_app::jobs::{JobError, JobVerb, list, update};
use gateway_audit::Event;
use gateway_store::{JobFilter, JobState};
use gateway_types::{JobId, OsEntropy};

use super::{Place, some_job};

async fn events(place: &Place) -> Vec<Event> {
    let head = place.store.events().head().await.unwrap();
    let leaves = place.store.events().leaves(0, head.size).await.unwrap();
    let events = leaves.iter().map(|leaf| Event::from_leaf(&leaf.bytes).unwrap().0);
    events.filter(|event| event.action.as_str() == "gateway:job:update").collect()
}

#[tokio::test]
async fn each_change_of_a_job_is_recorded_with_before_and_after() {
    for place in Place::both().await {
        let operator = Operator::local("ann", &*place.clock, &OsEntropy);
        let id = place.enqueue(&some_job()).await;
        let change = async |verb: JobVerb| update(&place.store, &operator, id, verb).await;
        assert_eq!(change(JobVerb::Pause).await.unwrap().state, JobState::Paused);
        assert_eq!(change(JobVerb::Cancel).await.unwrap().state, JobState::Cancelled);
        let refused = change(JobVerb::Pause).await;
        assert!(
            matches!(refused, Err(JobError::NotPossible { state: JobState::Cancelled, .. })),
            "{refused:?}"
        );
        assert_eq!(change(JobVerb::Retry).await.unwrap().state, JobState::Waiting);
        let unknown = JobId::new(operator.clock.now(), &OsEntropy);
        let refused = update(&place.store, &operator, unknown, JobVerb::Retry).await;
        assert!(matches!(refused, Err(JobError::UnknownJob(_))), "{refused:?}");

        let told: Vec<(String, String, String)> = events(&place)
            .await
            .into_iter()
            .map(|event| {
                let state =
                    |value: Option<serde_json::Value>| value.unwrap()["state"].as_str().unwrap().to_owned();
                assert_eq!(event.parameters["id"], id.to_string());
                (event.parameters["verb"].clone(), state(event.before), state(event.after))
            })
            .collect();
        let expected = [
            ("pause", "waiting", "paused"),
            ("cancel", "paused", "cancelled"),
            ("retry", "cancelled", "waiting"),
        ];
        assert_eq!(told, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
        assert_eq!(list(&place.store, &JobFilter::default()).await.unwrap().items.len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    for place in Place::both().await {
        let operator = Operator::local("ann", &*place.clock, &OsEntropy);
        let id = place.enqueue(&some_job()).await;
        place.store.audit().close().await.unwrap();
        let refused = update(&place.store, &operator, id, JobVerb::Cancel).await;
        assert!(matches!(refused, Err(JobError::Record(_))), "{refused:?}");
        assert_eq!(place.row(id).await.state, JobState::Waiting);
    }
}

/// The table of what is possible here and the conditions in the database say the same.
#[tokio::test]
async fn the_store_agrees_on_what_is_possible() {
    for place in Place::both().await {
        let jobs = place.store.jobs();
        for state in JobState::ALL {
            for verb in JobVerb::ALL {
                let id = place.enqueue(&some_job()).await;
                match state {
                    JobState::Waiting => {}
                    JobState::Paused => drop(jobs.pause(id).await.unwrap()),
                    JobState::Cancelled => drop(jobs.cancel(id).await.unwrap()),
                    JobState::Running | JobState::Done | JobState::Dead => {
                        let lease = std::time::Duration::from_secs(3600);
                        let claimed = jobs.claim(crate::Job::KINDS, lease).await.unwrap().unwrap();
                        assert_eq!(claimed.job.id, id);
                        if state == JobState::Done {
                            jobs.complete(&claimed.claim).await.unwrap();
                        } else if state == JobState::Dead {
                            jobs.fail(&claimed.claim, "no", gateway_store::Retry::Never).await.unwrap();
                        }
                    }
                }
                let changed = match verb {
                    JobVerb::Retry => jobs.retry(id).await,
                    JobVerb::Cancel => jobs.cancel(id).await,
                    JobVerb::Pause => jobs.pause(id).await,
                };
                assert_eq!(changed.ok().map(|job| job.state), verb.leads_to(state), "{verb} {state}");
                // Out of the way of the next claim.
                let _ended = jobs.cancel(id).await;
            }
        }
    }
}
