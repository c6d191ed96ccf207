//! What is known of the objects of a cluster.

use crate::{
    event::{ClusterUid, Kind},
    store::{BASELINES, FIRINGS, FiringRow, error::Result, keys, tx::Read},
};

/// Whether objects of a cluster were listed, of one kind or of any: only of what was listed an absence says something.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn is_listed(read: &impl Read, cluster: &ClusterUid, kind: Option<Kind>) -> Result<bool> {
    let prefix = match kind {
        Some(kind) => keys::prefix(&[cluster.as_str(), kind.as_str()]),
        None => keys::prefix(&[cluster.as_str()]),
    };
    let mut any = false;
    read.scan(&BASELINES, &prefix, &prefix, &mut |_, _| {
        any = true;
        false
    })?;
    Ok(any)
}

/// The nodes of a cluster that are not ready, or have only to stay so.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn nodes_failing(read: &impl Read, cluster: &ClusterUid) -> Result<Vec<FiringRow>> {
    let prefix = format!("{}{}/", keys::prefix(&[cluster.as_str()]), Kind::Node);
    let rows: Vec<(String, FiringRow)> = read.all(&FIRINGS, &prefix)?;
    Ok(rows.into_iter().map(|(_, row)| row).filter(FiringRow::is_lost_node).collect())
}
