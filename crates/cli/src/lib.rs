//! The command `shoal`: arguments, plan, progress, report, exit status. Nothing else in the
//! project prints.
//!
//! The world comes in as an [`Env`] (arguments, variables, directory, output), and
//! [`front::decide`] answers with a value that says what to do, so that the whole front end is
//! tested without MPI. Only [`run`] runs a job, by the library `shoal`.

pub mod args;
pub mod compared;
pub mod env;
pub mod front;
pub mod human;
pub mod job;
pub mod json;
pub mod launch;
pub mod launcher;
pub mod logging;
pub mod placeholder;
pub mod plan;
pub mod process;
pub mod progress;
pub mod refusal;
pub mod report;
pub mod run;
pub mod signals;
pub mod simulate;
pub mod size;
pub mod status;
pub mod target;
pub mod terminal;
pub mod usage;
pub mod words;

pub use env::{Env, Vars};
pub use front::{Action, Orders, decide};
pub use launcher::Launcher;
pub use refusal::Whose;
pub use terminal::Terminal;

use std::io::Write;

/// Does what the command line says and returns the exit status.
pub fn main(mut env: Env) -> i32 {
    signals::outlive_long_files();
    let launcher = Launcher::detect(&env.vars);
    let action = match front::decide(&env, &launcher) {
        Ok(action) => action,
        Err(why) => {
            let whose = refusal::whose(&why, &env, &launcher);
            return refusal::end(&launcher, whose, env.pause, &mut env.stderr, &why);
        }
    };
    match action {
        Action::Print(text) => print(&mut env, &launcher, &text),
        Action::Version(version) if launcher.rank == swarm::Rank::TRACKER => {
            let text = format!("{version}MPI: {}\n", library());
            print(&mut env, &launcher, &text)
        }
        Action::Version(_) => 0,
        Action::Launch(launch) => {
            let why = launch.exec();
            refusal::end(&launcher, Whose::ThisRanks, env.pause, &mut env.stderr, &why)
        }
        Action::Simulate(_) if launcher.rank != swarm::Rank::TRACKER => 0,
        Action::Simulate(simulation) => {
            if let Some(again) = simulation.started_over(&env) {
                // It returns where this program is not to be found any more: then as it is.
                drop(again.exec());
            }
            simulation.run(env)
        }
        Action::Run(orders) => {
            signals::listen(&orders.job.interrupt);
            logging::init(orders.verbosity, launcher.rank, env.began);
            let pause = env.pause;
            let terminal = Terminal::new(&orders, launcher.rank, env);
            run::run(orders.job, &launcher, terminal, pause)
        }
    }
}

/// Prints where rank 0 is, so that it is printed once.
fn print(env: &mut Env, launcher: &Launcher, text: &str) -> i32 {
    if launcher.rank == swarm::Rank::TRACKER {
        // A reader that went away (`shoal --help | head`) is no failure.
        let _ = env.stdout.write_all(text.as_bytes()).and_then(|()| env.stdout.flush());
    }
    0
}

/// The library that a job would take here, and why; else why there is none.
fn library() -> String {
    mpi::choose().map_or_else(|why| why.to_string(), |library| library.to_string())
}
