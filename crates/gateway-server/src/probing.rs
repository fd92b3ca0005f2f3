//! The gateway's own look: whether anything but the declared ports answers at the deployment's machines, and whether a control API of
//! its zone lets somebody in without an identity. What comes of a finding is `gateway_app::vantage`'s.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_app::App;
use gateway_app::vantage::{self, MOST_TARGETS, Turn, VantageError};
use gateway_config::{Probe, ProbedPorts};
use gateway_exposure::{Expected, Manifest, ManifestFault, targets};
use gateway_probe::{Knocked, Place, Watched, knock, sightings, source_of};
use gateway_services::UpstreamTls;
use gateway_store::StoreError;
use gateway_types::wire::vantage::{Found, Sighting, VantageReport};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The lease of whoever looks.
const LEASE: &str = "exposure-probe";
/// For how long it holds without its holder, and so for how long a look may take.
const LEASE_TTL: Duration = Duration::from_secs(120);
/// How long a look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(100);
/// The largest manifest, in bytes.
const LARGEST_MANIFEST: u64 = 1024 * 1024;

/// Why the gateway did not look.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found was not taken.
    #[error(transparent)]
    Vantage(#[from] VantageError),
    /// The manifest cannot be read.
    #[error("the manifest {} cannot be read", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is none.
    #[error("{} is no manifest", path.display())]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: ManifestFault,
    },
    /// There is too much to look at.
    #[error("there are more than {MOST_TARGETS} ports to look at: name fewer hosts")]
    TooMany,
    /// It took too long.
    #[error("a look took more than {} s", LONGEST_LOOK.as_secs())]
    TooSlow,
}

/// Looks once, unless another instance did within the interval; gives what is news. What keeps it from looking is a fault of this
/// instance.
///
/// # Errors
/// [`ProbeError`]; then the next look finds what this one would have.
pub(crate) async fn look(app: &App, probe: &Probe) -> Result<Vec<Turn>, ProbeError> {
    let lease = match app.store.leases().acquire(LEASE, LEASE_TTL, Duration::ZERO).await {
        Err(StoreError::LeaseHeld { .. }) => return Ok(Vec::new()),
        lease => lease?,
    };
    let looked = look_alone(app, probe).await;
    lease.release().await?;
    looked
}

async fn look_alone(app: &App, probe: &Probe) -> Result<Vec<Turn>, ProbeError> {
    let last = vantage::last_own_look(&app.store).await?;
    let rested = last.and_then(|last| app.clock.now().checked_since(last));
    // Instances look in turn, not each of them all the time.
    if rested.is_some_and(|rested| rested < probe.interval / 2) {
        return Ok(Vec::new());
    }
    let watched = match &probe.ports {
        None => Vec::new(),
        Some(ports) => watched(ports).await?,
    };
    let seen = async {
        let mut seen = knocks(app).await?;
        seen.extend(sightings(&watched).await);
        Ok::<_, ProbeError>(seen)
    };
    let seen = timeout(LONGEST_LOOK, seen).await.map_err(|_late| ProbeError::TooSlow)??;
    // There is nothing to look at, and never was.
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let every_seconds = probe.interval.as_secs().clamp(10, 3600);
    Ok(vantage::take_own(app, &VantageReport { every_seconds, sightings: seen }).await?)
}

/// Ports that nobody may reach. Whether the declared ones answer is a matter of monitoring, not of exposure.
async fn watched(ports: &ProbedPorts) -> Result<Vec<Watched>, ProbeError> {
    let path = || ports.manifest.clone();
    let read = |source| ProbeError::Read { path: path(), source };
    let size = tokio::fs::metadata(&ports.manifest).await.map_err(read)?.len();
    if size > LARGEST_MANIFEST {
        return Err(read(std::io::Error::other("it has more than 1 MiB")));
    }
    let text = tokio::fs::read_to_string(&ports.manifest).await.map_err(read)?;
    let manifest = Manifest::parse(&text).map_err(|source| ProbeError::Manifest { path: path(), source })?;
    let closed: Vec<_> =
        targets(&manifest, false).into_iter().filter(|one| one.expected == Expected::Closed).collect();
    let watched: Vec<Watched> = ports
        .hosts
        .iter()
        .flat_map(|host| {
            closed.iter().map(move |target| Watched {
                place: Place { host: host.clone(), port: target.port },
                meaning: target.meaning.clone(),
            })
        })
        .collect();
    if watched.len() > MOST_TARGETS / 2 { Err(ProbeError::TooMany) } else { Ok(watched) }
}

/// A service of the zone, and where it is.
struct Door {
    service: String,
    /// How the member is called in a handshake.
    name: String,
    authorities: Vec<String>,
}

/// Knocks at each service that the gateway reaches in its zone.
async fn knocks(app: &App) -> Result<Vec<Sighting>, ProbeError> {
    let table = app.rules.services();
    let doors = table.services().filter(|service| service.tls == UpstreamTls::Zone).filter_map(|service| {
        let name = service.name.to_string();
        Some(Door {
            name: app.zone.member(&name)?.dns_name(),
            authorities: service.upstreams.iter().map(|one| one.authority()).collect(),
            service: name,
        })
    });
    let mut knocking = JoinSet::new();
    for door in doors.take(MOST_TARGETS / 4) {
        let mut places = Vec::new();
        for authority in &door.authorities {
            places.push((authority.clone(), resolved(authority).await));
        }
        // First it is noted that this is the gateway: whom a member refuses is an event otherwise.
        let first = places.iter().find_map(|(_, found)| found.first().copied());
        if let Some(source) = match first {
            Some(place) => source_of(place).await,
            None => None,
        } {
            let tries = places.iter().map(|(_, found)| found.len()).sum::<usize>();
            let tries = u64::try_from(tries).unwrap_or(u64::MAX);
            vantage::note_knock(app, &door.service, source, tries).await?;
        }
        for (authority, found) in places {
            let (service, name) = (door.service.clone(), door.name.clone());
            knocking.spawn(async move { knock_at(&service, &name, &authority, found).await });
        }
    }
    let mut seen = knocking.join_all().await;
    seen.sort_by(|one, other| one.target.cmp(&other.target));
    seen.truncate(MOST_TARGETS / 2);
    Ok(seen)
}

async fn resolved(authority: &str) -> Vec<SocketAddr> {
    tokio::net::lookup_host(authority).await.map(Iterator::collect).unwrap_or_default()
}

/// Knocks at all addresses of one place; one that lets somebody in is enough.
async fn knock_at(service: &str, name: &str, authority: &str, places: Vec<SocketAddr>) -> Sighting {
    let mut found = if places.is_empty() { Found::Unclear } else { Found::Closed };
    let mut meaning = "it asks for an identity of the zone";
    for place in places {
        match knock(place, name).await {
            Knocked::Refused => {}
            Knocked::LetIn { how } => {
                (found, meaning) = (Found::Open, how);
                break;
            }
            Knocked::Unclear => found = Found::Unclear,
        }
    }
    Sighting { target: format!("{service} at {authority}"), meaning: meaning.to_owned(), found }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MANIFEST: &str = "trust_domain = \"prod.internal\"\n[[service]]\nname = \"dns\"\nimage = \"dns:1\"\n\
        listeners = [\"control:gateway:6754\", \"dns:external:53\"]\nforward = 8053\n";

    async fn of(text: &str, hosts: &[&str]) -> Result<Vec<Watched>, ProbeError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        watched(&ProbedPorts { manifest: file.path().to_owned(), hosts }).await
    }

    #[tokio::test]
    async fn what_is_declared_for_nobody_is_watched_at_each_host() {
        let watched = of(MANIFEST, &["10.0.0.5", "db.internal"]).await.unwrap();
        let places: Vec<String> = watched.iter().map(|one| one.place.to_string()).collect();
        for there in ["10.0.0.5:6754", "10.0.0.5:8053", "db.internal:6754", "db.internal:5432"] {
            assert!(places.iter().any(|place| place == there), "{there}: {places:?}");
        }
        for declared in ["10.0.0.5:53", "10.0.0.5:443"] {
            assert!(!places.iter().any(|place| place == declared), "{declared} may answer");
        }
        assert!(matches!(of("nonsense", &["a"]).await, Err(ProbeError::Manifest { .. })));
        let many: Vec<&str> = std::iter::repeat_n("a", 100).collect();
        assert!(matches!(of(MANIFEST, &many).await, Err(ProbeError::TooMany)));
        let nowhere = ProbedPorts { manifest: "/nonexistent/zone.toml".into(), hosts: Vec::new() };
        assert!(matches!(super::watched(&nowhere).await, Err(ProbeError::Read { .. })));
    }
}
