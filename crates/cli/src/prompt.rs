//! The interactive SQL prompt: history, completion, statements over several lines.

use std::{borrow::Cow, path::PathBuf};

use anyhow::{Context, Result};
use reedline::{
    ColumnarMenu, Completer, CompletionResult, Emacs, FileBackedHistory, KeyCode, KeyModifiers,
    MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, Span, Suggestion, ValidationResult, Validator, default_emacs_keybindings,
};

use crate::statements::split;

const MENU: &str = "completion";
const HISTORY_LINES: usize = 1_000;

/// What a person entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A statement, without its semicolon.
    Statement(String),
    /// `\name argument`.
    Command(String, String),
    /// End of input.
    Quit,
}

/// Reads statements from the terminal.
pub struct Terminal {
    editor: Reedline,
}

impl Terminal {
    /// A prompt that completes `words` and keeps its history in `history`.
    ///
    /// # Errors
    /// The history file cannot be opened.
    pub fn new(words: Vec<String>, history: Option<PathBuf>) -> Result<Self> {
        let mut keys = default_emacs_keybindings();
        let open = vec![
            ReedlineEvent::Menu(MENU.to_owned()),
            ReedlineEvent::MenuNext,
        ];
        keys.add_binding(
            KeyModifiers::NONE,
            KeyCode::Tab,
            ReedlineEvent::UntilFound(open),
        );
        let menu = ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU)));
        let mut editor = Reedline::create()
            .with_completer(Box::new(Words(words)))
            .with_menu(menu)
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_validator(Box::new(Statements));
        if let Some(file) = history {
            let kept = FileBackedHistory::with_file(HISTORY_LINES, file.clone())
                .with_context(|| format!("cannot open the history {}", file.display()))?;
            editor = editor.with_history(Box::new(kept));
        }
        Ok(Terminal { editor })
    }

    /// What was entered next: one or several statements, or a command.
    ///
    /// # Errors
    /// The terminal fails.
    pub fn read(&mut self) -> Result<Vec<Entry>> {
        match self.editor.read_line(&Sql)? {
            Signal::Success(text) => Ok(entries(&text)),
            Signal::CtrlC => Ok(Vec::new()),
            _ => Ok(vec![Entry::Quit]),
        }
    }
}

fn entries(text: &str) -> Vec<Entry> {
    let (statements, _) = split(text);
    statements.iter().map(|s| entry(s.text)).collect()
}

/// What a statement means.
pub fn entry(text: &str) -> Entry {
    if let Some(command) = text.strip_prefix('\\') {
        let command = command.trim_end_matches([';', ' ']);
        let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
        return match name {
            "q" | "quit" => Entry::Quit,
            _ => Entry::Command(name.to_owned(), argument.trim().to_owned()),
        };
    }
    match text {
        "exit" | "quit" => Entry::Quit,
        "help" => Entry::Command("help".to_owned(), String::new()),
        statement => Entry::Statement(statement.to_owned()),
    }
}

struct Statements;

impl Validator for Statements {
    fn validate(&self, text: &str) -> ValidationResult {
        if split(text).1 || ["exit", "quit", "help"].contains(&text.trim()) {
            ValidationResult::Complete
        } else {
            ValidationResult::Incomplete
        }
    }
}

struct Words(Vec<String>);

impl Completer for Words {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let before = line.get(..position).unwrap_or(line);
        let is_word = |c: char| c.is_alphanumeric() || "_.\\".contains(c);
        let start = before.char_indices().rev().find(|(_, c)| !is_word(*c));
        let start = start.map_or(0, |(i, c)| i + c.len_utf8());
        CompletionResult::fresh(matching(
            &self.0,
            &before[start..],
            Span::new(start, position),
        ))
    }
}

fn matching(words: &[String], typed: &str, span: Span) -> Vec<Suggestion> {
    const MOST: usize = 40;
    let typed = typed.to_lowercase();
    if typed.is_empty() {
        return Vec::new();
    }
    words
        .iter()
        .filter(|word| word.to_lowercase().starts_with(&typed))
        .take(MOST)
        .map(|word| Suggestion {
            value: word.clone(),
            span,
            ..Suggestion::default()
        })
        .collect()
}

struct Sql;

impl Prompt for Sql {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("callgauge")
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("      ...> ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("search '{}': ", search.term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_its_semicolon_and_a_command_at_its_line() {
        assert!(matches!(
            Statements.validate("SELECT 1"),
            ValidationResult::Incomplete
        ));
        assert!(matches!(
            Statements.validate("SELECT\n1;"),
            ValidationResult::Complete
        ));
        assert!(matches!(
            Statements.validate("\\d legs"),
            ValidationResult::Complete
        ));
        assert!(matches!(
            Statements.validate("SELECT 'a;"),
            ValidationResult::Incomplete
        ));
        let two = ["SELECT 1", "SELECT ';'"].map(|s| Entry::Statement(s.into()));
        assert_eq!(entries("SELECT 1 ; SELECT ';';"), two);
        assert!(entries(" -- nothing").is_empty());
        assert_eq!(entry("\\d legs"), Entry::Command("d".into(), "legs".into()));
        assert_eq!(entry("quit"), Entry::Quit);
    }

    #[test]
    fn completion_looks_at_the_word_under_the_cursor_also_behind_chinese_text() {
        let mut words = Words(vec!["kpi.queue_visits".into(), "MEASURE".into()]);
        let line = "SELECT '账单', meas";
        let found = words.complete(line, line.len());
        let found = found.suggestions();
        assert_eq!(found.len(), 1);
        assert_eq!(&line[found[0].span.start..found[0].span.end], "meas");
    }
}
