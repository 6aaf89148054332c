//! What clap finds wrong, as one sentence and a hint; and what it prints when help was asked for.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What came of arguments that did not parse.
#[derive(Debug)]
pub enum NotParsed {
    /// Help was asked for: this is it.
    Shown(String),
    /// The version was asked for: this is it.
    Version(String),
    /// Wrong usage.
    Wrong(anyhow::Error),
}

/// Turns clap's answer into ours; `command` is the command that was given, where one was.
pub fn explain(error: &clap::Error, command: Option<&str>) -> NotParsed {
    match error.kind() {
        ErrorKind::DisplayHelp => NotParsed::Shown(error.render().to_string()),
        ErrorKind::DisplayVersion => NotParsed::Version(error.render().to_string()),
        kind => {
            let help = match command {
                Some(command) => format!("shoal {command} --help"),
                None => "shoal --help".to_owned(),
            };
            let sentence = sentence(error, kind, command);
            NotParsed::Wrong(anyhow::anyhow!("{sentence}\nTry '{help}'."))
        }
    }
}

fn sentence(error: &clap::Error, kind: ErrorKind, command: Option<&str>) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let arg = context(ContextKind::InvalidArg).unwrap_or_default();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    match kind {
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let guess = context(ContextKind::SuggestedArg)
                .map_or_else(String::new, |guess| format!("; did you mean '{guess}'?"));
            let of = command.map_or_else(String::new, |command| format!(" for 'shoal {command}'"));
            format!("unknown option '{arg}'{of}{guess}")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument '{arg}'"),
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let guess = context(ContextKind::SuggestedSubcommand).map_or_else(
                || "; the commands are run, cast and simulate".to_owned(),
                |guess| format!("; did you mean '{guess}'?"),
            );
            format!("unknown command '{name}'{guess}")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "say what to do: run, cast or simulate".to_owned()
        }
        ErrorKind::MissingRequiredArgument if command == Some("cast") => {
            "cast needs at least one SRC, and DEST_DIR: shoal cast SRC... DEST_DIR".to_owned()
        }
        ErrorKind::InvalidValue if !value.is_empty() => {
            let possible = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => values.join(", "),
                _ => String::new(),
            };
            let option = arg.split(' ').next().unwrap_or_default();
            format!("{option} '{value}': it is one of {possible}")
        }
        ErrorKind::InvalidValue => format!("{arg} needs a value"),
        ErrorKind::InvalidUtf8 => {
            "an argument that must be text (a --want pattern, a number) is not UTF-8".to_owned()
        }
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            Some(other) if other != arg => {
                let name = |arg: &str| arg.split(' ').next().unwrap_or_default().to_owned();
                format!("{} and {} do not go together", name(&arg), name(&other))
            }
            _ => format!("{arg} is given twice"),
        },
        _ => first_paragraph(&error.render().to_string(), &arg, &value),
    }
}

/// Clap's own sentence: its first paragraph, without the parts that we say in another way.
fn first_paragraph(rendered: &str, arg: &str, value: &str) -> String {
    let paragraph = rendered.split("\n\n").next().unwrap_or(rendered);
    let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
    let text = lines.join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // "invalid value 'x' for '--batch <N>': why" names the option last; the option comes first
    // here.
    match text.strip_prefix(&format!("invalid value '{value}' for '{arg}': ")) {
        Some(why) => format!("{} '{value}': {why}", arg.split(' ').next().unwrap_or(arg)),
        None => text.to_owned(),
    }
}
