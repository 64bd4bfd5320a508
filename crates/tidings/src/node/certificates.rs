//! The certificate in force, and how a new one takes its place without a restart.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::config::{BadPair, Pair, TlsFiles};

/// What new connections are made with. Cloning shares it.
#[derive(Clone)]
pub(super) struct Certificates(Arc<RwLock<Arc<ServerConfig>>>);

/// The files of a certificate, and how they looked when they were last read.
struct Watch {
    files: TlsFiles,
    seen: [Option<Stamp>; 2],
    current: Certificates,
}

/// What tells a new file from the old one.
type Stamp = (SystemTime, u64);

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Certificates {
    /// Reads the pair, and watches it from now on: new connections get the new
    /// pair, open ones keep what they have. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// A pair that cannot be used. Later a wrong pair is refused with a line in
    /// the log, and the one before stays.
    pub(super) fn watch(files: TlsFiles) -> Result<Self, BadPair> {
        let seen = files.stamps();
        let current = Certificates(Arc::new(RwLock::new(load(&files)?)));
        let mut watch = Watch { files, seen, current: current.clone() };
        tokio::spawn(async move {
            let mut hangup = signal(SignalKind::hangup()).ok();
            let mut tick = tokio::time::interval(LOOK_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick.reset();
            loop {
                let told = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = tick.tick() => watch.look(),
                    _ = told => watch.reload(),
                }
            }
        });
        Ok(current)
    }

    /// The pair in force.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.0.read().clone()
    }
}

impl Watch {
    /// Reads the files again if one of them has changed.
    fn look(&mut self) {
        if self.files.stamps() != self.seen {
            self.reload();
        }
    }

    fn reload(&mut self) {
        // Before they are read: what changes while they are is seen the next time.
        self.seen = self.files.stamps();
        match load(&self.files) {
            Ok(config) => *self.current.0.write() = config,
            Err(error) => {
                tracing::error!(%error, "the new TLS certificate is refused; the one before stays in use")
            }
        }
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, BadPair> {
    let pair = Pair::load(&files.certificate, &files.key)?;
    let expires = pair.expires();
    let mut server = pair.server;
    server.alpn_protocols = tidings_doors::http::tls::PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    tracing::info!(certificate = files.certificate, %expires, "new connections get this TLS certificate");
    Ok(Arc::new(server))
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
        let current = Certificates(Arc::new(RwLock::new(load(&files).unwrap())));
        let mut watch = Watch { files: files.clone(), seen: files.stamps(), current: current.clone() };
        let first = current.current();
        watch.look();
        assert!(Arc::ptr_eq(&first, &current.current()), "nothing has changed");
        issue(true);
        watch.look();
        assert!(Arc::ptr_eq(&first, &current.current()), "the new pair is wrong");
        issue(false);
        watch.look();
        assert!(!Arc::ptr_eq(&first, &current.current()), "the new pair is in use");
        std::fs::remove_file(&files.key).unwrap();
        watch.look();
        watch.look();
    }
}
