//! Which controls of SOC 2 (Trust Services Criteria 2017, with the points of focus of 2022) an archive speaks to, and by what.
//!
//! An auditor decides what is enough. This says where to look, and says so when a time has nothing.

use std::collections::BTreeMap;

use serde::Serialize;

/// A control and what speaks to it.
pub(super) struct Control {
    /// Its number.
    pub(super) id: &'static str,
    /// What it asks, in our words.
    pub(super) asks: &'static str,
    /// Files of an archive.
    pub(super) files: &'static [&'static str],
    /// Actions of the log, exactly or a beginning and a star.
    pub(super) actions: &'static [&'static str],
}

/// The controls.
pub(super) const CONTROLS: [Control; 11] = [
    Control {
        id: "CC6.1",
        asks: "Access to systems and data is restricted to whom it is granted.",
        files: &["access/roles.json", "access/policies.json", "access/settings.json", "access/review.json"],
        actions: &[
            "gateway:policy:update",
            "gateway:policy:remove",
            "gateway:setting:update",
            "gateway:access:review",
        ],
    },
    Control {
        id: "CC6.2",
        asks: "People are registered and authorised before they get credentials, and lose them when they leave.",
        files: &["access/users.json", "access/tokens.json"],
        actions: &["gateway:user:*", "gateway:token:*", "gateway:auth:*", "gateway:session:*"],
    },
    Control {
        id: "CC6.3",
        asks: "Access follows roles, the least that is needed, and duties are separated.",
        files: &["access/review.json", "access/grants.json", "access/elevations.json", "access/groups.json"],
        actions: &["gateway:grant:*", "gateway:elevation:*", "gateway:group:*", "gateway:user:update"],
    },
    Control {
        id: "CC6.6",
        asks: "Access from outside of the system's boundary is protected.",
        files: &["access/services.json", "access/zone.json", "access/trust-rules.json"],
        actions: &[
            "gateway:zone:*",
            "gateway:service:*",
            "gateway:workload:*",
            "gateway:factor:*",
            "gateway:auth:step_up",
            "gateway:auth:factor",
        ],
    },
    Control {
        id: "CC6.7",
        asks: "The transfer of data out of the system is restricted and protected.",
        files: &["sessions/recordings.json"],
        actions: &[
            "convox:process:exec",
            "convox:file:*",
            "convox:resource:*",
            "convox:network:proxy",
            "gateway:secret:reveal",
            "gateway:audit:export",
        ],
    },
    Control {
        id: "CC6.8",
        asks: "Software that nobody authorised is kept out.",
        files: &["changes/approvals.json"],
        actions: &["gateway:approval:*", "convox:build:*", "convox:object:create"],
    },
    Control {
        id: "CC7.1",
        asks: "Changes of the configuration that make the system vulnerable are found.",
        files: &["access/policies.json", "access/settings.json"],
        actions: &[
            "gateway:setting:update",
            "gateway:policy:*",
            "gateway:service:*",
            "convox:app:update",
            "convox:rack:*",
        ],
    },
    Control {
        id: "CC7.2",
        asks: "The system is watched for what is unusual.",
        files: &["log/entries.jsonl", "sessions/recordings.json"],
        actions: &[
            "gateway:zone:direct_access_refused",
            "gateway:rack:bypassed",
            "gateway:audit:*",
            "gateway:session:alert",
            "gateway:factor:lock",
            "gateway:user:lock",
        ],
    },
    Control {
        id: "CC7.3",
        asks: "Security events are judged.",
        files: &["access/break-glass.json"],
        actions: &[
            "gateway:breakglass:review",
            "gateway:audit:search",
            "gateway:audit:read",
            "gateway:recording:view",
            "gateway:live:watch",
        ],
    },
    Control {
        id: "CC7.4",
        asks: "Incidents are answered.",
        files: &["access/break-glass.json"],
        actions: &[
            "gateway:breakglass:*",
            "gateway:auth:break_glass",
            "gateway:user:lock",
            "gateway:session:revoke*",
            "gateway:live:end",
            "gateway:zone:ban",
            "gateway:mode:set",
        ],
    },
    Control {
        id: "CC8.1",
        asks: "Changes are authorised, tested, approved and put in place under control.",
        files: &["changes/approvals.json", "changes/stories.json"],
        actions: &["gateway:approval:*", "convox:build:*", "convox:release:*", "convox:app:*"],
    },
];

/// A control as an archive has it.
#[derive(Serialize)]
pub(super) struct Mapped {
    control: &'static str,
    asks: &'static str,
    files: Vec<&'static str>,
    /// How many entries of each action there are; empty when the time has none.
    entries: BTreeMap<String, u64>,
    evidence: bool,
}

/// Each control with the entries that there are, by `counted` actions and among `files` that are in the archive.
pub(super) fn mapped(counted: &BTreeMap<String, u64>, has_file: impl Fn(&str) -> bool) -> Vec<Mapped> {
    CONTROLS
        .iter()
        .map(|control| {
            let entries: BTreeMap<String, u64> = counted
                .iter()
                .filter(|(action, _count)| control.actions.iter().any(|pattern| fits(pattern, action)))
                .map(|(action, count)| (action.clone(), *count))
                .collect();
            let files: Vec<&str> = control.files.iter().copied().filter(|file| has_file(file)).collect();
            let evidence = !entries.is_empty() || !files.is_empty();
            Mapped { control: control.id, asks: control.asks, files, entries, evidence }
        })
        .collect()
}

fn fits(pattern: &str, action: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == action, |beginning| action.starts_with(beginning))
}

/// The same for people.
pub(super) fn text(mapped: &[Mapped], from: &str, to: &str) -> String {
    let mut text = format!(
        "# What speaks to which control\n\nEntries of the log from {from} until {to}, and the state when the archive was made.\n\n\
         | control | asks | files | entries in the log |\n| --- | --- | --- | --- |\n"
    );
    for one in mapped {
        let entries: Vec<String> =
            one.entries.iter().map(|(action, count)| format!("{action}: {count}")).collect();
        let entries = if entries.is_empty() { "none in this time".to_owned() } else { entries.join("<br>") };
        let files = if one.files.is_empty() { "none".to_owned() } else { one.files.join("<br>") };
        text.push_str(&format!("| {} | {} | {files} | {entries} |\n", one.control, one.asks));
    }
    text.push_str(
        "\nEach line of log/entries.jsonl is one entry. `rack-gateway audit evidence verify FILE` shows that the files are those of the \
         manifest, that every entry of the log between the first and the last is there, and that the log holds this archive's digest.\n",
    );
    text
}
