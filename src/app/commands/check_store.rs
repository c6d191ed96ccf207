//! `check`'s look at the data directory: can the store be opened, how large is it, how much room is left, and does it
//! outlive a container.

use std::path::{Path, PathBuf};

use super::{
    check::{Area, Finding},
    check_parts::served,
    store::bytes,
};
use crate::{
    config::{Settings, StoreSettings},
    store::{Error, META, Read, Reader, Store, maintain},
    watch::Clock,
};

/// Below this, commits may fail any moment.
const LITTLE: u64 = 64 << 20;

/// The store and its directory.
pub async fn store(settings: &Settings, clock: Clock) -> Vec<Finding> {
    let dir = &settings.store.dir;
    let mut findings = vec![opened(settings, clock).await];
    findings.extend(open_to_others(dir));
    findings.extend(room(&settings.store));
    if in_container()
        && let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo")
        && let Some(why) = forgets(&mounts, dir)
    {
        let next = format!("mount a volume there, or set store.dir to one (now {})", dir.display());
        findings.push(Finding::warn(Area::Store, "store", why, next));
    }
    findings
}

async fn opened(settings: &Settings, clock: Clock) -> Finding {
    let (area, what, dir) = (Area::Store, "store", &settings.store.dir);
    let reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(Error::Missing(path)) => return not_there_yet(&path, dir, clock),
        Err(Error::NeedsWriter(path)) => {
            let text = format!("{} was not closed in order; the next start repairs it", path.display());
            return Finding::warn(area, what, text, "start barrelman, or barrelman store verify");
        }
        Err(error) => return Finding::fail(area, what, error.to_string(), "barrelman store verify"),
    };
    let schema = reader.snapshot().and_then(|s| s.get(&META, "schema"));
    let schema = match schema {
        Ok(schema) => schema.and_then(|v| v.as_u64()).unwrap_or(0),
        Err(error) => return Finding::fail(area, what, error.to_string(), "barrelman store verify"),
    };
    drop(reader);
    let path = maintain::file_of(dir);
    let size = std::fs::metadata(&path).map_or(0, |m| m.len());
    let facts = format!("{}, {}, schema {schema}", path.display(), bytes(size));
    match served(settings).await {
        Ok(Some(by)) => return Finding::ok(area, what, format!("{facts}; {by}")),
        Ok(None) => {}
        Err(why) => {
            return Finding::warn(area, what, format!("{facts}; {why}"), "use the same version for both");
        }
    }
    match Store::open(dir) {
        Ok(store) => {
            // A thread that panicked has nothing left to close.
            let _ = tokio::task::spawn_blocking(move || store.close()).await;
            Finding::ok(area, what, facts)
        }
        Err(Error::Held(_)) => {
            let text = format!("{facts}; another process writes to it, and does not answer");
            Finding::warn(area, what, text, "stop it if it hangs; one process at a time writes")
        }
        Err(error) => Finding::fail(area, what, error.to_string(), "mend the directory, or --data-dir"),
    }
}

fn not_there_yet(path: &Path, dir: &Path, clock: Clock) -> Finding {
    let (area, what) = (Area::Store, "store");
    let Some(there) = existing(dir) else {
        return Finding::fail(
            area,
            what,
            format!("{} cannot be made", dir.display()),
            "choose another --data-dir",
        );
    };
    // Rights, quotas and read-only mounts: only a try tells.
    let probe = there.join(format!(".barrelman-check-{}-{}", std::process::id(), clock().as_millisecond()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => {
            Finding::ok(area, what, format!("{} is not there yet; the first start makes it", path.display()))
        }
        Err(error) => {
            let text = format!("{} cannot be written: {error}", there.display());
            Finding::fail(area, what, text, "mend its permissions, or choose another --data-dir")
        }
    }
}

/// The nearest directory on the way there that exists.
fn existing(dir: &Path) -> Option<PathBuf> {
    dir.ancestors()
        .map(|a| if a.as_os_str().is_empty() { Path::new(".") } else { a })
        .find(|a| a.is_dir())
        .map(Path::to_owned)
}

/// Files that others of this machine can read: events and what connectors are told are in them. A volume's group
/// (`fsGroup` in a pod) is meant to.
#[cfg(unix)]
pub fn open_to_others(dir: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    const STICKY: u32 = 0o1000;
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.permissions().mode());
    let others = |path: &Path| mode(path) & 0o007 != 0;
    if mode(dir) & (0o002 | STICKY) == 0o002 {
        // Whoever may write there puts a store or a key of his own in place of ours.
        let text = format!("everybody on this machine can replace what is in {}", dir.display());
        return Some(Finding::warn(Area::Store, "store", text, format!("chmod 700 {}", dir.display())));
    }
    let file = maintain::file_of(dir);
    // A closed directory closes what is in it.
    if !others(dir) || !others(&file) {
        return None;
    }
    let text = format!("{} can be read by everybody on this machine", file.display());
    Some(Finding::warn(Area::Store, "store", text, format!("chmod 700 {0}; chmod 600 {0}/*", dir.display())))
}

#[cfg(not(unix))]
pub fn open_to_others(_dir: &Path) -> Option<Finding> {
    None
}

#[cfg(unix)]
fn room(settings: &StoreSettings) -> Option<Finding> {
    let stat = rustix::fs::statvfs(existing(&settings.dir)?).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let size = std::fs::metadata(maintain::file_of(&settings.dir)).map_or(0, |m| m.len());
    let (area, what) = (Area::Store, "disk");
    let text = format!("{} free", bytes(free));
    let grows = settings.max_bytes.saturating_sub(size);
    Some(if free < LITTLE {
        Finding::fail(area, what, text, "free space: a full disk stops everything")
    } else if size > settings.max_bytes.saturating_mul(2) {
        let text = format!(
            "{text}; the store's file has {}, store.max_bytes is {}",
            bytes(size),
            bytes(settings.max_bytes)
        );
        Finding::warn(
            area,
            what,
            text,
            "stop it and run barrelman store compact: free pages stay in the file otherwise",
        )
    } else if free < grows {
        let text = format!("{text}; the store may grow by {}", bytes(grows));
        Finding::warn(area, what, text, "free space, or lower store.max_bytes")
    } else {
        Finding::ok(area, what, text)
    })
}

#[cfg(not(unix))]
fn room(_settings: &StoreSettings) -> Option<Finding> {
    None
}

fn in_container() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        || Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
}

/// Why what is kept in a directory of a container does not outlive it, if so. The format is proc(5)'s mountinfo.
fn forgets(mounts: &str, dir: &Path) -> Option<&'static str> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (root, at) = (fields.nth(3)?, fields.next()?);
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        dir.starts_with(at).then_some((at, root, kind))
    });
    // A later line covers an earlier one at the same place.
    let (at, root, kind) = mounted.max_by_key(|(at, ..)| at.len())?;
    if root.contains("kubernetes.io~empty-dir") {
        return Some(
            "the data directory is an emptyDir: it goes with the pod, a new one begins from nothing",
        );
    }
    (at == "/" || matches!(kind, "overlay" | "tmpfs"))
        .then_some("the data directory is no volume: a restart of the container forgets everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
600 500 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/x
601 600 0:51 / /tmp rw - tmpfs tmpfs rw
602 600 8:1 /var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/scratch /scratch rw - ext4 /dev/sda1 rw
603 600 8:2 /data /var/lib/barrelman rw - ext4 /dev/sdb rw";

    #[test]
    fn a_directory_without_a_volume_forgets() {
        for (dir, why) in [
            ("/root/.local", Some("no volume")),
            ("/tmp/x", Some("no volume")),
            ("/scratch/data", Some("emptyDir")),
            ("/var/lib/barrelman", None),
            ("/var/lib/barrelman/deep", None),
            ("/var/lib/barrelman2", Some("no volume")),
        ] {
            let found = forgets(MOUNTS, Path::new(dir));
            assert_eq!(found.is_some(), why.is_some(), "{dir}: {found:?}");
            assert!(found.unwrap_or_default().contains(why.unwrap_or_default()), "{dir}: {found:?}");
        }
    }
}
