//! What a person sees on a terminal, and what a program gets in a pipe: questions, a second factor, progress, widths and
//! colours; also over a link that is slow, or that breaks.

use std::time::Duration;

use gateway_testkit::{Authenticator, TestGateway};
use gateway_types::Role;

use crate::exec::{Person, typed};
use crate::resume::Cable;

/// What the rack was asked to change.
fn changes(gateway: &TestGateway) -> Vec<String> {
    let seen = gateway.rack.requests();
    let changes = seen.iter().filter(|one| one.method != "GET");
    changes.map(|one| format!("{} {}", one.method, one.path())).collect()
}

/// Without the sequences that move and colour.
fn plain(shown: &str) -> String {
    let mut parts = shown.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        text + &part[end..]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_asked_for_and_no_is_no() {
    let gateway = TestGateway::start().await;
    let admin = Person::new(&gateway, &gateway.session(Role::Admin).await);
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let remove = "\"$GATEWAY\" certs delete cert-1";
    for answer in ["n\r", "\r", "\u{4}"] {
        let (code, out) = admin.on_a_terminal(remove, &[("Go on? [y/N]", answer)]).await;
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("cert-1 is removed") && out.contains("nothing was changed"), "{out}");
    }
    assert_eq!(changes(&gateway), Vec::<String>::new());
    // A script is asked nothing, as with the official client: but the gateway asks for the factor, and the words say how.
    let (code, _, err) = admin.says(&["certs", "delete", "cert-1"]).await;
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("--code"), "{err}");
    let (code, _, err) = admin.says(&["users", "remove", "viewer@example.com"]).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(changes(&gateway), Vec::<String>::new());
    // Yes, and then the second factor, in place.
    let wrong = phone.next(&gateway);
    let (code, out) = admin
        .on_a_terminal(
            remove,
            &[("Go on? [y/N]", "y\r"), ("backup code:", "12\r"), ("backup code:", &format!("{wrong}\r"))],
        )
        .await;
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(changes(&gateway), ["DELETE /certificates/cert-1"], "{out}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m9_tables_fit_their_terminal_and_pipes_get_whole_lines() {
    let gateway = TestGateway::start().await;
    let admin = Person::new(&gateway, gateway.token(Role::Admin));
    let (code, out) = admin.on_a_terminal("stty cols 60; \"$GATEWAY\" ps", &[]).await;
    assert_eq!(code, Some(0), "{out}");
    let shown = plain(&out).replace('\r', "");
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
    let (_, whole, _) = admin.says(&["ps"]).await;
    assert!(whole.contains("myapp-web-7d9f8b6c5-aaaa0") && !whole.contains('─'), "{whole}");
    assert!(whole.lines().any(|line| line.len() > 60), "{whole}");
    // Nothing is left out in the narrow one.
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    for word in whole.split_whitespace().filter(|word| word.len() < 8) {
        assert!(squeezed(&shown).contains(word), "{word} is not in {shown}");
    }

    let colours = |out: &str| out.contains("\u{1b}[3");
    let (_, out) = admin.on_a_terminal("\"$GATEWAY\" can convox:app:list", &[]).await;
    assert!(colours(&out), "{out:?}");
    let (_, out) = admin.on_a_terminal("NO_COLOR=1 \"$GATEWAY\" can convox:app:list", &[]).await;
    assert!(!colours(&out) && out.contains("yes"), "{out:?}");
    let (_, out) = admin.on_a_terminal("\"$GATEWAY\" can convox:app:list | cat", &[]).await;
    assert!(!colours(&out) && out.contains("yes"), "{out:?}");
    let (_, out) = admin.on_a_terminal("\"$GATEWAY\" ps --json", &[]).await;
    assert!(!out.contains('\u{1b}'), "{out:?}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_drawn_on_a_terminal_alone_and_a_broken_link_leaves_it_clean() {
    let gateway = TestGateway::start().await;
    let deployer = Person::new(&gateway, gateway.token(Role::Deployer));
    std::fs::write(deployer.home.path().join("convox.yml"), "services:\n  web:\n    image: x\n").unwrap();
    let mut state = 1_u64;
    let mut random = || {
        // Not to be packed: the constants of a xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let random: Vec<u8> = (0..1_000_000).flat_map(|_| random()).collect();
    std::fs::write(deployer.home.path().join("large.bin"), random).unwrap();
    let cable = Cable::to(gateway.addr()).await;
    let build = |columns: u16| {
        let mut command = deployer.command_at("script", cable.address);
        command.args(["-qec", &format!("stty rows 40 cols {columns}; \"$GATEWAY\" build"), "/dev/null"]);
        typed(command, Vec::new())
    };
    // 16 KiB in 5 ms: seconds for what no buffer on the way takes.
    cable.slow(Duration::from_millis(5));
    let (code, out) = build(50).await;
    assert_eq!(code, Some(0), "{out:?}");
    let drawn: Vec<&str> = out.split('\r').filter(|line| line.starts_with("Uploading [")).collect();
    assert!(drawn.len() >= 3, "{out:?}");
    assert!(drawn.iter().all(|line| plain(line).chars().count() < 50), "{drawn:?}");
    assert!(drawn.last().is_some_and(|line| line.contains("##]")), "{drawn:?}");
    assert!(plain(&out).contains("Uploading source... OK"), "{out:?}");
    // In a pipe there is none.
    let (code, out, err) = deployer.says(&["build"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(!format!("{out}{err}").contains("[#"), "{out}{err}");
    // The link breaks in the middle: an error that says so, below a clean line.
    let builds = gateway.rack.state().builds("myapp").len();
    cable.breaks_after(&[400_000; 8]);
    let (code, out) = build(120).await;
    assert_eq!(code, Some(5), "{out:?}");
    let last = plain(out.rsplit("\r\u{1b}[K").next().unwrap_or_default());
    assert!(last.trim_start().starts_with("error: "), "{out:?}");
    assert_eq!(gateway.rack.state().builds("myapp").len(), builds);
    gateway.finish().await;
}
