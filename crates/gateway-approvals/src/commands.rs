//! Which commands an approved deploy may run in processes of its release.
//!
//! A rule is an exact command, or `re:` and a regular expression over the *whole* command. No rule, no command: an empty
//! list allows nothing. Start reading at [`CommandRules::allows`].

use regex::Regex;

pub(crate) mod pattern;

use pattern::anchored;

/// How many rules there may be.
pub const MOST_RULES: usize = 100;

/// How long a rule may be, in bytes.
pub const MOST_RULE_BYTES: usize = 1_000;

/// The longest command that is looked at, in bytes.
const MOST_COMMAND_BYTES: usize = 10_000;

/// Why a rule is refused. Rules count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandRuleFault {
    /// Too many.
    #[error("there are more than {MOST_RULES} command rules")]
    TooMany,
    /// Nothing.
    #[error("command rule {number} is empty")]
    Empty {
        /// Which.
        number: usize,
    },
    /// Too long.
    #[error("command rule {number} is longer than {MOST_RULE_BYTES} bytes")]
    TooLong {
        /// Which.
        number: usize,
    },
    /// A line break or another control character.
    #[error("command rule {number} has a control character")]
    Control {
        /// Which.
        number: usize,
    },
    /// No regular expression, or too large a one.
    #[error("command rule {number} is no regular expression that can be used: {reason}")]
    Pattern {
        /// Which.
        number: usize,
        /// Why.
        reason: String,
    },
}

/// Which commands may run.
#[derive(Clone, Debug, Default)]
pub struct CommandRules {
    exact: Vec<String>,
    patterns: Vec<Regex>,
}

impl CommandRules {
    /// Reads the lines of a setting. Blanks around a line do not count.
    ///
    /// # Errors
    ///
    /// [`CommandRuleFault`] for the first line that is wrong. None is left out silently.
    pub fn parse(lines: &[String]) -> Result<Self, CommandRuleFault> {
        if lines.len() > MOST_RULES {
            return Err(CommandRuleFault::TooMany);
        }
        let mut rules = Self::default();
        for (line, number) in lines.iter().zip(1..) {
            rules.add(line, number)?;
        }
        Ok(rules)
    }

    fn add(&mut self, line: &str, number: usize) -> Result<(), CommandRuleFault> {
        if line.len() > MOST_RULE_BYTES {
            return Err(CommandRuleFault::TooLong { number });
        }
        if line.chars().any(char::is_control) {
            return Err(CommandRuleFault::Control { number });
        }
        let line = line.trim();
        match line.strip_prefix("re:").map(str::trim) {
            None if line.is_empty() => return Err(CommandRuleFault::Empty { number }),
            Some("") => return Err(CommandRuleFault::Empty { number }),
            Some(pattern) => self.patterns.push(
                anchored(pattern)
                    .map_err(|error| CommandRuleFault::Pattern { number, reason: error.to_string() })?,
            ),
            None => self.exact.push(line.to_owned()),
        }
        Ok(())
    }

    /// Whether a command may run.
    ///
    /// # Security
    ///
    /// A shell in the container may read the command, so a line break would begin a second one: a command with a
    /// control character is never allowed, whatever a pattern says. `re:rake .*` also allows `rake x; rm -rf /`: a
    /// pattern is as narrow as its author made it.
    pub fn allows(&self, command: &str) -> bool {
        let is_plain = !command.is_empty()
            && command.len() <= MOST_COMMAND_BYTES
            && !command.chars().any(char::is_control);
        is_plain
            && (self.exact.iter().any(|exact| exact == command)
                || self.patterns.iter().any(|pattern| pattern.is_match(command)))
    }
}

/// Whether this is the command with which `convox run` keeps a process alive while it runs the real one in it by *exec*:
/// `sleep` and a whole number of seconds, the client's timeout.
///
/// It does nothing, so it needs no rule; the *exec* that follows does.
pub fn is_keep_alive(command: &str) -> bool {
    command.strip_prefix("sleep ").is_some_and(|seconds| {
        (1..=9).contains(&seconds.len()) && seconds.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(lines: &[&str]) -> Result<CommandRules, CommandRuleFault> {
        CommandRules::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    fn check(lines: &[&str], command: &str, expected: bool) {
        assert_eq!(rules(lines).expect("rules").allows(command), expected, "{lines:?} {command:?}");
    }

    fn refused(lines: &[&str], expected: fn(&CommandRuleFault) -> bool) {
        let fault = rules(lines).expect_err("a fault");
        assert!(expected(&fault), "{fault:?}");
    }

    #[test]
    fn only_what_a_rule_names_is_allowed() {
        check(&[], "rake db:migrate", false);
        check(&[], "", false);
        check(&["rake db:migrate"], "rake db:migrate", true);
        check(&["  rake db:migrate "], "rake db:migrate", true);
        check(&["rake db:migrate"], "rake db:migrate ", false);
        check(&["rake db:migrate"], "rake db:migrate; id", false);
        check(&["rake db:migrate"], "Rake db:migrate", false);
        check(&["rake db:.*"], "rake db:migrate", false);
        check(&["a", "b"], "b", true);
    }

    #[test]
    fn a_pattern_is_for_the_whole_command() {
        check(&["re:rake db:[a-z]+"], "rake db:migrate", true);
        check(&["re:rake db:[a-z]+"], "rake db:migrate; id", false);
        check(&["re:rake db:[a-z]+"], "sudo rake db:migrate", false);
        check(&["re:a|b"], "ab", false);
        check(&["re:a|b"], "b", true);
        check(&["re:a|bc"], "bcd", false);
        check(&["re:(?m)^a$"], "a\nb", false);
        check(&["re:(?s).*"], "a\nb", false);
        check(&["re:[^x]*"], "a\rb", false);
        check(&["re:.*"], "", false);
        check(&["re: rake"], "rake", true);
    }

    #[test]
    fn faulty_rules_are_refused() {
        refused(&[""], |fault| matches!(fault, CommandRuleFault::Empty { number: 1 }));
        refused(&["a", "  "], |fault| matches!(fault, CommandRuleFault::Empty { number: 2 }));
        refused(&["re:"], |fault| matches!(fault, CommandRuleFault::Empty { .. }));
        refused(&["re:  "], |fault| matches!(fault, CommandRuleFault::Empty { .. }));
        refused(&["a\nb"], |fault| matches!(fault, CommandRuleFault::Control { .. }));
        refused(&["a\u{85}b"], |fault| matches!(fault, CommandRuleFault::Control { .. }));
        refused(&["re:a("], |fault| matches!(fault, CommandRuleFault::Pattern { .. }));
        refused(&["re:a)|(b"], |fault| matches!(fault, CommandRuleFault::Pattern { .. }));
        refused(&["re:(?x)a #"], |fault| matches!(fault, CommandRuleFault::Pattern { .. }));
        refused(&["re:((a{100}){100}){100}"], |fault| matches!(fault, CommandRuleFault::Pattern { .. }));
        refused(&[&"a".repeat(1_001)], |fault| matches!(fault, CommandRuleFault::TooLong { .. }));
        refused(&["a"; 101], |fault| matches!(fault, CommandRuleFault::TooMany));
        assert!(rules(&["a"; 100]).is_ok());
        assert!(rules(&[&"a".repeat(1_000)]).is_ok());
    }

    #[test]
    fn the_keep_alive_command_is_exactly_what_the_client_sends() {
        for command in ["sleep 3600", "sleep 5", "sleep 0"] {
            assert!(is_keep_alive(command), "{command}");
        }
        for command in [
            "sleep",
            "sleep ",
            "sleep  5",
            "sleep 5 ",
            " sleep 5",
            "sleep 5s",
            "sleep -5",
            "sleep +5",
            "sleep 5.0",
            "sleep 1e3",
            "sleep infinity",
            "sleep 5;id",
            "sleep 5\nid",
            "sleep 5 6",
            "sleep $(id)",
            "Sleep 5",
            "sleep 1234567890",
            "sleep ٣",
            "bin/sleep 5",
            "",
        ] {
            assert!(!is_keep_alive(command), "{command}");
        }
    }

    #[test]
    fn the_keep_alive_command_of_the_recordings_is_known() {
        // 29-run.jsonl starts `sleep 3600`, then execs `echo from-run`; 30-run-detach.jsonl starts the real command.
        assert!(is_keep_alive("sleep 3600"));
        assert!(!is_keep_alive("echo from-run"));
    }

    proptest! {
        #[test]
        fn an_exact_rule_allows_itself_and_nothing_longer(command in "[ -~]{1,40}", more in "[ -~]{1,5}") {
            prop_assume!(command.trim() == command && !command.starts_with("re:"));
            let rules = CommandRules::parse(std::slice::from_ref(&command)).expect("rules");
            prop_assert!(rules.allows(&command));
            let longer = format!("{command}{more}");
            prop_assert!(!rules.allows(&longer));
        }

        #[test]
        fn no_line_panics(line in ".{0,60}", command in ".{0,60}") {
            let _ = CommandRules::parse(&[line]).map(|rules| rules.allows(&command));
        }
    }
}
