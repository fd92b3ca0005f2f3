//! Whether TCP ports take connections. Nothing is sent to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_exposure::{Expected, Target};
use gateway_types::wire::vantage::{Found, Sighting};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::place::Place;

/// How long a port has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Ports that are looked at together.
const TOGETHER: usize = 64;

/// What was found at a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Looked {
    /// What was looked at.
    pub target: Target,
    /// What was found.
    pub found: Expected,
}

/// A place that nothing should answer at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    /// Where.
    pub place: Place,
    /// What is there.
    pub meaning: String,
}

/// Where a host is; more than one address may be its.
///
/// # Errors
/// When it is not found, which shows nothing of what answers there.
pub async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Looks at ports of one address, a limited number of them together; in no order.
pub async fn look(address: IpAddr, targets: Vec<Target>) -> Vec<Looked> {
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut looks = JoinSet::new();
    for target in targets {
        let places = Arc::clone(&places);
        looks.spawn(async move {
            let _place = places.acquire_owned().await;
            let connected = timeout(ANSWER_LIMIT, TcpStream::connect(SocketAddr::new(address, target.port)));
            let is_open = matches!(connected.await, Ok(Ok(_stream)));
            Looked { target, found: if is_open { Expected::Open } else { Expected::Closed } }
        });
    }
    looks.join_all().await
}

/// Looks at each of these places, at every address that it has, and says what was found; in their order.
pub async fn sightings(watched: &[Watched]) -> Vec<Sighting> {
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut looks = JoinSet::new();
    for (index, one) in watched.iter().cloned().enumerate() {
        let places = Arc::clone(&places);
        looks.spawn(async move {
            let _place = places.acquire_owned().await;
            let found = at(&one.place).await;
            (index, Sighting { target: one.place.to_string(), meaning: one.meaning, found })
        });
    }
    let mut found = looks.join_all().await;
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, sighting)| sighting).collect()
}

async fn at(place: &Place) -> Found {
    let Ok(addresses) = addresses(&place.host).await else { return Found::Unclear };
    if addresses.is_empty() {
        return Found::Unclear;
    }
    for address in addresses {
        let connected = timeout(ANSWER_LIMIT, TcpStream::connect(SocketAddr::new(address, place.port)));
        if matches!(connected.await, Ok(Ok(_stream))) {
            return Found::Open;
        }
    }
    Found::Closed
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_answers_is_open_and_what_is_not_found_is_unclear() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::parse(&open.local_addr().unwrap().to_string()).unwrap();
        let watched = |place: &Place| Watched { place: place.clone(), meaning: "x".to_owned() };
        let nowhere = Place { host: "no-such-host.invalid".to_owned(), port: 1 };
        let both = [watched(&nowhere), watched(&place)];
        let found = |seen: Vec<Sighting>| seen.into_iter().map(|one| one.found).collect::<Vec<_>>();
        assert_eq!(found(sightings(&both).await), [Found::Unclear, Found::Open]);
        let target = Target { port: place.port, expected: Expected::Closed, meaning: "x".to_owned() };
        let here = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(look(here, vec![target.clone()]).await, [Looked { target, found: Expected::Open }]);
        drop(open);
        assert_eq!(found(sightings(&both[1..]).await), [Found::Closed]);
    }
}
