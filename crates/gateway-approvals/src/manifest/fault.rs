//! Why a manifest is refused.

/// What is wrong with a manifest. Lines count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestFault {
    /// It is not UTF-8; the rack's reader takes other encodings too.
    #[error("the manifest is not UTF-8")]
    NotUtf8,
    /// It is longer than a manifest may be.
    #[error("the manifest has more than {most} bytes")]
    TooLong {
        /// The limit.
        most: usize,
    },
    /// A character that one reader of YAML takes for a line break, or for the end, and another does not.
    #[error(
        "line {line} of the manifest has the character {character}, which readers of YAML take differently"
    )]
    Character {
        /// Where.
        line: usize,
        /// It, as `U+0085`.
        character: String,
    },
    /// A `${…}` whose name has a line break or is very long: the rack cuts out all of it, and people do not see that.
    #[error("line {line} of the manifest has a `${{` whose `}}` is not on the same line or far away")]
    Placeholder {
        /// Where it begins.
        line: usize,
    },
    /// A `${…}` in a key: what the manifest says would depend on the environment.
    #[error("line {line} of the manifest has a `${{…}}` in a key")]
    PlaceholderInKey {
        /// Where.
        line: usize,
    },
    /// It is no YAML.
    #[error("line {line} of the manifest is no YAML: {reason}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// It has no document.
    #[error("the manifest is empty")]
    Empty,
    /// It has a second document; the rack reads only the first.
    #[error("line {line} of the manifest begins a second document: keep one")]
    SecondDocument {
        /// Where.
        line: usize,
    },
    /// More nodes than allowed, aliases counted with what they stand for.
    #[error("the manifest has more than {most} nodes, with its aliases written out")]
    TooManyNodes {
        /// The limit.
        most: usize,
    },
    /// Deeper than allowed, aliases counted with what they stand for.
    #[error("the manifest is nested more than {most} levels deep")]
    TooDeep {
        /// The limit.
        most: usize,
    },
    /// An alias within what it stands for.
    #[error("line {line} of the manifest has an alias to something it is itself in")]
    RecursiveAlias {
        /// Where.
        line: usize,
    },
    /// A tag other than the ones of the core schema.
    #[error("line {line} of the manifest has the tag `{tag}`: remove it")]
    Tag {
        /// Where.
        line: usize,
        /// The tag.
        tag: String,
    },
    /// A key that is a list, a map or an alias.
    #[error("line {line} of the manifest has a key that is no plain word")]
    Key {
        /// Where.
        line: usize,
    },
    /// A key twice in one map.
    #[error("line {line} of the manifest has `{key}` for the second time")]
    TwiceKey {
        /// Where.
        line: usize,
        /// The key.
        key: String,
    },
    /// `<<` with something else than a map or a list of maps.
    #[error("line {line} of the manifest has a `<<` that leads to no map")]
    Merge {
        /// Where.
        line: usize,
    },
    /// `<<` after a key that it brings too, with another value: the YAML standard lets the key win, the rack's reader
    /// the one that comes last.
    #[error("line {line} of the manifest merges another `{key}` over the one above: put the `<<` first")]
    MergeOrder {
        /// Where the `<<` is.
        line: usize,
        /// The key.
        key: String,
    },
    /// Something else than expected stands at a place.
    #[error("`{place}` of the manifest is not {wanted}")]
    Shape {
        /// Where, as `services.web.image`.
        place: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// A word that readers of YAML may take for a number, a date or a truth value.
    #[error("`{place}` of the manifest may be read as something other than a text: put it in quotes")]
    Ambiguous {
        /// Where.
        place: String,
    },
    /// A service, timer or resource whose name the rack would not take, or take for something else.
    #[error(
        "`{place}` of the manifest is no name: use lower-case letters, digits and dashes, a letter first"
    )]
    Name {
        /// Where.
        place: String,
    },
}
