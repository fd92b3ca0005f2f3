//! Reads a `convox.yml` for what an approval is about: which images run, what is built from the source, and which
//! commands are started.
//!
//! The rack reads the same file with another parser, after it replaced `${…}` by variables. So the reading here is
//! strict: what the two could take differently without an error (a second document, a key twice, a line break that only
//! one of them knows) is refused. Everything that approvals do not look at is only checked for being YAML.
//!
//! Start reading at [`Manifest::parse`]. It knows no rules about images ([`crate::images`]) and no archive.
//!
//! Source: the reference of `convox.yml`, <https://docs.convox.com/configuration/convox-yml>, and of services,
//! <https://docs.convox.com/reference/primitives/app/service>.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

mod fault;
mod placeholder;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use fault::ManifestFault;

use placeholder::{Values, restore};
pub(crate) use text::is_name;
use text::{check_characters, is_ambiguous, is_null};
use tree::{Map, Node};

use crate::outline;

/// The longest manifest that is read.
pub const MOST_BYTES: usize = 1024 * 1024;

/// What approvals need of a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// SHA-256 of the bytes as they were given, in lower-case hexadecimal.
    pub sha256: String,
    /// The services by name.
    pub services: BTreeMap<String, Service>,
    /// The timers by name.
    pub timers: BTreeMap<String, Timer>,
    /// The resources by name.
    pub resources: BTreeMap<String, Resource>,
    /// The names of all `${…}` in the text.
    pub placeholders: BTreeSet<String>,
    /// What else is called `image` below services, timers and resources, by place: nothing that Convox documents.
    pub other_images: BTreeMap<String, String>,
    /// All of it as lines to compare, without what may be secret; see [`crate::outline`].
    pub outline: Vec<String>,
}

/// A word of a manifest, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// The names that lead there.
    pub place: Vec<String>,
    /// The word, with `${…}` as it is written.
    pub text: String,
    /// Whether it is a member of a list.
    pub is_item: bool,
}

/// A service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Service {
    /// The image it runs. With an image the rack builds nothing.
    pub image: Option<String>,
    /// The directory it is built from. `.` where the manifest has neither image nor build, as the rack does.
    pub build: Option<String>,
    /// The command that replaces the image's own.
    pub command: Option<String>,
    /// What runs before it.
    pub init_container: Option<InitContainer>,
}

/// What runs before a service begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InitContainer {
    /// Its image; without one it runs the service's.
    pub image: Option<String>,
    /// Its command.
    pub command: Option<String>,
}

/// A command that is run by the clock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timer {
    /// The service whose image it runs.
    pub service: Option<String>,
    /// The command.
    pub command: Option<String>,
    /// When, in cron's words.
    pub schedule: Option<String>,
}

/// A database or the like.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resource {
    /// `postgres`, `redis`, …
    pub kind: Option<String>,
    /// An image of its own.
    pub image: Option<String>,
}

impl Manifest {
    /// Reads a manifest as it stands. Of each `${NAME}` only the name is known: it is shown as it is written, and
    /// images that have one can match no rule.
    ///
    /// # Errors
    ///
    /// [`ManifestFault`] for the first thing that is wrong.
    pub fn parse(yaml: &[u8]) -> Result<Self, ManifestFault> {
        Self::read(yaml, Values::Unknown)
    }

    /// Reads a manifest as the rack will once the variables have these values; names that have none give nothing.
    ///
    /// A value can change more than the word it stands in (it may have a comma, a `#`, a line break), so this is the
    /// reading to compare with [`Self::parse`] before a release with this environment is promoted.
    ///
    /// # Errors
    ///
    /// [`ManifestFault`] for the first thing that is wrong.
    pub fn parse_with(yaml: &[u8], values: &BTreeMap<String, String>) -> Result<Self, ManifestFault> {
        Self::read(yaml, Values::Known(values))
    }

    fn read(yaml: &[u8], values: Values<'_>) -> Result<Self, ManifestFault> {
        if yaml.len() > MOST_BYTES {
            return Err(ManifestFault::TooLong { most: MOST_BYTES });
        }
        let text = str::from_utf8(yaml).map_err(|_| ManifestFault::NotUtf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        check_characters(text)?;
        let replaced = placeholder::replace(text, values)?;
        match values {
            Values::Unknown => {}
            Values::Known(_) => check_characters(&replaced.text)?,
        }
        if replaced.text.len() > MOST_BYTES {
            return Err(ManifestFault::TooLong { most: MOST_BYTES });
        }
        let root = tree::read(&replaced.text)?;
        let reader = Reader { names: &replaced.names };
        let root = reader.map(&root, "the whole")?.ok_or(ManifestFault::Empty)?;
        Ok(Self {
            sha256: HEXLOWER.encode(digest(&SHA256, yaml).as_ref()),
            services: reader.section(root, "services", Reader::service)?,
            timers: reader.section(root, "timers", Reader::timer)?,
            resources: reader.section(root, "resources", Reader::resource)?,
            other_images: reader.other_images(root),
            outline: outline::lines(&reader.leaves(root)),
            placeholders: replaced.names.iter().cloned().collect(),
        })
    }

    /// Every command it starts, with its place: `services.web.command`.
    pub fn commands(&self) -> Vec<(String, &str)> {
        let mut all = Vec::new();
        for (name, service) in &self.services {
            let init = service.init_container.as_ref().and_then(|init| init.command.as_deref());
            all.extend(init.map(|command| (format!("services.{name}.initContainer.command"), command)));
            let own = service.command.as_deref();
            all.extend(own.map(|command| (format!("services.{name}.command"), command)));
        }
        for (name, timer) in &self.timers {
            let own = timer.command.as_deref();
            all.extend(own.map(|command| (format!("timers.{name}.command"), command)));
        }
        all
    }
}

/// From the tree to the facts.
struct Reader<'a> {
    names: &'a [String],
}

impl Reader<'_> {
    fn section<T>(
        &self,
        root: &Map,
        name: &str,
        read: impl Fn(&Self, &Map, &str) -> Result<T, ManifestFault>,
    ) -> Result<BTreeMap<String, T>, ManifestFault> {
        let mut all = BTreeMap::new();
        let Some(section) = self.child(root, name, name)? else { return Ok(all) };
        for (key, value) in section {
            let place = format!("{name}.{}", key.escape_debug());
            if !is_name(key) {
                return Err(ManifestFault::Name { place });
            }
            let empty = Map::new();
            let map = self.map(value, &place)?.unwrap_or(&empty);
            all.insert(key.clone(), read(self, map, &place)?);
        }
        Ok(all)
    }

    fn service(&self, map: &Map, place: &str) -> Result<Service, ManifestFault> {
        let image = self.text(map, "image", place)?;
        let build = match map.get("build").map(Rc::as_ref) {
            Some(Node::Map(build)) => self.text(build, "path", &format!("{place}.build"))?,
            Some(Node::Scalar(_) | Node::List(_)) | None => self.text(map, "build", place)?,
        };
        let init_place = format!("{place}.initContainer");
        let init_container = match self.child(map, "initContainer", &init_place)? {
            None => None,
            Some(init) => Some(InitContainer {
                image: self.text(init, "image", &init_place)?,
                command: self.text(init, "command", &init_place)?,
            }),
        };
        let default_build = || if image.is_none() { Some(".".to_owned()) } else { None };
        Ok(Service {
            build: build.or_else(default_build),
            image,
            command: self.text(map, "command", place)?,
            init_container,
        })
    }

    fn timer(&self, map: &Map, place: &str) -> Result<Timer, ManifestFault> {
        Ok(Timer {
            service: self.text(map, "service", place)?,
            command: self.text(map, "command", place)?,
            schedule: self.text(map, "schedule", place)?,
        })
    }

    fn resource(&self, map: &Map, place: &str) -> Result<Resource, ManifestFault> {
        let options_place = format!("{place}.options");
        let optional = match self.child(map, "options", &options_place)? {
            None => None,
            Some(options) => self.text(options, "image", &options_place)?,
        };
        let image = self.text(map, "image", place)?;
        if image.is_some() && optional.is_some() {
            return Err(ManifestFault::Shape {
                place: place.to_owned(),
                wanted: "a resource with one image",
            });
        }
        Ok(Resource { kind: self.text(map, "type", place)?, image: image.or(optional) })
    }

    /// A map, or `None` where nothing stands.
    fn map<'n>(&self, node: &'n Node, place: &str) -> Result<Option<&'n Map>, ManifestFault> {
        match node {
            Node::Map(map) => Ok(Some(map)),
            Node::Scalar(word) if is_null(word) => Ok(None),
            Node::Scalar(_) | Node::List(_) => {
                Err(ManifestFault::Shape { place: place.to_owned(), wanted: "a map of names to values" })
            }
        }
    }

    fn child<'n>(&self, map: &'n Map, key: &str, place: &str) -> Result<Option<&'n Map>, ManifestFault> {
        map.get(key).map_or(Ok(None), |node| self.map(node, place))
    }

    /// A text that means something, or `None` where nothing stands.
    fn text(&self, map: &Map, key: &str, place: &str) -> Result<Option<String>, ManifestFault> {
        let place = || format!("{place}.{key}");
        match map.get(key).map(Rc::as_ref) {
            None => Ok(None),
            Some(Node::Scalar(word)) if is_null(word) || word.text.is_empty() => Ok(None),
            Some(Node::Scalar(word)) if is_ambiguous(word) => {
                Err(ManifestFault::Ambiguous { place: place() })
            }
            Some(Node::Scalar(word)) => Ok(Some(restore(&word.text, self.names))),
            Some(Node::List(_) | Node::Map(_)) => {
                Err(ManifestFault::Shape { place: place(), wanted: "a text" })
            }
        }
    }

    fn leaves(&self, root: &Map) -> Vec<Leaf> {
        let mut found = Vec::new();
        for (key, value) in root {
            self.gather(value, &mut vec![key.clone()], false, &mut found);
        }
        found
    }

    /// Recursion and visits are bounded as in [`Self::walk`].
    fn gather(&self, node: &Node, place: &mut Vec<String>, is_item: bool, found: &mut Vec<Leaf>) {
        match node {
            Node::Scalar(word) => {
                let text = restore(&word.text, self.names);
                found.push(Leaf { place: place.clone(), text, is_item });
            }
            Node::List(items) => items.iter().for_each(|item| self.gather(item, place, true, found)),
            Node::Map(map) => {
                for (key, value) in map {
                    place.push(key.clone());
                    self.gather(value, place, false, found);
                    place.pop();
                }
            }
        }
    }

    fn other_images(&self, root: &Map) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for section in ["services", "timers", "resources"] {
            if let Some(node) = root.get(section) {
                self.walk(node, &mut vec![section], &mut found);
            }
        }
        found
    }

    /// Recursion is bounded by [`tree::MOST_LEVELS`], and the number of visits by [`tree::MOST_NODES`].
    fn walk<'n>(&self, node: &'n Node, place: &mut Vec<&'n str>, found: &mut BTreeMap<String, String>) {
        match node {
            Node::Scalar(_) => {}
            Node::List(items) => items.iter().for_each(|item| self.walk(item, place, found)),
            Node::Map(map) => {
                for (key, value) in map {
                    place.push(key);
                    if key.eq_ignore_ascii_case("image") && !is_known_image(place) {
                        let image = match &**value {
                            Node::Scalar(word) => restore(&word.text, self.names),
                            Node::List(_) | Node::Map(_) => String::new(),
                        };
                        found.insert(place.join("."), image);
                    }
                    if !is_labels(place) {
                        self.walk(value, place, found);
                    }
                    place.pop();
                }
            }
        }
    }
}

/// The places that are read above.
fn is_known_image(place: &[&str]) -> bool {
    matches!(
        place,
        ["services", _, "image"]
            | ["services", _, "initContainer", "image"]
            | ["resources", _, "image"]
            | ["resources", _, "options", "image"]
    )
}

/// Maps whose keys are anybody's words.
fn is_labels(place: &[&str]) -> bool {
    matches!(place, ["services", _, "annotations" | "ingressAnnotations" | "labels" | "nodeSelectorLabels"])
}
