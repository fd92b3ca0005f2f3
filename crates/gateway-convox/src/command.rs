//! What a command of `exec` or `run` is, as the rack will run it, and which rule of the operator's covers it.
//!
//! A rack of version 3 splits the text into words by the quoting of shells and starts the first of them; no shell expands
//! anything. A rule is therefore held against words. Where the program is a shell that is handed a text (`sh -c`), the
//! text's own commands are held against it too, and what cannot be told without running it counts as covered. A rack of
//! version 2 hands the whole command to `sh -c`: the text is read that way as well, as far as it is plain.
//!
//! Pure. It must not know who asks, nor what a covered command leads to.

mod line;
mod words;

pub use line::TypedLines;
pub use words::WordFault;

use words::{simple_commands, words};

/// The programs that hand a text to a shell.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"];

/// The programs that start what stands behind them: each tail of their words is held against the rules.
const STARTERS: [&str; 24] = [
    "busybox",
    "chpst",
    "chroot",
    "command",
    "doas",
    "dumb-init",
    "env",
    "exec",
    "flock",
    "gosu",
    "ionice",
    "nice",
    "nohup",
    "setpriv",
    "setsid",
    "stdbuf",
    "su-exec",
    "sudo",
    "time",
    "timeout",
    "tini",
    "toybox",
    "unshare",
    "xargs",
];

/// How deep shells may stand in one another.
const DEEPEST: u8 = 4;

/// One rule: words, in each of which `*` stands for any characters; a last word `*` stands for any further words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandPattern {
    text: String,
    words: Vec<String>,
}

/// The rules of one kind, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandPatterns(Vec<CommandPattern>);

/// What covers a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Covered<'a> {
    /// Nothing.
    No,
    /// This rule.
    By(&'a CommandPattern),
    /// It cannot be told what would run.
    Unreadable(WordFault),
}

impl CommandPattern {
    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it covers these words: all of them, from the first on.
    fn covers(&self, given: &[String]) -> bool {
        let Some((program, arguments)) = given.split_first() else { return false };
        let (pattern, open) = match self.words.split_last() {
            Some((last, before)) if last == "*" && !before.is_empty() => (before, true),
            Some(_) | None => (self.words.as_slice(), false),
        };
        let Some((wanted, rest)) = pattern.split_first() else { return false };
        let program = if wanted.contains('/') { program.as_str() } else { name_of(program) };
        let count_fits = arguments.len() == rest.len() || (open && arguments.len() > rest.len());
        count_fits
            && fits(wanted, program)
            && rest.iter().zip(arguments).all(|(wanted, argument)| fits(wanted, argument))
    }
}

impl CommandPatterns {
    /// Reads rules that are separated by `;`.
    pub fn parse(text: &str) -> Self {
        let patterns = text.split(';').map(str::trim).filter(|pattern| !pattern.is_empty());
        let parsed = patterns.map(|pattern| CommandPattern {
            text: pattern.to_owned(),
            words: pattern.split_whitespace().map(str::to_owned).collect(),
        });
        Self(parsed.collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What covers the command that the rack is handed as `text`. Without rules nothing does.
    pub fn cover(&self, text: &str) -> Covered<'_> {
        if self.is_empty() {
            return Covered::No;
        }
        let covered = match words(text) {
            Ok(words) => self.cover_words(&words, 0),
            Err(fault) => Covered::Unreadable(fault),
        };
        match (covered, self.cover_typed(text)) {
            (Covered::No, Some(pattern)) => Covered::By(pattern),
            (covered, _) => covered,
        }
    }

    /// The rule that covers a command of a line that was typed into a shell, as far as that can be told without
    /// running it.
    pub fn cover_typed(&self, line: &str) -> Option<&CommandPattern> {
        let commands = simple_commands(line).ok()?;
        commands.iter().find_map(|words| match self.cover_words(words, 0) {
            Covered::By(pattern) => Some(pattern),
            Covered::No | Covered::Unreadable(_) => None,
        })
    }

    fn cover_words(&self, given: &[String], depth: u8) -> Covered<'_> {
        let starts_others = given.first().is_some_and(|program| STARTERS.contains(&name_of(program)));
        let tails = if starts_others { given.len() } else { 1 };
        let mut unreadable = None;
        for from in 0..tails {
            let tail = given.get(from..).unwrap_or_default();
            if let Some(pattern) = self.0.iter().find(|pattern| pattern.covers(tail)) {
                return Covered::By(pattern);
            }
            match self.cover_shell(tail, depth) {
                Covered::No => {}
                covered @ Covered::By(_) => return covered,
                Covered::Unreadable(fault) => unreadable = Some(fault),
            }
        }
        unreadable.map_or(Covered::No, Covered::Unreadable)
    }

    /// What covers a text that a shell is handed.
    fn cover_shell(&self, given: &[String], depth: u8) -> Covered<'_> {
        if hides_words(given) {
            return Covered::Unreadable(WordFault::ShellOptions);
        }
        let text = match shell_text(given) {
            Ok(Some(text)) => text,
            Ok(None) => return Covered::No,
            Err(fault) => return Covered::Unreadable(fault),
        };
        if depth >= DEEPEST {
            return Covered::Unreadable(WordFault::TooDeep);
        }
        let commands = match simple_commands(text) {
            Ok(commands) => commands,
            Err(fault) => return Covered::Unreadable(fault),
        };
        let mut unreadable = None;
        for words in &commands {
            match self.cover_words(words, depth + 1) {
                Covered::No => {}
                covered @ Covered::By(_) => return covered,
                Covered::Unreadable(fault) => unreadable = Some(fault),
            }
        }
        unreadable.map_or(Covered::No, Covered::Unreadable)
    }
}

/// The text of a shell's `-c`; `None` for other programs and for shells that are handed none.
fn shell_text(given: &[String]) -> Result<Option<&str>, WordFault> {
    let Some((program, arguments)) = given.split_first() else { return Ok(None) };
    if !SHELLS.contains(&name_of(program)) {
        return Ok(None);
    }
    let is_option = |argument: &&String| argument.len() > 1 && argument.starts_with(['-', '+']);
    let options: Vec<&String> = arguments.iter().take_while(is_option).collect();
    // Shells take `+c` as `-c`.
    let hands_text =
        |option: &String| !option.starts_with("--") && option.starts_with(['-', '+']) && option.contains('c');
    // An option that takes a word of its own, or a long one, leaves open which word the text is; bash takes long ones
    // with one dash too (`-rcfile F`, `-init-file F`).
    let is_open = options
        .iter()
        .any(|option| option.starts_with("--") || option.contains(['o', 'O']) || option.contains("file"));
    if is_open && arguments.iter().any(hands_text) {
        return Err(WordFault::ShellOptions);
    }
    if !options.iter().any(|option| hands_text(option)) {
        return Ok(None);
    }
    Ok(arguments.get(options.len()).map(String::as_str))
}

/// Whether a program is handed a text of which it makes the words that run: `env -S`, `su -c`.
fn hides_words(given: &[String]) -> bool {
    let Some((program, arguments)) = given.split_first() else { return false };
    let (short, long) = match name_of(program) {
        "env" => ('S', "--s"),
        "su" | "runuser" | "script" => ('c', "--c"),
        _ => return false,
    };
    arguments.iter().any(|argument| {
        argument.starts_with(long)
            || (argument.starts_with('-') && !argument.starts_with("--") && argument.contains(short))
    })
}

/// The name of a program without the folder that it is in.
fn name_of(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a word is as the pattern, in which `*` stands for any characters.
fn fits(pattern: &str, word: &str) -> bool {
    let (pattern, word) = (pattern.as_bytes(), word.as_bytes());
    let (mut p, mut w, mut star) = (0, 0, None);
    while w < word.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, w));
                p += 1;
            }
            Some(byte) if word.get(w) == Some(byte) => {
                p += 1;
                w += 1;
            }
            Some(_) | None => match star {
                // The last `*` takes one more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    w = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &str, command: &str, expected: &str) {
        let patterns = CommandPatterns::parse(patterns);
        let covered = match patterns.cover(command) {
            Covered::No => "no".to_owned(),
            Covered::By(pattern) => pattern.text().to_owned(),
            Covered::Unreadable(_) => "unreadable".to_owned(),
        };
        assert_eq!(covered, expected, "{command:?}");
    }

    #[test]
    fn a_rule_covers_the_whole_command_as_the_rack_splits_it() {
        check("rm *", "rm", "rm *");
        check("rm *", "rm -rf /", "rm *");
        check("rm *", "/bin/rm -rf /", "rm *");
        check("rm *", "r\\m -rf /", "rm *");
        check("rm *", "'r'\"m\" -rf /", "rm *");
        check("rm *", "echo rm -rf /", "no");
        check("rm *", "rmdir x", "no");
        check("/bin/rm *", "rm x", "no");
        check("rm", "rm x", "no");
        check("rails db:*", "rails db:drop", "rails db:*");
        check("rails db:*", "rails db:drop now", "no");
        check("psql *; rails db:drop *", "rails db:drop now", "rails db:drop *");
        check("a*b*c", "aXbYc", "a*b*c");
        check("a*b*c", "aXbY", "no");
        check("*", "anything", "*");
        check("* --force *", "git push --force", "no");
        check("* * --force *", "git push --force", "* * --force *");
        check("", "rm -rf /", "no");
        check("rm *", "", "no");
        // Older racks have a shell read them; to newer ones these are words like any other.
        check("rm *", "echo ; rm x", "rm *");
        check("rm *", "FOO=1 rm x", "rm *");
        check("rm *", "x # comment", "no");
        check("rm *", "ls *.rb", "no");
    }

    #[test]
    fn what_cannot_be_told_counts() {
        check("rm *", "rm 'x", "unreadable");
        check("rm *", "echo \"x", "unreadable");
        check("rm *", "echo x\\", "unreadable");
        check("rm *", "sh -c 'echo $HOME'", "unreadable");
        check("rm *", "sh -c '`x`'", "unreadable");
        check("rm *", "bash --rcfile x -c 'rm y'", "unreadable");
        check("rm *", "bash -o posix -c 'rm y'", "unreadable");
        check("rm *", "sh -c '(rm x)'", "unreadable");
        // bash takes long options with one dash too.
        check("rm *", "bash -rcfile f -c 'rm x'", "unreadable");
        check("rm *", "bash -init-file f -c 'rm x'", "unreadable");
        // A text of which the program makes the words itself, and words of the language that run a text.
        check("rm *", "env -S 'rm -rf /'", "unreadable");
        check("rm *", "env --split-string='rm -rf /'", "unreadable");
        check("rm *", "su app -c 'rm x'", "unreadable");
        check("rm *", "bash -c \"builtin eval 'rm x'\"", "unreadable");
        check("rm *", "sh -c \"command eval 'rm x'\"", "unreadable");
        check("rm *", "sh -c \"trap 'rm x' EXIT\"", "unreadable");
        check("rm *", "bash -c 'hash -p /bin/rm foo; foo x'", "unreadable");
        check("rm *", "sh -c 'r? x'", "unreadable");
        check("rm *", "sh -c \"sh -c \\\"echo 'x\\\"\"", "unreadable");
        check("", "echo \"x", "no");
    }

    #[test]
    fn shells_and_starters_hide_nothing_that_can_be_read() {
        check("rm *", "sh", "no");
        check("rm *", "bash -l", "no");
        check("rm *", "sh script", "no");
        check("rm *", "sh -c 'echo hi'", "no");
        check("rm *", "sh -c 'echo hi; rm x'", "rm *");
        check("rm *", "sh -c 'true && /bin/rm x'", "rm *");
        check("rm *", "sh -c 'echo | rm'", "rm *");
        check("rm *", "sh -c 'A=1 rm x'", "rm *");
        check("rm *", "bash -lc \"rm x\"", "rm *");
        check("rm *", "sh -e -c \"rm x\"", "rm *");
        check("rm *", "sh -c \"sh -c 'rm x'\"", "rm *");
        check("rm *", "sh -c 'echo ok\nrm x'", "rm *");
        check("rm *", "sh +c 'rm x'", "rm *");
        check("rm *", "gosu app rm x", "rm *");
        check("rm *", "tini -- rm x", "rm *");
        check("rm *", "flock /tmp/lock rm x", "rm *");
        check("rm *", "env A=1 rm x", "rm *");
        check("rm *", "sudo -u app timeout 5 rm x", "rm *");
        check("rm *", "env sh -c 'rm x'", "rm *");
        check("rm *", "/usr/bin/env -i /bin/sh -c 'rm x'", "rm *");
        check("sh -c *", "sh -c 'echo $HOME'", "sh -c *");
    }

    #[test]
    fn typed_lines_are_matched_as_far_as_they_can_be_read() {
        let patterns = CommandPatterns::parse("rm *");
        assert!(patterns.cover_typed("cd /; rm -rf x").is_some());
        assert!(patterns.cover_typed("sudo rm x").is_some());
        assert!(patterns.cover_typed("echo rm").is_none());
        assert!(patterns.cover_typed("rm $x").is_none(), "best effort");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(pattern in ".{0,40}", command in ".{0,80}") {
            let patterns = CommandPatterns::parse(&pattern);
            let _ = (patterns.cover(&command), patterns.cover_typed(&command));
        }

        /// However a word is quoted, it is the same word.
        #[test]
        fn quoting_hides_nothing(name in "[a-z]{1,8}", quotes in proptest::collection::vec(0..3u8, 8)) {
            let mut quoted = String::new();
            for (character, how) in name.chars().zip(quotes) {
                match how {
                    0 => quoted.push(character),
                    1 => quoted.extend(['\'', character, '\'']),
                    _ => quoted.extend(['\\', character]),
                }
            }
            let patterns = CommandPatterns::parse(&format!("{name} *"));
            let command = quoted + " x";
            proptest::prop_assert!(matches!(patterns.cover(&command), Covered::By(_)));
        }
    }
}
