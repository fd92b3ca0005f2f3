//! The shape of the workspace, held by a test (DESIGN, section 3).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crates that do no I/O and await nothing.
const PURE: [&str; 11] = [
    "gateway-types",
    "gateway-framing",
    "gateway-convox",
    "gateway-secrets",
    "gateway-policy",
    "gateway-audit",
    "gateway-sinks",
    "gateway-approvals",
    "gateway-config",
    "gateway-identity",
    "gateway-pki",
];

/// What a pure crate must not depend on, also through others.
const IMPURE: [&str; 4] = ["tokio", "sqlx", "hyper", "axum"];

/// Crates for tests only.
const TEST_ONLY: [&str; 5] = [
    "gateway-testkit",
    "gateway-testdb",
    "rack-gateway-bench",
    "rack-gateway-bench-zone",
    "rack-gateway-bench-audit",
];

struct Graph {
    /// Names of workspace members.
    members: BTreeSet<String>,
    /// Direct product dependencies of each package, by name.
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// The platform of this machine: what only others need was never downloaded.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &host()])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let members = list(&metadata["workspace_members"]).iter().map(|id| names[&text(id)].clone()).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let from = names[&text(&node["id"])].clone();
        for dependency in list(&node["deps"]) {
            let is_product = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            if is_product {
                edges.entry(from.clone()).or_default().insert(names[&text(&dependency["pkg"])].clone());
            }
        }
    }
    Graph { members, edges }
}

impl Graph {
    fn direct(&self, name: &str) -> BTreeSet<String> {
        self.edges.get(name).cloned().unwrap_or_default()
    }

    fn all(&self, name: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(next) = open.pop() {
            for dependency in self.direct(&next) {
                if seen.insert(dependency.clone()) {
                    open.push(dependency);
                }
            }
        }
        seen
    }

    /// How many workspace crates the longest chain from `name` down has.
    fn depth(&self, name: &str) -> usize {
        let below = self.direct(name).into_iter().filter(|dependency| self.members.contains(dependency));
        1 + below.map(|dependency| self.depth(&dependency)).max().unwrap_or(0)
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let graph = graph();
    for name in PURE {
        let all = graph.all(name);
        for impure in IMPURE {
            assert!(
                !all.contains(impure),
                "{name} is pure and must not depend on {impure}, also not through others"
            );
        }
    }
}

#[test]
fn the_data_plane_knows_no_page_and_nobody_knows_the_composition_root() {
    let graph = graph();
    let below_proxy = graph.all("gateway-proxy");
    for page in ["gateway-api", "gateway-web", "gateway-server", "gateway-cli"] {
        assert!(!below_proxy.contains(page), "gateway-proxy must not depend on {page}");
    }
    for name in &graph.members {
        let may =
            ["gateway-cli", "gateway-testkit", "rack-gateway", "gateway-server"].contains(&name.as_str());
        assert!(
            may || !graph.direct(name).contains("gateway-server"),
            "{name} must not see the composition root"
        );
        for test_only in TEST_ONLY {
            let is_test = TEST_ONLY.contains(&name.as_str());
            assert!(
                is_test || !graph.all(name).contains(test_only),
                "{name} is product and must not use {test_only}"
            );
        }
    }
}

#[test]
fn the_crate_graph_is_shallow() {
    let graph = graph();
    for name in &graph.members {
        if !TEST_ONLY.contains(&name.as_str()) {
            assert!(
                graph.depth(name) <= 8,
                "the chain below {name} has {} workspace crates",
                graph.depth(name)
            );
        }
    }
}
