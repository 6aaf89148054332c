//! The man pages and the completions are made, and name every option of every command.

#[allow(dead_code, reason = "its main is not used here")]
#[path = "../examples/man.rs"]
mod man;

use std::fs;
use std::path::Path;

/// The names of all options of a command, as they are typed.
fn options(command: &clap::Command) -> Vec<String> {
    command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_command_has_a_page_that_names_every_option() {
    let share = tempfile::tempdir().unwrap();
    man::write_all(share.path()).unwrap();
    let command = man::command();
    let pages = share.path().join("man/man1");
    let main = read(&pages.join("shoal.1"));
    for subcommand in command.get_subcommands() {
        let name = format!("shoal-{}", subcommand.get_name());
        let page = read(&pages.join(format!("{name}.1")));
        let escaped = name.replace('-', "\\-");
        assert!(page.contains(&format!(".SH NAME\n{escaped}")), "{page}");
        assert!(main.contains(&format!("{escaped}(1)")), "{main}");
        assert!(page.contains("EXIT STATUS"), "{page}");
        let all = options(subcommand);
        assert!(all.len() > 10, "{name} has options");
        for option in all {
            let shown = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&shown), "--{option} is not in {name}.1\n{page}");
        }
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), 1 + command.get_subcommands().count());
}

#[test]
fn the_completions_of_three_shells_know_every_option() {
    let share = tempfile::tempdir().unwrap();
    man::write_all(share.path()).unwrap();
    let bash = read(&share.path().join("bash-completion/completions/shoal"));
    let zsh = read(&share.path().join("zsh/site-functions/_shoal"));
    let fish = read(&share.path().join("fish/vendor_completions.d/shoal.fish"));
    for subcommand in man::command().get_subcommands() {
        for option in options(subcommand) {
            assert!(bash.contains(&format!("--{option} ")), "bash: --{option}");
            assert!(zsh.contains(&format!("--{option}")), "zsh: --{option}");
            assert!(fish.contains(&format!("-l {option} ")), "fish: --{option}");
        }
    }
}
