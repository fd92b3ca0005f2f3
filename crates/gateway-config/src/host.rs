//! Host names in their one form: lower case, without port or final dot.

/// The canonical form of a host name: labels of letters, digits and inner hyphens, at most 253
/// characters; `None` for anything else.
pub(crate) fn canonical_host(text: &str) -> Option<String> {
    let is_host = text.len() <= 253 && text.split('.').all(is_label);
    is_host.then(|| text.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
