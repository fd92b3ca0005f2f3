//! `zone compose`, `zone lint` and `zone probe`, typed as a person types them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use gateway_testkit::TestGateway;
use gateway_types::{Grant, Role};

fn zone(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
        .arg("zone")
        .args(words)
        .current_dir(directory)
        .env("XDG_CONFIG_HOME", directory)
        .output()
        .unwrap()
}

fn manifest(gateway: u16, control: u16) -> String {
    format!(
        "trust_domain = \"prod.internal\"\n\
         [gateway]\nports = [\"{gateway}\"]\n\
         [[service]]\nname = \"dns\"\nimage = \"dns:1\"\nlisteners = [\"control:gateway:{control}\"]\nforward = 8053\n"
    )
}

#[test]
fn a_compose_file_is_made_judged_and_turned_red() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("zone.toml"), manifest(443, 6754)).unwrap();
    let made = zone(place.path(), &["compose", "zone.toml", "--output", "compose.yaml"]);
    assert!(made.status.success(), "{made:?}");
    let judged = zone(place.path(), &["lint", "compose.yaml", "--manifest", "zone.toml"]);
    assert!(judged.status.success(), "{judged:?}");
    let again = zone(place.path(), &["compose", "zone.toml", "--output", "compose.yaml"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"), "{again:?}");

    let file = place.path().join("compose.yaml");
    let open = std::fs::read_to_string(&file)
        .unwrap()
        .replace("  dns-sidecar:\n", "  dns-sidecar:\n    ports: ['6754:6754']\n");
    std::fs::write(&file, open).unwrap();
    let judged = zone(place.path(), &["--json", "lint", "compose.yaml", "--manifest", "zone.toml"]);
    assert_eq!(judged.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    assert_eq!(found[0]["rule"], "published-control-port");
    assert_eq!(found[0]["place"], "dns-sidecar");

    let units = zone(place.path(), &["compose", "zone.toml", "--systemd", "units"]);
    assert!(units.status.success(), "{units:?}");
    assert!(place.path().join("units/dns.service.d/10-zone.conf").exists());
    let bad = zone(place.path(), &["lint", "zone.toml"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("cannot be judged"), "{bad:?}");
}

/// Digital Rebar published its control ports beside the gateway.
#[test]
fn digital_rebar_20_a_published_port_turns_the_probe_red() {
    let place = tempfile::tempdir().unwrap();
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let text = manifest(port(&gateway), port(&control));
    std::fs::write(place.path().join("zone.toml"), text).unwrap();
    let look = || {
        let looked = zone(place.path(), &["--json", "probe", "zone.toml", "--at", "127.0.0.1", "--yes"]);
        let report: serde_json::Value = serde_json::from_slice(&looked.stdout).unwrap();
        let found: Vec<u64> =
            report["findings"].as_array().unwrap().iter().map(|one| one["port"].as_u64().unwrap()).collect();
        (looked.status.code(), found)
    };
    let (code, found) = look();
    assert_eq!(code, Some(1));
    assert!(found.contains(&u64::from(port(&control))), "{found:?}");
    assert!(!found.contains(&u64::from(port(&gateway))), "{found:?}");
    let closed = u64::from(port(&control));
    drop(control);
    let (_code, found) = look();
    assert!(!found.contains(&closed), "{found:?}");
    let unanswered = zone(place.path(), &["probe", "zone.toml", "--at", "127.0.0.1"]);
    assert!(!unanswered.status.success(), "it asks first");
}

/// A second vantage point that can reach the rack; the machine of the first sees it too.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_the_rack_and_the_gateway_says_so() {
    let gateway = TestGateway::start().await;
    let grant = Grant { actions: "gateway:vantage:report".to_owned(), ..Grant::everything() };
    let token = gateway.new_token(Role::Ops, vec![grant]).await;
    let home = tempfile::tempdir().unwrap();
    let run = |token: &str, words: &[&str]| {
        let ended = Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
            .args(words)
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("RACK_GATEWAY_URL", format!("http://{}", gateway.addr()))
            .env("RACK_GATEWAY_TOKEN", token)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    let rack = gateway.rack.addr().to_string();
    let agent = ["--json", "probe-agent", "--name", "office", "--rack-address", &rack, "--once"];
    let (code, said, error) = run(&token, &agent);
    assert_eq!(code, Some(1), "{said} {error}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["open"][0].as_str(), said["news"].as_array().unwrap().len()), (Some(rack.as_str()), 1));

    let ops = gateway.token(Role::Ops);
    let (code, listed, error) = run(ops, &["zone", "vantage"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(listed.contains("office") && listed.contains("open") && listed.contains(&rack), "{listed}");
    // Nothing has that port here, and the agent's last word is shown beside it.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, both, error) = run(ops, &["zone", "probe", "--rack-address", &nowhere, "--agents", "--yes"]);
    assert_eq!(code, Some(1), "{both} {error}");
    assert!(both.contains("takes no connection from here") && both.contains("office"), "{both}");

    let quiet = ["probe-agent", "--name", "office", "--rack-address", &nowhere, "--once"];
    let (code, said, error) = run(&token, &quiet);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("none answers") && said.contains("is not looked at any more"), "{said}");
    let (code, _, error) = run(ops, &quiet);
    assert!(code != Some(0) && error.contains("office"), "the name is another token's: {error}");
    gateway.finish().await;
}
