//! What each setting means, and which words it takes: a table, apart from how values are read.

use super::SettingKey;

impl SettingKey {
    /// What it means, for people.
    pub const fn describe(self) -> &'static str {
        match self {
            SettingKey::MfaStepUp => {
                "Whether people need a second factor for what changes, executes or reveals. Off is for trying things out."
            }
            SettingKey::MfaRequired => {
                "Whether everybody must have a second factor: whoever has none can enrol one and sign out, and nothing else."
            }
            SettingKey::StepUpWindow => {
                "How long a second factor counts for the credential that gave it, from 1m to 12h. What is hard to undo needs a fresh one each time."
            }
            SettingKey::SignInFactor => {
                "Whether people who have a second factor also give it when they sign in. It never counts as a step-up."
            }
            SettingKey::TrustedDevice => {
                "How long a browser may sign in without that second factor once somebody said there to trust it, from 1h to 2160h (90 days)."
            }
            SettingKey::WebSessionIdle => {
                "How long a session in a browser may rest unused, from 1m to 168h (7 days). A shorter value also holds for sessions that are open."
            }
            SettingKey::WebSessionLength => {
                "How long a session in a browser lasts at most, from 1m to 168h (7 days). A shorter value also holds for sessions that are open."
            }
            SettingKey::CliSessionIdle => {
                "How long a command line's session may rest unused, from 1m to 2160h (90 days). A shorter value also holds for sessions that are open."
            }
            SettingKey::CliSessionLength => {
                "How long a command line's session lasts at most, from 1m to 2160h (90 days). A shorter value also holds for sessions that are open."
            }
            SettingKey::ProviderRefresh => {
                "How often an identity provider with `refresh = true` is asked again about people with live sessions, from 1m to 24h."
            }
            SettingKey::RateLimits => "Whether the rates under [limits] are enforced.",
            SettingKey::DestructiveActions => {
                "Whether apps may be deleted. While it is off, not even an admin can; a role is still needed when it is on."
            }
            SettingKey::ExternalBuilds => {
                "Whether builds may be made outside the rack and imported, so that the rack runs what it did not build."
            }
            SettingKey::AppLabels => {
                "Labels of an app, separated by commas, that policies can ask for: `context.labels.contains(\"pci\")`. Given for the gateway they hold for the rack and for apps without labels of their own."
            }
            SettingKey::TimeZone => {
                "The time zone of `context.hour` and `context.weekday` in policies, by its name in the IANA database, such as Europe/Berlin."
            }
            SettingKey::ObservePolicies => {
                "Whether what policies of files and of the database forbid is recorded and not refused. The built-in policies are always enforced: roles, second factors, limits of machines."
            }
            SettingKey::Elevations => {
                "Whether people may ask for a higher role for a while. Off ends those that are live."
            }
            SettingKey::ElevationLongest => "The longest time that an elevation can last, from 1m to 12h.",
            SettingKey::ElevationQuorum => "How many people have to approve an elevation, from 1 to 5.",
            SettingKey::ApprovalOrder => {
                "What is approved of a deploy: `commit`, and the archive is uploaded after that; or `artefact`, the archive that was uploaded before, by its digest."
            }
            SettingKey::ApprovalQuorum => "How many people have to approve a deploy, from 1 to 5.",
            SettingKey::ApprovalLife => {
                "How long an approved deploy can be used, from 1m to 12h. An approver can make it as long again, once."
            }
            SettingKey::ApprovalPasskeys => {
                "Whether only passkeys approve deploys: they sign what is approved. Off, one-time codes do too, and are marked as weaker."
            }
            SettingKey::ServiceImages => {
                "Which images the services of an approved deploy may have, separated by blanks: SERVICE=PATTERN or *=PATTERN. The whole image must match the regular expression; {{GIT_COMMIT}} in it stands for the commit. Empty: any."
            }
            SettingKey::ImageDigests => {
                "Whether images of an approved deploy must be named by digest (@sha256:…), since a tag can be moved."
            }
            SettingKey::GithubRepository => {
                "The repository at GitHub that an app is deployed from, as owner/name. With it, a deploy is approved and promoted only when GitHub shows what the other `github_` settings demand of the commit. Empty: GitHub is not asked."
            }
            SettingKey::GithubBranch => "The branch of that repository that deploys come from.",
            SettingKey::GithubPlace => {
                "Where a commit has to be: `branch_or_pull_request` (in the branch's history, or the newest commit of an open pull request into it), `branch`, `branch_head` (its newest commit), `pull_request` (open or merged) or `open_pull_request`."
            }
            SettingKey::GithubReviews => {
                "How many people with a say have to have approved the newest commit of its pull request, from 0 to 5."
            }
            SettingKey::GithubNotAuthor => {
                "Whether nobody approves a deploy of what they wrote. Whoever cannot be told from the author may not either: see `github_people`."
            }
            SettingKey::GithubPeople => {
                "Who is who at GitHub, separated by commas: EMAIL=LOGIN, the address with which somebody signs in here and their login there."
            }
            SettingKey::GithubChecks => {
                "Which checks and commit statuses have to be green, separated by commas: names; or `*`, all that there are, with `-NAME` for one that does not count, such as the job that waits for the approval. Empty: none."
            }
            SettingKey::GithubSigned => "Whether GitHub must have verified the commit's signature.",
            SettingKey::AttestationBuilders => {
                "Who may have built the archive that is deployed, separated by commas: workflows such as https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main. With it, the archive needs an attestation (SLSA provenance) at GitHub that one of them built it from the approved commit of `github_repository`. Empty: none is asked for."
            }
            SettingKey::GithubStatus => {
                "Whether the commit of a deploy gets the status `rack-gateway/APP` at GitHub: waiting, approved, deployed or not. Only of an app that is bound to a repository."
            }
            SettingKey::GithubComment => {
                "Whether the pull request of a commit gets a comment when its deploy waits for approval. Only of an app that is bound to a repository."
            }
            SettingKey::GithubEnvironments => {
                "Environments of GitHub Actions, separated by commas, for which the gateway answers when a deploy is decided: as a deployment protection rule (`deployment_callback_url` in the request) or as a reviewer (`run_id`). Only for runs of the app's repository and the approved commit."
            }
            SettingKey::CircleciProject => {
                "The project at CircleCI whose waiting job is approved with a deploy, such as gh/acme/shop. Only a job of this project and of the approved commit goes on."
            }
            SettingKey::CircleciJob => {
                "The name of the approval job at CircleCI that waits for the deploy's approval."
            }
            SettingKey::SlackChannel => {
                "The channel at Slack in which approvals of an app are told: its id (C0123456789) or its name (#deploys). Given for the gateway it is the channel of every app without one of its own. Empty: nothing is told there."
            }
            SettingKey::SlackEvents => {
                "What of an approval is told at Slack, separated by commas: `requested` (it waits), `decided` (approved, rejected, expired or withdrawn), `deployed` (it is being deployed, or was). Empty: nothing."
            }
            SettingKey::EnvPlain => {
                "Environment keys whose values everybody with the right to read an app may see, separated by commas; `*` may stand at one end (`FEATURE_*`). They come on top of `secrets.plain_env_keys`."
            }
            SettingKey::EnvSecret => {
                "Environment keys whose values are secret although `env_plain` or `secrets.plain_env_keys` covers them, separated by commas; `*` may stand at one end."
            }
            SettingKey::EnvProtected => {
                "Environment keys that nobody can set, change or remove through the gateway, separated by commas; `*` may stand at one end. A roll-back keeps their present values. An app's own list stands in the place of the gateway's."
            }
            SettingKey::RevealLongest => {
                "The longest time for which `reveal --for` lets one credential read an app's values in plaintext, from 1m to 1h."
            }
            SettingKey::RevealNotice => {
                "Whether the admins get a mail each time somebody reveals an app's values."
            }
            SettingKey::Recording => {
                "Whether sessions in processes, resources and instances are recorded: `strict`, and a session that cannot be recorded does not start, or ends; `best_effort`, and it goes on, with the gap in the log; `off`."
            }
            SettingKey::RecordInput => {
                "Whether what is typed into sessions is recorded besides what they show. It holds passwords that are typed blind."
            }
            SettingKey::RecordingRetention => {
                "How long recordings are kept after their session ended, from 24h to 87600h (ten years). The digests stay in the audit log."
            }
            SettingKey::AuditRetention => {
                "How long the bodies of entries of the audit log are kept: 0s for ever, or from 24h to 87600h (ten years). Hashes stay, so that the log still verifies; needs anchors."
            }
            SettingKey::WatchNotice => {
                "Whether people are told in their session that somebody watches it, and who."
            }
            SettingKey::SessionSecondPerson => {
                "Whether sessions with a terminal (exec, run, consoles, shells on instances) begin only when a second person has joined, and end when that person leaves. They are then recorded as with `recording = strict`."
            }
            SettingKey::SecondPersonWait => "How long a session waits for its second person, from 10s to 1h.",
            SettingKey::SessionResume => {
                "How long a session of the gateway's own command line goes on while its client is away: its network, or the instance that it was connected to. Up to 1h; `0s`, and it ends with its connection, as that of the official client always does."
            }
            SettingKey::CommandsRefused => {
                "Commands of `exec` and `run` that are refused to everybody, separated by `;`, such as `rm *; rails db:drop *`. A rule covers a whole command, word by word; `*` stands for any characters of a word, and as the last word for any further words. What cannot be read is refused too."
            }
            SettingKey::CommandsSecondPerson => {
                "Commands of `exec` and `run` that wait for a second person, in the form of `commands_refused`."
            }
        }
    }

    /// The words of a setting that is one of a few, its default among them.
    pub(crate) const fn words(self) -> &'static [&'static str] {
        match self {
            SettingKey::Recording => &["strict", "best_effort", "off"],
            SettingKey::GithubPlace => {
                &["branch_or_pull_request", "branch", "branch_head", "pull_request", "open_pull_request"]
            }
            SettingKey::ApprovalOrder
            | SettingKey::GithubRepository
            | SettingKey::GithubBranch
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
            | SettingKey::MfaStepUp
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
            | SettingKey::DestructiveActions
            | SettingKey::ExternalBuilds
            | SettingKey::AppLabels
            | SettingKey::TimeZone
            | SettingKey::ObservePolicies
            | SettingKey::Elevations
            | SettingKey::ElevationLongest
            | SettingKey::ElevationQuorum
            | SettingKey::ApprovalQuorum
            | SettingKey::ApprovalLife
            | SettingKey::ApprovalPasskeys
            | SettingKey::ServiceImages
            | SettingKey::ImageDigests
            | SettingKey::EnvPlain
            | SettingKey::EnvSecret
            | SettingKey::EnvProtected
            | SettingKey::RevealLongest
            | SettingKey::RevealNotice
            | SettingKey::RecordInput
            | SettingKey::RecordingRetention
            | SettingKey::AuditRetention
            | SettingKey::WatchNotice
            | SettingKey::SessionSecondPerson
            | SettingKey::SecondPersonWait
            | SettingKey::SessionResume
            | SettingKey::CommandsRefused
            | SettingKey::CommandsSecondPerson => &["commit", "artefact"],
        }
    }
}
