//! What a running gateway does by the clock, and what it follows of the changes of others.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::Running;
use crate::background::refresh;
use crate::tls::OwnHosts;

/// At latest when a changed setting takes effect.
const SETTINGS_POLL: Duration = Duration::from_secs(2);

impl Running {
    /// Does periodic work until the gateway stops; under `name` people see when it was last done.
    pub(super) fn each<F, W>(&self, name: &'static str, period: Duration, mut work: F)
    where
        F: FnMut() -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let (app, stopping) = (self.app.clone(), self.stopping.clone());
        app.health.rounds.expect(name, period);
        self.background.spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stopping.cancelled() => return,
                }
                let began = Instant::now();
                app.health.rounds.begin(name, app.clock.now());
                work().await;
                app.health.rounds.end(name, began.elapsed());
            }
        });
    }

    /// Follows what others change: settings and policies take effect here as soon as the store says that
    /// something changed, and at latest at the next poll.
    pub(super) fn keep_up(&self, mut hosts: OwnHosts) {
        let (app, plane, stopping) = (self.app.clone(), self.plane.clone(), self.stopping.clone());
        let mut changes = self.store.callers().subscribe_changes();
        self.background.spawn(async move {
            let mut poll = interval(SETTINGS_POLL);
            poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = poll.tick() => {}
                    changed = changes.changed() => if changed.is_err() { return },
                    () = stopping.cancelled() => return,
                }
                plane.end_stopped_sessions().await;
                refresh(&app).await;
                hosts.follow(&app.rules.services());
            }
        });
    }
}
