use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_store::{JobState, NewJob, Retry};
use gateway_types::{Clock, JobId};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Place, some_job};
use crate::worker::Handling;
use crate::{Handler, Job, JobFailure, Worker, WorkerOptions};

/// What the scripted handler does.
#[derive(Clone, Copy, Debug)]
enum Does {
    Succeeds,
    Fails(Retry),
    Panics,
    /// Waits until it is let go on.
    Waits,
}

#[derive(Debug)]
struct Scripted {
    does: Does,
    begun: Semaphore,
    go_on: Notify,
    ended: AtomicUsize,
}

impl Scripted {
    fn new(does: Does) -> Arc<Scripted> {
        Arc::new(Scripted {
            does,
            begun: Semaphore::new(0),
            go_on: Notify::new(),
            ended: AtomicUsize::new(0),
        })
    }

    /// Waits until this many more jobs were begun.
    async fn begun(&self, count: u32) {
        let waiting = self.begun.acquire_many(count);
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap().forget();
    }
}

impl Handler for Scripted {
    fn handle<'a>(&'a self, _id: JobId, job: &'a Job) -> Handling<'a> {
        assert_eq!(job, &some_job());
        Box::pin(async move {
            self.begun.add_permits(1);
            match self.does {
                Does::Succeeds => {}
                Does::Fails(retry) => return Err(JobFailure { error: "no\r\nanswer".to_owned(), retry }),
                Does::Panics => panic!("a handler that panics on purpose"),
                Does::Waits => self.go_on.notified().await,
            }
            self.ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }
}

struct Running {
    stop: CancellationToken,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(place: &Place, handler: &Arc<Scripted>, options: WorkerOptions) -> Running {
        let (stop, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let worker = Worker {
            store: Arc::clone(&place.store),
            handler: Arc::clone(handler) as Arc<dyn Handler>,
            wake: Arc::clone(&wake),
            options,
        };
        Running { task: tokio::spawn(worker.run(stop.clone())), stop, wake }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.task).await.unwrap().unwrap();
    }
}

/// Nothing happens by itself: only a wake makes the worker look.
fn woken_only() -> WorkerOptions {
    WorkerOptions { poll: Duration::from_secs(3600), ..WorkerOptions::default() }
}

#[tokio::test]
async fn a_woken_worker_does_what_waits() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Succeeds);
        let worker = Running::start(&place, &handler, woken_only());
        let mut ids = Vec::new();
        for _job in 0..10 {
            ids.push(place.enqueue(&some_job()).await);
        }
        worker.wake.notify_one();
        for id in ids {
            place.until_state(id, JobState::Done).await;
        }
        worker.stop().await;
        assert_eq!(handler.ended.load(Ordering::SeqCst), 10);
    }
}

#[tokio::test]
async fn a_poll_finds_what_nobody_told_of() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Succeeds);
        let options = WorkerOptions { poll: Duration::from_millis(10), ..WorkerOptions::default() };
        let worker = Running::start(&place, &handler, options);
        let id = place.enqueue(&some_job()).await;
        place.until_state(id, JobState::Done).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_failure_is_tried_again_later_or_never() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Fails(Retry::Later));
        let id = place.enqueue(&some_job()).await;
        let worker = Running::start(&place, &handler, woken_only());
        let row = place.until(id, |row| row.error.is_some()).await;
        assert_eq!((row.state, row.tries, row.error.as_deref()), (JobState::Waiting, 1, Some("no  answer")));
        place.clock.advance(row.run_at.checked_since(place.clock.now()).unwrap());
        worker.wake.notify_one();
        place.until(id, |row| row.tries == 2 && row.state == JobState::Waiting).await;
        worker.stop().await;

        let handler = Scripted::new(Does::Fails(Retry::Never));
        let id = place.enqueue(&some_job()).await;
        let worker = Running::start(&place, &handler, woken_only());
        assert_eq!(place.until_state(id, JobState::Dead).await.tries, 1);
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_panic_ends_the_try_and_not_the_worker() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Panics);
        let worker = Running::start(&place, &handler, woken_only());
        for _job in 0..2 {
            let id = place.enqueue(&some_job()).await;
            worker.wake.notify_one();
            let row = place.until(id, |row| row.error.is_some()).await;
            assert_eq!((row.state, row.tries), (JobState::Waiting, 1));
            assert!(row.error.unwrap().contains("panicked"));
        }
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_job_that_hangs_is_ended() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Waits);
        let id = place.enqueue(&some_job()).await;
        let options = WorkerOptions { limit: Duration::from_millis(50), ..woken_only() };
        let worker = Running::start(&place, &handler, options);
        let row = place.until(id, |row| row.error.is_some()).await;
        assert_eq!(
            (row.state, row.error.as_deref()),
            (JobState::Waiting, Some("the job took longer than 50ms"))
        );
        handler.go_on.notify_waiters();
        worker.stop().await;
        assert_eq!(handler.ended.load(Ordering::SeqCst), 0, "it was dropped, not left running");
    }
}

#[tokio::test]
async fn a_claim_is_renewed_while_the_job_runs() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Waits);
        let id = place.enqueue(&some_job()).await;
        let lease = Duration::from_millis(300);
        let worker = Running::start(&place, &handler, WorkerOptions { lease, ..woken_only() });
        handler.begun(1).await;
        place.clock.advance(Duration::from_millis(200));
        let renewed = place.clock.now().saturating_add(lease);
        place.until(id, |row| row.lease_until == Some(renewed)).await;
        handler.go_on.notify_one();
        place.until_state(id, JobState::Done).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_job_that_is_called_off_is_dropped() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Waits);
        let id = place.enqueue(&some_job()).await;
        let options = WorkerOptions { lease: Duration::from_millis(60), ..woken_only() };
        let worker = Running::start(&place, &handler, options);
        handler.begun(1).await;
        place.store.jobs().cancel(id).await.unwrap();
        // The next renewal finds it gone: the hands are free for another one.
        let next = place.enqueue(&some_job()).await;
        worker.wake.notify_one();
        handler.begun(1).await;
        handler.go_on.notify_waiters();
        place.until_state(next, JobState::Done).await;
        worker.stop().await;
        assert_eq!(place.row(id).await.state, JobState::Cancelled);
    }
}

#[tokio::test]
async fn a_worker_that_stops_gives_back_what_it_cannot_end() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Waits);
        let (held, done) = (place.enqueue(&some_job()).await, place.enqueue(&some_job()).await);
        let options = WorkerOptions { grace: Duration::from_secs(1), ..woken_only() };
        let worker = Running::start(&place, &handler, options);
        handler.begun(2).await;
        worker.stop.cancel();
        // One of the two ends in time.
        handler.go_on.notify_one();
        worker.stop().await;
        let (held, done) = (place.row(held).await, place.row(done).await);
        let mut ends = [(held.state, held.tries), (done.state, done.tries)];
        ends.sort_by_key(|(state, _)| state.name());
        assert_eq!(ends, [(JobState::Done, 1), (JobState::Waiting, 0)]);
        let late = place.enqueue(&some_job()).await;
        assert_eq!(place.row(late).await.state, JobState::Waiting, "nobody works any more");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_dead_and_what_is_not_known_is_left() {
    for place in Place::both().await {
        let handler = Scripted::new(Does::Succeeds);
        let jobs = place.store.jobs();
        let broken = jobs.enqueue(NewJob::now("mail", "{}".to_owned())).await.unwrap().unwrap();
        let newer = jobs.enqueue(NewJob::now("newer", "{}".to_owned())).await.unwrap().unwrap();
        let worker = Running::start(&place, &handler, woken_only());
        let row = place.until_state(broken, JobState::Dead).await;
        assert!(row.error.unwrap().contains("payload"));
        worker.stop().await;
        let row = place.row(newer).await;
        assert_eq!((row.state, row.tries), (JobState::Waiting, 0));
    }
}
