//! `.dockerignore`: which files a build does not get.
//!
//! Patterns are matched against the whole path below the directory, or against a directory above it; the last one that
//! matches decides, and `!` takes back. `*` and `?` stay within a name, `**` does not.
//! Source: <https://docs.docker.com/build/concepts/context/#dockerignore-files>.

/// The rules of one directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<Rule>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    pattern: Vec<char>,
    takes_back: bool,
}

impl Ignored {
    /// Reads the file's text.
    pub(super) fn parse(text: &str) -> Self {
        let rules = text
            .trim_start_matches('\u{feff}')
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::trim)
            .filter_map(|line| {
                let (takes_back, pattern) = match line.strip_prefix('!') {
                    Some(rest) => (true, rest.trim()),
                    None => (false, line),
                };
                let pattern = cleaned(pattern);
                (!pattern.is_empty()).then(|| Rule { pattern: pattern.chars().collect(), takes_back })
            })
            .collect();
        Self { rules }
    }

    /// Whether a build does not get the file at `path`, which is relative and has slashes between its names.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for rule in &self.rules {
            if rule.takes_back != out {
                continue;
            }
            let mut prefixes =
                path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or(path)).chain([path]);
            if prefixes.any(|prefix| fits(&rule.pattern, &prefix.chars().collect::<Vec<_>>())) {
                out = !rule.takes_back;
            }
        }
        out
    }

    /// Whether something below a directory that is left out may be taken back, so that it has to be looked into.
    pub(super) fn may_take_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.takes_back)
    }
}

/// A pattern without steps that lead nowhere: `/a/./b/` is `a/b`.
fn cleaned(pattern: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', '*', '/', rest @ ..] => {
            fits(rest, text)
                || text
                    .iter()
                    .enumerate()
                    .any(|(at, &c)| c == '/' && fits(rest, text.get(at + 1..).unwrap_or_default()))
        }
        ['*', '*', rest @ ..] => (0..=text.len()).any(|at| fits(rest, text.get(at..).unwrap_or_default())),
        ['*', rest @ ..] => {
            let name = text.iter().position(|&c| c == '/').unwrap_or(text.len());
            (0..=name).any(|at| fits(rest, text.get(at..).unwrap_or_default()))
        }
        ['?', rest @ ..] => matches!(text, [c, after @ ..] if *c != '/' && fits(rest, after)),
        ['[', rest @ ..] => match (class(rest), text) {
            (Some((class, rest)), [c, after @ ..]) => class.holds(*c) && fits(rest, after),
            (None, ['[', after @ ..]) => fits(rest, after),
            _ => false,
        },
        ['\\', escaped, rest @ ..] => matches!(text, [c, after @ ..] if c == escaped && fits(rest, after)),
        [one, rest @ ..] => matches!(text, [c, after @ ..] if c == one && fits(rest, after)),
    }
}

/// `[a-z]`, `[^a]`.
struct Class<'a> {
    members: &'a [char],
    negated: bool,
}

fn class(text: &[char]) -> Option<(Class<'_>, &[char])> {
    let (negated, text) = match text {
        ['^', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let end = text.iter().position(|&c| c == ']').filter(|&end| end > 0)?;
    Some((Class { members: text.get(..end)?, negated }, text.get(end + 1..)?))
}

impl Class<'_> {
    fn holds(&self, c: char) -> bool {
        let mut members = self.members;
        let mut found = false;
        while let [first, rest @ ..] = members {
            if let ['-', last, after @ ..] = rest {
                found |= (*first..=*last).contains(&c);
                members = after;
            } else {
                found |= *first == c;
                members = rest;
            }
        }
        c != '/' && found != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, out: &[&str], kept: &[&str]) {
        let ignored = Ignored::parse(rules);
        for path in out {
            assert!(ignored.leaves_out(path), "{rules:?} keeps {path}");
        }
        for path in kept {
            assert!(!ignored.leaves_out(path), "{rules:?} leaves out {path}");
        }
    }

    #[test]
    fn patterns_mean_what_docker_means_by_them() {
        check("*.md\n", &["a.md"], &["b/a.md", "a.md.txt"]);
        check("**/*.md", &["a.md", "b/a.md", "b/c/a.md"], &["a.mdx"]);
        check(
            "/target/\n./node_modules",
            &["target", "target/debug/x", "node_modules/a"],
            &["x/target", "targets"],
        );
        check("# target\n\n  log ", &["log"], &["target", "# target"]);
        check("*/temp*", &["a/temp", "a/temporary/x"], &["temp", "a/b/temp"]);
        check("temp?", &["temp1"], &["temp", "temp12"]);
        check("a/**", &["a/b", "a/b/c"], &["ab"]);
        check("[a-c]x[^1]", &["bx2"], &["dx2", "bx1"]);
        check("\\*", &["*"], &["a"]);
        check("docs/../log", &["log"], &["docs"]);
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
        check("*\n!src", &["a"], &["src", "src/main.rs"]);
        check("src\n!src/keep\n**/*.o", &["src/a", "src/keep/a.o"], &["src/keep/a"]);
        check("", &[], &["a"]);
        assert!(Ignored::parse("a\n!b").may_take_back() && !Ignored::parse("a").may_take_back());
    }
}
