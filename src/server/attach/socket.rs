//! The socket's file: its permissions, and what becomes of one that a dead process left.

use std::{
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::Error;

const NAME: &str = "barrelman.sock";

/// The socket of a data directory.
pub fn path_in(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

pub(super) fn io(path: &Path, error: &std::io::Error) -> Error {
    // The system's limit is about 100 bytes; the error for it is plain "invalid input".
    if error.kind() == ErrorKind::InvalidInput {
        return Error::TooLong(path.to_owned());
    }
    Error::Io { path: path.to_owned(), cause: error.to_string() }
}

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Not if somebody else's stands there by now.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// That no engine serves a data directory.
///
/// # Errors
/// One does, or the system refuses.
pub async fn nobody(dir: &Path) -> Result<(), Error> {
    let path = path_in(dir);
    // Only what a dead engine left is replaced.
    if std::fs::symlink_metadata(&path).is_ok_and(|m| !m.file_type().is_socket()) {
        let cause = "it is there, and no socket: move it away".to_owned();
        return Err(Error::Io { path, cause });
    }
    match UnixStream::connect(&path).await {
        Ok(_) => Err(Error::Served(path)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(()),
        Err(e) => Err(io(&path, &e)),
    }
}

/// Binds the socket of a data directory, 0600. One that nobody answers on is replaced.
///
/// # Errors
/// Another engine answers there, or the system refuses.
pub async fn bind(dir: &Path) -> Result<Socket, Error> {
    nobody(dir).await?;
    let path = path_in(dir);
    // Bound in a directory of our own and moved from there, so that at no time others may connect.
    let nest = dir.join(format!(".sock-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&nest);
    std::fs::DirBuilder::new().mode(0o700).create(&nest).map_err(|e| io(&nest, &e))?;
    let result = bind_in(&nest, &path);
    let _ = std::fs::remove_dir_all(&nest);
    let (listener, inode) = result.map_err(|e| io(&path, &e))?;
    Ok(Socket { listener, path, inode })
}

fn bind_in(nest: &Path, path: &Path) -> std::io::Result<(UnixListener, u64)> {
    let inner = nest.join("s");
    let listener = UnixListener::bind(&inner)?;
    std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o600))?;
    let inode = std::fs::symlink_metadata(&inner)?.ino();
    std::fs::rename(&inner, path)?;
    Ok((listener, inode))
}
