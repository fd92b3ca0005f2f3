//! The two states a rack can start with.

use std::collections::BTreeMap;

use gateway_types::Timestamp;
use serde_json::json;

use super::app::{App, BuildLog, BuildRun, MANIFEST, new_database, new_service};
use super::shapes::{Build, Certificate, Instance, RackResource, Registry, Release, Resource};
use super::{State, is_lively, now, whole_second};
use crate::options::{Flavour, Seed, SimOptions, random_bytes};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The starting state.
pub(super) fn plant(options: &SimOptions) -> State {
    let apps = match options.seed {
        Seed::Recorded => recorded_apps(options.flavour),
        Seed::Demo => demo_apps(options.flavour),
    };
    let rack = match options.seed {
        Seed::Recorded => "testrack",
        Seed::Demo => "demo",
    };
    State {
        flavour: options.flavour,
        lively: is_lively(options.seed),
        timing: options.timing,
        password: options.password.clone(),
        rack: rack.to_owned(),
        apps: apps.into_iter().map(|app| (app.name.clone(), app)).collect(),
        said: Vec::new(),
        registries: vec![Registry {
            server: "index.docker.io/v1".to_owned(),
            username: "bob".to_owned(),
            password: "registry-pa55word".to_owned(),
        }],
        certificates: vec![certificate()],
        certificates_made: 1,
        instances: instances(options.seed),
        rack_resources: BTreeMap::from([("hook".to_owned(), webhook())]),
        letsencrypt: json!({"role": "arn:aws:iam::1:role/cert-manager", "solvers": []}),
        parameters: rack_parameters(options.flavour),
        events: Vec::new(),
        jwt_key: random_bytes(),
        sequence: 0,
    }
}

/// A moment so many minutes after two days ago, to the second.
fn two_days_ago(minutes: i64) -> String {
    let then = now().micros() - 2 * DAY + minutes * MINUTE;
    whole_second(Timestamp::from_micros(then)).to_rfc3339()
}

/// What differs between the seeded apps.
struct AppSeed<'a> {
    name: &'a str,
    rack: &'a str,
    number: u8,
    env: &'a str,
    manifest: &'a str,
    services: &'a [(&'a str, Option<u16>)],
}

fn generation(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::V3 => "3",
        Flavour::V2 => "2",
    }
}

/// An app with one build, one release and a process for each service.
fn app(flavour: Flavour, seed: &AppSeed<'_>) -> App {
    let mut app = App::empty(seed.rack, seed.name, generation(flavour));
    let build = format!("BSEED{:05}", seed.number);
    app.release = format!("RSEED{:05}", seed.number);
    app.releases.push(Release {
        id: app.release.clone(),
        app: app.name.clone(),
        build: build.clone(),
        env: seed.env.to_owned(),
        manifest: seed.manifest.to_owned(),
        description: "build abc123 first".to_owned(),
        created: two_days_ago(2),
    });
    app.builds.push(BuildRun {
        build: Build {
            process: format!("build-{}", build.to_lowercase()),
            id: build,
            app: app.name.clone(),
            description: "build abc123 first".to_owned(),
            git_sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            manifest: seed.manifest.to_owned(),
            release: app.release.clone(),
            status: "complete".to_owned(),
            started: two_days_ago(0),
            ended: ended(),
            ..Build::default()
        },
        log: BuildLog::Done("Building: .\nSuccessfully built deadbeef\n".to_owned()),
    });
    for (service, port) in seed.services {
        app.services.push(new_service(seed.name, service, *port));
        app.add_process(service);
    }
    app.processes.iter_mut().for_each(|process| process.started = two_days_ago(3));
    app.resources.push(new_database(seed.rack, seed.name, "db"));
    app
}

/// The seeded builds took a minute and a half.
fn ended() -> String {
    let then = now().micros() - 2 * DAY + MINUTE * 3 / 2;
    whole_second(Timestamp::from_micros(then)).to_rfc3339()
}

fn recorded_apps(flavour: Flavour) -> Vec<App> {
    let services = [("web", Some(3000)), ("worker", None)];
    let seed = |name, number, env| AppSeed {
        name,
        rack: "testrack",
        number,
        env,
        manifest: MANIFEST,
        services: &services,
    };
    vec![
        app(flavour, &seed("myapp", 1, "DATABASE_PASSWORD=s3cr3t-myapp\nPLAIN=value")),
        app(flavour, &seed("other", 2, "DATABASE_PASSWORD=s3cr3t-other\nPLAIN=value")),
    ]
}

const SHOP_ENV: &str = "DATABASE_PASSWORD=correct-horse-battery\nDATABASE_URL=postgres://shop:correct-horse-battery@db.internal:5432/shop\n\
     LOG_LEVEL=info\nNODE_ENV=production\nPORT=3000\nSESSION_SECRET=7f0f5b1d9c3e\nSTRIPE_API_KEY=sk_demo_4eC39HqLyjWDarj";
const SHOP_MANIFEST: &str = "services:\n  web:\n    build: .\n    port: 3000\n    scale: 2\n  worker:\n    build: .\n    \
     command: npm run worker\nresources:\n  db:\n    type: postgres\n  cache:\n    type: redis\n";
const WIKI_MANIFEST: &str =
    "services:\n  web:\n    build: .\n    port: 8080\nresources:\n  db:\n    type: postgres\n";

fn demo_apps(flavour: Flavour) -> Vec<App> {
    let mut shop = app(
        flavour,
        &AppSeed {
            name: "shop",
            rack: "demo",
            number: 1,
            env: SHOP_ENV,
            manifest: SHOP_MANIFEST,
            services: &[("web", Some(3000)), ("worker", None)],
        },
    );
    if let Ok(web) = shop.service("web") {
        web.count = 2;
    }
    shop.add_process("web");
    shop.resources.push(Resource {
        name: "cache".to_owned(),
        status: "running".to_owned(),
        kind: "redis".to_owned(),
        url: "redis://:cachepa55@resource-cache.demo-shop.svc.cluster.local:6379/0".to_owned(),
    });
    older_releases(&mut shop);
    let wiki = AppSeed {
        name: "wiki",
        rack: "demo",
        number: 9,
        env: "ADMIN_PASSWORD=wiki-admin-pa55\nPORT=8080",
        manifest: WIKI_MANIFEST,
        services: &[("web", Some(8080))],
    };
    vec![shop, app(flavour, &wiki)]
}

/// Some history: the active release gets two predecessors.
fn older_releases(app: &mut App) {
    let Some(active) = app.releases.last().cloned() else { return };
    let older = [("RSEEDAAAAA", -3 * 24 * 60, "first deploy"), ("RSEEDBBBBB", -24 * 60, "env change")];
    for (position, (id, minutes, description)) in older.into_iter().enumerate() {
        let release = Release {
            id: id.to_owned(),
            env: active.env.replace("LOG_LEVEL=info", "LOG_LEVEL=debug"),
            description: description.to_owned(),
            created: two_days_ago(minutes),
            ..active.clone()
        };
        app.releases.insert(position, release);
    }
}

fn certificate() -> Certificate {
    Certificate {
        id: "cert-1".to_owned(),
        domain: "*.example.test".to_owned(),
        domains: vec!["*.example.test".to_owned()],
        expiration: Timestamp::from_micros(now().micros() + 90 * DAY).to_rfc3339(),
        status: "Ready".to_owned(),
    }
}

fn instances(seed: Seed) -> Vec<Instance> {
    let node = |number: u8| Instance {
        agent: false,
        cpu: 0.5,
        cpu_capacity: 2,
        cpu_allocatable: 2,
        gpu_capacity: 0,
        gpu_allocatable: 0,
        id: format!("node-{number}"),
        memory: 0.4,
        memory_capacity: 4096,
        memory_allocatable: 4000,
        private_ip: format!("10.1.0.{}", 4 + number),
        processes: 4,
        public_ip: String::new(),
        status: "running".to_owned(),
        started: two_days_ago(0),
    };
    match seed {
        Seed::Recorded => vec![node(1)],
        Seed::Demo => vec![node(1), node(2), node(3)],
    }
}

fn webhook() -> RackResource {
    let url = "https://hooks.example.test/T/secret".to_owned();
    RackResource {
        name: "hook".to_owned(),
        parameters: BTreeMap::from([("Url".to_owned(), url.clone())]),
        status: "running".to_owned(),
        kind: "webhook".to_owned(),
        url,
        apps: Vec::new(),
    }
}

fn rack_parameters(flavour: Flavour) -> BTreeMap<String, String> {
    let pairs: &[(&str, &str)] = match flavour {
        Flavour::V3 => &[],
        Flavour::V2 => &[
            ("Autoscale", "Yes"),
            ("HttpProxy", "http://user:pr0xy@10.0.0.1:3128"),
            ("InstanceType", "t3.small"),
            ("Password", "****"),
        ],
    };
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
