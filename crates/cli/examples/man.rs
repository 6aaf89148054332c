//! Writes the man pages and the shell completions, from the definition that `--help` is made of:
//! `make man`. It knows no option by name.
//!
//! The directory that it is given becomes what `/usr/local/share` is: `man/man1/shoal.1`,
//! `bash-completion/completions/shoal`, `zsh/site-functions/_shoal`,
//! `fish/vendor_completions.d/shoal.fish`.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// Where each shell looks, below a `share` directory.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];
/// The names under which the shells look for the completions of `shoal`.
const FILES: [&str; 3] = ["shoal", "_shoal", "shoal.fish"];

fn main() -> io::Result<()> {
    let share = std::env::args_os().nth(1).unwrap_or_else(|| "target/share".into());
    write_all(Path::new(&share))?;
    println!("{}: man pages and completions", Path::new(&share).display());
    Ok(())
}

/// The command line, as it is parsed. The pages speak of every MPI, not of the one of this build.
pub fn command() -> Command {
    let mut command = cli::args::Args::command().version(env!("CARGO_PKG_VERSION"));
    command.build();
    command
}

/// Writes every page and every completion below `share`.
///
/// # Errors
///
/// Where a directory or a file cannot be written.
pub fn write_all(share: &Path) -> io::Result<()> {
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages)?;
    let command = command();
    let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    fs::write(pages.join("shoal.1"), page(&command, &see_also(&names))?)?;
    for subcommand in command.get_subcommands() {
        let name = format!("shoal-{}", subcommand.get_name());
        fs::write(pages.join(format!("{name}.1")), page(subcommand, "shoal(1)")?)?;
    }
    for ((shell, directory), file) in COMPLETIONS.into_iter().zip(FILES) {
        let directory = share.join(directory);
        fs::create_dir_all(&directory)?;
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut self::command(), "shoal", &mut text);
        fs::write(directory.join(file), text)?;
    }
    Ok(())
}

fn see_also(names: &[&str]) -> String {
    let pages: Vec<String> = names.iter().map(|name| format!("shoal-{name}(1)")).collect();
    pages.join(", ")
}

/// One page: what is after the options keeps its lines, as `--help` shows them.
fn page(command: &Command, see_also: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).source(concat!("shoal ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_opts().next().is_some() {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut text = String::new();
    for line in after.lines() {
        let is_heading = line.ends_with(':') && !line.starts_with(' ');
        if is_heading {
            close(&mut text);
            let heading = line.trim_end_matches(':');
            let _ = write!(text, ".SH \"{}\"\n.nf\n", escaped(&heading.to_uppercase()));
        } else {
            if text.is_empty() {
                text.push_str(".SH NOTES\n.nf\n");
            }
            let _ = writeln!(text, "{}", escaped(line));
        }
    }
    close(&mut text);
    let _ = write!(text, ".SH \"SEE ALSO\"\n{}\n", escaped(see_also));
    page.extend(text.into_bytes());
    Ok(page)
}

fn close(text: &mut String) {
    if !text.is_empty() {
        text.push_str(".fi\n");
    }
}

/// Text that roff shows as it is.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    let is_request = line.starts_with('.') || line.starts_with('\'');
    if is_request { format!("\\&{line}") } else { line }
}
