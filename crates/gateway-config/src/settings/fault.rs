//! Why a text is no value of a setting.

/// A text that is no value of a setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingFault {
    /// Not a switch.
    #[error("`{text}` is not true, false, on or off")]
    NotASwitch {
        /// What was given.
        text: String,
    },
    /// Not a duration.
    #[error("`{text}` is not a duration such as 10m")]
    NotADuration {
        /// What was given.
        text: String,
    },
    /// Not a whole number.
    #[error("`{text}` is not a whole number")]
    NotANumber {
        /// What was given.
        text: String,
    },
    /// Not a time zone.
    #[error("`{text}` is not a time zone of the IANA database, such as Europe/Berlin")]
    NotATimeZone {
        /// What was given.
        text: String,
    },
    /// Not labels.
    #[error(
        "`{text}` are not labels: at most 32, separated by commas, each 1 to 63 small letters, digits and dashes"
    )]
    NotLabels {
        /// What was given.
        text: String,
    },
    /// Not one of the words.
    #[error("`{text}` is not {}", words.join(" or "))]
    NotAWord {
        /// What was given.
        text: String,
        /// What may be given.
        words: &'static [&'static str],
    },
    /// Not patterns of images.
    #[error(
        "`{text}` are not patterns of images: at most 50, separated by blanks, each SERVICE=PATTERN or *=PATTERN"
    )]
    NotImages {
        /// What was given.
        text: String,
    },
    /// Not patterns of environment keys.
    #[error(
        "`{text}` are not environment keys: at most 64, separated by commas, each of letters, digits and underscores, with a `*` at one end at most"
    )]
    NotKeyPatterns {
        /// What was given.
        text: String,
    },
    /// Not of the setting's own form.
    #[error("`{text}` is not {expected}")]
    NotOfForm {
        /// What was given.
        text: String,
        /// What may be given.
        expected: &'static str,
    },
    /// A duration or number outside the setting's range.
    #[error("{text} is out of range; write a value from {least} to {most}")]
    OutOfRange {
        /// What was given.
        text: String,
        /// The least allowed.
        least: String,
        /// The most allowed.
        most: String,
    },
}
