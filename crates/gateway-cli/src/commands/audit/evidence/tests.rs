//! Archives that hold, and everything that can be done to one.

use std::fs::{create_dir_all, write};

use gateway_audit::{
    Checkpoint, Event, Frontier, Hash, NoteSigner, digest, inclusion_proof, leaf_hash, range_proof,
};
use gateway_types::{EventId, GatewayId, OsEntropy, Secret, Timestamp};
use serde_json::json;

use super::archive;
use super::controls::{CONTROLS, mapped, text};
use super::manifest::{CHECKPOINT, ENTRIES, Entries, FORM, KEYS, Listed, Manifest, Record, is_plain};
use super::verify::{Fault, check};

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// A log, and what an archive of a piece of it is made of.
struct World {
    gateway: GatewayId,
    signer: NoteSigner,
    leaves: Vec<Vec<u8>>,
}

impl World {
    fn new(count: usize) -> Self {
        let gateway = GatewayId::new(NOW, &OsEntropy);
        let signer =
            NoteSigner::from_seed(&gateway_audit::checkpoint::origin_of(gateway), &Secret::new(vec![7; 32]))
                .unwrap();
        let mut world = Self { gateway, signer, leaves: Vec::new() };
        for _ in 0..count {
            world.append("convox:app:list", &[]);
        }
        world
    }

    fn append(&mut self, action: &str, parameters: &[(&str, String)]) {
        let mut event = Event::of_system(NOW, EventId::new(NOW, &OsEntropy), action);
        for (name, value) in parameters {
            event.parameters.insert((*name).to_owned(), value.clone());
        }
        self.leaves.push(event.to_leaf([3; 16]).unwrap().bytes);
    }

    fn hashes(&self) -> Vec<Hash> {
        self.leaves.iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    fn note(&self) -> String {
        let mut tree = Frontier::new();
        self.hashes().into_iter().for_each(|hash| tree.push(hash));
        self.signer.sign(&Checkpoint::new(self.gateway, &tree.head(), NOW))
    }

    /// The archive of the entries `first..end`, after `alter` was at its files and entries.
    fn archive(&mut self, first: usize, end: usize, alter: impl FnOnce(&mut Draft)) -> Vec<u8> {
        let note = self.note();
        let proof = range_proof(&self.hashes(), first as u64, end as u64, self.leaves.len() as u64).unwrap();
        let hex = |hashes: &[Hash]| hashes.iter().map(Hash::to_hex).collect::<Vec<_>>();
        let lines: Vec<String> = (first..end)
            .map(|index| {
                json!({ "index": index, "leaf": std::str::from_utf8(&self.leaves[index]).unwrap() })
                    .to_string()
                    + "\n"
            })
            .collect();
        let keys = json!({ "keys": [{ "key": self.signer.verifier().to_string(), "from": 0 }] }).to_string();
        let mut draft = Draft {
            entries: Entries {
                first: first as u64,
                count: (end - first) as u64,
                left: hex(&proof.left),
                right: hex(&proof.right),
            },
            lines,
            note,
            keys,
            users: "[]".to_owned(),
            after: Vec::new(),
            recorded: None,
        };
        alter(&mut draft);
        let place = tempfile::tempdir().unwrap();
        let files = [
            (ENTRIES, draft.lines.concat()),
            (CHECKPOINT, draft.note.clone()),
            (KEYS, draft.keys.clone()),
            ("access/users.json", draft.users.clone()),
        ];
        let mut listed = Vec::new();
        for (path, content) in &files {
            create_dir_all(place.path().join(path).parent().unwrap()).unwrap();
            write(place.path().join(path), content).unwrap();
            listed.push(Listed {
                path: (*path).to_owned(),
                sha256: digest(content.as_bytes()).to_hex(),
                bytes: content.len() as u64,
                about: "a file".to_owned(),
            });
        }
        let manifest = Manifest {
            form: FORM.to_owned(),
            gateway: "https://gateway.example.com".to_owned(),
            from: NOW.to_rfc3339(),
            to: NOW.to_rfc3339(),
            entries: draft.entries,
            files: listed,
            left_out: Vec::new(),
        };
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        let recorded = draft.recorded.unwrap_or_else(|| digest(&bytes).to_hex());
        self.append("gateway:audit:evidence", &[("digest", recorded)]);
        let index = self.leaves.len() - 1;
        let record = Record {
            index: index as u64,
            leaf: String::from_utf8(self.leaves[index].clone()).unwrap(),
            path: hex(&inclusion_proof(&self.hashes(), index as u64, self.leaves.len() as u64).unwrap()),
            checkpoint: self.note(),
        };
        for (path, content) in &draft.after {
            write(place.path().join(path), content).unwrap();
        }
        let mut out = tempfile::NamedTempFile::new().unwrap();
        archive::write(out.as_file_mut(), place.path(), &manifest, &bytes, &record).unwrap();
        std::fs::read(out.path()).unwrap()
    }
}

/// What an archive is made of, to be altered.
struct Draft {
    entries: Entries,
    lines: Vec<String>,
    note: String,
    keys: String,
    users: String,
    /// Written over files of the same length after their digests were taken.
    after: Vec<(&'static str, String)>,
    recorded: Option<String>,
}

#[test]
fn a_piece_of_the_log_holds_wherever_it_lies() {
    let mut world = World::new(700);
    for (first, end) in [(0, 700), (0, 1), (1, 700), (255, 257), (256, 512), (3, 690), (699, 700)] {
        let archive = world.archive(first, end, |_draft| {});
        let key = world.signer.verifier();
        let held = check(archive.as_slice(), Some(&key)).unwrap();
        assert_eq!((held.first, held.entries, held.files), (first as u64, (end - first) as u64, 4));
        let now = NOW.to_rfc3339();
        assert_eq!((held.earliest.as_ref(), held.latest.as_ref()), (Some(&now), Some(&now)));
        assert_eq!((held.made_by.as_str(), &held.made), ("system", &now), "who made it is what the log says");
        assert_eq!(check(archive.as_slice(), None).unwrap().key, key.to_string());
        world.leaves.truncate(700);
    }
}

#[test]
fn what_was_altered_is_named() {
    type Case = (&'static str, fn(&mut Draft), fn(&Fault) -> bool);
    let cases: [Case; 9] = [
        (
            "a file after its digest was taken",
            |draft| draft.after = vec![("access/users.json", "{}".to_owned())],
            |fault| matches!(fault, Fault::File(path) if path == "access/users.json"),
        ),
        (
            "a file and its digest",
            |draft| draft.recorded = Some("0".repeat(64)),
            |fault| matches!(fault, Fault::Record(_)),
        ),
        (
            "an entry",
            |draft| draft.lines[3] = draft.lines[3].replace("convox:app:list", "convox:app:show"),
            |fault| matches!(fault, Fault::Entries(_)),
        ),
        (
            "an entry left out",
            |draft| {
                draft.lines.pop();
                draft.entries.count -= 1;
            },
            |fault| matches!(fault, Fault::Entries(_)),
        ),
        (
            "an entry left out, and still counted",
            |draft| {
                draft.lines.pop();
            },
            |fault| matches!(fault, Fault::Garbled(ENTRIES)),
        ),
        (
            "two entries exchanged",
            |draft| draft.lines.swap(1, 2),
            |fault| matches!(fault, Fault::Garbled(ENTRIES)),
        ),
        (
            "a hash of the proof",
            |draft| {
                let last = draft.entries.right.len() - 1;
                draft.entries.right[last] = leaf_hash(b"another").to_hex();
            },
            |fault| matches!(fault, Fault::Entries(_)),
        ),
        (
            "a hash too many",
            |draft| draft.entries.left.push(leaf_hash(b"another").to_hex()),
            |fault| matches!(fault, Fault::Entries(_)),
        ),
        (
            "the signature",
            |draft| draft.note = draft.note.replace("\n\u{2014} ", "\n\u{2014} x"),
            |fault| matches!(fault, Fault::Keys(_)),
        ),
    ];
    for (what, alter, expected) in cases {
        let mut world = World::new(40);
        let archive = world.archive(5, 20, alter);
        let fault = check(archive.as_slice(), None).unwrap_err();
        assert!(expected(&fault), "{what}: {fault:?}");
    }
}

#[test]
fn another_logs_archive_is_not_taken_for_this_ones() {
    let mut world = World::new(9);
    let archive = world.archive(0, 9, |_draft| {});
    let other = NoteSigner::from_seed("another", &Secret::new(vec![9; 32])).unwrap().verifier();
    assert!(matches!(check(archive.as_slice(), Some(&other)), Err(Fault::Keys(_))));
}

#[test]
fn what_is_no_archive_is_refused() {
    let mut world = World::new(9);
    let archive = world.archive(0, 9, |_draft| {});
    for cut in [0, 10, archive.len() / 2, archive.len() - 20] {
        check(&archive[..cut], None).unwrap_err();
    }
    for bad in ["", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.b", "a b", "a\nb", "ä"] {
        assert!(!is_plain(bad), "{bad:?}");
    }
    assert!(is_plain("log/entries.jsonl"));
    // A link, or a directory, is none of the files of an archive.
    let mut made = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    made.append_link(&mut header, "manifest.json", "/etc/passwd").unwrap();
    let bytes = made.into_inner().unwrap().finish().unwrap();
    assert!(matches!(check(bytes.as_slice(), None), Err(Fault::Unreadable(_))));
}

/// What a control looks for is what the gateway has: each action is one that can be recorded, each file one that is collected.
#[test]
fn controls_say_what_there_is_and_what_there_is_not() {
    let counted =
        [("gateway:approval:approve".to_owned(), 3), ("convox:release:promote".to_owned(), 2)].into();
    let mapped = mapped(&counted, |file| file == "changes/approvals.json");
    assert_eq!(mapped.len(), CONTROLS.len());
    let shown = serde_json::to_value(&mapped).unwrap();
    let change = shown.as_array().unwrap().iter().find(|one| one["control"] == "CC8.1").unwrap();
    assert_eq!(change["entries"], json!({ "convox:release:promote": 2, "gateway:approval:approve": 3 }));
    assert_eq!(change["files"], json!(["changes/approvals.json"]));
    let none = shown.as_array().unwrap().iter().find(|one| one["control"] == "CC7.3").unwrap();
    assert_eq!((&none["evidence"], &none["entries"]), (&json!(false), &json!({})));
    let text = text(&mapped, "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z");
    assert!(text.contains("| CC7.3 | Security events are judged. | none | none in this time |"), "{text}");
    let source = include_str!("collect.rs");
    for file in CONTROLS.iter().flat_map(|control| control.files) {
        assert!(source.contains(file) || *file == ENTRIES, "{file} is not collected");
    }
}

/// Each pattern of an action finds something that the gateway can do or records by itself.
#[test]
fn actions_of_controls_exist() {
    let table = include_str!("../../../../../gateway-policy/authz-matrix.txt");
    // What the gateway records without being asked.
    let own = [
        "gateway:zone:direct_access_refused",
        "gateway:rack:bypassed",
        "gateway:session:alert",
        "gateway:factor:lock",
    ];
    for pattern in CONTROLS.iter().flat_map(|control| control.actions) {
        let beginning = pattern.trim_end_matches('*');
        assert!(table.contains(beginning) || own.contains(&beginning), "{pattern} names nothing");
    }
}
