//! A zone file that belongs to the shim, and a command that tells the server of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Actual, Backend, BackendError, NameEdit, Observed, Pending, Refused};
use crate::name::DnsName;
use crate::record::{RecordType, ShownSet};
use crate::store::{Desired, Readers, StoreError, replace};

mod served;

/// How long the reload command may take.
const RELOAD_LIMIT: Duration = Duration::from_secs(30);

/// How long the server may take until it answers with the new serial.
const SERVED_LIMIT: Duration = Duration::from_secs(10);

/// How often it is asked meanwhile.
const SERVED_INTERVAL: Duration = Duration::from_millis(100);

/// A name server of the zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameServer {
    /// Its name.
    pub name: DnsName,
    /// Its addresses, if its name is in the zone.
    pub addresses: Vec<IpAddr>,
}

/// What the file says beside the desired records, and who is told.
#[derive(Clone, Debug)]
pub struct ZoneFileOptions {
    /// The file.
    pub path: PathBuf,
    /// The zone.
    pub zone: DnsName,
    /// Its name servers; never empty.
    pub name_servers: Vec<NameServer>,
    /// Whom to write to, as a name: `hostmaster.example.com` is hostmaster@example.com.
    pub contact: DnsName,
    /// The program and its arguments; no shell reads them.
    pub reload: Vec<String>,
    /// The server that must answer with the new serial.
    pub server: Option<SocketAddr>,
}

/// The back end of one zone.
#[derive(Debug)]
pub struct ZoneFile {
    options: Arc<ZoneFileOptions>,
}

/// What is known of serials beside the file, so that they grow also when the file is lost.
#[derive(Clone, Copy, Serialize, Deserialize, Default)]
struct Serials {
    /// The last that was written or was about to be.
    written: u32,
    /// The last that the reload command was told of and took.
    loaded: u32,
}

impl ZoneFile {
    /// With these options.
    pub fn new(options: ZoneFileOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    fn render(&self, desired: &Desired, serial: u32) -> String {
        let ZoneFileOptions { zone, name_servers, contact, .. } = &*self.options;
        let primary = name_servers.first().map_or(zone, |server| &server.name);
        let mut text = format!(
            "; Written by rack-gateway-dns. What is changed here by hand is undone.\n$TTL 300\n\
             {zone}. 3600 IN SOA {primary}. {contact}. {serial} 3600 600 604800 300\n"
        );
        for server in name_servers {
            text.push_str(&format!("{zone}. 3600 IN NS {}.\n", server.name));
            for address in &server.addresses {
                let kind = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
                text.push_str(&format!("{}. 3600 IN {kind} {address}\n", server.name));
            }
        }
        for (name, held) in desired {
            for (record_type, set) in &held.sets {
                for value in &set.values {
                    let ttl = set.ttl;
                    text.push_str(&format!("{name}. {ttl} IN {record_type} {}\n", value.zone_text()));
                }
            }
        }
        text
    }

    fn text(&self) -> Result<Option<String>, BackendError> {
        let path = &self.options.path;
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path: path.clone(), doing: "read", source }.into()),
        }
    }

    fn serials_path(&self) -> PathBuf {
        let mut path = self.options.path.clone().into_os_string();
        path.push(".serial");
        path.into()
    }

    /// What is known of serials. An unreadable note is an error: without it a serial could go back.
    fn serials(&self) -> Result<Serials, BackendError> {
        let path = self.serials_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Serials::default()),
            Err(source) => return Err(StoreError::Io { path, doing: "read", source }.into()),
        };
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Damaged { path, what: error.to_string() }.into())
    }

    fn note(&self, serials: Serials) -> Result<(), BackendError> {
        let text = format!("{{\"written\":{},\"loaded\":{}}}\n", serials.written, serials.loaded);
        Ok(replace(&self.serials_path(), text.as_bytes(), Readers::Own)?)
    }

    fn look(&self, desired: &Desired) -> Result<(Observed, u32), BackendError> {
        let Some(text) = self.text()? else {
            let stale = Some("there is no zone file".to_owned());
            return Ok((Observed { actual: Actual::new(), stale }, 0));
        };
        let serial = serial(&text).ok_or_else(|| BackendError::NotOurs(self.options.path.clone()))?;
        let serials = self.serials()?;
        let stale = if text != self.render(desired, serial) {
            Some("the zone file says something else".to_owned())
        } else if serials.written != serial || serials.loaded != serial {
            Some(format!("the server was not told of serial {serial}"))
        } else {
            None
        };
        let mut actual = read(&text);
        for server in &self.options.name_servers {
            actual.remove(server.name.as_str());
        }
        Ok((Observed { actual, stale }, serial))
    }

    /// Writes the file if it is not right yet, and returns its serial.
    fn write(&self, desired: &Desired) -> Result<u32, BackendError> {
        let path = &self.options.path;
        let mut serials = self.serials()?;
        let mut in_file = 0;
        if let Some(text) = self.text()? {
            in_file = serial(&text).ok_or_else(|| BackendError::NotOurs(path.clone()))?;
            if text == self.render(desired, in_file) && in_file >= serials.written {
                self.note(Serials { written: in_file, ..serials })?;
                return Ok(in_file);
            }
        }
        let last = in_file.max(serials.written);
        serials.written = last.checked_add(1).ok_or_else(|| BackendError::LastSerial(path.clone()))?;
        // First the note: a serial that was noted and not written is left out, one that was written is never used again.
        self.note(serials)?;
        replace(path, self.render(desired, serials.written).as_bytes(), Readers::All)?;
        Ok(serials.written)
    }

    async fn tell(&self, serial: u32) -> Result<(), BackendError> {
        if let [program, arguments @ ..] = self.options.reload.as_slice() {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.kill_on_drop(true);
            let ended = timeout(RELOAD_LIMIT, command.status()).await;
            let status = ended.map_err(|_late| BackendError::ReloadTooSlow)?.map_err(BackendError::Reload)?;
            if !status.success() {
                return Err(BackendError::ReloadFailed(status));
            }
        }
        if let Some(server) = self.options.server {
            self.wait_until_served(server, serial).await?;
        }
        self.note(Serials { written: serial, loaded: serial })
    }

    async fn wait_until_served(&self, server: SocketAddr, wanted: u32) -> Result<(), BackendError> {
        let deadline = Instant::now() + SERVED_LIMIT;
        let mut ticks = interval(SERVED_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = served::serial(server, &self.options.zone).await?;
            if found == Some(wanted) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(BackendError::NotServed { wanted, found });
            }
        }
    }
}

impl Backend for ZoneFile {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn observe<'a>(&'a self, desired: &'a Desired) -> Pending<'a, Observed> {
        Box::pin(async move {
            let (mut observed, serial) = self.look(desired)?;
            if let (None, Some(server)) = (&observed.stale, self.options.server) {
                let found = served::serial(server, &self.options.zone).await?;
                if found != Some(serial) {
                    observed.stale = Some(format!("the server answers with serial {found:?}, not {serial}"));
                }
            }
            Ok(observed)
        })
    }

    fn apply<'a>(&'a self, _edits: &'a [NameEdit], desired: &'a Desired) -> Pending<'a, Refused> {
        Box::pin(async move {
            let serial = self.write(desired)?;
            self.tell(serial).await?;
            Ok(Refused::new())
        })
    }
}

/// The serial of a file that the shim wrote.
fn serial(text: &str) -> Option<u32> {
    let soa = text.lines().find(|line| line.split(' ').nth(3) == Some("SOA"))?;
    soa.split(' ').nth(6)?.parse().ok()
}

/// The records of a file that the shim wrote, but those of the zone's own name servers. Lines of other people are not
/// understood; that they are there is seen by comparing the whole text.
fn read(text: &str) -> Actual {
    let mut actual = Actual::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(5, ' ').collect();
        let [name, ttl, "IN", kind, value] = parts.as_slice() else { continue };
        let record_type = RecordType::ALL.into_iter().find(|known| known.as_str() == *kind);
        let (Some(record_type), Ok(ttl)) = (record_type, ttl.parse::<u32>()) else { continue };
        let value = if record_type == RecordType::Txt {
            unquoted(value)
        } else {
            value.trim_end_matches('.').to_owned()
        };
        let sets: &mut BTreeMap<RecordType, ShownSet> =
            actual.entry(name.trim_end_matches('.').to_owned()).or_default();
        let empty = ShownSet { ttl, values: std::collections::BTreeSet::new() };
        sets.entry(record_type).or_insert(empty).values.insert(value);
    }
    actual
}

/// A quoted text in pieces, with its escapes but those of quotes, as observed values have them.
fn unquoted(value: &str) -> String {
    let mut text = String::new();
    let (mut is_inside, mut rest) = (false, value.chars());
    while let Some(next) = rest.next() {
        match next {
            '"' => is_inside = !is_inside,
            '\\' => match rest.next() {
                Some('"') => text.push('"'),
                Some(escaped) => text.extend(['\\', escaped]),
                None => {}
            },
            other if is_inside => text.push(other),
            _between => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RawSet, TtlLimits, parse_sets};
    use crate::store::Held;

    fn file(path: PathBuf) -> ZoneFile {
        let name = |text| DnsName::parse(text).unwrap();
        ZoneFile::new(ZoneFileOptions {
            path,
            zone: name("corp.test"),
            name_servers: vec![NameServer {
                name: name("ns.corp.test"),
                addresses: vec!["10.0.0.1".parse().unwrap()],
            }],
            contact: name("hostmaster.corp.test"),
            reload: Vec::new(),
            server: None,
        })
    }

    fn desired(texts: &[&str]) -> Desired {
        let values = texts.iter().map(|text| (*text).to_owned()).collect();
        let raw = RawSet { record_type: RecordType::Txt, ttl: 60, values };
        let sets = parse_sets(&[raw], TtlLimits { least: 1, most: 100 }).unwrap();
        Desired::from([(DnsName::parse("a.corp.test").unwrap(), Held { revision: 1, sets })])
    }

    #[tokio::test]
    async fn what_is_written_is_what_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let file = file(place.path().join("zone"));
        let long = format!("{}\" \" \\ ;", "x\" ".repeat(100));
        let desired = desired(&[&long, "a\\b", "\"", "\\\"", " "]);
        file.apply(&[], &desired).await.unwrap();
        let seen = file.observe(&desired).await.unwrap();
        assert_eq!(seen.stale, None);
        let (name, held) = desired.iter().next().unwrap();
        let wanted = ShownSet::from(&held.sets[&RecordType::Txt]);
        assert_eq!(seen.actual[name.as_str()][&RecordType::Txt], wanted);
    }

    #[tokio::test]
    async fn serials_only_grow() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("zone");
        let file = file(path.clone());
        let serial = || serial(&std::fs::read_to_string(&path).unwrap()).unwrap();
        file.apply(&[], &desired(&["1"])).await.unwrap();
        file.apply(&[], &desired(&["1"])).await.unwrap();
        assert_eq!(serial(), 1);
        file.apply(&[], &desired(&["2"])).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        file.apply(&[], &desired(&["3"])).await.unwrap();
        assert_eq!(serial(), 3);
        let by_hand = std::fs::read_to_string(&path).unwrap().replace(" 3 3600", " 4294967295 3600");
        std::fs::write(&path, by_hand).unwrap();
        assert!(matches!(file.apply(&[], &desired(&["4"])).await, Err(BackendError::LastSerial(_))));
        std::fs::write(&path, "$INCLUDE other").unwrap();
        assert!(matches!(file.apply(&[], &desired(&["4"])).await, Err(BackendError::NotOurs(_))));
        std::fs::write(place.path().join("zone.serial"), "x").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(file.apply(&[], &desired(&["4"])).await.is_err());
    }
}
