//! Words of a command, by the quoting of shells; and the simple commands of a shell's text, as far as those can be told
//! without running it (POSIX.1-2017, Shell Command Language, 2.2 and 2.3).

use std::iter::Peekable;
use std::str::Chars;

/// Why it cannot be told what a command would run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WordFault {
    /// A quote without its end.
    #[error("a quote has no end")]
    OpenQuote,
    /// A backslash with nothing behind it.
    #[error("it ends with a backslash")]
    OpenEscape,
    /// Something that a shell replaces, or groups, before it runs anything.
    #[error("a shell would replace or group a part of it")]
    Expansion,
    /// Options after which it is open which word is the shell's text.
    #[error("the options of a shell hide its text")]
    ShellOptions,
    /// Shells within shells.
    #[error("too many shells stand in one another")]
    TooDeep,
}

/// What a shell replaces or groups where it is not quoted.
const EXPANDED: &str = "$`(){}<>*?[]~!#^%";

/// What it replaces within double quotes.
const EXPANDED_IN_QUOTES: [char; 2] = ['$', '`'];

/// What separates simple commands.
const SEPARATORS: [char; 4] = [';', '&', '|', '\n'];

/// What a backslash takes away the meaning of within double quotes.
const ESCAPED_IN_QUOTES: [char; 5] = ['$', '`', '"', '\\', '\n'];

/// Words of a language, besides programs.
const RESERVED: [&str; 22] = [
    "alias", "builtin", "case", "coproc", "do", "done", "elif", "else", "esac", "eval", "fi", "for",
    "function", "hash", "if", "in", "select", "source", "then", "trap", "until", "while",
];

/// How a text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As the rack splits it: nothing is special but blanks, quotes and backslashes.
    Plain,
    /// As a shell does.
    Shell,
}

/// The words that the rack makes of a command.
pub(super) fn words(text: &str) -> Result<Vec<String>, WordFault> {
    Ok(read(text, Reading::Plain)?.into_iter().flatten().collect())
}

/// The simple commands of a shell's text, without assignments before them.
pub(super) fn simple_commands(text: &str) -> Result<Vec<Vec<String>>, WordFault> {
    let mut commands = read(text, Reading::Shell)?;
    for words in &mut commands {
        let assignments = words.iter().take_while(|word| is_assignment(word)).count();
        words.drain(..assignments);
        // `command` and `time` start words of the language too.
        let mut told = words.iter().filter(|word| !matches!(word.as_str(), "command" | "time"));
        let first = told.find(|word| !word.starts_with('-'));
        if first.is_some_and(|word| RESERVED.contains(&word.as_str()) || word == ".") {
            return Err(WordFault::Expansion);
        }
    }
    commands.retain(|words| !words.is_empty());
    Ok(commands)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    })
}

fn read(text: &str, reading: Reading) -> Result<Vec<Vec<String>>, WordFault> {
    let (mut commands, mut command, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' => single_quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default(), reading)?,
            '\\' => match rest.next() {
                // A line that goes on.
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err(WordFault::OpenEscape),
            },
            _ if reading == Reading::Shell && SEPARATORS.contains(&character) => {
                command.extend(word.take());
                commands.push(std::mem::take(&mut command));
            }
            ' ' | '\t' | '\n' => command.extend(word.take()),
            _ if reading == Reading::Shell && EXPANDED.contains(character) => {
                return Err(WordFault::Expansion);
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    command.extend(word);
    commands.push(command);
    Ok(commands)
}

fn single_quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), WordFault> {
    for character in rest {
        if character == '\'' {
            return Ok(());
        }
        word.push(character);
    }
    Err(WordFault::OpenQuote)
}

fn double_quoted(
    rest: &mut Peekable<Chars<'_>>,
    word: &mut String,
    reading: Reading,
) -> Result<(), WordFault> {
    while let Some(character) = rest.next() {
        match character {
            '"' => return Ok(()),
            '\\' => match rest.next_if(|next| ESCAPED_IN_QUOTES.contains(next)) {
                Some('\n') => {}
                Some(escaped) => word.push(escaped),
                None => word.push('\\'),
            },
            _ if reading == Reading::Shell && EXPANDED_IN_QUOTES.contains(&character) => {
                return Err(WordFault::Expansion);
            }
            _ => word.push(character),
        }
    }
    Err(WordFault::OpenQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_rack() {
        let check = |text: &str, expected: &[&str]| assert_eq!(words(text).unwrap(), expected, "{text:?}");
        check("", &[]);
        check("  a\tb\n c ", &["a", "b", "c"]);
        check("a'b c'd", &["ab cd"]);
        check("\"a \\\" $x \\y\"", &["a \" $x \\y"]);
        check("a\\ b", &["a b"]);
        check("''", &[""]);
        check("a \\\n b", &["a", "b"]);
        check("a;b|c #d", &["a;b|c", "#d"]);
        assert_eq!(words("a \"b\\"), Err(WordFault::OpenQuote));
    }

    #[test]
    fn a_shells_text_is_read_only_as_far_as_it_is_plain() {
        let check = |text: &str, expected: Option<&[&[&str]]>| {
            let read = simple_commands(text).ok();
            let expected = expected.map(|all| {
                all.iter()
                    .map(|words| words.iter().map(|word| (*word).to_owned()).collect())
                    .collect::<Vec<Vec<_>>>()
            });
            assert_eq!(read, expected, "{text:?}");
        };
        check("a b; c && d || e & f", Some(&[&["a", "b"], &["c"], &["d"], &["e"], &["f"]]));
        check("A=1 B=2 c", Some(&[&["c"]]));
        check("'a;b' \"c|d\"", Some(&[&["a;b", "c|d"]]));
        for text in ["$x", "\"$x\"", "a > b", "if true; then rm; fi", "eval 'rm x'", ". x", "r{m,} x", "~/x"]
        {
            check(text, None);
        }
    }
}
