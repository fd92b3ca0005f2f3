//! Settings: what an operator may change while the gateway runs. This registry knows their names,
//! types and defaults; a value in the database comes before one in the environment or file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::duration::{format_duration, parse_duration};
use crate::fault::Origin;
use crate::sections::is_env_pattern;

mod descriptions;
mod fault;
mod texts;

pub use fault::SettingFault;

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SettingKey {
    /// Whether people need a second factor for what changes, executes or reveals.
    MfaStepUp,
    /// Whether everybody must have a second factor.
    MfaRequired,
    /// How long a second factor counts.
    StepUpWindow,
    /// Whether people who have a second factor give it when they sign in.
    SignInFactor,
    /// How long a browser is trusted to sign in without one.
    TrustedDevice,
    /// How long a web session may rest unused.
    WebSessionIdle,
    /// How long a web session lasts at most.
    WebSessionLength,
    /// How long a command line's session may rest unused.
    CliSessionIdle,
    /// How long a command line's session lasts at most.
    CliSessionLength,
    /// How often a provider is asked again about people with live sessions.
    ProviderRefresh,
    /// Whether the rates of `limits` are enforced.
    RateLimits,
    /// Whether apps may be deleted.
    DestructiveActions,
    /// Whether builds outside the rack may be started.
    ExternalBuilds,
    /// Labels of an app, for policies.
    AppLabels,
    /// The time zone of hours and weekdays in policies.
    TimeZone,
    /// Whether the operator's own forbids are recorded and not enforced.
    ObservePolicies,
    /// Whether people may ask for a higher role for a while.
    Elevations,
    /// The longest elevation.
    ElevationLongest,
    /// How many people have to approve an elevation.
    ElevationQuorum,
    /// Whether the commit or the uploaded archive is approved.
    ApprovalOrder,
    /// How many people have to approve a deploy.
    ApprovalQuorum,
    /// How long an approved deploy can be used.
    ApprovalLife,
    /// Whether only passkeys approve deploys.
    ApprovalPasskeys,
    /// Which images the services of an approved deploy may have.
    ServiceImages,
    /// Whether images must be named by digest.
    ImageDigests,
    /// The repository at GitHub that an app is deployed from.
    GithubRepository,
    /// The branch of it that deploys come from.
    GithubBranch,
    /// Where a commit has to be.
    GithubPlace,
    /// How many people have to have reviewed it.
    GithubReviews,
    /// Whether nobody approves what they wrote.
    GithubNotAuthor,
    /// Who is who at GitHub.
    GithubPeople,
    /// Which checks have to be green.
    GithubChecks,
    /// Whether the commit has to be signed.
    GithubSigned,
    /// Who may have built what is deployed, as attested.
    AttestationBuilders,
    /// Whether GitHub gets a commit status.
    GithubStatus,
    /// Whether GitHub gets a comment.
    GithubComment,
    /// Which environments of GitHub Actions wait for approvals.
    GithubEnvironments,
    /// The project at CircleCI.
    CircleciProject,
    /// The job at CircleCI that waits.
    CircleciJob,
    /// The channel at Slack in which approvals are told.
    SlackChannel,
    /// What of approvals is told at Slack.
    SlackEvents,
    /// Environment keys that are plain, besides those of the configuration.
    EnvPlain,
    /// Environment keys that are secret, whatever else says that they are plain.
    EnvSecret,
    /// Environment keys that cannot be changed through the gateway.
    EnvProtected,
    /// The longest time for which a credential may read an app's values.
    RevealLongest,
    /// Whether admins are told when values are revealed.
    RevealNotice,
    /// Whether sessions are recorded, and what happens when that fails.
    Recording,
    /// Whether what is typed into sessions is recorded too.
    RecordInput,
    /// How long recordings are kept.
    RecordingRetention,
    /// How long the bodies of entries of the audit log are kept.
    AuditRetention,
    /// Whether people are told who watches their session.
    WatchNotice,
    /// Whether sessions wait for a second person.
    SessionSecondPerson,
    /// How long they wait.
    SecondPersonWait,
    /// How long the gateway's own client may be away from a session.
    SessionResume,
    /// Which commands are refused.
    CommandsRefused,
    /// Which commands wait for a second person.
    CommandsSecondPerson,
}

/// Whether an app may have its own value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettingScope {
    /// One value for the whole gateway.
    Gateway,
    /// One value for the gateway, which an app's own value replaces.
    GatewayOrApp,
}

/// A setting's value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SettingValue {
    /// On or off.
    Switch(bool),
    /// A length of time.
    Duration(Duration),
    /// A small number.
    Number(u32),
    /// The IANA name of a time zone.
    TimeZone(String),
    /// Labels, sorted.
    Labels(BTreeSet<String>),
    /// One of a few words.
    Word(&'static str),
    /// Patterns of images, in the order given.
    Images(Vec<String>),
    /// Patterns of environment keys, sorted.
    KeyPatterns(BTreeSet<String>),
    /// A text of the setting's own form; may be empty.
    Text(String),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Switch(on) => write!(f, "{on}"),
            SettingValue::Duration(duration) => f.write_str(&format_duration(*duration)),
            SettingValue::Number(number) => write!(f, "{number}"),
            SettingValue::TimeZone(text) | SettingValue::Text(text) => f.write_str(text),
            SettingValue::Labels(labels) | SettingValue::KeyPatterns(labels) => {
                f.write_str(&labels.iter().map(String::as_str).collect::<Vec<_>>().join(","))
            }
            SettingValue::Word(word) => f.write_str(word),
            SettingValue::Images(images) => f.write_str(&images.join(" ")),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How many people can be asked to approve one thing.
const MOST_QUORUM: u32 = 5;

/// Labels of one app, and the characters of one.
const MOST_LABELS: usize = 32;
const LONGEST_LABEL: usize = 63;

/// Patterns of environment keys in one setting, and the characters of one.
const MOST_PATTERNS: usize = 64;
const LONGEST_PATTERN: usize = 128;

impl SettingKey {
    /// Every setting.
    pub const ALL: [SettingKey; 56] = [
        SettingKey::MfaStepUp,
        SettingKey::MfaRequired,
        SettingKey::StepUpWindow,
        SettingKey::SignInFactor,
        SettingKey::TrustedDevice,
        SettingKey::WebSessionIdle,
        SettingKey::WebSessionLength,
        SettingKey::CliSessionIdle,
        SettingKey::CliSessionLength,
        SettingKey::ProviderRefresh,
        SettingKey::RateLimits,
        SettingKey::DestructiveActions,
        SettingKey::ExternalBuilds,
        SettingKey::AppLabels,
        SettingKey::TimeZone,
        SettingKey::ObservePolicies,
        SettingKey::Elevations,
        SettingKey::ElevationLongest,
        SettingKey::ElevationQuorum,
        SettingKey::ApprovalOrder,
        SettingKey::ApprovalQuorum,
        SettingKey::ApprovalLife,
        SettingKey::ApprovalPasskeys,
        SettingKey::ServiceImages,
        SettingKey::ImageDigests,
        SettingKey::GithubRepository,
        SettingKey::GithubBranch,
        SettingKey::GithubPlace,
        SettingKey::GithubReviews,
        SettingKey::GithubNotAuthor,
        SettingKey::GithubPeople,
        SettingKey::GithubChecks,
        SettingKey::GithubSigned,
        SettingKey::AttestationBuilders,
        SettingKey::GithubStatus,
        SettingKey::GithubComment,
        SettingKey::GithubEnvironments,
        SettingKey::CircleciProject,
        SettingKey::CircleciJob,
        SettingKey::SlackChannel,
        SettingKey::SlackEvents,
        SettingKey::EnvPlain,
        SettingKey::EnvSecret,
        SettingKey::EnvProtected,
        SettingKey::RevealLongest,
        SettingKey::RevealNotice,
        SettingKey::Recording,
        SettingKey::RecordInput,
        SettingKey::RecordingRetention,
        SettingKey::AuditRetention,
        SettingKey::WatchNotice,
        SettingKey::SessionSecondPerson,
        SettingKey::SecondPersonWait,
        SettingKey::SessionResume,
        SettingKey::CommandsRefused,
        SettingKey::CommandsSecondPerson,
    ];

    /// The name in the file, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            SettingKey::MfaStepUp => "mfa_step_up",
            SettingKey::MfaRequired => "mfa_required",
            SettingKey::StepUpWindow => "step_up_window",
            SettingKey::SignInFactor => "sign_in_factor",
            SettingKey::TrustedDevice => "trusted_device",
            SettingKey::WebSessionIdle => "web_session_idle",
            SettingKey::WebSessionLength => "web_session_length",
            SettingKey::CliSessionIdle => "cli_session_idle",
            SettingKey::CliSessionLength => "cli_session_length",
            SettingKey::ProviderRefresh => "provider_refresh",
            SettingKey::RateLimits => "rate_limits",
            SettingKey::DestructiveActions => "destructive_actions",
            SettingKey::ExternalBuilds => "external_builds",
            SettingKey::AppLabels => "app_labels",
            SettingKey::TimeZone => "time_zone",
            SettingKey::ObservePolicies => "observe_policies",
            SettingKey::Elevations => "elevations",
            SettingKey::ElevationLongest => "elevation_longest",
            SettingKey::ElevationQuorum => "elevation_quorum",
            SettingKey::ApprovalOrder => "approval_order",
            SettingKey::ApprovalQuorum => "approval_quorum",
            SettingKey::ApprovalLife => "approval_life",
            SettingKey::ApprovalPasskeys => "approval_passkeys",
            SettingKey::ServiceImages => "service_images",
            SettingKey::ImageDigests => "image_digests",
            SettingKey::GithubRepository => "github_repository",
            SettingKey::GithubBranch => "github_branch",
            SettingKey::GithubPlace => "github_place",
            SettingKey::GithubReviews => "github_reviews",
            SettingKey::GithubNotAuthor => "github_not_author",
            SettingKey::GithubPeople => "github_people",
            SettingKey::GithubChecks => "github_checks",
            SettingKey::GithubSigned => "github_signed",
            SettingKey::AttestationBuilders => "attestation_builders",
            SettingKey::GithubStatus => "github_status",
            SettingKey::GithubComment => "github_comment",
            SettingKey::GithubEnvironments => "github_environments",
            SettingKey::CircleciProject => "circleci_project",
            SettingKey::CircleciJob => "circleci_job",
            SettingKey::SlackChannel => "slack_channel",
            SettingKey::SlackEvents => "slack_events",
            SettingKey::EnvPlain => "env_plain",
            SettingKey::EnvSecret => "env_secret",
            SettingKey::EnvProtected => "env_protected",
            SettingKey::RevealLongest => "reveal_longest",
            SettingKey::RevealNotice => "reveal_notice",
            SettingKey::Recording => "recording",
            SettingKey::RecordInput => "record_input",
            SettingKey::RecordingRetention => "recording_retention",
            SettingKey::AuditRetention => "audit_retention",
            SettingKey::WatchNotice => "watch_notice",
            SettingKey::SessionSecondPerson => "session_second_person",
            SettingKey::SecondPersonWait => "second_person_wait",
            SettingKey::SessionResume => "session_resume",
            SettingKey::CommandsRefused => "commands_refused",
            SettingKey::CommandsSecondPerson => "commands_second_person",
        }
    }

    /// The setting of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The environment variable that sets it for the gateway.
    pub fn variable(self) -> String {
        format!("{}{}", crate::keys::variables::SETTING_PREFIX, self.name().to_ascii_uppercase())
    }

    /// The environment variable that sets it for `app`. Apps whose names differ only in case or in
    /// `-` and `_` share it; the file tells them apart.
    pub fn app_variable(self, app: &str) -> String {
        format!(
            "{}{}_SETTING_{}",
            crate::keys::variables::APP_SETTING_PREFIX,
            variable_form(app),
            self.name().to_ascii_uppercase()
        )
    }

    /// Whether an app may have its own value.
    pub const fn scope(self) -> SettingScope {
        match self {
            SettingKey::MfaStepUp
            | SettingKey::MfaRequired
            | SettingKey::StepUpWindow
            | SettingKey::SignInFactor
            | SettingKey::TrustedDevice
            | SettingKey::WebSessionIdle
            | SettingKey::WebSessionLength
            | SettingKey::CliSessionIdle
            | SettingKey::CliSessionLength
            | SettingKey::ProviderRefresh
            | SettingKey::RateLimits
            | SettingKey::TimeZone
            | SettingKey::ObservePolicies
            | SettingKey::Elevations
            | SettingKey::ElevationLongest
            | SettingKey::ElevationQuorum
            | SettingKey::RevealLongest
            | SettingKey::RevealNotice
            | SettingKey::RecordingRetention
            | SettingKey::AuditRetention => SettingScope::Gateway,
            SettingKey::DestructiveActions
            | SettingKey::ExternalBuilds
            | SettingKey::AppLabels
            | SettingKey::ApprovalOrder
            | SettingKey::ApprovalQuorum
            | SettingKey::ApprovalLife
            | SettingKey::ApprovalPasskeys
            | SettingKey::ServiceImages
            | SettingKey::ImageDigests
            | SettingKey::GithubRepository
            | SettingKey::GithubBranch
            | SettingKey::GithubPlace
            | SettingKey::GithubReviews
            | SettingKey::GithubNotAuthor
            | SettingKey::GithubPeople
            | SettingKey::GithubChecks
            | SettingKey::GithubSigned
            | SettingKey::AttestationBuilders
            | SettingKey::GithubStatus
            | SettingKey::GithubComment
            | SettingKey::GithubEnvironments
            | SettingKey::CircleciProject
            | SettingKey::CircleciJob
            | SettingKey::SlackChannel
            | SettingKey::SlackEvents
            | SettingKey::EnvPlain
            | SettingKey::EnvSecret
            | SettingKey::EnvProtected
            | SettingKey::Recording
            | SettingKey::RecordInput
            | SettingKey::WatchNotice
            | SettingKey::SessionSecondPerson
            | SettingKey::SecondPersonWait
            | SettingKey::SessionResume
            | SettingKey::CommandsRefused
            | SettingKey::CommandsSecondPerson => SettingScope::GatewayOrApp,
        }
    }

    /// What holds when nobody gives a value.
    pub fn default_value(self) -> SettingValue {
        match self {
            SettingKey::MfaStepUp
            | SettingKey::RateLimits
            | SettingKey::Elevations
            | SettingKey::GithubStatus
            | SettingKey::GithubComment
            | SettingKey::WatchNotice => SettingValue::Switch(true),
            SettingKey::StepUpWindow => SettingValue::Duration(Duration::from_secs(600)),
            SettingKey::ElevationLongest => SettingValue::Duration(Duration::from_secs(4 * 3600)),
            SettingKey::ElevationQuorum | SettingKey::ApprovalQuorum => SettingValue::Number(1),
            SettingKey::ApprovalOrder => SettingValue::Word("commit"),
            SettingKey::GithubRepository
            | SettingKey::GithubPeople
            | SettingKey::GithubChecks
            | SettingKey::AttestationBuilders
            | SettingKey::GithubEnvironments
            | SettingKey::CircleciProject
            | SettingKey::CircleciJob
            | SettingKey::CommandsRefused
            | SettingKey::CommandsSecondPerson
            | SettingKey::SlackChannel => SettingValue::Text(String::new()),
            SettingKey::SlackEvents => SettingValue::Text("requested,decided,deployed".to_owned()),
            SettingKey::GithubBranch => SettingValue::Text("main".to_owned()),
            SettingKey::GithubPlace => SettingValue::Word("branch_or_pull_request"),
            SettingKey::GithubReviews => SettingValue::Number(0),
            SettingKey::ApprovalLife => SettingValue::Duration(MINUTE.saturating_mul(15)),
            SettingKey::ServiceImages => SettingValue::Images(Vec::new()),
            SettingKey::TimeZone => SettingValue::TimeZone("UTC".to_owned()),
            SettingKey::AppLabels => SettingValue::Labels(BTreeSet::new()),
            SettingKey::EnvPlain | SettingKey::EnvSecret | SettingKey::EnvProtected => {
                SettingValue::KeyPatterns(BTreeSet::new())
            }
            SettingKey::RevealLongest => SettingValue::Duration(MINUTE.saturating_mul(15)),
            SettingKey::TrustedDevice => SettingValue::Duration(DAY.saturating_mul(30)),
            SettingKey::WebSessionIdle => SettingValue::Duration(MINUTE.saturating_mul(30)),
            SettingKey::WebSessionLength => SettingValue::Duration(HOUR.saturating_mul(12)),
            SettingKey::CliSessionIdle => SettingValue::Duration(HOUR.saturating_mul(8)),
            SettingKey::CliSessionLength => SettingValue::Duration(DAY.saturating_mul(30)),
            SettingKey::ProviderRefresh => SettingValue::Duration(MINUTE.saturating_mul(15)),
            SettingKey::SignInFactor
            | SettingKey::MfaRequired
            | SettingKey::DestructiveActions
            | SettingKey::ExternalBuilds
            | SettingKey::ObservePolicies
            | SettingKey::ApprovalPasskeys
            | SettingKey::ImageDigests
            | SettingKey::GithubNotAuthor
            | SettingKey::GithubSigned
            | SettingKey::RevealNotice
            | SettingKey::RecordInput
            | SettingKey::SessionSecondPerson => SettingValue::Switch(false),
            SettingKey::SecondPersonWait | SettingKey::SessionResume => {
                SettingValue::Duration(MINUTE.saturating_mul(5))
            }
            SettingKey::Recording => SettingValue::Word("strict"),
            SettingKey::RecordingRetention => SettingValue::Duration(DAY.saturating_mul(400)),
            SettingKey::AuditRetention => SettingValue::Duration(Duration::ZERO),
        }
    }

    /// The shortest and the longest that a length of time may be.
    const fn range(self) -> (Duration, Duration) {
        match self {
            SettingKey::WebSessionIdle | SettingKey::WebSessionLength => (MINUTE, DAY.saturating_mul(7)),
            SettingKey::CliSessionIdle | SettingKey::CliSessionLength => (MINUTE, DAY.saturating_mul(90)),
            SettingKey::TrustedDevice => (HOUR, DAY.saturating_mul(90)),
            SettingKey::ProviderRefresh => (MINUTE, DAY),
            SettingKey::RevealLongest => (MINUTE, HOUR),
            SettingKey::SecondPersonWait => (Duration::from_secs(10), HOUR),
            SettingKey::SessionResume => (Duration::ZERO, HOUR),
            SettingKey::RecordingRetention | SettingKey::AuditRetention => (DAY, DAY.saturating_mul(3650)),
            SettingKey::StepUpWindow
            | SettingKey::MfaStepUp
            | SettingKey::MfaRequired
            | SettingKey::SignInFactor
            | SettingKey::RateLimits
            | SettingKey::DestructiveActions
            | SettingKey::ExternalBuilds
            | SettingKey::ObservePolicies
            | SettingKey::Elevations
            | SettingKey::ElevationLongest
            | SettingKey::ElevationQuorum
            | SettingKey::TimeZone
            | SettingKey::AppLabels
            | SettingKey::ApprovalOrder
            | SettingKey::ApprovalQuorum
            | SettingKey::ApprovalLife
            | SettingKey::ApprovalPasskeys
            | SettingKey::ServiceImages
            | SettingKey::ImageDigests
            | SettingKey::GithubRepository
            | SettingKey::GithubBranch
            | SettingKey::GithubPlace
            | SettingKey::GithubReviews
            | SettingKey::GithubNotAuthor
            | SettingKey::GithubPeople
            | SettingKey::GithubChecks
            | SettingKey::GithubSigned
            | SettingKey::AttestationBuilders
            | SettingKey::GithubStatus
            | SettingKey::GithubComment
            | SettingKey::GithubEnvironments
            | SettingKey::CircleciProject
            | SettingKey::CircleciJob
            | SettingKey::SlackChannel
            | SettingKey::SlackEvents
            | SettingKey::EnvPlain
            | SettingKey::EnvSecret
            | SettingKey::EnvProtected
            | SettingKey::RevealNotice
            | SettingKey::Recording
            | SettingKey::RecordInput
            | SettingKey::WatchNotice
            | SettingKey::SessionSecondPerson
            | SettingKey::CommandsRefused
            | SettingKey::CommandsSecondPerson => (MINUTE, HOUR.saturating_mul(12)),
        }
    }

    /// The least that a number may be.
    const fn least_number(self) -> u32 {
        if matches!(self, SettingKey::GithubReviews) { 0 } else { 1 }
    }

    /// Reads a value as it stands in a variable, the API or the database.
    ///
    /// # Errors
    /// [`SettingFault`] for a text of another type or a value outside the range.
    pub fn parse(self, text: &str) -> Result<SettingValue, SettingFault> {
        match self.default_value() {
            SettingValue::Switch(_) => match text {
                "true" | "on" => Ok(SettingValue::Switch(true)),
                "false" | "off" => Ok(SettingValue::Switch(false)),
                _ => Err(SettingFault::NotASwitch { text: text.to_owned() }),
            },
            SettingValue::Number(_) => number(text, self.least_number()),
            SettingValue::TimeZone(_) => match jiff::tz::TimeZone::get(text) {
                Ok(_) if text.len() <= LONGEST_LABEL => Ok(SettingValue::TimeZone(text.to_owned())),
                Ok(_) | Err(_) => Err(SettingFault::NotATimeZone { text: text.to_owned() }),
            },
            SettingValue::Labels(_) => labels(text),
            SettingValue::Word(_) => word(text, self.words()),
            SettingValue::Text(_) => texts::of_form(self, text),
            SettingValue::Images(_) => images(text),
            SettingValue::KeyPatterns(_) => key_patterns(text),
            SettingValue::Duration(_) => {
                let window = parse_duration(text)
                    .ok_or_else(|| SettingFault::NotADuration { text: text.to_owned() })?;
                let (least, most) = self.range();
                let is_never = window.is_zero() && self == SettingKey::AuditRetention;
                if is_never || (least..=most).contains(&window) {
                    Ok(SettingValue::Duration(window))
                } else {
                    Err(SettingFault::OutOfRange {
                        text: text.to_owned(),
                        least: format_duration(least),
                        most: format_duration(most),
                    })
                }
            }
        }
    }
}

fn number(text: &str, least: u32) -> Result<SettingValue, SettingFault> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(number) if plain && (least..=MOST_QUORUM).contains(&number) => Ok(SettingValue::Number(number)),
        Ok(_) if plain => Err(SettingFault::OutOfRange {
            text: text.to_owned(),
            least: least.to_string(),
            most: MOST_QUORUM.to_string(),
        }),
        Ok(_) | Err(_) => Err(SettingFault::NotANumber { text: text.to_owned() }),
    }
}

fn word(text: &str, words: &'static [&'static str]) -> Result<SettingValue, SettingFault> {
    let known = words.iter().find(|word| **word == text);
    known
        .map(|word| SettingValue::Word(word))
        .ok_or_else(|| SettingFault::NotAWord { text: text.chars().take(200).collect(), words })
}

/// The most patterns of images, and the characters of one.
const MOST_IMAGES: usize = 50;
const LONGEST_IMAGE: usize = 500;

fn images(text: &str) -> Result<SettingValue, SettingFault> {
    let images: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let is_fine = |image: &String| {
        image.len() <= LONGEST_IMAGE
            && image
                .split_once('=')
                .is_some_and(|(service, pattern)| !service.is_empty() && !pattern.is_empty())
    };
    if images.len() <= MOST_IMAGES && images.iter().all(is_fine) {
        Ok(SettingValue::Images(images))
    } else {
        Err(SettingFault::NotImages { text: text.chars().take(200).collect() })
    }
}

fn labels(text: &str) -> Result<SettingValue, SettingFault> {
    let is_fine = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let none = text.trim().is_empty();
    let labels: BTreeSet<&str> =
        if none { BTreeSet::new() } else { text.split(',').map(str::trim).collect() };
    if labels.len() <= MOST_LABELS && labels.iter().all(|label| is_fine(label)) {
        Ok(SettingValue::Labels(labels.into_iter().map(str::to_owned).collect()))
    } else {
        Err(SettingFault::NotLabels { text: text.chars().take(200).collect() })
    }
}

fn key_patterns(text: &str) -> Result<SettingValue, SettingFault> {
    let fault = || SettingFault::NotKeyPatterns { text: text.chars().take(200).collect() };
    if text.trim().is_empty() {
        return Ok(SettingValue::KeyPatterns(BTreeSet::new()));
    }
    let patterns: BTreeSet<&str> = text.split(',').map(str::trim).collect();
    if patterns.len() > MOST_PATTERNS
        || patterns.iter().any(|pattern| pattern.len() > LONGEST_PATTERN || !is_env_pattern(pattern))
    {
        return Err(fault());
    }
    Ok(SettingValue::KeyPatterns(patterns.into_iter().map(str::to_owned).collect()))
}

/// An app's name as it stands inside a variable's name.
pub(crate) fn variable_form(app: &str) -> String {
    app.to_ascii_uppercase().replace('-', "_")
}

/// A value with where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The value.
    pub value: SettingValue,
    /// Where it came from.
    pub origin: Origin,
}

/// The settings given by environment and file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    pub(crate) gateway: BTreeMap<SettingKey, Setting>,
    pub(crate) apps: BTreeMap<(String, SettingKey), Setting>,
    /// Given by variables, which know an app only in [`variable_form`].
    pub(crate) app_variables: BTreeMap<(String, SettingKey), Setting>,
}

impl Settings {
    /// The value for the whole gateway.
    pub fn gateway(&self, key: SettingKey) -> Setting {
        self.gateway
            .get(&key)
            .cloned()
            .unwrap_or(Setting { value: key.default_value(), origin: Origin::Default })
    }

    /// The value for one app: its own (variable before file), else the gateway's.
    pub fn app(&self, key: SettingKey, app: &str) -> Setting {
        self.app_own(key, app).cloned().unwrap_or_else(|| self.gateway(key))
    }

    /// The value given for exactly this app, if there is one.
    pub fn app_own(&self, key: SettingKey, app: &str) -> Option<&Setting> {
        self.app_variables.get(&(variable_form(app), key)).or_else(|| self.apps.get(&(app.to_owned(), key)))
    }

    /// The apps that have a value of their own of this setting. A variable knows an app only in capitals, and such
    /// a name is as good in [`Settings::app_own`].
    pub fn apps_with(&self, key: SettingKey) -> impl Iterator<Item = String> {
        let of_key = move |(app, of): &(String, SettingKey)| (*of == key).then(|| app.clone());
        self.apps.keys().filter_map(of_key).chain(self.app_variables.keys().filter_map(of_key))
    }

    /// Whether people need a second factor at all.
    pub fn mfa_step_up(&self) -> bool {
        is_on(self.gateway(SettingKey::MfaStepUp).value)
    }

    /// How long a second factor counts.
    pub fn step_up_window(&self) -> Duration {
        match self.gateway(SettingKey::StepUpWindow).value {
            SettingValue::Duration(window) => window,
            SettingValue::Switch(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => Duration::ZERO,
        }
    }

    /// Whether rates are enforced.
    pub fn rate_limits(&self) -> bool {
        is_on(self.gateway(SettingKey::RateLimits).value)
    }

    /// Whether this app may be deleted.
    pub fn destructive_actions(&self, app: &str) -> bool {
        is_on(self.app(SettingKey::DestructiveActions, app).value)
    }

    /// Whether this app may import builds.
    pub fn external_builds(&self, app: &str) -> bool {
        is_on(self.app(SettingKey::ExternalBuilds, app).value)
    }
}

fn is_on(value: SettingValue) -> bool {
    // No switch is ever anything else: `SettingKey::parse` decides the type by the key.
    value == SettingValue::Switch(true)
}
