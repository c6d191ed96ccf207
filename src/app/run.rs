//! From the parsed command line to the exit code.

use anyhow::Result;

use super::{commands, configuration, dashboard, demo, forward, logging, screen::Screens};
use crate::{
    cli::{Cli, Command, Exit},
    config::{self, Flags},
};

/// Does what the command line says.
pub fn run(cli: Cli) -> Exit {
    // Before anything speaks TLS: there is one provider in the whole program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Before the runtime, whose threads step back from that of the screen.
    let screens = match shows(&cli).then(Screens::before_the_rest).transpose() {
        Ok(screens) => screens,
        Err(error) => return fail(&anyhow::anyhow!("cannot start the thread of the screen: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(command(cli, screens));
    // Everything was stopped in order; what is left waits for a key that nobody will press.
    runtime.shutdown_timeout(std::time::Duration::from_millis(50));
    result.unwrap_or_else(|error| fail(&error))
}

/// Whether there will be a dashboard.
fn shows(cli: &Cli) -> bool {
    match &cli.command {
        None => true,
        Some(Command::Demo(args)) => !args.headless,
        Some(_) => false,
    }
}

async fn command(cli: Cli, screens: Option<Screens>) -> Result<Exit> {
    let mut flags = cli.global.flags();
    match (&cli.command, screens) {
        (Some(Command::Forward(args)), _) => {
            // Before the configuration is read: what is asked while it starts is done once it has.
            let asked = forward::Asked::new()?;
            flags.log_format = args.log_format.map(|f| f.as_str().to_owned());
            flags.listen.clone_from(&args.listen);
            let Some(resolved) = load(&flags) else { return Ok(Exit::Usage) };
            logging::to_stderr(&resolved.settings.log);
            for warning in &resolved.warnings {
                tracing::warn!("{warning}");
            }
            forward::run(resolved.settings, flags, asked).await
        }
        (Some(Command::Demo(args)), None) => {
            // Nothing of it but the screen's part is used, but what cannot be used must not pass.
            if configured(&flags).is_none() {
                return Ok(Exit::Usage);
            }
            logging::to_stderr(&config::LogSettings { level: "warn".into(), json: false });
            demo::headless(args).await
        }
        (Some(Command::Demo(args)), Some(screens)) => {
            let Some(resolved) = configured(&flags) else { return Ok(Exit::Usage) };
            if !on_terminal("`barrelman demo --headless` prints what happens, without a screen") {
                return Ok(Exit::Usage);
            }
            dashboard::demo(args, resolved.settings.ui, &screens).await
        }
        (None, Some(screens)) => {
            // Before anything is opened: what cannot be used must not start an engine.
            let Some(resolved) = load(&flags) else { return Ok(Exit::Usage) };
            if !on_terminal("`barrelman forward` watches and delivers without a screen") {
                return Ok(Exit::Usage);
            }
            dashboard::run(resolved, flags, &screens).await
        }
        _ => Ok(commands::run(&cli).await?.unwrap_or(Exit::Ok)),
    }
}

/// The configuration, or every problem with it, connectors included, on standard error.
fn configured(flags: &Flags) -> Option<config::Resolved> {
    match configuration::look(flags).usable() {
        Ok(resolved) => Some(resolved),
        Err(problems) => {
            complain(&problems.to_string());
            None
        }
    }
}

/// The same for what watches clusters.
fn load(flags: &Flags) -> Option<config::Resolved> {
    let resolved = configured(flags)?;
    let hopeless = configuration::hopeless(&resolved.settings);
    if hopeless.is_empty() {
        return Some(resolved);
    }
    complain(&config::Problems(hopeless).to_string());
    None
}

/// Whether there is a screen to draw on and somebody to press keys; if not, what to do instead is told.
fn on_terminal(instead: &str) -> bool {
    use std::io::{IsTerminal, stdin, stdout};
    let there = stdin().is_terminal() && stdout().is_terminal();
    if !there {
        complain(&format!("barrelman: the dashboard needs a terminal as input and output; {instead}"));
    }
    there
}

fn complain(text: &str) {
    use std::io::Write;
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The cause on standard error, and the exit code that fits it.
fn fail(error: &anyhow::Error) -> Exit {
    complain(&format!("barrelman: {error:#}"));
    commands::exit_of(error)
}
