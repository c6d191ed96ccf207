//! From older schemas to the newest, a step per version, in the transaction that opens the file.

use super::{error::Result, schema::META, tx::Tx};

/// Brings a file of version `from` (0 = new) to the newest schema.
pub(super) fn migrate(tx: &Tx<'_>, from: u32) -> Result<()> {
    if from == 0 {
        // Both are random: the first tells stores apart, the second keys the hashes of Secret values.
        tx.put(&META, "store_id", &hex::encode(rand::random::<[u8; 16]>()).into())?;
        tx.put(&META, "hash_key", &hex::encode(rand::random::<[u8; 32]>()).into())?;
    }
    Ok(())
}
