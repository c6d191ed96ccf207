//! The `barrelman` binary: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    barrelman::app::run(barrelman::cli::Cli::parse()).into()
}
