//! The binary `shoal`: hands the world to the library and ends with its status.

fn main() {
    std::process::exit(cli::main(cli::Env::of_process()));
}
