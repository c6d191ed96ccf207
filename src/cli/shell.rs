//! `barrelman completions` and `barrelman man`: made from these very types.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Print completions for a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  barrelman completions bash > ~/.local/share/bash-completion/completions/barrelman
  barrelman completions zsh > \"${fpath[1]}/_barrelman\"
  barrelman completions fish > ~/.config/fish/completions/barrelman.fish")]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell
    pub shell: Shell,
}

impl Completions {
    /// Writes the script.
    pub fn write(&self, out: &mut dyn Write) {
        let mut out = out;
        clap_complete::generate(self.shell, &mut Cli::command(), "barrelman", &mut out);
    }
}

/// Writes the manual page: the program, then every command.
pub fn write_man(out: &mut dyn Write) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        clap_mangen::Man::new(sub.clone()).render(out)?;
    }
    Ok(())
}
