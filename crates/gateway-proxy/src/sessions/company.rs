//! Who is at the sessions of this instance besides the people whose they are: told to them, taken down, and where a
//! second person is needed, what lets a session begin and ends it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gateway_store::{Companion, Part};
use gateway_types::RecordingId;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{About, Sessions};
use crate::phases::commands::NeedsSecond;
use crate::plane::DataPlane;

/// How long a session goes on while it cannot be told whether its second person is there.
const UNKNOWN: Duration = Duration::from_secs(30);

/// How many notices may wait until the terminal has taken them.
const MOST_NOTICES: usize = 8;

/// The action of somebody who is no longer there. That they came is in the log by their own requests.
const LEAVE: &str = "gateway:live:leave";

/// A session of this instance.
pub(super) struct Live {
    pub(super) stop: watch::Sender<Option<String>>,
    about: Arc<About>,
    notices: mpsc::Sender<String>,
    /// Whether its person is told who watches.
    tells: bool,
    /// Who is there, by id.
    there: BTreeMap<String, (String, Part)>,
    second: watch::Sender<Option<String>>,
    /// When a second person was last known to be there.
    seen: Option<Instant>,
}

/// What a session hears of its company.
pub(crate) struct Company {
    /// Lines for the terminal.
    pub(crate) notices: mpsc::Receiver<String>,
    /// The second person, once there.
    pub(crate) second: watch::Receiver<Option<String>>,
    /// Why it needs one; `None` when it does not.
    pub(crate) needs: Option<NeedsSecond>,
}

/// Something to be taken down: whose session, and who left it.
type Left = (Arc<About>, String, Part);

impl Live {
    pub(super) fn new(
        about: Arc<About>,
        tells: bool,
        needs: Option<NeedsSecond>,
    ) -> (Self, watch::Receiver<Option<String>>, Company) {
        let (stop, stopped) = watch::channel(None);
        let (notices, told) = mpsc::channel(MOST_NOTICES);
        let (second, joined) = watch::channel(None);
        let live = Self { stop, about, notices, tells, there: BTreeMap::new(), second, seen: None };
        (live, stopped, Company { notices: told, second: joined, needs })
    }

    /// Takes in who is there now.
    fn meet(&mut self, now: BTreeMap<String, (String, Part)>) -> Vec<Left> {
        for (who, (name, part)) in &now {
            if self.there.get(who).is_some_and(|(_, before)| before == part) {
                continue;
            }
            match part {
                Part::Watch if !self.tells => {}
                Part::Watch => self.tell(format!("{name} watches this session")),
                Part::Second => self.tell(format!("{name} is the second person of this session")),
            }
        }
        let gone: Vec<Left> = self
            .there
            .iter()
            .filter(|(who, _)| !now.contains_key(*who))
            .map(|(_, (name, part))| (Arc::clone(&self.about), name.clone(), *part))
            .collect();
        self.there = now;
        let second =
            self.there.values().find(|(_, part)| *part == Part::Second).map(|(name, _)| name.clone());
        match second {
            Some(name) => {
                self.seen = Some(Instant::now());
                self.second.send_replace(Some(name));
            }
            None if self.seen.is_some() => {
                let before = self.second.borrow().clone().unwrap_or_default();
                self.end(format!("{before}, the second person of this session, left it"));
            }
            None => {}
        }
        gone
    }

    /// Ends it when it has not been known for long whether its second person is there.
    fn nobody_knows(&mut self) {
        if self.seen.is_some_and(|seen| seen.elapsed() > UNKNOWN) {
            self.end("it cannot be told whether its second person is still there".to_owned());
        }
    }

    fn end(&self, reason: String) {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(reason);
            is_first
        });
    }

    fn tell(&self, line: String) {
        // A terminal that takes none is told nothing; the log has it.
        let _full = self.notices.try_send(line);
    }
}

impl Sessions {
    fn meet(&self, company: Vec<Companion>) -> Vec<Left> {
        let mut by_session: HashMap<RecordingId, BTreeMap<String, (String, Part)>> = HashMap::new();
        for Companion { recording, who, name, part } in company {
            by_session.entry(recording).or_default().insert(who, (name, part));
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter_mut().flat_map(|(id, live)| live.meet(by_session.remove(id).unwrap_or_default())).collect()
    }

    fn nobody_knows(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(Live::nobody_knows);
    }
}

impl DataPlane {
    /// Looks who is at the sessions of this instance.
    pub(super) async fn follow_company(&self) {
        match self.parts.store.recordings().company().await {
            Ok(company) => {
                for (about, name, part) in self.sessions.meet(company) {
                    let mut event = about.event(self, LEAVE);
                    event.parameters.insert("person".to_owned(), gateway_audit::bounded(&name));
                    let part = match part {
                        Part::Watch => "watching",
                        Part::Second => "second person",
                    };
                    event.parameters.insert("part".to_owned(), part.to_owned());
                    self.parts.store.audit().queue(event);
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it is not known who is at the sessions of this instance"
                );
                self.sessions.nobody_knows();
            }
        }
    }
}
