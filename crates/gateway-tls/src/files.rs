//! Certificates from files, read again when what is in them changes: by content, so that it does not matter
//! how a file is replaced (Kubernetes swaps a symbolic link to a directory).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::CryptoProvider;
use tokio::io::AsyncReadExt;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::error::TlsError;
use crate::pair::Pair;
use crate::resolver::CertificateResolver;
use crate::status::{Standing, Status};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The largest file that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePair {
    /// PEM file of the chain, the leaf first.
    pub certificate: PathBuf,
    /// PEM file of the leaf's key.
    pub key: PathBuf,
}

/// A digest of both files' content.
type Content = Vec<u8>;

/// One pair of files, with what was last read.
#[derive(Debug)]
struct Watched {
    files: FilePair,
    pair: Pair,
    content: Content,
    /// What was found in the files instead and cannot be used.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Fault {
    /// `None` = the files cannot be read.
    content: Option<Content>,
    problem: String,
    said: bool,
}

/// The files of the configuration.
#[derive(Debug)]
pub struct Files {
    watched: Vec<Watched>,
    provider: Arc<CryptoProvider>,
}

impl Files {
    /// Reads all of them.
    ///
    /// # Errors
    /// When one of them cannot be used: a gateway with half of its certificates does not start.
    pub async fn read(files: Vec<FilePair>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut watched = Vec::new();
        for files in files {
            let (chain, key) = contents(&files).await?;
            let pair = checked(&files, &chain, &key, &provider)?;
            watched.push(Watched { content: content(&chain, &key), files, pair, fault: None });
        }
        Ok(Self { watched, provider })
    }

    /// Shows what was read, and what is there from now on, until it is stopped.
    pub fn show(&self, resolver: &CertificateResolver, status: &Status) {
        resolver.show(self.watched.iter().map(|watched| watched.pair.clone()).collect());
        let standings = self.watched.iter().map(|watched| {
            let standing = Standing {
                not_after: Some(watched.pair.not_after),
                problem: watched.fault.as_ref().map(|fault| fault.problem.clone()),
                next_try: None,
            };
            (watched.files.certificate.display().to_string(), standing)
        });
        status.set(standings.collect::<BTreeMap<_, _>>());
    }

    /// Looks at the files again and again, until it is stopped.
    pub async fn watch(
        mut self,
        resolver: Arc<CertificateResolver>,
        status: Arc<Status>,
        stopping: CancellationToken,
    ) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stopping.cancelled() => return,
            }
            if self.look().await {
                self.show(&resolver, &status);
            }
        }
    }

    /// Reads what changed; true when something is to be shown.
    async fn look(&mut self) -> bool {
        let mut changed = false;
        for watched in &mut self.watched {
            changed |= watched.look(&self.provider).await;
        }
        changed
    }
}

impl Watched {
    async fn look(&mut self, provider: &CryptoProvider) -> bool {
        let (found, read) = match contents(&self.files).await {
            Ok((chain, key)) => {
                let found = content(&chain, &key);
                if found == self.content {
                    return self.fault.take().is_some();
                }
                if self.is_known(Some(&found)) {
                    return self.say();
                }
                (Some(found), checked(&self.files, &chain, &key, provider))
            }
            Err(_) if self.is_known(None) => return self.say(),
            Err(error) => (None, Err(error)),
        };
        match (read, found) {
            (Ok(pair), Some(found)) => {
                tracing::info!(
                    file = %self.files.certificate.display(),
                    until = %pair.not_after,
                    "the certificate was read again and is shown from now on"
                );
                (self.pair, self.content, self.fault) = (pair, found, None);
            }
            (Ok(_), None) => return false,
            (Err(error), content) => {
                self.fault = Some(Fault { content, problem: with_causes(&error), said: false });
            }
        }
        true
    }

    fn is_known(&self, found: Option<&Content>) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.content.as_ref() == found)
    }

    /// Says at the second look what is wrong: at the first, two files may be in the middle of being replaced.
    fn say(&mut self) -> bool {
        if let Some(fault) = self.fault.as_mut().filter(|fault| !fault.said) {
            fault.said = true;
            tracing::error!(
                file = %self.files.certificate.display(),
                problem = fault.problem,
                "the certificate's files changed and cannot be used; the ones read before are shown further"
            );
        }
        false
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn checked(files: &FilePair, chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Pair, TlsError> {
    Pair::from_pem(chain, key, provider).map_err(|source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })
}

async fn contents(files: &FilePair) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    Ok((bounded(&files.certificate).await?, bounded(&files.key).await?))
}

async fn bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Read { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut content = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut content).await.map_err(unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read <= MOST_BYTES) {
        Ok(content)
    } else {
        Err(TlsError::TooLarge { path: path.to_owned(), limit_bytes: MOST_BYTES })
    }
}

fn content(chain: &[u8], key: &[u8]) -> Content {
    [digest(&SHA256, chain).as_ref(), digest(&SHA256, key).as_ref()].concat()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::pair::tests::pem;

    struct Place {
        directory: TempDir,
        files: FilePair,
    }

    impl Place {
        fn new() -> Self {
            let directory = TempDir::new().unwrap();
            let files = FilePair {
                certificate: directory.path().join("tls.pem"),
                key: directory.path().join("tls.key"),
            };
            Self { directory, files }
        }

        fn write(&self, chain: &str, key: &str) {
            std::fs::write(&self.files.certificate, chain).unwrap();
            std::fs::write(&self.files.key, key).unwrap();
        }

        async fn read(&self) -> Result<Files, TlsError> {
            Files::read(vec![self.files.clone()], Arc::new(crate::provider())).await
        }
    }

    #[tokio::test]
    async fn a_bad_pair_keeps_the_old_one() {
        let place = Place::new();
        assert!(matches!(place.read().await, Err(TlsError::Read { .. })));
        let (one, two) = (pem(&["one.example.com"]), pem(&["two.example.com"]));
        place.write(&one.0, &one.1);
        let mut files = place.read().await.unwrap();
        let names = |files: &Files| files.watched[0].pair.names.clone();
        let problem = |files: &Files| files.watched[0].fault.as_ref().map(|fault| fault.problem.clone());
        assert!(!files.look().await);
        // The certificate is replaced before the key: nothing but a look between the two writes.
        place.write(&two.0, &one.1);
        assert!(files.look().await && problem(&files).unwrap().contains("cannot be used together"));
        assert!(!files.look().await, "what is wrong is said once");
        assert_eq!(names(&files), ["one.example.com"]);
        place.write(&two.0, &two.1);
        assert!(files.look().await && problem(&files).is_none());
        assert_eq!(names(&files), ["two.example.com"]);
        for (chain, key) in [("", ""), ("x", &*two.1), (&*two.0, "x"), (&two.0[..200], &*two.1)] {
            place.write(chain, key);
            files.look().await;
            assert!(problem(&files).is_some(), "{chain:.20} {key:.20}");
        }
        std::fs::remove_file(&place.files.key).unwrap();
        assert!(files.look().await && problem(&files).unwrap().contains("cannot be read"));
        place.write(&two.0, &two.1);
        assert!(files.look().await && problem(&files).is_none(), "back to what it was");
        std::fs::write(&place.files.key, vec![b'x'; 2 << 20]).unwrap();
        assert!(files.look().await && problem(&files).unwrap().contains("larger than"));
        assert_eq!(names(&files), ["two.example.com"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_swapped_link_is_seen() {
        use std::os::unix::fs::symlink;
        let place = Place::new();
        let root = place.directory.path();
        for (directory, name) in [("v1", "one.example.com"), ("v2", "two.example.com")] {
            let (chain, key) = pem(&[name]);
            std::fs::create_dir(root.join(directory)).unwrap();
            std::fs::write(root.join(directory).join("tls.pem"), chain).unwrap();
            std::fs::write(root.join(directory).join("tls.key"), key).unwrap();
        }
        // As a Kubernetes volume has it: file -> ..data/file, ..data -> version.
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/tls.pem", &place.files.certificate).unwrap();
        symlink("..data/tls.key", &place.files.key).unwrap();
        let mut files = place.read().await.unwrap();
        symlink("v2", root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert!(files.look().await);
        assert_eq!(files.watched[0].pair.names, ["two.example.com"]);
    }
}
