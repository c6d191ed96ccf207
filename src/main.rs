//! The `barrelman` binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    barrelman::app::run(barrelman::cli::parse()).into()
}
