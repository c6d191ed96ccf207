//! Sealing of secrets for the database: XChaCha20-Poly1305 with a random nonce per value, so that a copied database
//! without its key gives nothing away. The key is BARRELMAN_KEY, or a file of mode 0600 in the data directory.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// What a sealed text begins with.
pub(super) const SEALED: &str = "sealed:v1:";
/// The key's file in the data directory.
pub const KEY_FILE: &str = "secret.key";
/// Bound into every seal, so that the key cannot be made to open anything else.
const PURPOSE: &[u8] = b"barrelman connector secret v1";
const NONCE_BYTES: usize = 24;

/// A secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// BARRELMAN_KEY, or the file, is no key.
    #[error(
        "{0}: expected a key of 32 bytes as 64 hex digits or base64 (make one with: openssl rand -hex 32)"
    )]
    BadKey(String),
    /// Others may read the key's file.
    #[error("{0} can be read by others: chmod 600 it, and change the secrets that it protects")]
    Exposed(PathBuf),
    /// The file cannot be read or made.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Another key, or a changed text.
    #[error(
        "was sealed with another key, or was changed: restore BARRELMAN_KEY or the key file, or enter the secret again"
    )]
    Unseal,
}

/// The key. Its bytes are wiped when it goes, and it prints nothing of them.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// From the key itself.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        Self { cipher: XChaCha20Poly1305::new((&*key).into()) }
    }

    /// From the text of BARRELMAN_KEY.
    pub fn from_text(text: &str, origin: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        let bytes = hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok());
        let key = bytes.and_then(|b| <[u8; 32]>::try_from(Zeroizing::new(b).as_slice()).ok());
        key.map(Self::from_bytes).ok_or_else(|| VaultError::BadKey(origin.to_owned()))
    }

    /// From BARRELMAN_KEY if it is given, else from the key file of the data directory, which is made on demand.
    ///
    /// # Errors
    /// The variable or the file is no key, or others can read the file.
    pub fn open(key: Option<&str>, data_dir: &Path) -> Result<Self, VaultError> {
        if let Some(text) = key.filter(|k| !k.trim().is_empty()) {
            return Self::from_text(text, "BARRELMAN_KEY");
        }
        let path = data_dir.join(KEY_FILE);
        let io = |error| VaultError::Io { path: path.clone(), error };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                private(&path).map_err(io)?.then_some(()).ok_or_else(|| VaultError::Exposed(path.clone()))?;
                Self::from_text(&text, &path.display().to_string())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(data_dir).map_err(io)?;
                let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
                let text = Zeroizing::new(hex::encode(*key));
                match write_private(&path, text.as_bytes()) {
                    Ok(()) => Ok(Self::from_bytes(*key)),
                    // Another process was faster: its key counts.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::open(None, data_dir),
                    Err(error) => Err(io(error)),
                }
            }
            Err(error) => Err(io(error)),
        }
    }

    /// A text for the database; another one every time.
    pub fn seal(&self, secret: &str) -> Result<String, VaultError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.as_bytes(), aad: PURPOSE };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Unseal)?;
        Ok(format!("{SEALED}{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// The secret in a sealed text.
    pub fn unseal(&self, text: &str) -> Result<SecretString, VaultError> {
        let bytes =
            text.strip_prefix(SEALED).and_then(|b| STANDARD.decode(b).ok()).ok_or(VaultError::Unseal)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Unseal)?;
        let payload = Payload { msg: sealed, aad: PURPOSE };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Unseal)?;
        let opened = Zeroizing::new(opened);
        let text = std::str::from_utf8(&opened).map_err(|_| VaultError::Unseal)?;
        Ok(SecretString::from(text))
    }

    /// Seals every literal of the options in `secrets`; texts within a table (`headers`) one by one. References to
    /// the environment and sealed texts stay as they are.
    pub fn seal_config(
        &self,
        config: &mut serde_json::Map<String, serde_json::Value>,
        secrets: &[&str],
    ) -> Result<(), VaultError> {
        for (key, value) in config.iter_mut().filter(|(k, _)| secrets.contains(&k.as_str())) {
            self.seal_value(value).map_err(|e| match e {
                VaultError::Unseal => VaultError::BadKey(key.clone()),
                other => other,
            })?;
        }
        Ok(())
    }

    fn seal_value(&self, value: &mut serde_json::Value) -> Result<(), VaultError> {
        use serde_json::Value;
        match value {
            Value::String(text) if super::secret::is_sealed(text) || super::secret::is_reference(text) => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => *text = self.seal(text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|v| self.seal_value(v))?,
            Value::Object(map) => {
                let hidden = map.iter_mut().filter(|(name, _)| !super::secret::is_plain_header(name));
                hidden.map(|(_, v)| v).try_for_each(|v| self.seal_value(v))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Creates the file for its owner alone: whole, or not at all, whatever dies meanwhile.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let half = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&half)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    // A hard link, unlike a rename, refuses to replace another process's key.
    let linked = written.and_then(|()| fs::hard_link(&half, path));
    fs::remove_file(&half)?;
    linked
}

/// Others cannot read it. The group may: a volume's fsGroup gives it that right at every mount.
fn private(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS: u32 = 0o007;
        Ok(fs::metadata(path)?.permissions().mode() & OTHERS == 0)
    }
    #[cfg(not(unix))]
    {
        fs::metadata(path).map(|_| true)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_alone() {
        let vault = Vault::from_bytes([1; 32]);
        let sealed = vault.seal("xoxb-1").unwrap();
        assert!(sealed.starts_with(SEALED) && !sealed.contains("xoxb"));
        assert_ne!(sealed, vault.seal("xoxb-1").unwrap());
        assert_eq!(vault.unseal(&sealed).unwrap().expose_secret(), "xoxb-1");
        assert!(Vault::from_bytes([2; 32]).unseal(&sealed).is_err());
        let mut changed = sealed.clone();
        changed.insert(SEALED.len(), 'A');
        for bad in [changed.as_str(), "sealed:v1:", "sealed:v1:AAAA", "plain"] {
            assert!(vault.unseal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep/data");
        let sealed = Vault::open(None, &data).unwrap().seal("s").unwrap();
        assert_eq!(Vault::open(Some(" "), &data).unwrap().unseal(&sealed).unwrap().expose_secret(), "s");
        let path = data.join(KEY_FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(Vault::open(None, &data), Err(VaultError::Exposed(_))));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(Vault::open(Some(&text), Path::new("/nonexistent")).unwrap().unseal(&sealed).is_ok());
        fs::write(&path, "short").unwrap();
        assert!(matches!(Vault::open(None, &data), Err(VaultError::BadKey(_))));
    }

    #[test]
    fn sealing_options_leaves_references_and_other_options() {
        let vault = Vault::from_bytes([1; 32]);
        let mut config = serde_json::json!({
            "url": "https://x", "token": "${T}", "headers": {"a": "b", "Content-Type": "text/x"}, "channel": "#c"
        });
        let config = config.as_object_mut().unwrap();
        vault.seal_config(config, &["url", "token", "headers"]).unwrap();
        assert!(config["url"].as_str().unwrap().starts_with(SEALED));
        assert!(config["headers"]["a"].as_str().unwrap().starts_with(SEALED));
        assert_eq!(config["headers"]["Content-Type"], "text/x", "it goes with an export as it is");
        assert_eq!((config["token"].as_str(), config["channel"].as_str()), (Some("${T}"), Some("#c")));
        let before = config.clone();
        vault.seal_config(config, &["url", "token", "headers"]).unwrap();
        assert_eq!(*config, before, "sealing again changes nothing");
    }
}
