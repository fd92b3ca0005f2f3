//! The log's tree: its checkpoint, its keys, proofs, and the receipts that replies carried.

use gateway_types::wire::log::{LogKeys, Proof};
use http::Method;

use super::{Client, with_query};
use crate::error::{BadReply, ClientError};
use crate::transport::Call;

impl Client {
    /// The signed checkpoint of the audit log's present head (a C2SP signed note).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn checkpoint(&self) -> Result<String, ClientError> {
        let reply =
            self.transport.send(Call::new(Method::GET, self.address().at(&["log", "checkpoint"]))).await?;
        String::from_utf8(reply.body.into()).map_err(|_| {
            self.transport.bad(BadReply::NotTheDocument { detail: "it is not UTF-8".to_owned() })
        })
    }

    /// Every key that ever signed the log, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_keys(&self) -> Result<LogKeys, ClientError> {
        self.read(self.address().at(&["log", "keys"])).await
    }

    /// That an entry is in the tree of `size` entries.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Proof, ClientError> {
        self.proof("inclusion", ("index", index), size).await
    }

    /// That the tree of `old` entries is the beginning of that of `size`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn consistency_proof(&self, old: u64, size: u64) -> Result<Proof, ClientError> {
        self.proof("consistency", ("old", old), size).await
    }

    /// A tile of hashes or a bundle of entries, by the path that it has after `tile/`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_tile(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let segments: Vec<&str> = ["log", "tile"].into_iter().chain(path.split('/')).collect();
        let reply = self.transport.send(Call::new(Method::GET, self.address().at(&segments))).await?;
        Ok(reply.body.into())
    }

    async fn proof(&self, kind: &str, (name, value): (&str, u64), size: u64) -> Result<Proof, ClientError> {
        let (value, size) = (value.to_string(), size.to_string());
        let url = self.address().at(&["log", "proof", kind]);
        self.read(with_query(url, &[(name, Some(&value)), ("size", Some(&size))])).await
    }

    /// The receipts that came with replies since this was last asked, as the header `Audit-Receipt` has them,
    /// oldest first; of very many only the last.
    pub fn take_receipts(&self) -> Vec<String> {
        self.transport.take_receipts()
    }
}
