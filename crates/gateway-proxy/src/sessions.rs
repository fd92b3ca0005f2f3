//! Sessions in the rack: execs, shells, consoles, TCP channels. Each is noted before the rack is dialled, taken down
//! while it goes on, listed for everybody who may see it, and ended when somebody says so, on whichever instance.
//!
//! Start at [`begin`]. What is taken down goes through a [`Tap`] to a `writer`, which masks, seals and keeps it. It
//! must not know frames (the relay does) nor who may read a recording (policy does).
//!
//! # Security
//! A strict recording comes before the session: what cannot be kept is not shown for longer than the writer tries, and
//! then the session ends. Values of the app's environment are masked before anything is kept.

mod alerts;
mod company;
mod maskers;
mod neighbours;
mod resuming;
mod tap;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_app::settings::RecordingMode;
use gateway_audit::{Actor, Event, EventId};
use gateway_convox::RackRequest;
use gateway_recording::{Header, Recorder, Size};
use gateway_secrets::TerminalMasker;
use gateway_store::{NewRecording, OpenRecording, StoreError};
use gateway_types::{ActionName, Caller, Principal, Problem, RecordingId, RequestId, Resource};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::environment;
use crate::phases::commands::{self, NeedsSecond};
use crate::phases::record::cannot_record;
use crate::plane::DataPlane;

use alerts::Alerts;
use company::Live;
use maskers::Maskers;
use neighbours::Neighbours;
use resuming::Resumables;
use writer::{Recording, Writer};

pub(crate) use company::Company;
pub use neighbours::NeighbourSocket;
pub(crate) use resuming::{Attachment, Claim, Duplex, Holding, Over, Unclaimed, keep, new_token};
pub(crate) use tap::{Feed, Saying, Tap, Transfer};

/// How many pieces may wait for the writer: what a session may be ahead of its recording by.
const MOST_WAITING: usize = 4;

/// The action of a channel whose bytes are no terminal's.
const CHANNEL: &str = "convox:network:proxy";

/// The actions that move files in and out of processes.
const FILES: [&str; 2] = ["convox:file:read", "convox:file:write"];

/// What sums a transfer of files; `None` for anything else, and where nothing is recorded.
pub(crate) fn transfer_of(plane: &DataPlane, request: &RackRequest) -> Option<Transfer> {
    let resource = request.resource();
    let is_off = plane.parts.settings.recording(resource.app_name()) == RecordingMode::Off;
    (!is_off && FILES.contains(&request.operation().action.as_str())).then(Transfer::default)
}

/// The sessions of this instance.
#[derive(Default)]
pub(crate) struct Sessions {
    live: Mutex<HashMap<RecordingId, Live>>,
    maskers: Maskers,
    /// Those that go on over another connection.
    pub(crate) resumables: Resumables,
    /// Where else to look for them.
    pub(crate) neighbours: Neighbours,
    /// Writers; they outlive the sockets by their last piece.
    pub(crate) writers: TaskTracker,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.ids().len())
    }
}

impl Sessions {
    /// Which sessions go on here.
    fn ids(&self) -> Vec<RecordingId> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn enter(&self, id: RecordingId, live: Live) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(id, live);
    }

    fn leave(&self, id: RecordingId) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn stop(&self, id: RecordingId, reason: String) {
        if let Some(live) = self.live.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            live.stop.send_replace(Some(reason));
        }
    }
}

impl DataPlane {
    /// Says that the sessions of this instance go on. Called every few seconds.
    pub async fn beat_sessions(&self) {
        let ids = self.sessions.ids();
        if let Err(error) = self.parts.store.recordings().beat(&ids).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "others cannot see that sessions go on here"
            );
        }
    }

    /// Ends the sessions of this instance that somebody wants to end, and looks who is at the others. Called when
    /// something changed, and every two seconds.
    pub async fn end_stopped_sessions(&self) {
        if self.sessions.ids().is_empty() {
            return;
        }
        self.follow_company().await;
        match self.parts.store.recordings().stops().await {
            Ok(orders) => {
                for order in orders {
                    let reason = format!("{} ended this session: {}", order.by, order.reason);
                    self.sessions.stop(order.id, reason);
                }
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "sessions to end are not known");
            }
        }
    }
}

/// A session that was noted, until it ends. Dropped, it ends too.
pub(crate) struct Session {
    id: RecordingId,
    /// What its events are made of.
    about: Arc<About>,
    /// Where its bytes go.
    pub(crate) tap: Tap,
    /// Who is there besides; taken by whoever talks to the client.
    pub(crate) company: Option<Company>,
    ends: Ends,
    ending: Arc<Mutex<Option<String>>>,
    /// Open for as long as the session is.
    _open: mpsc::Sender<Saying>,
}

/// What ends a session from outside.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    stopped: watch::Receiver<Option<String>>,
    unrecorded: watch::Receiver<bool>,
}

impl Ends {
    /// Waits until somebody ends the session, or its recording cannot be written, and says which.
    pub(crate) async fn reason(self) -> String {
        let Self { mut stopped, mut unrecorded } = self;
        // Neither answers when its writer is gone: then the session ends by itself.
        let stopped = async {
            let why = stopped.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            match why {
                Some(why) => why,
                None => std::future::pending().await,
            }
        };
        let unrecorded = async {
            let is_broken = unrecorded.wait_for(|broken| *broken).await.is_ok();
            match is_broken {
                true => "the recording of this session cannot be written, so it ends".to_owned(),
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            why = stopped => why,
            why = unrecorded => why,
        }
    }
}

impl Session {
    /// Its id.
    pub(crate) const fn id(&self) -> RecordingId {
        self.id
    }

    /// What ends it from outside.
    pub(crate) fn ends(&self) -> Ends {
        self.ends.clone()
    }

    /// Its end, in one sentence.
    pub(crate) fn ended(self, ending: String) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
    }
}

/// What events of a session are made of.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) id: RecordingId,
    request_id: RequestId,
    resource: Resource,
    caller: Caller,
}

impl About {
    /// Whose session it is, as the log names them.
    pub(crate) fn actor_name(&self) -> String {
        Actor::of(&self.caller.principal).name
    }

    pub(crate) fn event(&self, plane: &DataPlane, action: &str) -> Event {
        let (clock, entropy) = (&*plane.parts.clock, &*plane.parts.entropy);
        let id = EventId::new(clock.now(), entropy);
        let actor = Actor::of(&self.caller.principal);
        let mut event = Event::new(clock.now(), id, ActionName::new(action), self.resource.clone(), actor)
            .by(&self.caller);
        event.request_id = Some(self.request_id);
        event.parameters.insert("recording".to_owned(), self.id.to_string());
        event
    }
}

/// Notes a session, and begins its recording, before the rack hears of it. `logged` are its parameters as the log
/// keeps them.
///
/// # Errors
/// `CannotRecord` when it has to be recorded and cannot be.
pub(crate) async fn begin(
    plane: &Arc<DataPlane>,
    caller: &Caller,
    request: &RackRequest,
    logged: &BTreeMap<String, String>,
    request_id: RequestId,
) -> Result<Option<Session>, Problem> {
    if !request.operation().class.needs_intent() {
        // Logs are read, not run.
        return Ok(None);
    }
    let resource = request.resource();
    let app = resource.app_name();
    let settings = &plane.parts.settings;
    let needs = commands::needs_second(settings, request);
    // A second person sees what is recorded, so then there is no session without it.
    let mode = if needs.is_some() { RecordingMode::Strict } else { settings.recording(app) };
    let about = About {
        id: RecordingId::new(plane.parts.clock.now(), &*plane.parts.entropy),
        request_id,
        resource: resource.clone(),
        caller: caller.clone(),
    };
    let new = draft(&about, request, logged, (mode, needs.is_some()));
    let header = header(plane, request, &new);
    let open = match plane.parts.store.recordings().begin(new).await {
        Ok(open) => open,
        Err(error) => return unrecorded(plane, &about, mode, &error).map(|()| None),
    };
    let masker = plane.sessions.maskers.of(app, environment::known_values(plane, caller, app).await);
    let is_terminal = request.operation().action.as_str() != CHANNEL;
    let recording = (mode != RecordingMode::Off && is_terminal).then(|| Recording {
        recorder: Recorder::begin(&about.id.to_string(), &header),
        output: TerminalMasker::new(Arc::clone(&masker)),
        input: plane.parts.settings.record_input(app).then(|| TerminalMasker::new(masker)),
    });
    let transfer = (mode != RecordingMode::Off && recording.is_none()).then(Transfer::default);
    start(plane, about, mode, open, Kept { recording, transfer, needs, is_terminal }).await.map(Some)
}

/// What is kept of a session, and what it needs.
struct Kept {
    recording: Option<Recording>,
    transfer: Option<Transfer>,
    needs: Option<NeedsSecond>,
    /// Whether it shows something to people, rather than carrying bytes.
    is_terminal: bool,
}

/// Keeps the head of the recording, and starts its writer.
async fn start(
    plane: &Arc<DataPlane>,
    about: About,
    mode: RecordingMode,
    open: OpenRecording,
    Kept { recording, transfer, needs, is_terminal }: Kept,
) -> Result<Session, Problem> {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let (broken, unrecorded) = watch::channel(false);
    let (id, ending) = (about.id, Arc::<Mutex<Option<String>>>::default());
    let feed = Feed::new(sender.clone(), mode);
    let settings = &plane.parts.settings;
    let app = about.resource.app_name();
    let alerts = Alerts::of(commands::alerting(settings, app)).filter(|_| is_terminal);
    let tap = match (&recording, &transfer) {
        (Some(recording), _) => {
            Tap::Session { feed: feed.clone(), input: recording.input.is_some() || alerts.is_some() }
        }
        (None, Some(transfer)) => Tap::Transfer(transfer.clone()),
        (None, None) if alerts.is_some() => Tap::Typed(feed.clone()),
        (None, None) => Tap::Nothing,
    };
    let shared = Arc::new(about.clone());
    let (live, stopped, company) = Live::new(Arc::clone(&shared), settings.watch_notice(app), needs);
    plane.sessions.enter(id, live);
    let mut writer = Writer {
        plane: plane.clone(),
        about,
        mode,
        open,
        head: None,
        recording,
        alerts,
        transfer,
        began: tokio::time::Instant::now(),
        receiver,
        broken,
        lost: feed.lost(),
        told_lost: 0,
        ending: ending.clone(),
    };
    if let Err(error) = writer.begin().await
        && mode == RecordingMode::Strict
    {
        plane.sessions.leave(id);
        writer.give_up().await;
        return Err(refusal(&error));
    }
    plane.sessions.writers.spawn(writer.run());
    Ok(Session {
        id,
        about: shared,
        tap,
        company: Some(company),
        ends: Ends { stopped, unrecorded },
        ending,
        _open: sender,
    })
}

/// What becomes of a session that could not even be noted.
fn unrecorded(
    plane: &DataPlane,
    about: &About,
    mode: RecordingMode,
    error: &StoreError,
) -> Result<(), Problem> {
    match mode {
        RecordingMode::Strict => Err(refusal(error)),
        RecordingMode::BestEffort | RecordingMode::Off => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a session is neither listed nor recorded"
            );
            let mut event = about.event(plane, writer::GAP);
            event.reason = Some("the session could not be noted, so nothing of it is recorded".to_owned());
            plane.parts.store.audit().queue(event);
            Ok(())
        }
    }
}

fn refusal(error: &StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a session cannot be recorded; it is refused");
    cannot_record()
}

fn draft(
    about: &About,
    request: &RackRequest,
    logged: &BTreeMap<String, String>,
    (mode, wants_second): (RecordingMode, bool),
) -> NewRecording {
    let part = |name: &str| request.get(name).map(str::to_owned);
    let target = match (part("host"), part("port")) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (_, _) => part("pid").or_else(|| part("name")).or_else(|| part("id")).unwrap_or_default(),
    };
    let command = logged.iter().find(|(name, _)| name.eq_ignore_ascii_case("command"));
    let user = match &about.caller.principal {
        Principal::User { id, .. } => Some(*id),
        Principal::ApiToken { creator, .. } => Some(*creator),
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => None,
    };
    NewRecording {
        id: about.id,
        request_id: about.request_id,
        action: request.operation().action.as_str().to_owned(),
        app: about.resource.app_name().map(str::to_owned),
        target: gateway_audit::bounded(&target),
        command: command.map(|(_, value)| value.replace('\0', "")).filter(|command| !command.is_empty()),
        user,
        actor: gateway_audit::bounded(&about.caller.principal.display_name()),
        source_ip: about.caller.source_ip.to_string(),
        mode: mode.name(),
        wants_second,
    }
}

fn header(plane: &DataPlane, request: &RackRequest, new: &NewRecording) -> Header {
    let side = |name: &str| request.get(name).and_then(|side| side.parse::<u64>().ok());
    let size = match (side("Width").or_else(|| side("width")), side("Height").or_else(|| side("height"))) {
        (Some(columns), Some(rows)) => Size::new(columns, rows).unwrap_or_default(),
        (_, _) => Size::default(),
    };
    let place = new.app.as_ref().map_or_else(|| new.target.clone(), |app| format!("{app} {}", new.target));
    Header {
        size,
        began: plane.parts.clock.now().micros().div_euclid(1_000_000),
        title: format!("{} in {place}", new.actor),
        command: new.command.clone(),
    }
}
