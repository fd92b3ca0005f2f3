//! What openssl does of the same, on this machine, in this run.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;

use crate::processor::{Done, of_process};
use crate::zone::{Member, Zone};

/// How long `s_server` may take to listen.
const START: Duration = Duration::from_secs(10);

/// Signatures in a second of the processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) signs: f64,
    pub(crate) verifies: f64,
}

/// What it calls itself.
pub(crate) fn version() -> Result<String> {
    let output = Command::new("openssl").arg("version").output().context("openssl is not installed")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `openssl speed ecdsap256`; its own table is by processor time.
pub(crate) fn speed(length: Duration) -> Result<Speed> {
    let seconds = length.as_secs().to_string();
    let output = Command::new("openssl")
        .args(["speed", "-seconds", &seconds, "ecdsap256"])
        .stderr(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "openssl speed ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    speed_of(&text).with_context(|| format!("openssl speed said: {text}"))
}

/// The last two columns of its table: `sign/s verify/s`.
fn speed_of(text: &str) -> Option<Speed> {
    let line = text.lines().find(|line| line.contains("(nistp256)"))?;
    let mut columns = line.split_whitespace().rev();
    let (verifies, signs) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    Some(Speed { signs, verifies })
}

/// A program that ends with this value.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "another program says nothing when it listens")]
fn until_it_listens(port: u16) -> Result<()> {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(began.elapsed() < START, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Full handshakes between `openssl s_time` and `openssl s_server`: certificates of this zone at both ends, which both check.
pub(crate) fn handshakes(zone: &Zone, length: Duration) -> Result<Done> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    fs::write(at("root.pem"), pem("CERTIFICATE", zone.root.certificate()))?;
    write(directory.path(), "server", &zone.member(zone.domain.service("wiki")?)?)?;
    write(directory.path(), "client", &zone.member(zone.domain.gateway())?)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-tls1_3", "-groups", "X25519", "-num_tickets", "0"])
        .args(["-Verify", "5", "-verify_return_error", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(at("server.pem"))
        .arg("-cert_chain")
        .arg(at("server.pem"))
        .arg("-key")
        .arg(at("server.key"))
        .arg("-CAfile")
        .arg(at("root.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let server = Ending(server);
    until_it_listens(port)?;
    let before = of_process(server.0.id())?;
    let began = Instant::now();
    // The shell tells what the program took of the processor (POSIX, `times`).
    let output = Command::new("sh")
        .args(["-c", "openssl \"$@\" 2>&1 && times", "sh"])
        .args(["s_time", "-new", "-tls1_3", "-verify", "5", "-time", &length.as_secs().to_string()])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(at("client.pem"))
        .arg("-key")
        .arg(at("client.key"))
        .arg("-CAfile")
        .arg(at("root.pem"))
        .output()?;
    let took = began.elapsed();
    let serving = of_process(server.0.id())?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "openssl s_time ended with {}: {text}", output.status);
    let said = || format!("openssl s_time said: {text}");
    let count = handshakes_of(&text).with_context(said)?;
    let calling = children_of(&text).with_context(said)?;
    Ok(Done { count, took, processor: serving + calling })
}

/// `1234 connections in 6 real seconds, …`: how many there were.
fn handshakes_of(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(" real seconds"))?;
    let count: f64 = line.split_whitespace().next()?.parse().ok()?;
    (count > 0.0).then_some(count)
}

/// The last line of `times`: what the shell's children took, `0m1.230000s 0m0.040000s`.
fn children_of(text: &str) -> Option<Duration> {
    let of = |word: &str| {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        let seconds = minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let mut words = text.trim_end().lines().last()?.split_whitespace();
    Some(of(words.next()?)? + of(words.next()?)?)
}

fn write(directory: &Path, name: &str, member: &Member) -> Result<()> {
    let chain: String = member.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    fs::write(directory.join(format!("{name}.pem")), chain)?;
    fs::write(directory.join(format!("{name}.key")), pem("PRIVATE KEY", member.key.expose()))?;
    Ok(())
}

/// RFC 7468; openssl takes a body of one line.
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssl_prints_is_read() {
        let table = "                              sign    verify    sign/s verify/s\n \
                     256 bits ecdsa (nistp256)   0.0000s   0.0001s  41234.5  13000.1\n";
        let speed = speed_of(table).unwrap();
        assert!((speed.signs - 41234.5).abs() < 0.01 && (speed.verifies - 13000.1).abs() < 0.01);
        assert!(speed_of("").is_none());
        let said = "Collecting connection statistics for 5 seconds\n***\n\n900 connections in 1.10s; 818.18 connections/user sec, \
                    bytes read 0\n1800 connections in 6 real seconds, 0 bytes read per connection\n";
        assert_eq!(handshakes_of(said), Some(1800.0));
        assert!(
            handshakes_of("0 connections in 6 real seconds, 0 bytes").is_none(),
            "no handshake is no rate"
        );
        let times = format!("{said}0m0.002s 0m0.001s\n1m1.230000s 0m0.040000s\n");
        assert_eq!(children_of(&times), Some(Duration::from_millis(61_270)));
        assert_eq!(children_of(said), None);
    }
}
