//! A signer of build attestations as GitHub's builders use it: an authority that gives certificates for minutes, a
//! transparency log, and bundles of both with what was signed.
//!
//! Sources: Sigstore bundle format 0.3, Rekor's entries of the kind `dsse`, Fulcio's certificate extensions.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, HEXLOWER};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData, SanType,
    SigningKey,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigstoreFault {
    /// A certificate or a signature cannot be made.
    #[error("a certificate or a signature cannot be made")]
    Signing(#[from] rcgen::Error),
    /// The moment is none.
    #[error("a certificate cannot hold this moment")]
    Moment(#[from] time::error::ComponentRange),
}

/// An authority and a log.
#[derive(Debug)]
pub struct SimSigstore {
    root: Certificate,
    between: Certificate,
    between_params: CertificateParams,
    between_key: KeyPair,
    log: KeyPair,
}

/// What is attested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimBuild {
    /// SHA-256 of what was built, in hexadecimal digits.
    pub sha256: String,
    /// The page of the repository.
    pub repository: String,
    /// The commit.
    pub commit: String,
    /// The workflow that builds.
    pub builder: String,
    /// Who vouches for the workflow.
    pub issuer: String,
    /// When it was signed and logged, in seconds since 1970.
    pub at_seconds: i64,
}

impl SimBuild {
    /// What the workflow states of it.
    pub fn statement(&self) -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "app.tgz", "digest": { "sha256": self.sha256 } }],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                    "externalParameters": { "workflow": { "repository": self.repository, "ref": "refs/heads/main" } },
                    "resolvedDependencies": [{
                        "uri": format!("git+{}@refs/heads/main", self.repository),
                        "digest": { "gitCommit": self.commit }
                    }]
                },
                "runDetails": { "builder": { "id": self.builder } }
            }
        })
    }
}

impl SimSigstore {
    /// A new one, good in the twenty years around `at_seconds`.
    ///
    /// # Errors
    /// [`SigstoreFault`].
    pub fn new(at_seconds: i64) -> Result<Self, SigstoreFault> {
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let root_params = authority("sigstore", at_seconds)?;
        let root = root_params.self_signed(&root_key)?;
        let between_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut between_params = authority("sigstore-intermediate", at_seconds)?;
        between_params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let between = between_params.signed_by(&between_key, &Issuer::new(root_params, &root_key))?;
        let log = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { root, between, between_params, between_key, log })
    }

    /// The authority's certificates, in PEM.
    pub fn certificates(&self) -> String {
        format!("{}{}", self.root.pem(), self.between.pem())
    }

    /// The public key of the log, in PEM.
    pub fn log_key(&self) -> String {
        self.log.public_key_pem()
    }

    /// The bundle of a build.
    ///
    /// # Errors
    /// [`SigstoreFault`].
    pub fn attest(&self, build: &SimBuild) -> Result<Value, SigstoreFault> {
        self.attest_statement(build, &build.statement())
    }

    /// The bundle of a build whose workflow states something of its own.
    ///
    /// # Errors
    /// [`SigstoreFault`].
    pub fn attest_statement(&self, build: &SimBuild, statement: &Value) -> Result<Value, SigstoreFault> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = self.certificate(build, &key)?;
        let kind = "application/vnd.in-toto+json";
        let payload = statement.to_string();
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let signature = BASE64.encode(&key.sign(signed.as_bytes())?);
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": { "algorithm": "sha256", "value": "0".repeat(64) },
                "payloadHash": { "algorithm": "sha256", "value": HEXLOWER.encode(digest(&SHA256, payload.as_bytes()).as_ref()) },
                "signatures": [{ "signature": signature, "verifier": BASE64.encode(certificate.pem().as_bytes()) }]
            }
        });
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": BASE64.encode(certificate.der()) },
                "tlogEntries": [self.logged(&body.to_string(), build.at_seconds)?]
            },
            "dsseEnvelope": {
                "payload": BASE64.encode(payload.as_bytes()),
                "payloadType": kind,
                "signatures": [{ "sig": signature }]
            }
        }))
    }

    /// An entry of the log, with its promise.
    ///
    /// # Errors
    /// [`SigstoreFault`].
    pub fn logged(&self, body: &str, at_seconds: i64) -> Result<Value, SigstoreFault> {
        let id = digest(&SHA256, &self.log.subject_public_key_info());
        let body = BASE64.encode(body.as_bytes());
        let index = 97_913_980_u64;
        let promised = format!(
            r#"{{"body":"{body}","integratedTime":{at_seconds},"logID":"{}","logIndex":{index}}}"#,
            HEXLOWER.encode(id.as_ref())
        );
        Ok(json!({
            "logIndex": index.to_string(),
            "logId": { "keyId": BASE64.encode(id.as_ref()) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": at_seconds.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": BASE64.encode(&self.log.sign(promised.as_bytes())?) },
            "canonicalizedBody": body
        }))
    }

    /// A certificate for ten minutes.
    fn certificate(&self, build: &SimBuild, key: &KeyPair) -> Result<Certificate, SigstoreFault> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = OffsetDateTime::from_unix_timestamp(build.at_seconds)?;
        params.not_after = OffsetDateTime::from_unix_timestamp(build.at_seconds.saturating_add(600))?;
        params.subject_alt_names = vec![SanType::URI(build.builder.as_str().try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.custom_extensions =
            vec![extension(8, &build.issuer), extension(12, &build.repository), extension(13, &build.commit)];
        Ok(params.signed_by(key, &Issuer::new(self.between_params.clone(), &self.between_key))?)
    }
}

/// Parameters of an authority's certificate.
fn authority(name: &str, at_seconds: i64) -> Result<CertificateParams, SigstoreFault> {
    let at = OffsetDateTime::from_unix_timestamp(at_seconds)?;
    let mut params = CertificateParams::default();
    params.not_before = at - Duration::days(3650);
    params.not_after = at + Duration::days(3650);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// One of Fulcio's extensions, 1.3.6.1.4.1.57264.1.N: a UTF8String.
fn extension(number: u64, text: &str) -> CustomExtension {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let head = if length < 0x80 { vec![0x0c, length] } else { vec![0x0c, 0x81, length] };
    let content = [head, text.as_bytes().to_vec()].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, number], content)
}
