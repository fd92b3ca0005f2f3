//! Secret request parameters as the audit log shows them. It must not know which parameters are secret.

use crate::env::EnvText;
use crate::handle::{HandleKey, is_handle};
use crate::plain::PlainKeys;

/// What the log shows instead of a secret parameter: its handle. An empty value, which an operator must
/// be able to tell from one that is set, stays empty, and a handle stays what it is.
pub fn mask_for_log(key: &HandleKey, name: &str, value: &str) -> String {
    if value.is_empty() || is_handle(value) { value.to_owned() } else { key.handle(name, value) }
}

/// What the log shows instead of a posted environment: the same text with handles for all values that
/// are not plain, or one handle for all of it when it is no environment text.
pub fn mask_env_for_log(key: &HandleKey, plain: &PlainKeys, text: &str) -> String {
    match EnvText::parse(text) {
        Ok(env) => env.redact(key, plain).to_text(),
        Err(_) => mask_for_log(key, "env", text),
    }
}

#[cfg(test)]
mod tests {
    use gateway_types::Secret;

    use super::*;
    use crate::handle::HandleKeyring;

    #[test]
    fn the_log_shows_handles() {
        let key = HandleKeyring::new(&Secret::new(vec![1; 32])).scope("myapp");
        let plain = PlainKeys::default();
        let (a, env) = (key.handle("A", "x"), key.handle("env", "no environment"));
        assert_eq!(mask_for_log(&key, "A", "x"), a);
        assert_eq!(mask_for_log(&key, "A", &a), a);
        assert_eq!(mask_for_log(&key, "A", ""), "");
        assert_eq!(mask_env_for_log(&key, &plain, "A=x\nPORT=1\nE="), format!("A={a}\nPORT=1\nE="));
        assert_eq!(mask_env_for_log(&key, &plain, "no environment"), env);
        assert_eq!(mask_env_for_log(&key, &plain, ""), "");
    }
}
