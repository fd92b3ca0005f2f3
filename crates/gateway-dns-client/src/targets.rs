//! Where a service is: the targets of its SRV records (RFC 2782) and their addresses, from one server that has the zone or
//! asks others who have it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::client::{EXCHANGE_LIMIT, absolute, timed};
use crate::error::{DnsError, KeyError};
use crate::wire::Asked;

/// The most names that lead from one to the next before the records of a name are found.
const MOST_ALIASES: usize = 8;

/// The most SRV records whose targets are looked up.
const MOST_TARGETS: usize = 32;

/// One SRV record, with the addresses of its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceTarget {
    /// Those with the lowest number come first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port there.
    pub port: u16,
    /// The target's name, without the dot at its end.
    pub name: String,
    /// Its addresses; none when the name has none.
    pub addresses: Vec<IpAddr>,
}

/// What a server knows of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServiceAnswer {
    /// There are targets.
    Found {
        /// They, as the server ordered them.
        targets: Vec<ServiceTarget>,
        /// How long all of it may be kept: the shortest time to live of every record that it came from.
        holds: Duration,
    },
    /// The name does not exist, has no SRV record, or says that the service is not there (the target `.`).
    Absent {
        /// How long that may be kept; `None` = the server does not say.
        holds: Option<Duration>,
    },
}

/// Asks one server for the SRV records of a name, and for the addresses of their targets.
///
/// # Errors
/// [`DnsError`], also when only one of the addresses cannot be asked for: half an answer is none. A name that is none of
/// the DNS is [`DnsError::Name`].
///
/// # Security
/// Nothing of it is signed: whoever is on the way can change it. What is reached there must prove itself.
pub async fn service_targets(server: SocketAddr, name: &str) -> Result<ServiceAnswer, DnsError> {
    let name = absolute(name).ok_or_else(|| DnsError::Name(KeyError::Name(name.to_owned())))?;
    let asked = lookup(server, &name, RecordType::SRV).await?;
    let mut holds = match (asked.holds, asked.records.is_empty()) {
        (holds, true) => return Ok(ServiceAnswer::Absent { holds }),
        (holds, false) => holds,
    };
    let mut targets = Vec::new();
    for record in asked.records.into_iter().take(MOST_TARGETS) {
        let RData::SRV(srv) = record.data else { continue };
        if srv.target.is_root() {
            continue;
        }
        let (v4, v6) = tokio::join!(
            lookup(server, &srv.target, RecordType::A),
            lookup(server, &srv.target, RecordType::AAAA)
        );
        let mut addresses = Vec::new();
        for of_family in [v4?, v6?] {
            if of_family.records.is_empty() {
                continue;
            }
            holds = shorter(holds, of_family.holds);
            addresses.extend(of_family.records.iter().filter_map(address));
        }
        targets.push(ServiceTarget {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            name: srv.target.to_ascii().trim_end_matches('.').to_owned(),
            addresses,
        });
    }
    Ok(match targets.is_empty() {
        true => ServiceAnswer::Absent { holds },
        false => ServiceAnswer::Found { targets, holds: holds.unwrap_or_default() },
    })
}

/// The records of a name and a type, and how long they, or their absence, may be kept.
struct Looked {
    records: Vec<Record>,
    holds: Option<Duration>,
}

async fn lookup(server: SocketAddr, name: &Name, record_type: RecordType) -> Result<Looked, DnsError> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), record_type));
    let question = message.to_vec().map_err(DnsError::Message)?;
    let lost = |source| DnsError::Unreachable { server, source };
    timed(server, EXCHANGE_LIMIT, async {
        let mut asked = Asked::ask(server, &question).await.map_err(lost)?;
        let answer = asked.message().await.map_err(lost)?;
        let answer = Message::from_vec(&answer).map_err(|error| DnsError::Message(error.into()))?;
        read(server, answer, name, record_type)
    })
    .await
}

/// Reads an answer: the records at the end of the aliases that the name may have.
fn read(
    server: SocketAddr,
    answer: Message,
    name: &Name,
    record_type: RecordType,
) -> Result<Looked, DnsError> {
    let code = answer.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(DnsError::Refused { code });
    }
    if !answer.metadata.authoritative && !answer.metadata.recursion_available {
        return Err(DnsError::Lame { server });
    }
    let (mut at, mut holds) = (name.clone(), None);
    for _ in 0..MOST_ALIASES {
        let alias = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(to) if record.name == at => Some((to.0.clone(), seconds(record.ttl))),
            _ => None,
        });
        let Some((to, alias_holds)) = alias else { break };
        (at, holds) = (to, shorter(holds, Some(alias_holds)));
    }
    let negative = answer.authorities.iter().find_map(|record| match &record.data {
        // RFC 2308, section 5.
        RData::SOA(soa) => Some(seconds(record.ttl.min(soa.minimum))),
        _ => None,
    });
    let is_asked = |found: &Record| found.name == at && found.record_type() == record_type;
    let records: Vec<Record> = answer.answers.into_iter().filter(is_asked).collect();
    let holds = match records.is_empty() {
        true => shorter(holds, negative),
        false => records.iter().fold(holds, |holds, record| shorter(holds, Some(seconds(record.ttl)))),
    };
    Ok(Looked { records, holds })
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(ttl))
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME, SOA, SRV};

    use super::*;

    fn name(text: &str) -> Name {
        absolute(text).unwrap()
    }

    fn record(at: &str, ttl: u32, data: RData) -> Record {
        Record::from_rdata(name(at), ttl, data)
    }

    fn server() -> SocketAddr {
        "127.0.0.1:53".parse().unwrap()
    }

    /// Records and seconds of an answer, or its fault.
    fn check(change: impl FnOnce(&mut Message), expected: &str) {
        let mut answer = Message::query();
        answer.metadata.authoritative = true;
        change(&mut answer);
        let told = match read(server(), answer, &name("_wiki._tcp.corp.test"), RecordType::SRV) {
            Ok(Looked { records, holds }) => {
                format!("{} {:?}", records.len(), holds.map(|holds| holds.as_secs()))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn answers_are_read_to_the_end_of_their_aliases() {
        let srv = |at: &str, ttl: u32| record(at, ttl, RData::SRV(SRV::new(1, 2, 3, name("a.corp.test"))));
        let alias = |from: &str, to: &str| record(from, 20, RData::CNAME(CNAME(name(to))));
        let own = "_wiki._tcp.corp.test";
        check(|_| {}, "0 None");
        check(|answer| answer.answers = vec![srv(own, 60), srv(own, 30)], "2 Some(30)");
        check(|answer| answer.answers = vec![srv("_other._tcp.corp.test", 60)], "0 None");
        let aliased = vec![alias(own, "_w._tcp.corp.test"), srv("_w._tcp.corp.test", 60)];
        check(|answer| answer.answers = aliased, "1 Some(20)");
        let circle = vec![alias(own, "x.corp.test"), alias("x.corp.test", own)];
        check(|answer| answer.answers = circle, "0 Some(20)");
        let address = record(own, 60, RData::A(A("10.0.0.1".parse().unwrap())));
        check(|answer| answer.answers = vec![address], "0 None");
    }

    #[test]
    fn an_absence_is_told_by_who_knows() {
        let soa = SOA::new(name("ns.corp.test"), name("who.corp.test"), 1, 60, 60, 60, 15);
        let absent = |answer: &mut Message| {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.authorities = vec![record("corp.test", 300, RData::SOA(soa.clone()))];
        };
        check(absent, "0 Some(15)");
        check(
            |answer| {
                absent(answer);
                answer.metadata.authoritative = false;
                answer.metadata.recursion_available = true;
            },
            "0 Some(15)",
        );
        check(
            |answer| answer.metadata.authoritative = false,
            "the DNS server 127.0.0.1:53 does not know the zone and asks nobody else",
        );
        check(
            |answer| answer.metadata.response_code = ResponseCode::ServFail,
            "the DNS server refused with Server Failure",
        );
    }
}
