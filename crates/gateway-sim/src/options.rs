//! What a test or the demo chooses about a simulated rack. Knows nothing of HTTP or of the state behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

/// Which generation of rack answers: they differ in routes, errors and answers (API.md 1.3 and 1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flavour {
    /// Kubernetes racks, version 3.
    #[default]
    V3,
    /// CloudFormation and ECS racks, version 2.
    V2,
}

/// The state a rack starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Seed {
    /// Exactly the state behind the recordings: apps `myapp` and `other`, rack `testrack`, nothing moves by itself.
    #[default]
    Recorded,
    /// A richer state of the same shape for people to play with: the first app (`shop`) has the services `web`
    /// and `worker`, stopped processes are replaced, scaling makes processes, log filters filter.
    Demo,
}

/// How long the things take that take time on a real rack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Between two lines of a followed log, after the first ten. Less than 1 ms counts as 1 ms.
    pub log_line_every: Duration,
    /// Between two lines of a build log; a build takes five of these.
    pub build_step_every: Duration,
    /// How long an app stays `updating` after a promote.
    pub promote_takes: Duration,
    /// One second of `sleep N` in an exec.
    pub sleep_second: Duration,
}

impl Timing {
    /// As fast as is still useful: what tests want.
    pub const fn fast() -> Self {
        Self {
            log_line_every: Duration::from_millis(5),
            build_step_every: Duration::ZERO,
            promote_takes: Duration::ZERO,
            sleep_second: Duration::from_millis(1),
        }
    }
}

impl Default for Timing {
    /// As the rack behind the recordings: a line a second, a build of 1.5 s, promotes that are done at once.
    fn default() -> Self {
        Self {
            log_line_every: Duration::from_secs(1),
            build_step_every: Duration::from_millis(300),
            promote_takes: Duration::ZERO,
            sleep_second: Duration::from_secs(1),
        }
    }
}

/// TLS for the rack's own listener. There is no value of it: the simulated rack speaks plain HTTP on loopback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {}

/// How to start a [`crate::SimRack`].
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Which generation of rack to be.
    pub flavour: Flavour,
    /// The rack password: Basic authentication with any user name and this password is let in.
    pub password: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The state to start with.
    pub seed: Seed,
    /// Always `None`.
    pub tls: Option<Tls>,
    /// How long things take.
    pub timing: Timing,
    /// How many requests it remembers: the newest.
    pub remembers: usize,
}

impl Default for SimOptions {
    /// A v3 rack in the recorded state on a free loopback port, with a random password of 43 characters.
    fn default() -> Self {
        Self {
            flavour: Flavour::V3,
            password: random_password(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: Seed::Recorded,
            tls: None,
            timing: Timing::default(),
            remembers: 100_000,
        }
    }
}

impl SimOptions {
    /// What nearly every test wants: the recorded state, password `secret`, nothing slow.
    pub fn for_tests() -> Self {
        Self { password: "secret".to_owned(), timing: Timing::fast(), ..Self::default() }
    }
}

/// 256 random bits as 43 base64url characters.
fn random_password() -> String {
    BASE64URL_NOPAD.encode(&random_bytes::<32>())
}

/// Random bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give; nothing safe could be started then.
#[expect(clippy::panic, reason = "a predictable password would be worse than no rack")]
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("no randomness from the operating system: {error}");
    }
    bytes
}
