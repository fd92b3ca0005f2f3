//! Every command of the book can be typed: lines of code with all that they need, commands within a sentence as far as
//! they are written out there.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use gateway_config::SettingKey;

use super::*;
use crate::commands::settings::SettingsCommand;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.chain([root.join("README.md")]);
    pages.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The words of one simple command of a shell, without what comes after it (`|`, `>`, `&`, `;`, a comment).
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('\''), letter) => word.get_or_insert_default().push(letter),
            (_, '\\') => word.get_or_insert_default().extend(letters.next()),
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | ';' | ')') => break,
            (None, '#') if word.is_none() => break,
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The commands in blocks of shell, lines that go on put together.
fn block_commands(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut commands = Vec::new();
    for block in blocks {
        for line in block.replace("\\\n", " ").lines() {
            // Also behind an assignment, and within a substitution.
            let line = line.trim().trim_start_matches("$ ");
            let from = line.find("rack-gateway ").filter(|from| {
                let before = line.get(..*from).unwrap_or_default();
                before.is_empty()
                    || before.ends_with("$(")
                    || before.split_whitespace().all(|word| word.contains('='))
            });
            commands.extend(from.and_then(|from| line.get(from..)).map(str::to_owned));
        }
    }
    commands
}

/// The commands within sentences.
fn inline_commands(text: &str) -> Vec<String> {
    let mut in_code = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !in_code && !fence
        })
        .collect();
    let joined = prose.join(" ");
    let pieces = joined.split('`').skip(1).step_by(2);
    pieces.filter(|piece| piece.starts_with("rack-gateway ")).map(str::to_owned).collect()
}

/// Why a command cannot be typed so, when it cannot.
fn fault(words: &[String], is_whole: bool) -> Option<String> {
    let error = match Arguments::try_parse_from(words) {
        Ok(parsed) => return setting_fault(&parsed),
        Err(error) => error,
    };
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // A sentence names a command; what it needs besides stands elsewhere, and values are names of what to write.
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::ValueValidation
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !is_whole,
        _ => false,
    };
    (!is_fine).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// A setting that is named has to be one, and take the value that is written.
fn setting_fault(parsed: &Arguments) -> Option<String> {
    let Command::Settings(settings) = &parsed.command else { return None };
    let SettingsCommand::Set { key, value, .. } = &settings.command else { return None };
    if key == "KEY" {
        return None;
    }
    match SettingKey::from_name(key) {
        None => Some(format!("no setting is called {key}")),
        Some(key) => key.parse(value).err().map(|fault| fault.to_string()),
    }
}

#[test]
fn every_command_of_the_book_can_be_typed() {
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let whole = block_commands(&text).into_iter().map(|command| (command, true));
        // Alternatives and what is left open are for people.
        let named = inline_commands(&text).into_iter().map(|command| (command, false));
        let named = named.filter(|(command, _)| !command.contains(['|', '…', '[', '*']));
        for (command, is_whole) in whole.chain(named) {
            count += 1;
            let page = page.file_name().unwrap().to_string_lossy().into_owned();
            faults
                .extend(fault(&words(&command), is_whole).map(|why| format!("{page}: {command}\n    {why}")));
        }
    }
    assert!(count > 120, "{count} commands were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn commands_are_read_as_a_shell_reads_them() {
    let read = |line: &str| words(line).join("|");
    assert_eq!(read("rack-gateway a 'b c' \"d\\\"e\" f\\ g # h"), "rack-gateway|a|b c|d\"e|f g");
    assert_eq!(read("rack-gateway a > b"), "rack-gateway|a");
    assert_eq!(
        block_commands("```sh\nA=1 rack-gateway x \\\n  y\necho rack-gateway z\n```\n"),
        ["rack-gateway x    y"]
    );
    assert_eq!(inline_commands("a `rack-gateway b` c `d`"), ["rack-gateway b"]);
    let typed = |line: &str, is_whole| fault(&words(line), is_whole);
    assert!(typed("rack-gateway nothing", false).is_some());
    assert!(typed("rack-gateway switch", true).is_some() && typed("rack-gateway backup", false).is_none());
    assert!(typed("rack-gateway settings set nothing 1", true).is_some());
    assert!(typed("rack-gateway settings set step_up_window 99d", true).is_some());
}
