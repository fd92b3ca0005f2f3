//! What stands around every page: its title, the ways to other pages, who is signed in, and what everybody
//! must know of the gateway's state.

use std::sync::Arc;

use gateway_app::control::{OwnRequest, PageAsked};
use gateway_store::ReadOnly;
use gateway_types::{Caller, Principal, Timestamp};

use crate::query::Query;
use crate::{Web, flash, gate};

/// A heading of the navigation and what stands below it.
struct Group {
    label: &'static str,
    entries: &'static [Entry],
}

/// A page in the navigation.
struct Entry {
    label: &'static str,
    href: &'static str,
    /// Whether the page may be opened for one's own alone.
    own: bool,
}

const fn entry(label: &'static str, href: &'static str, own: bool) -> Entry {
    Entry { label, href, own }
}

/// The ways to other pages.
const NAVIGATION: &[Group] = &[
    Group {
        label: "Rack",
        entries: &[
            entry("Home", "/app", true),
            entry("Apps", "/app/apps", false),
            entry("Connect", "/app/connect", true),
            entry("Approvals", "/app/approvals", false),
            entry("Environments", "/app/reveals", true),
            entry("Live sessions", "/app/live", false),
            entry("Recordings", "/app/recordings", true),
            entry("Services", "/app/services", false),
            entry("Rack", "/app/rack", false),
            entry("Instances", "/app/instances", false),
            entry("Certificates", "/app/certificates", false),
            entry("Registries", "/app/registries", false),
        ],
    },
    Group {
        label: "Access",
        entries: &[
            entry("Users", "/app/users", false),
            entry("Groups", "/app/groups", false),
            entry("Roles", "/app/roles", false),
            entry("Grants", "/app/grants", false),
            entry("Elevations", "/app/elevations", true),
            entry("Access review", "/app/access", false),
            entry("Who can", "/app/who-can", false),
            entry("API tokens", "/app/tokens", true),
            entry("Trust rules", "/app/trust-rules", false),
        ],
    },
    Group {
        label: "Gateway",
        entries: &[
            entry("Policies", "/app/policies", false),
            entry("Settings", "/app/settings", false),
            entry("Integrations", "/app/integrations", false),
            entry("Trust zone", "/app/zone", false),
            entry("Jobs", "/app/jobs", false),
            entry("Rack credential", "/app/rack-credential", false),
            entry("Break-glass", "/app/break-glass", false),
            entry("Audit log", "/app/audit", true),
        ],
    },
    Group {
        label: "You",
        entries: &[
            entry("Account", "/app/account", true),
            entry("Sessions", "/app/account/sessions", true),
            entry("Second factors", "/app/account/factors", true),
        ],
    },
];

/// What stands around a page. Every template of a whole page has one as `frame` and extends `base.html`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The page's name: its title and, in most pages, its heading.
    pub(crate) title: String,
    /// The rack's name for people.
    pub(crate) rack: String,
    /// The ways to other pages that this person may open; empty for nobody.
    pub(crate) navigation: Vec<Section>,
    /// When the page was made, by the gateway's clock: what "3 minutes ago" is told from, however wrong the
    /// browser's clock is.
    pub(crate) now: String,
    /// Who is signed in.
    pub(crate) who: Option<Who>,
    /// What every form carries as `_csrf`; empty without a session.
    pub(crate) csrf: String,
    /// The store cannot be written: reading is all that goes on.
    pub(crate) degraded: bool,
    /// Why nothing can be changed on purpose, and who said so.
    pub(crate) read_only: Option<Arc<ReadOnly>>,
    /// Second factors are switched off for this gateway.
    pub(crate) mfa_off: bool,
    /// What was done just before.
    pub(crate) flash: Option<&'static str>,
    /// A single narrow column, for pages with one question.
    pub(crate) narrow: bool,
    /// Address of the style sheet.
    pub(crate) style: String,
    /// Address of the script.
    pub(crate) script: String,
    /// Address of the script for second factors.
    pub(crate) factor_script: String,
    /// Address of the icon.
    pub(crate) icon: String,
}

/// Ways to pages of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    /// What they have in common.
    pub(crate) label: &'static str,
    /// The ways.
    pub(crate) links: Vec<Link>,
}

/// The way to a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    /// The page's name.
    pub(crate) label: &'static str,
    /// Its address.
    pub(crate) href: &'static str,
    /// `page` when it is this very page, `true` when this page stands below it, else empty.
    pub(crate) current: &'static str,
}

/// Who is signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Who {
    /// The name for people.
    pub(crate) name: String,
    /// Names of the roles.
    pub(crate) roles: Vec<&'static str>,
}

impl Frame {
    /// The frame of the page that answers `request`.
    pub(crate) fn of(web: &Web, request: &OwnRequest, title: &str) -> Self {
        let flash = Query::of(request).one(flash::PARAMETER).as_deref().and_then(flash::sentence);
        let caller = Some(&request.caller);
        Self { flash, ..Self::new(web, caller, &request.head.path, request.csrf.as_deref(), title) }
    }

    /// The frame of the page that tells what is wrong with what was asked.
    pub(crate) fn of_problem(web: &Web, asked: &PageAsked, title: &str) -> Self {
        let path = asked.target.split('?').next().unwrap_or_default();
        Self::new(web, asked.caller.as_ref(), path, asked.csrf.as_deref(), title)
    }

    /// The frame of the page for somebody whose session ended with this request.
    pub(crate) fn of_nobody(web: &Web, request: &OwnRequest, title: &str) -> Self {
        Self::new(web, None, &request.head.path, None, title)
    }

    /// The same as a single narrow column.
    #[must_use]
    pub(crate) fn narrow(mut self) -> Self {
        self.narrow = true;
        self
    }

    fn new(web: &Web, caller: Option<&Caller>, path: &str, csrf: Option<&str>, title: &str) -> Self {
        let caller = caller.filter(|caller| !matches!(caller.principal, Principal::Anonymous));
        Self {
            title: title.to_owned(),
            rack: web.app.rack_name.clone(),
            navigation: caller.map(|caller| navigation(web, caller, path)).unwrap_or_default(),
            now: second(web.app.clock.now()),
            who: caller.map(who),
            csrf: csrf.unwrap_or_default().to_owned(),
            degraded: !web.app.store.audit().is_writable(),
            read_only: web.app.health.read_only(),
            mfa_off: !web.app.settings.mfa_step_up(),
            flash: None,
            narrow: false,
            style: web.assets.href("style.css"),
            script: web.assets.href("app.js"),
            factor_script: web.assets.href("second-factor.js"),
            icon: web.assets.href("icon.svg"),
        }
    }
}

/// A moment to the second, as RFC 3339.
fn second(at: Timestamp) -> String {
    let exact = at.to_rfc3339();
    exact.get(..19).map_or_else(|| exact.clone(), |text| format!("{text}Z"))
}

fn who(caller: &Caller) -> Who {
    let roles = match &caller.principal {
        Principal::User { roles, .. }
        | Principal::ApiToken { roles, .. }
        | Principal::Workload { roles, .. } => roles.iter().map(|role| role.name()).collect(),
        Principal::AccessToken { role, .. } => vec![role.name()],
        Principal::Anonymous => Vec::new(),
    };
    Who { name: caller.principal.display_name(), roles }
}

fn navigation(web: &Web, caller: &Caller, path: &str) -> Vec<Section> {
    let offered = |entry: &&Entry| {
        let page = format!("GET {}", entry.href);
        web.serves(&page) && gate::could_use(&web.app, caller, &page, entry.own)
    };
    let here = nearest(path);
    let link = |entry: &Entry| {
        let current = match here {
            Some(here) if here == entry.href && here == path => "page",
            Some(here) if here == entry.href => "true",
            _ => "",
        };
        // Asked for without a word of whose, the log is everybody's.
        let everybodys = || gate::could_use(&web.app, caller, "GET /app/audit", false);
        let href =
            if entry.href == "/app/audit" && !everybodys() { "/app/audit?mine=true" } else { entry.href };
        Link { label: entry.label, href, current }
    };
    let sections = NAVIGATION.iter().map(|group| Section {
        label: group.label,
        links: group.entries.iter().filter(offered).map(link).collect(),
    });
    sections.filter(|section| !section.links.is_empty()).collect()
}

/// The longest path of the navigation that `path` is or stands below.
fn nearest(path: &str) -> Option<&'static str> {
    // A page of services that is below none of them.
    let path = if path == "/app/service-candidates" { "/app/services/" } else { path };
    let hrefs = NAVIGATION.iter().flat_map(|group| group.entries.iter().map(|entry| entry.href));
    hrefs
        .filter(|href| path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        .max_by_key(|href| href.len())
}
