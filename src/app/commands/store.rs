//! `store backup | verify | compact`.

use anyhow::Result;

use super::{counted, out::Console, usage};
use crate::{
    cli::{Exit, StoreArgs, StoreCommand},
    config::{KEY_FILE, Resolved},
    store::{Error, Reader, maintain},
};

/// Copies, verifies or compacts the database.
///
/// # Errors
/// There is none, another process holds it, or the disk.
pub fn run(args: &StoreArgs, resolved: &Resolved, console: &mut Console<'_>) -> Result<Exit> {
    let dir = &resolved.settings.store.dir;
    match &args.command {
        StoreCommand::Backup { to } if to.exists() => {
            Err(usage(format!("{} exists already: choose another name for the backup", to.display())))
        }
        StoreCommand::Backup { to } => {
            let size = maintain::backup(&Reader::open(dir)?.snapshot()?, to)?;
            console.line(format!("{} is written, {}", to.display(), bytes(size)))?;
            let key = dir.join(KEY_FILE);
            if key.exists() {
                console.note(format!(
                    "the secrets in it are sealed: keep {} too, elsewhere; without it they must be entered again",
                    key.display()
                ));
            }
            Ok(Exit::Ok)
        }
        StoreCommand::Verify => verify(dir, console),
        StoreCommand::Compact => {
            let (before, after) = maintain::compact(dir)?;
            console.line(format!("{} before, {} now", bytes(before), bytes(after)))?;
            Ok(Exit::Ok)
        }
    }
}

fn verify(dir: &std::path::Path, console: &mut Console<'_>) -> Result<Exit> {
    let mut sound = true;
    // Pages can be looked at only where nobody writes; rows beside a writer too.
    match maintain::check_pages(dir) {
        Ok(true) => console.line("✓ every page is as it was written")?,
        Ok(false) => {
            console.line("! pages did not fit together, and were repaired: look at the rows below")?;
        }
        Err(Error::Held(_)) => console.line("! pages are not checked while another process writes")?,
        Err(error) => return Err(error.into()),
    }
    let report = maintain::verify_dir(dir)?;
    for problem in &report.problems {
        console.line(format!("✖ {problem}"))?;
        sound = false;
    }
    let rows: u64 = report.rows.values().sum();
    let tables = report.rows.values().filter(|n| **n > 0).count() as u64;
    console.line(format!("{} in {} read", counted(rows, "row"), counted(tables, "table")))?;
    if sound {
        console.line("✓ rows and indices agree")?;
        return Ok(Exit::Ok);
    }
    let found = counted(report.found, "problem");
    console.line(format!("✖ {found}: restore a backup, or move the file away to start anew"))?;
    Ok(Exit::Store)
}

/// `1.4 MiB`
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or_default();
    if value >= 100.0 || unit == "B" { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}
