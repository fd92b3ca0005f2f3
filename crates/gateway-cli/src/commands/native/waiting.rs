//! Waiting until an app runs as it was told to, as the official client does (API notes 3.5): what the rack itself says of
//! it comes from the app's log, how its processes stand is shown to people, and it is settled when it was seen running
//! twice in a row.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_client::rack::types::Process;
use gateway_client::rack::{Heard, RackRequest, RackSocket};
use gateway_client::text::one_line;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::Place;
use super::logs::TextLines;
use crate::failure::{Exit, Failure};
use crate::output::remark;

/// How many looks in a row may fail before the wait is given up: a link may be away for a moment.
const FAILED_LOOKS: u32 = 5;

/// How often is looked, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    /// Between two looks at a build.
    pub(crate) build: Duration,
    /// Between two looks at processes.
    pub(crate) processes: Duration,
    /// Between two looks at an app that changes.
    pub(crate) settle: Duration,
    /// How long an app may take.
    pub(crate) patience: Duration,
    /// How long a build may take.
    pub(crate) build_patience: Duration,
}

impl Pace {
    /// That of the official client.
    pub(crate) const USUAL: Self = Self {
        build: Duration::from_secs(1),
        processes: Duration::from_secs(3),
        settle: Duration::from_secs(5),
        patience: Duration::from_secs(35 * 60),
        build_patience: Duration::from_secs(60 * 60),
    };

    /// How often an app is looked at before it is given up.
    pub(super) fn looks(&self) -> u32 {
        let most = self.patience.as_millis() / self.settle.as_millis().max(1);
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

/// Waits until the app runs.
///
/// # Errors
/// When it is rolled back, takes too long, or cannot be looked at any more.
pub(super) async fn until_running(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    let pace = place.context.pace;
    let until = Instant::now() + pace.patience;
    let mut log = SystemLines::open(place, app).await;
    let mut seen = Seen::default();
    seen.look(place, app).await;
    let mut processes = interval_at(Instant::now() + pace.processes, pace.processes);
    let mut settle = interval_at(Instant::now() + pace.settle, pace.settle);
    for pulse in [&mut processes, &mut settle] {
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let (mut settled, mut failed) = (0, 0);
    let waited = timeout_at(until, async {
        loop {
            tokio::select! {
                () = log.tell() => {}
                _ = processes.tick() => seen.look(place, app).await,
                _ = settle.tick() => match place.read_app(app).await.map(|app| app.value.status) {
                    Ok(status) if status == "running" => (settled, failed) = (settled + 1, 0),
                    Ok(status) if status == "rollback" => {
                        return Err(Failure::new(Exit::Failed, format!("{} is rolled back", one_line(app)))
                            .hint("see why with `rack-gateway logs` and `rack-gateway deploy-debug`"));
                    }
                    Ok(_) => (settled, failed) = (0, 0),
                    Err(failure) if failed + 1 >= FAILED_LOOKS => return Err(failure),
                    Err(_) => failed += 1,
                },
            }
            if settled == 2 {
                return Ok(());
            }
        }
    });
    waited.await.unwrap_or_else(|_| {
        let what = format!("{} is not settled after {} minutes", one_line(app), pace.patience.as_secs() / 60);
        Err(Failure::new(Exit::Failed, what).hint("it goes on; look at it with `rack-gateway apps info`"))
    })
}

/// How the processes stood when somebody was told.
#[derive(Default)]
struct Seen {
    told: String,
}

impl Seen {
    /// Tells people when it changed. That it cannot be asked is no reason to give up.
    async fn look(&mut self, place: &Place<'_>, app: &str) {
        let Ok(processes) = place.processes(app).await else { return };
        let now = standing(&processes.value);
        if place.context.terminal.is_there && now != self.told {
            remark(&now);
            self.told = now;
        }
    }
}

/// How processes stand, in one line.
fn standing(processes: &[Process]) -> String {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for one in processes {
        *counts.entry((&one.name, &one.release, &one.status)).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|((service, release, status), count)| {
            format!("{} of {}: {count} {}", one_line(service), one_line(release), one_line(status))
        })
        .collect();
    if counts.is_empty() { "no process yet".to_owned() } else { counts.join(", ") }
}

/// What the rack itself says in the log of an app.
struct SystemLines {
    socket: Option<RackSocket>,
    lines: TextLines,
}

impl SystemLines {
    /// Listens; who may not read logs waits without them.
    async fn open(place: &Place<'_>, app: &str) -> Self {
        let asked =
            RackRequest::get(&["apps", app, "logs"]).header("Prefix", Some(true)).header("Since", Some("5s"));
        let socket = place.remote.ask(async |client| client.rack_socket(&asked).await).await.ok();
        Self { socket, lines: TextLines::default() }
    }

    /// Tells the next of them; waits for ever when there are no more.
    async fn tell(&mut self) {
        let Some(socket) = &mut self.socket else { return std::future::pending().await };
        match socket.hear().await {
            Heard::Bytes(bytes) => {
                for line in self.lines.take(&bytes) {
                    let is_system =
                        line.split_whitespace().nth(1).is_some_and(|word| word.starts_with("system/"));
                    if is_system {
                        remark(&line);
                    }
                }
            }
            Heard::End | Heard::Lost => self.socket = None,
        }
    }
}

#[cfg(test)]
impl Pace {
    /// So quick that a test does not wait.
    pub(crate) const QUICK: Self = Self {
        build: Duration::from_millis(1),
        processes: Duration::from_millis(20),
        settle: Duration::from_millis(5),
        patience: Duration::from_secs(20),
        build_patience: Duration::from_secs(20),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_service_and_release() {
        let process = |release: &str, status: &str| Process {
            name: "web".to_owned(),
            release: release.to_owned(),
            status: status.to_owned(),
            ..Process::default()
        };
        let running = [process("R2", "pending"), process("R1", "running"), process("R1", "running")];
        assert_eq!(standing(&running), "web of R1: 2 running, web of R2: 1 pending");
        assert_eq!(standing(&[]), "no process yet");
    }
}
