//! `completions` and `man`.

use anyhow::Result;

use super::out::Console;
use crate::cli::{Completions, Exit, write_man};

/// Prints the script of a shell.
///
/// # Errors
/// The output.
pub fn completions(args: &Completions, console: &mut Console<'_>) -> Result<Exit> {
    // The generator panics where it cannot write: a pipe that was closed must not be its business.
    let mut script = Vec::new();
    args.write(&mut script);
    console.out.write_all(&script)?;
    Ok(Exit::Ok)
}

/// Prints the manual page.
///
/// # Errors
/// The output.
pub fn man(console: &mut Console<'_>) -> Result<Exit> {
    write_man(console.out)?;
    Ok(Exit::Ok)
}
