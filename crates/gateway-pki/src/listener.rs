//! What a service listens on: each listener is for one kind of callers, never for two.

use std::fmt;
use std::str::FromStr;

use crate::id::is_label;

/// For whom a listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposure {
    /// For the gateway alone: a control API.
    Gateway,
    /// For everybody, by a protocol of its own: DNS, DHCP.
    External,
    /// For the members that are named.
    Internal,
}

impl Exposure {
    const ALL: [Exposure; 3] = [Exposure::Gateway, Exposure::External, Exposure::Internal];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Exposure::Gateway => "gateway",
            Exposure::External => "external",
            Exposure::Internal => "internal",
        }
    }
}

/// What carries a listener's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Transport {
    /// TCP, which is meant unless something else is said.
    Tcp,
    /// UDP: external listeners alone, since identities are shown in TLS over TCP.
    Udp,
}

impl Transport {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// Why a text is no listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a listener is NAME:gateway|external|internal:PORT, its name a label a-z, 0-9 and -, \
     its port 1 to 65535; an external one may end in /udp"
)]
pub struct ListenerFault;

/// A listener of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// For whom it is.
    pub exposure: Exposure,
    /// Its port.
    pub port: u16,
    /// What carries it.
    pub transport: Transport,
}

impl Listener {
    /// Whether no two of them share a port. An external listener may have one by TCP and by UDP.
    pub fn are_apart(listeners: &[Listener]) -> bool {
        let collide = |one: &Listener, other: &Listener| {
            let external = one.exposure == Exposure::External && other.exposure == Exposure::External;
            one.port == other.port && !(external && one.transport != other.transport)
        };
        let mut rest = listeners;
        while let Some((one, others)) = rest.split_first() {
            if others.iter().any(|other| collide(one, other)) {
                return false;
            }
            rest = others;
        }
        true
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.exposure.name(), self.port)?;
        match self.transport {
            Transport::Tcp => Ok(()),
            Transport::Udp => f.write_str("/udp"),
        }
    }
}

impl FromStr for Listener {
    type Err = ListenerFault;

    fn from_str(text: &str) -> Result<Self, ListenerFault> {
        let parts: Vec<&str> = text.split(':').collect();
        let [name, exposure, port] = parts.as_slice() else { return Err(ListenerFault) };
        let exposure = Exposure::ALL.into_iter().find(|one| one.name() == *exposure).ok_or(ListenerFault)?;
        let (port, transport) = match port.split_once('/') {
            None => (*port, Transport::Tcp),
            Some((port, "tcp")) => (port, Transport::Tcp),
            Some((port, "udp")) if exposure == Exposure::External => (port, Transport::Udp),
            Some(_) => return Err(ListenerFault),
        };
        let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        let port = port.parse().ok().filter(|_port| plain).ok_or(ListenerFault)?;
        if !is_label(name) {
            return Err(ListenerFault);
        }
        Ok(Self { name: (*name).to_owned(), exposure, port, transport })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_for_one_kind_of_callers() {
        let apart = |texts: &[&str]| {
            let read: Vec<Listener> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Listener::are_apart(&read)
        };
        assert!(apart(&[]));
        assert!(apart(&["dns:external:53", "dns-udp:external:53/udp", "control:gateway:6754"]));
        assert!(!apart(&["dns:external:53", "control:gateway:53"]));
        assert!(!apart(&["control:gateway:53", "dns:external:53/udp"]));
        assert!(!apart(&["dns:external:53", "again:external:53"]));
    }

    #[test]
    fn listeners_are_read_one_way() {
        for good in ["control:gateway:6754", "dns:external:53", "dns:external:53/udp", "sql:internal:5432"] {
            assert_eq!(good.parse::<Listener>().unwrap().to_string(), good);
        }
        assert_eq!("a:gateway:1/tcp".parse::<Listener>().unwrap().to_string(), "a:gateway:1");
        for bad in [
            "",
            "dns",
            "dns:external",
            "dns:external:0",
            "dns:external:053",
            "dns:external:+53",
            "dns:external:65536",
            "dns:public:53",
            "DNS:external:53",
            "dns:gateway:53/udp",
            "dns:external:53/sctp",
            "dns:external,gateway:53",
            "dns:external:53:tcp",
        ] {
            assert_eq!(bad.parse::<Listener>(), Err(ListenerFault), "{bad}");
        }
    }
}
