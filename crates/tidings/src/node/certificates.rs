//! The certificate in force, and how a new one takes its place without a restart.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::time::MissedTickBehavior;

use crate::config::{BadPair, Pair, TlsFiles};

/// What new connections are made with: none where they are plain. Cloning shares it.
#[derive(Clone)]
pub(super) struct Certificates(Arc<RwLock<Option<Loaded>>>);

/// A pair that was read.
pub(super) struct Loaded {
    files: TlsFiles,
    /// How the files looked before they were read: what changes while they are is seen the next time.
    seen: [Option<Stamp>; 2],
    server: Arc<ServerConfig>,
    expires: String,
}

/// What tells a new file from the old one.
type Stamp = (SystemTime, u64);

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Certificates {
    /// Reads a pair, if there is one.
    ///
    /// # Errors
    ///
    /// A pair that cannot be used.
    pub(super) fn load(files: Option<TlsFiles>) -> Result<Option<Loaded>, BadPair> {
        files.map(Loaded::read).transpose()
    }

    /// Begins with a pair that was read, and reads its files again when they have changed: new connections get
    /// the new pair, open ones keep what they have; a wrong pair is refused with a line in the log, and the one
    /// before stays. Needs a tokio runtime.
    pub(super) fn watch(first: Option<Loaded>) -> Self {
        let certificates = Certificates(Arc::default());
        certificates.replace(first);
        let weak = Arc::downgrade(&certificates.0);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOK_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick.reset();
            loop {
                tick.tick().await;
                let Some(certificates) = weak.upgrade() else { return };
                Certificates(certificates).look();
            }
        });
        certificates
    }

    /// The pair in force.
    pub(super) fn current(&self) -> Option<Arc<ServerConfig>> {
        self.0.read().as_ref().map(|loaded| loaded.server.clone())
    }

    /// Puts a pair in the place of the one before, and says whether its files are others, or have changed.
    pub(super) fn replace(&self, loaded: Option<Loaded>) -> bool {
        let is_new = {
            let before = self.0.read();
            let seen = |loaded: &Loaded| (loaded.files.clone(), loaded.seen);
            before.as_ref().map(seen) != loaded.as_ref().map(seen)
        };
        if is_new {
            if let Some(Loaded { files: TlsFiles { certificate, .. }, expires, .. }) = &loaded {
                tracing::info!(certificate, %expires, "new connections get this TLS certificate");
            }
            *self.0.write() = loaded;
        }
        is_new
    }

    /// Reads the files again if one of them has changed.
    fn look(&self) {
        let changed = |loaded: &Loaded| loaded.files.stamps() != loaded.seen;
        let Some(files) =
            self.0.read().as_ref().filter(|loaded| changed(loaded)).map(|one| one.files.clone())
        else {
            return;
        };
        let seen = files.stamps();
        match Loaded::read(files) {
            Ok(loaded) => drop(self.replace(Some(loaded))),
            Err(error) => {
                // Once for each change, not once a minute.
                if let Some(loaded) = &mut *self.0.write() {
                    loaded.seen = seen;
                }
                tracing::error!(%error, "the new TLS certificate is refused; the one before stays in use");
            }
        }
    }
}

impl Loaded {
    fn read(files: TlsFiles) -> Result<Self, BadPair> {
        let seen = files.stamps();
        let pair = Pair::load(&files.certificate, &files.key)?;
        let expires = pair.expires().to_string();
        let mut server = pair.server;
        server.alpn_protocols = tidings_doors::http::tls::PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Loaded { files, seen, server: Arc::new(server), expires })
    }
}

impl TlsFiles {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|file| {
            let meta = std::fs::metadata(file).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_is_read_and_a_wrong_one_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let files = TlsFiles { certificate: path("cert.pem"), key: path("key.pem") };
        let mut seconds = 1_000;
        let mut issue = |key_of_another: bool| {
            let keys = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
            let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            let key = &keys[usize::from(key_of_another)];
            let parts = [params.self_signed(&keys[0]).unwrap().pem(), key.serialize_pem()];
            // Times of their own, whatever the clock of the file system counts in.
            seconds += 1;
            for (file, text) in [&files.certificate, &files.key].into_iter().zip(parts) {
                std::fs::write(file, text).unwrap();
                let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                std::fs::File::options().write(true).open(file).unwrap().set_modified(changed).unwrap();
            }
        };
        issue(false);
        let certificates = Certificates(Arc::default());
        assert!(certificates.current().is_none());
        let load = || Certificates::load(Some(files.clone())).unwrap();
        assert!(certificates.replace(load()));
        let current = || certificates.current().unwrap();
        let first = current();
        certificates.look();
        assert!(!certificates.replace(load()));
        assert!(Arc::ptr_eq(&first, &current()), "nothing has changed");
        issue(true);
        certificates.look();
        assert!(Arc::ptr_eq(&first, &current()), "the new pair is wrong");
        issue(false);
        certificates.look();
        assert!(!Arc::ptr_eq(&first, &current()), "the new pair is in use");
        std::fs::remove_file(&files.key).unwrap();
        certificates.look();
        certificates.look();
        assert!(certificates.replace(None) && certificates.current().is_none());
    }
}
