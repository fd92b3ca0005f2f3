//! Who sits at this machine, for the log: the owner of this process as the system knows it, not a
//! variable that anybody can set.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// What stands in the log when the system does not tell.
const UNKNOWN: &str = "unknown";

/// The name of the effective user, or `uid:N` when the system has no name for it.
pub(crate) fn name() -> String {
    let Some(uid) = uid() else { return UNKNOWN.to_owned() };
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    account(&accounts, uid)
}

/// The number of the effective user; `None` where the system has no such file.
pub(crate) fn uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|process| process.uid())
}

/// Finds a user in the format of passwd(5).
fn account(accounts: &str, uid: u32) -> String {
    let wanted = uid.to_string();
    accounts
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            (fields.nth(1) == Some(wanted.as_str())).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("uid:{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/bash\n+::::::\nsvc:x:1001:1001::/srv:/bin/false\n";

    #[test]
    fn accounts_are_found_by_number() {
        assert_eq!(account(ACCOUNTS, 0), "root");
        assert_eq!(account(ACCOUNTS, 1001), "svc");
        assert_eq!(account(ACCOUNTS, 7), "uid:7");
        assert_eq!(account("", 0), "uid:0");
    }

    #[test]
    fn this_process_has_an_owner() {
        assert_ne!(name(), UNKNOWN);
    }
}
