//! The `barrelman` binary: parse, run, exit code.

use std::process::ExitCode;

/// Rows, messages and records come and go by the thousand, made on one thread and dropped on another: the system's
/// allocator takes a quarter of the processor's time for that, and keeps what a flood has needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    barrelman::app::run(barrelman::cli::parse()).into()
}
