//! Attestations of builds: GitHub keeps them, and its word about them counts for nothing (`sigstore.rs`).

use serde::Deserialize;
use serde_json::Value;

use super::demands::Demand;
use super::{EvidenceFault, GitHub, Repository};
use crate::http::Http;
use crate::sigstore::{Attested, BundleFault, Expected, Sigstore};

/// How many attestations of one archive are looked at.
const LOOKED_AT: usize = 30;

#[derive(Deserialize)]
struct AttestationsDocument {
    attestations: Vec<AttestationDocument>,
}

#[derive(Deserialize)]
struct AttestationDocument {
    /// Missing when it is too large to be in the list: then it shows nothing.
    #[serde(default)]
    bundle: Option<Value>,
}

/// An archive of a commit, and who may have built it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    /// SHA-256 of the archive, in small hexadecimal digits.
    pub sha256: String,
    /// The whole id of the commit.
    pub commit: String,
    /// Who may have built it; see [`Expected::builders`].
    pub builders: Vec<String>,
}

impl GitHub {
    /// An attestation that this archive was built from this commit of the repository by one of these builders.
    ///
    /// `GET /repos/{owner}/{repo}/attestations/{subject_digest}` ("List attestations").
    ///
    /// # Errors
    /// [`EvidenceFault::NotAttested`] when none shows it, with what the first one lacks; or GitHub cannot be asked.
    pub async fn attested(
        &self,
        http: &dyn Http,
        trust: &Sigstore,
        repository: &Repository,
        built: &Built,
    ) -> Result<Attested, EvidenceFault> {
        let digest = format!("sha256:{}", built.sha256);
        let mut url = self.at(repository, &["attestations", &digest]);
        url.query_pairs_mut().append_pair("per_page", &LOOKED_AT.to_string());
        let page = self.page(repository, &["attestations"]);
        let unreadable = |cause| EvidenceFault::Unreadable {
            demand: Demand::Attestation,
            url: self.page(repository, &["attestations"]),
            cause,
        };
        let found = self.endpoint.read::<AttestationsDocument>(http, url).await.map_err(unreadable)?;
        let home = self.page(repository, &[]);
        let expected = Expected {
            sha256: &built.sha256,
            repository: home.trim_end_matches('/'),
            commit: &built.commit,
            builders: &built.builders,
        };
        let mut first: Option<BundleFault> = None;
        for bundle in found.attestations.iter().take(LOOKED_AT).filter_map(|one| one.bundle.as_ref()) {
            match trust.verify(bundle, &expected) {
                Ok(attested) => return Ok(attested),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(EvidenceFault::NotAttested { fault: first, url: page })
    }
}
