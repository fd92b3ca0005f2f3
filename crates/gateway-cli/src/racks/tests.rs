//! What is kept, and what is refused (M2).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use gateway_client::GatewayAddress;
use gateway_types::Secret;

use super::*;
use crate::environment::Keeping;

struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("rack-gateway")
    }

    fn racks(&self) -> Racks {
        let directory = PrivateDirectory::new(self.path());
        Racks { vault: Vault::new(directory.clone(), Keeping::File), directory }
    }
}

fn rack(name: &str, url: &str) -> Rack {
    Rack {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        gateway_id: "g".to_owned(),
        email: "ann@example.com".to_owned(),
        kept: Some(Kept::File),
        ca_file: None,
        checkpoint: None,
        promises: Vec::new(),
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn m2_what_is_kept_is_the_owners_alone() {
    let place = Place::new();
    let racks = place.racks();
    let url: GatewayAddress = "https://g.example.com".parse().unwrap();
    assert_eq!(racks.book().unwrap(), Book::default(), "nothing is made by looking");
    assert!(!place.path().exists());
    assert_eq!(racks.vault().keep(&url, &Secret::new("rgs_a".to_owned())).unwrap(), Kept::File);
    racks.change(|book| book.put(rack("prod", "https://g.example.com"))).unwrap();
    assert_eq!(mode_of(&place.path()), 0o700);
    for file in ["racks.json", "credentials.json", ".lock"] {
        assert_eq!(mode_of(&place.path().join(file)), 0o600, "{file}");
    }
    assert_eq!(racks.vault().find(&url, Kept::File).unwrap().unwrap().expose(), "rgs_a");
    assert_eq!(racks.book().unwrap().current().unwrap().name, "prod");
    let public = fs::read_to_string(place.path().join("racks.json")).unwrap();
    assert!(!public.contains("rgs_a"));
    racks.vault().forget(&url, Kept::File).unwrap();
    assert!(racks.vault().find(&url, Kept::File).unwrap().is_none());
    let left: Vec<String> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 3, "no half-written file is left: {left:?}");
}

#[test]
fn a_session_belongs_to_the_address_that_gave_it() {
    let place = Place::new();
    let racks = place.racks();
    let url = "https://g.example.com".parse().unwrap();
    racks.vault().keep(&url, &Secret::new("rgs_a".to_owned())).unwrap();
    for other in ["https://g.example.com:8443", "https://evil.example.com", "https://g.example.com/a"] {
        assert!(racks.vault().find(&other.parse().unwrap(), Kept::File).unwrap().is_none(), "{other}");
    }
}

/// What reading and writing say once something was done to the place.
fn spoilt(spoil: impl Fn(&Path)) -> (RacksError, RacksError) {
    let place = Place::new();
    let racks = place.racks();
    let url = "https://g.example.com".parse().unwrap();
    racks.vault().keep(&url, &Secret::new("rgs_a".to_owned())).unwrap();
    racks.change(|book| book.put(rack("prod", "https://g.example.com"))).unwrap();
    spoil(&place.path());
    let read = racks.vault().find(&url, Kept::File).map(drop).unwrap_err();
    let written = racks.vault().keep(&url, &Secret::new("rgs_b".to_owned())).map(drop).unwrap_err();
    (read, written)
}

#[test]
fn m2_what_others_can_read_or_write_is_refused() {
    for bad in [0o640, 0o604, 0o602, 0o660, 0o666] {
        let (read, written) = spoilt(|path| mode(&path.join("credentials.json"), bad));
        assert!(matches!(read, RacksError::OpenToOthers { mode, .. } if mode == bad), "{bad:o}: {read}");
        assert!(matches!(written, RacksError::OpenToOthers { .. }), "{bad:o}: {written}");
        assert!(read.to_string().contains("chmod 600"), "{read}");
    }
    for bad in [0o755, 0o770, 0o701] {
        let (read, written) = spoilt(|path| mode(path, bad));
        assert!(matches!(read, RacksError::OpenToOthers { .. }), "{bad:o}: {read}");
        assert!(written.to_string().contains("chmod 700"), "{written}");
    }
    let (read, _) = spoilt(|path| mode(path.parent().unwrap(), 0o777));
    assert!(matches!(&read, RacksError::OpenToOthers { right: "o-w", .. }), "{read}");
}

#[test]
fn a_directory_above_that_everybody_uses_is_fine_when_nobody_can_move_what_is_not_theirs() {
    let place = Place::new();
    place.racks().change(|book| book.put(rack("prod", "https://g"))).unwrap();
    mode(place.home.path(), 0o1777);
    assert!(place.racks().book().is_ok());
}

#[test]
fn m2_links_are_not_followed() {
    let (read, written) = spoilt(|path| {
        let real = path.join("real");
        fs::rename(path.join("credentials.json"), &real).unwrap();
        symlink(&real, path.join("credentials.json")).unwrap();
    });
    assert!(
        matches!((&read, &written), (RacksError::Link { .. }, RacksError::Link { .. })),
        "{read} {written}"
    );
    let (read, written) = spoilt(|path| {
        let real = path.with_extension("real");
        fs::rename(path, &real).unwrap();
        symlink(&real, path).unwrap();
    });
    assert!(
        matches!((&read, &written), (RacksError::Link { .. }, RacksError::Link { .. })),
        "{read} {written}"
    );
    let (_, written) = spoilt(|path| {
        fs::remove_file(path.join("credentials.json")).unwrap();
        fs::create_dir(path.join("credentials.json")).unwrap();
    });
    assert!(matches!(written, RacksError::Strange { .. }), "{written}");
}

#[test]
fn writers_wait_for_each_other() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 5;
    let place = Place::new();
    let start = Barrier::new(WRITERS);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (racks, start) = (place.racks(), &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let url = format!("https://g{writer}-{round}.example.com");
                    racks.vault().keep(&url.parse().unwrap(), &Secret::new(format!("rgs_{url}"))).unwrap();
                    racks.change(|book| book.put(rack(&format!("r{writer}-{round}"), &url))).unwrap();
                }
            });
        }
    });
    let racks = place.racks();
    let book = racks.book().unwrap();
    assert_eq!(book.racks.len(), WRITERS * ROUNDS, "no change is lost");
    for rack in &book.racks {
        let session = racks.vault().find(&rack.url, Kept::File).unwrap().unwrap();
        assert_eq!(session.expose(), &format!("rgs_{}", rack.url));
    }
}

#[test]
fn what_is_not_understood_is_not_overwritten() {
    let place = Place::new();
    place.racks().change(|book| book.put(rack("prod", "https://g"))).unwrap();
    let file = place.path().join("racks.json");
    fs::write(&file, "{").unwrap();
    let error = place.racks().change(|book| book.put(rack("new", "https://n"))).unwrap_err();
    assert!(matches!(error, RacksError::Garbled { .. }));
    assert_eq!(fs::read_to_string(&file).unwrap(), "{");
}

#[test]
fn an_address_that_is_not_safe_is_not_understood() {
    let text =
        r#"{"current":"x","racks":[{"name":"x","url":"http://g.example.com","gateway_id":"g","email":"e"}]}"#;
    assert!(
        serde_json::from_str::<Book>(text).is_err(),
        "m6: a session would cross the network in the clear"
    );
}

#[test]
fn names_and_addresses_are_each_one_gateways() {
    let mut book = Book::default();
    book.put(rack("prod", "https://a")).unwrap();
    book.put(rack("stage", "https://b")).unwrap();
    assert!(matches!(book.put(rack("prod", "https://c")), Err(RacksError::NameTaken { .. })));
    book.put(rack("production", "https://a")).unwrap();
    assert_eq!(book.racks.len(), 2);
    assert_eq!(book.current.as_deref(), Some("production"));
    assert!(matches!(book.named("prod"), Err(RacksError::UnknownRack(_))));
}
