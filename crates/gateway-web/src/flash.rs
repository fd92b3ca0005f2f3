//! What a page says about the change that led to it. The address carries a short code and no text, so
//! that a link of somebody else's cannot put words on our pages.

/// The parameter that carries the code.
pub(crate) const PARAMETER: &str = "done";

/// Codes and their sentences.
const SENTENCES: &[(&str, &str)] = &[
    ("saved", "The change is saved."),
    ("share-revoked", "The link is revoked: whoever reads by it reads nothing more."),
    ("search-removed", "The search is forgotten."),
    ("renamed", "The new name is saved."),
    ("session-revoked", "The session is ended."),
    ("sessions-revoked", "All sessions of this person are ended."),
    ("device-forgotten", "The browser is trusted no longer."),
    ("others-revoked", "All your other sessions are ended."),
    ("factor-confirmed", "The second factor is confirmed and counts from now on."),
    ("factor-removed", "The second factor is removed."),
    ("factor-confirmed-here", "Your second factor is confirmed. You can go on."),
    ("invited", "The person is invited and can sign in."),
    ("roles-changed", "The roles are changed, from the next request on."),
    ("locked", "The person is locked. Their sessions and tokens are refused from now on."),
    ("unlocked", "The person is unlocked and can sign in again."),
    ("factors-reset", "The person's second factors are removed and their sessions ended."),
    ("removed", "The person is removed."),
    ("group-changed", "The group's roles are changed."),
    ("token-revoked", "The token is revoked and is refused from now on."),
    ("token-changed", "The token is changed."),
    ("trust-rule-written", "The trust rule is in force. What machines got under it before is refused."),
    ("trust-rule-removed", "The trust rule is removed. What machines got under it is refused."),
    ("break-glass-ended", "It is over: the token is refused from now on."),
    ("break-glass-reviewed", "The review is closed."),
    ("candidate-approved", "The service is in force as its labels ask."),
    ("setting-changed", "The setting is changed and in force."),
    ("setting-reset", "The setting is back to what the configuration says."),
    ("job-changed", "The job is changed."),
    ("integration-written", "The credentials are kept, sealed, and in force. Test them now."),
    ("integration-removed", "The credentials are removed."),
    ("integration-tested", "The service was asked. What it said stands below."),
    ("elevation-asked", "The request is made. Whoever can approve it is told."),
    ("elevation-approved", "The request is approved."),
    ("elevation-rejected", "The request is rejected."),
    ("elevation-ended", "The elevation is ended."),
    ("approval-approved", "Your approval is kept."),
    ("approval-extended", "The approval is good for longer."),
    ("approval-rejected", "The request is rejected. Nothing can be deployed under it."),
    ("approval-withdrawn", "The request is taken back."),
    ("reveal-ended", "It is over: values are hidden again."),
    ("live-ended", "The session is told to end. Its person sees why."),
    ("live-joined", "You are the second person of this session. It ends when you leave this page."),
    ("grant-made", "The role is granted, from the next request on."),
    ("grant-removed", "The grant is taken back, from the next request on."),
    ("policy-written", "The policies are in force."),
    ("policy-removed", "The document is removed, and what is left is in force."),
    ("app-created", "The app is made. Deploy to it next."),
    ("app-cancelled", "The rack was told to stop what it does to this app, and to go back."),
    ("app-deleted", "The rack was told to delete the app."),
    ("service-scaled", "The rack was told the new scale. The numbers below follow as processes come and go."),
    ("service-restarted", "The rack was told to restart the service, process by process."),
    (
        "process-stopped",
        "The rack was told to stop the process. It starts another where the service needs one.",
    ),
    ("release-promoted", "The release is promoted. The status below follows it."),
    ("instance-terminated", "The rack was told to terminate the instance."),
    ("certificate-generated", "The rack was told to make the certificate."),
    ("certificate-renewed", "The rack was told to renew the certificate."),
    ("certificate-deleted", "The certificate is deleted."),
    ("registry-added", "The rack can take images from the registry now."),
    ("credential-read", "The rack's credential was read anew."),
    ("signed-out", "You are signed out."),
];

/// The sentence of a code; `None` for everything that is not in the list.
pub(crate) fn sentence(code: &str) -> Option<&'static str> {
    SENTENCES.iter().find(|(known, _)| *known == code).map(|(_, sentence)| *sentence)
}
