//! Which images a deploy may run.
//!
//! A rule is a line `SERVICE=PATTERN`; `*` stands for every service that has no line of its own. A pattern is a regular
//! expression over the *whole* reference, and `{{GIT_COMMIT}}` in it stands for the approved commit. Start reading at
//! [`ImageRules::check`].

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

use crate::commands::pattern::anchored;
use crate::manifest::{Manifest, is_name};

#[cfg(test)]
mod tests;

/// How many rules there may be.
pub const MOST_RULES: usize = 100;

/// How long one may be, in bytes.
pub const MOST_RULE_BYTES: usize = 1_000;

const COMMIT: &str = "{{GIT_COMMIT}}";

/// The longest image reference that is looked at.
const MOST_IMAGE_BYTES: usize = 512;

/// Whether an image must be named by its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digests {
    /// Each image must end in `@sha256:` and 64 hexadecimal digits: a tag can be moved after the approval.
    Required,
    /// Tags are enough.
    Optional,
}

/// Why a rule is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageRuleFault {
    /// Too many.
    #[error("there are more than {MOST_RULES} image rules")]
    TooMany,
    /// Too long, or with control characters.
    #[error("an image rule is longer than {MOST_RULE_BYTES} bytes or has control characters: `{rule}`")]
    Text {
        /// How it begins.
        rule: String,
    },
    /// Not of the form.
    #[error("`{rule}` is no image rule: write SERVICE=PATTERN, with `*` for every service")]
    Form {
        /// The rule.
        rule: String,
    },
    /// The pattern is no regular expression, or too large a one.
    #[error("the pattern of `{rule}` cannot be used: {reason}")]
    Pattern {
        /// The rule.
        rule: String,
        /// Why.
        reason: String,
    },
}

/// Where an image stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ImagePlace {
    /// A service's own image.
    Service(String),
    /// The image of what runs before the service.
    InitContainer(String),
    /// A resource's own image.
    Resource(String),
}

impl fmt::Display for ImagePlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(out, "{name}"),
            Self::InitContainer(name) => write!(out, "{name}.initContainer"),
            Self::Resource(name) => write!(out, "resources.{name}"),
        }
    }
}

/// Why the images of a manifest are refused. `place` is a service's name, or with `.initContainer`, or `resources.NAME`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageFault {
    /// The commit is not a full one.
    #[error("`{commit}` is not a full commit: 40 or 64 hexadecimal digits")]
    Commit {
        /// As it was given.
        commit: String,
    },
    /// A `${…}` in an image: which one runs would depend on the environment.
    #[error("the image of `{place}` has a `${{…}}`, `{image}`: write the image itself")]
    Placeholder {
        /// Where.
        place: String,
        /// The image.
        image: String,
    },
    /// No image reference. The rack writes it into a Dockerfile, so anything else could be more than an image.
    #[error("`{image}` of `{place}` is no image reference")]
    NoReference {
        /// Where.
        place: String,
        /// The image.
        image: String,
    },
    /// It names its content by no digest.
    #[error("the image `{image}` of `{place}` has no digest: write it as NAME@sha256:…")]
    NoDigest {
        /// Where.
        place: String,
        /// The image.
        image: String,
    },
    /// No rule is about it.
    #[error("`{place}` runs the image `{image}`, and no rule names this service or `*`")]
    NoRule {
        /// Where.
        place: String,
        /// The image.
        image: String,
    },
    /// No rule about it matches.
    #[error("the image `{image}` of `{place}` does not match {pattern}")]
    NoMatch {
        /// Where.
        place: String,
        /// The image.
        image: String,
        /// The patterns that were tried.
        pattern: String,
    },
    /// An image at a place that Convox does not document: whether it runs is not known.
    #[error("`{place}` of the manifest names an image at a place that is not known")]
    UnknownPlace {
        /// Where, as `services.web.sidecar.image`.
        place: String,
    },
    /// A build whose directory is outside the source.
    #[error("`{service}` is built from `{build}`, which is not below the root of the source")]
    BuildOutside {
        /// The service.
        service: String,
        /// The directory.
        build: String,
    },
    /// With the commit put in, a pattern became too large.
    #[error("the pattern `{pattern}` cannot be used with this commit")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
}

/// Which images may run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageRules {
    rules: Vec<Rule>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    /// `None` is `*`.
    service: Option<String>,
    pattern: String,
}

impl ImageRules {
    /// Reads the lines of a setting. Several lines for one service are alternatives.
    ///
    /// # Errors
    ///
    /// [`ImageRuleFault`] for the first line that is wrong. None is left out silently.
    pub fn parse(lines: &[String]) -> Result<Self, ImageRuleFault> {
        if lines.len() > MOST_RULES {
            return Err(ImageRuleFault::TooMany);
        }
        Ok(Self { rules: lines.iter().map(|line| rule(line)).collect::<Result<_, _>>()? })
    }

    /// Whether there are none, so that any image may run.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Holds every image of a manifest against the rules, and gives them by place.
    ///
    /// A service without an image is built from the source, which the approval is about, and needs no rule. An init
    /// container follows the rules of its service, a resource those of `*`. Without rules any image reference may
    /// stand, also one with `${…}` unless digests are required.
    ///
    /// # Errors
    ///
    /// [`ImageFault`] for the first image that may not run.
    ///
    /// # Security
    ///
    /// The commit is put in as literal text, and a pattern matches the whole reference or nothing.
    pub fn check(
        &self,
        manifest: &Manifest,
        commit: &str,
        digests: Digests,
    ) -> Result<BTreeMap<String, String>, ImageFault> {
        if !is_full_commit(commit) {
            return Err(ImageFault::Commit { commit: commit.escape_debug().to_string() });
        }
        for (service, facts) in &manifest.services {
            if let Some(build) = facts.build.as_deref().filter(|build| is_outside(build)) {
                return Err(ImageFault::BuildOutside { service: service.clone(), build: shown(build) });
            }
        }
        let is_free = self.is_empty() && digests == Digests::Optional;
        if let Some(place) = manifest.other_images.keys().next().filter(|_| !is_free) {
            return Err(ImageFault::UnknownPlace { place: shown(place) });
        }
        let patterns = self.compile(commit)?;
        let mut images = BTreeMap::new();
        for (place, image) in places(manifest) {
            let name = place.to_string();
            if image.contains("${") && !is_free {
                return Err(ImageFault::Placeholder { place: name, image: shown(image) });
            }
            if !is_reference(image, is_free) {
                return Err(ImageFault::NoReference { place: name, image: shown(image) });
            }
            if digests == Digests::Required && !has_digest(image) {
                return Err(ImageFault::NoDigest { place: name, image: image.to_owned() });
            }
            if !self.is_empty() {
                check_one(&patterns, &place, image)?;
            }
            images.insert(name, image.to_owned());
        }
        Ok(images)
    }

    fn compile(&self, commit: &str) -> Result<Vec<(&Rule, Regex)>, ImageFault> {
        let mut compiled = Vec::new();
        for rule in &self.rules {
            let regex = with_commit(&rule.pattern, commit);
            compiled.push((rule, regex.map_err(|_| ImageFault::Pattern { pattern: rule.pattern.clone() })?));
        }
        Ok(compiled)
    }
}

fn rule(line: &str) -> Result<Rule, ImageRuleFault> {
    let shown = || line.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    if line.len() > MOST_RULE_BYTES || line.chars().any(char::is_control) {
        return Err(ImageRuleFault::Text { rule: shown() });
    }
    let form = || ImageRuleFault::Form { rule: shown() };
    let (service, pattern) = line.trim().split_once('=').ok_or_else(form)?;
    let service = match service.trim() {
        "*" => None,
        name if is_name(name) => Some(name.to_owned()),
        _ => return Err(form()),
    };
    let pattern = pattern.trim().to_owned();
    if pattern.is_empty() {
        return Err(form());
    }
    with_commit(&pattern, &"0".repeat(64))
        .map_err(|error| ImageRuleFault::Pattern { rule: shown(), reason: error.to_string() })?;
    Ok(Rule { service, pattern })
}

/// The pattern with the commit as literal text.
fn with_commit(pattern: &str, commit: &str) -> Result<Regex, regex::Error> {
    anchored(&pattern.replace(COMMIT, &regex::escape(commit)))
}

/// Every image that may run, with its place.
fn places(manifest: &Manifest) -> Vec<(ImagePlace, &str)> {
    let mut all = Vec::new();
    for (name, service) in &manifest.services {
        let own = service.image.as_deref();
        all.extend(own.map(|image| (ImagePlace::Service(name.clone()), image)));
        let init = service.init_container.as_ref().and_then(|init| init.image.as_deref());
        all.extend(init.map(|image| (ImagePlace::InitContainer(name.clone()), image)));
    }
    for (name, resource) in &manifest.resources {
        let own = resource.image.as_deref();
        all.extend(own.map(|image| (ImagePlace::Resource(name.clone()), image)));
    }
    all
}

fn check_one(patterns: &[(&Rule, Regex)], place: &ImagePlace, image: &str) -> Result<(), ImageFault> {
    let service = match place {
        ImagePlace::Service(name) | ImagePlace::InitContainer(name) => Some(name),
        ImagePlace::Resource(_) => None,
    };
    let has_own = service.is_some() && patterns.iter().any(|(rule, _)| rule.service.as_ref() == service);
    let wanted = service.filter(|_| has_own);
    let tried: Vec<_> = patterns.iter().filter(|(rule, _)| rule.service.as_ref() == wanted).collect();
    if tried.is_empty() {
        return Err(ImageFault::NoRule { place: place.to_string(), image: image.to_owned() });
    }
    if tried.iter().any(|(_, regex)| regex.is_match(image)) {
        return Ok(());
    }
    let shown: Vec<_> = tried.iter().map(|(rule, _)| format!("`{}`", rule.pattern)).collect();
    Err(ImageFault::NoMatch {
        place: place.to_string(),
        image: image.to_owned(),
        pattern: shown.join(" or "),
    })
}

fn shown(text: &str) -> String {
    text.chars().take(300).flat_map(char::escape_debug).collect()
}

fn is_full_commit(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Letters of an image reference and no others: no blank, no line break, no `$`, no leading dash.
///
/// Source: <https://pkg.go.dev/github.com/distribution/reference>, grammar.
fn is_reference(image: &str, with_placeholders: bool) -> bool {
    let is_letter =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | '/' | ':' | '@');
    let is_extra = |letter: char| with_placeholders && matches!(letter, '$' | '{' | '}');
    let starts_well = |first: char| first.is_ascii_alphanumeric() || with_placeholders && first == '$';
    image.len() <= MOST_IMAGE_BYTES
        && image.starts_with(starts_well)
        && image.chars().all(|letter| is_letter(letter) || is_extra(letter))
}

fn has_digest(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else { return false };
    !name.contains('@')
        && digest.len() == 64
        && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a relative directory leads above where it starts. The rack joins it to the source's root, also an absolute one.
fn is_outside(build: &str) -> bool {
    let mut depth = 0_usize;
    for part in build.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}
