use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, JobId};

use super::Place;
use crate::{Access, ClaimedJob, JobFilter, JobState, Jobs, NewJob, Retry, Store, StoreError};

const LEASE: Duration = Duration::from_secs(60);
const KINDS: &[&str] = &["mail"];

async fn enqueue(store: &Store) -> JobId {
    store.jobs().enqueue(NewJob::now("mail", "{}".to_owned())).await.unwrap().unwrap()
}

async fn claim(jobs: &Jobs) -> Option<ClaimedJob> {
    jobs.claim(KINDS, LEASE).await.unwrap()
}

async fn state(jobs: &Jobs, id: JobId) -> JobState {
    jobs.by_id(id).await.unwrap().unwrap().state
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
}

#[tokio::test]
async fn a_job_is_claimed_once_and_done() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let payload = r#"{"to":"ann@example.com"}"#.to_owned();
        let id = jobs.enqueue(NewJob::now("mail", payload.clone())).await.unwrap().unwrap();
        assert!(jobs.claim(&["other"], LEASE).await.unwrap().is_none(), "not of a kind asked for");
        assert!(jobs.claim(&[], LEASE).await.unwrap().is_none());
        let claimed = claim(&jobs).await.unwrap();
        assert_eq!((claimed.job.id, &claimed.payload, claimed.job.tries), (id, &payload, 1));
        assert_eq!(claimed.job.lease_until, Some(place.clock.now().saturating_add(LEASE)));
        assert!(claim(&jobs).await.is_none(), "it is taken");
        jobs.complete(&claimed.claim).await.unwrap();
        conflict(jobs.complete(&claimed.claim).await);
        let job = jobs.by_id(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.finished), (JobState::Done, Some(place.clock.now())));
        assert!(claim(&jobs).await.is_none());
    }
}

#[tokio::test]
async fn payloads_and_keys_are_bounded_and_unique() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let large = NewJob::now("mail", "x".repeat(16 * 1024 + 1));
        assert!(matches!(jobs.enqueue(large).await, Err(StoreError::OutOfRange { .. })));
        let nul = NewJob::now("mail", "\0".to_owned());
        assert!(matches!(jobs.enqueue(nul).await, Err(StoreError::NotStorable { .. })));
        let keyed = |kind| NewJob { unique_key: Some("k".to_owned()), ..NewJob::now(kind, "{}".to_owned()) };
        assert!(jobs.enqueue(keyed("mail")).await.unwrap().is_some());
        assert!(jobs.enqueue(keyed("mail")).await.unwrap().is_none(), "the same work twice");
        assert!(jobs.enqueue(keyed("other")).await.unwrap().is_some());
        enqueue(&store).await;
        enqueue(&store).await;
        let claimed = claim(&jobs).await.unwrap();
        jobs.complete(&claimed.claim).await.unwrap();
        assert!(jobs.enqueue(keyed("mail")).await.unwrap().is_none(), "done counts while its row is kept");
    }
}

#[tokio::test]
async fn a_job_waits_for_its_time() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let run_at = place.clock.now().saturating_add(Duration::from_secs(5));
        let later = NewJob { run_at: Some(run_at), ..NewJob::now("mail", "{}".to_owned()) };
        jobs.enqueue(later).await.unwrap();
        place.clock.advance(Duration::from_secs(5) - Duration::from_micros(1));
        assert!(claim(&jobs).await.is_none());
        place.clock.advance(Duration::from_micros(1));
        assert!(claim(&jobs).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_claimers_get_fifty_jobs() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let mut made = BTreeSet::new();
        for _job in 0..50 {
            made.insert(enqueue(&first).await);
        }
        let start = Arc::new(tokio::sync::Barrier::new(50));
        let mut claimers = tokio::task::JoinSet::new();
        for claimer in 0..50 {
            let jobs = if claimer % 2 == 0 { first.jobs() } else { second.jobs() };
            let start = Arc::clone(&start);
            claimers.spawn(async move {
                start.wait().await;
                let claimed = claim(&jobs).await.unwrap();
                jobs.complete(&claimed.claim).await.unwrap();
                claimed.job.id
            });
        }
        let claimed = claimers.join_all().await;
        assert_eq!(claimed.len(), 50);
        assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), made, "{}", place.url);
        assert!(claim(&first.jobs()).await.is_none());
    }
}

#[tokio::test]
async fn who_lets_the_lease_run_out_loses_the_job() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let (first, second) = (first.jobs(), second.jobs());
        let id = first.enqueue(NewJob::now("mail", "{}".to_owned())).await.unwrap().unwrap();
        let late = claim(&first).await.unwrap();
        place.clock.advance(Duration::from_secs(40));
        first.renew(&late.claim, LEASE).await.unwrap();
        place.clock.advance(LEASE - Duration::from_micros(1));
        assert!(claim(&second).await.is_none(), "renewed");
        place.clock.advance(Duration::from_micros(1));
        let taken = claim(&second).await.unwrap();
        assert_eq!((taken.job.id, taken.job.tries), (id, 2));
        // The late one can do nothing to it any more, whatever it asks.
        conflict(first.complete(&late.claim).await);
        conflict(first.fail(&late.claim, "late", Retry::Never).await);
        conflict(first.renew(&late.claim, LEASE).await);
        conflict(first.release(&late.claim).await);
        let job = second.by_id(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.error), (JobState::Running, None));
        second.complete(&taken.claim).await.unwrap();
        conflict(first.fail(&late.claim, "late", Retry::Later).await);
        assert_eq!(state(&first, id).await, JobState::Done);
    }
}

#[tokio::test]
async fn failures_pause_longer_until_the_job_is_dead() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let id = enqueue(&store).await;
        let mut pauses = Vec::new();
        for attempt in 1..=10 {
            let claimed = claim(&jobs).await.unwrap();
            let now = place.clock.now();
            let next = jobs.fail(&claimed.claim, "no\nanswer", Retry::Later).await.unwrap();
            let job = jobs.by_id(id).await.unwrap().unwrap();
            assert_eq!((job.tries, job.error.as_deref(), job.state), (attempt, Some("no answer"), next));
            if attempt == 10 {
                assert_eq!((next, job.finished), (JobState::Dead, Some(now)));
                break;
            }
            assert_eq!(next, JobState::Waiting);
            let pause = job.run_at.checked_since(now).unwrap();
            pauses.push(pause.as_secs_f64());
            assert!(claim(&jobs).await.is_none(), "not before its pause is over");
            place.clock.advance(pause);
        }
        for (tries, pause) in pauses.iter().enumerate() {
            let full = f64::min(10.0 * f64::powi(2.0, i32::try_from(tries).unwrap()), 3600.0);
            assert!((full / 2.0..=full).contains(pause), "{tries}: {pause}");
        }
        assert!(claim(&jobs).await.is_none(), "dead");
        let retried = jobs.retry(id).await.unwrap();
        assert_eq!((retried.state, retried.tries, retried.finished), (JobState::Waiting, 0, None));
        let claimed = claim(&jobs).await.unwrap();
        assert_eq!(jobs.fail(&claimed.claim, "gone", Retry::Never).await.unwrap(), JobState::Dead);
    }
}

#[tokio::test]
async fn a_job_that_kills_its_workers_dies_with_its_last_try() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let poison = NewJob { most_tries: 2, ..NewJob::now("mail", "{}".to_owned()) };
        let id = jobs.enqueue(poison).await.unwrap().unwrap();
        for _crash in 0..2 {
            claim(&jobs).await.unwrap();
            place.clock.advance(LEASE);
        }
        assert!(claim(&jobs).await.is_none());
        let job = jobs.by_id(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.tries, job.lease_until), (JobState::Dead, 2, None));
        assert!(job.error.unwrap().contains("last time"));
    }
}

#[tokio::test]
async fn a_released_job_was_not_tried() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        enqueue(&store).await;
        let claimed = claim(&jobs).await.unwrap();
        jobs.release(&claimed.claim).await.unwrap();
        conflict(jobs.complete(&claimed.claim).await);
        let again = claim(&jobs).await.unwrap();
        assert_eq!(again.job.tries, 1);
        conflict(jobs.complete(&claimed.claim).await);
        jobs.complete(&again.claim).await.unwrap();
    }
}

#[tokio::test]
async fn people_retry_cancel_and_pause() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let id = enqueue(&store).await;
        assert_eq!(jobs.pause(id).await.unwrap().state, JobState::Paused);
        conflict(jobs.pause(id).await);
        assert!(claim(&jobs).await.is_none(), "held back");
        assert_eq!(jobs.retry(id).await.unwrap().state, JobState::Waiting);
        let claimed = claim(&jobs).await.unwrap();
        conflict(jobs.pause(id).await);
        conflict(jobs.retry(id).await);
        assert_eq!(jobs.cancel(id).await.unwrap().state, JobState::Cancelled);
        conflict(jobs.renew(&claimed.claim, LEASE).await);
        conflict(jobs.complete(&claimed.claim).await);
        conflict(jobs.cancel(id).await);
        jobs.retry(id).await.unwrap();
        conflict(jobs.complete(&claimed.claim).await);
        let again = claim(&jobs).await.unwrap();
        conflict(jobs.complete(&claimed.claim).await);
        jobs.complete(&again.claim).await.unwrap();
        conflict(jobs.retry(id).await);
        conflict(jobs.cancel(id).await);
        let unknown = JobId::new(place.clock.now(), &gateway_types::OsEntropy);
        assert!(matches!(jobs.retry(unknown).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let mut ids = Vec::new();
        for _job in 0..5 {
            ids.push(enqueue(&store).await);
            place.clock.advance(Duration::from_millis(1));
        }
        ids.reverse();
        let first = jobs.list(&JobFilter { limit: 3, ..JobFilter::default() }).await.unwrap();
        let rest = JobFilter { cursor: first.next.clone(), limit: 3, ..JobFilter::default() };
        let second = jobs.list(&rest).await.unwrap();
        let listed: Vec<JobId> = first.items.iter().chain(&second.items).map(|job| job.id).collect();
        assert_eq!((listed, second.next), (ids.clone(), None));
        jobs.pause(ids[0]).await.unwrap();
        let of = |state, kind: &str| JobFilter {
            state: Some(state),
            kind: Some(kind.to_owned()),
            ..JobFilter::default()
        };
        assert_eq!(jobs.list(&of(JobState::Paused, "mail")).await.unwrap().items.len(), 1);
        assert_eq!(jobs.list(&of(JobState::Waiting, "mail")).await.unwrap().items.len(), 4);
        assert!(jobs.list(&of(JobState::Waiting, "other")).await.unwrap().items.is_empty());
    }
}

#[tokio::test]
async fn what_is_long_done_is_forgotten() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let jobs = store.jobs();
        let day = Duration::from_secs(24 * 3600);
        let done = enqueue(&store).await;
        let claimed = claim(&jobs).await.unwrap();
        jobs.complete(&claimed.claim).await.unwrap();
        let cancelled = enqueue(&store).await;
        jobs.cancel(cancelled).await.unwrap();
        let dead = enqueue(&store).await;
        let claimed = claim(&jobs).await.unwrap();
        jobs.fail(&claimed.claim, "no", Retry::Never).await.unwrap();
        let waiting = enqueue(&store).await;
        place.clock.advance(7 * day);
        assert_eq!(jobs.prune().await.unwrap(), 0);
        place.clock.advance(Duration::from_micros(1));
        assert_eq!(jobs.prune().await.unwrap(), 2);
        for forgotten in [done, cancelled] {
            assert!(jobs.by_id(forgotten).await.unwrap().is_none());
        }
        assert_eq!(state(&jobs, dead).await, JobState::Dead);
        place.clock.advance(90 * day);
        assert_eq!(jobs.prune().await.unwrap(), 1);
        assert_eq!(state(&jobs, waiting).await, JobState::Waiting);
    }
}
