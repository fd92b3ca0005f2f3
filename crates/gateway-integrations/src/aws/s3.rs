//! S3: a bucket with Object Lock, in which small objects are kept that nobody can alter or remove before their time.
//!
//! Source: Amazon S3 API Reference, `PutObject`, `GetObject`, `ListObjectVersions`, `GetObjectLockConfiguration`; Amazon S3
//! User Guide, "Locking objects with Object Lock" and "Add preconditions to S3 operations".

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Builder;
use ::http::{Method, Request, Response};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use gateway_types::Timestamp;
use roxmltree::{Document, Node};
use url::Url;

use super::settings::S3_ENDPOINT;
use super::signing::{Payload, sign};
use super::sources::ask;
use super::{AwsCredentials, AwsFault, CredentialChain, fault, places};

const WHOM: &str = "S3";

/// The mode in which the owner of the account cannot remove a version either.
const MODE: &str = "COMPLIANCE";

/// How many versions a page of a list has, so that names of a thousand bytes, written as `%41`, do not make it too large.
const PAGE_KEYS: &str = "250";

/// How many pages of a list of versions are read.
const MOST_PAGES: usize = 4000;

/// Where objects are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketPlace {
    /// The name of the bucket.
    pub bucket: String,
    /// What the names of objects begin with: letters, digits and `._-/`. May be empty.
    pub prefix: String,
    /// The region of the bucket; `None` = the one of the environment.
    pub region: Option<String>,
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// How an object is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockTerms {
    /// For how long nobody can remove it.
    pub retention: Duration,
    /// The key of KMS that it is sealed under; `None` = as the bucket has it.
    pub kms_key: Option<String>,
}

/// Whether an object was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It was.
    Written,
    /// There is one of that name, which stays as it is.
    Already,
}

/// One version of an object, or the mark that stands for its removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectVersion {
    /// The name of the object, without the prefix of the place.
    pub name: String,
    /// Which version.
    pub id: String,
    /// Whether it is no object but a mark: whoever asks for the name alone is told that there is nothing.
    pub is_removal: bool,
}

/// A bucket with Object Lock.
#[derive(Debug)]
pub struct LockedBucket {
    chain: Arc<CredentialChain>,
    place: BucketPlace,
}

impl LockedBucket {
    /// Asks with the credentials of this chain. Nothing is asked yet.
    pub fn new(chain: Arc<CredentialChain>, place: BucketPlace) -> Self {
        Self { chain, place }
    }

    /// Where it is.
    pub fn place(&self) -> &BucketPlace {
        &self.place
    }

    /// Makes sure that the bucket can lock objects.
    ///
    /// # Errors
    /// [`AwsFault::NoObjectLock`] when it cannot, and whatever asking for it meets.
    pub async fn demand_lock(&self) -> Result<(), AwsFault> {
        let answer = self.send(Method::GET, "", "object-lock", |request| request, Vec::new()).await?;
        let missing = || AwsFault::NoObjectLock { bucket: self.place.bucket.clone() };
        match self.good(answer) {
            Err(AwsFault::Refused { code, .. }) if code == "ObjectLockConfigurationNotFoundError" => {
                Err(missing())
            }
            Err(fault) => Err(fault),
            Ok(answer) => {
                let enabled = element(&document(&answer)?.root(), "ObjectLockEnabled");
                if enabled.as_deref() == Some("Enabled") { Ok(()) } else { Err(missing()) }
            }
        }
    }

    /// Keeps an object under `name`, unless one is there, and looks that it is locked.
    ///
    /// # Errors
    /// [`AwsFault::Unlocked`] when the store took it and did not lock it, and whatever asking for it meets.
    pub async fn keep(&self, name: &str, body: Vec<u8>, terms: &LockTerms) -> Result<Kept, AwsFault> {
        let until = whole_seconds(self.chain.now().saturating_add(terms.retention));
        let sum = BASE64.encode(digest(&SHA256, &body).as_ref());
        let headers = |request: Builder| {
            let request = request
                .header("content-type", "text/plain; charset=utf-8")
                .header("if-none-match", "*")
                .header("x-amz-sdk-checksum-algorithm", "SHA256")
                .header("x-amz-checksum-sha256", &sum)
                .header("x-amz-object-lock-mode", MODE)
                .header("x-amz-object-lock-retain-until-date", &until);
            match &terms.kms_key {
                None => request,
                Some(key) => request
                    .header("x-amz-server-side-encryption", "aws:kms")
                    .header("x-amz-server-side-encryption-aws-kms-key-id", key),
            }
        };
        let answer = self.send(Method::PUT, name, "", headers, body).await?;
        let written = match answer.status().as_u16() {
            // 409: another instance is writing the same one at this moment.
            409 | 412 => return Ok(Kept::Already),
            _ => self.good(answer)?,
        };
        let version = written.headers().get("x-amz-version-id").and_then(|id| id.to_str().ok());
        self.demand_locked(name, version).await?;
        Ok(Kept::Written)
    }

    /// Makes sure that a version of an object is locked, in a mode that nobody ends, until a moment that is to come.
    ///
    /// # Errors
    /// [`AwsFault::Unlocked`] when it is not, and whatever asking for it meets.
    pub async fn demand_locked(&self, name: &str, version: Option<&str>) -> Result<(), AwsFault> {
        let query = version.map(version_query).unwrap_or_default();
        let kept = self.good(self.send(Method::HEAD, name, &query, |request| request, Vec::new()).await?)?;
        let header = |name| kept.headers().get(name).and_then(|value| value.to_str().ok());
        let is_for_ever = header("x-amz-object-lock-mode") == Some(MODE);
        let until = header("x-amz-object-lock-retain-until-date").and_then(Timestamp::parse_rfc3339);
        if is_for_ever && until.is_some_and(|until| until > self.chain.now()) {
            Ok(())
        } else {
            Err(AwsFault::Unlocked { address: self.address(name) })
        }
    }

    /// Every version of every object whose name begins with `begin` and comes after `after`, in the order of names; of one
    /// name the newest first.
    ///
    /// # Errors
    /// [`AwsFault`].
    pub async fn versions(&self, begin: &str, after: Option<&str>) -> Result<Vec<ObjectVersion>, AwsFault> {
        let prefix = format!("{}{begin}", self.place.prefix);
        let mut marker: Option<(String, Option<String>)> =
            after.map(|name| (format!("{}{name}", self.place.prefix), None));
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let query = page(&prefix, marker.as_ref());
            let answer = self.send(Method::GET, "", &query, |request| request, Vec::new()).await?;
            let answer = self.good(answer)?;
            let document = document(&answer)?;
            let root = document.root_element();
            // Asked for, because a name may hold what XML cannot; a store that does not know it says so by its silence.
            let is_encoded = child(&root, "EncodingType").as_deref() == Some("url");
            let decoded = |key: String| if is_encoded { url_decoded(&key) } else { key };
            for node in root.children().filter(Node::is_element) {
                if let Some(version) = self.version(&node, decoded)? {
                    found.push(version);
                }
            }
            if child(&root, "IsTruncated").as_deref() != Some("true") {
                return Ok(found);
            }
            let form = AwsFault::Form { whom: WHOM, what: "NextKeyMarker" };
            let next = child(&root, "NextKeyMarker").map(decoded).ok_or(form)?;
            marker = Some((next, child(&root, "NextVersionIdMarker")));
        }
        Err(AwsFault::Form { whom: WHOM, what: "the list does not end" })
    }

    /// The bytes of one version.
    ///
    /// # Errors
    /// [`AwsFault`].
    pub async fn read(&self, version: &ObjectVersion) -> Result<Vec<u8>, AwsFault> {
        let query = version_query(&version.id);
        let answer = self.send(Method::GET, &version.name, &query, |request| request, Vec::new()).await?;
        Ok(self.good(answer)?.into_body())
    }

    /// What people call an object.
    pub fn address(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    fn version(
        &self,
        node: &Node<'_, '_>,
        decoded: impl Fn(String) -> String,
    ) -> Result<Option<ObjectVersion>, AwsFault> {
        let is_removal = match node.tag_name().name() {
            "Version" => false,
            "DeleteMarker" => true,
            _ => return Ok(None),
        };
        let of = |name, what| child(node, name).ok_or(AwsFault::Form { whom: WHOM, what });
        let key = decoded(of("Key", "Key")?);
        let outside = AwsFault::Form { whom: WHOM, what: "a name outside of the prefix" };
        let name = key.strip_prefix(&self.place.prefix).ok_or(outside)?.to_owned();
        Ok(Some(ObjectVersion { name, id: of("VersionId", "VersionId")?, is_removal }))
    }

    /// Asks as whoever this machine is, and once more with newer credentials when those were over.
    async fn send(
        &self,
        method: Method,
        name: &str,
        query: &str,
        headers: impl Fn(Builder) -> Builder,
        body: Vec<u8>,
    ) -> Result<Response<Vec<u8>>, AwsFault> {
        let (region, url) = self.url(name, query)?;
        let unwritable = || AwsFault::Unwritable { whom: WHOM };
        let ask_as = async |credentials: &AwsCredentials| {
            let request = Request::builder().method(method.clone()).uri(url.as_str());
            let request = headers(request).body(body.clone()).map_err(|_| unwritable())?;
            let signed = sign(request, credentials, &region, "s3", Payload::HashedForS3, self.chain.now());
            ask(&*self.chain.ways().beyond, signed.ok_or_else(unwritable)?, WHOM, "").await
        };
        let credentials = self.chain.credentials().await?;
        let answer = ask_as(&credentials).await?;
        if code_of(&answer) == "ExpiredToken" {
            return ask_as(&self.chain.others_than(&credentials).await?).await;
        }
        Ok(answer)
    }

    /// The region to sign for, and the address: below the bucket's own host at AWS, and below a path elsewhere, where hosts of
    /// buckets may have no name. A dot in the name would leave the certificate of AWS, so that such a one has a path too.
    fn url(&self, name: &str, query: &str) -> Result<(String, Url), AwsFault> {
        let settings = self.chain.settings();
        let region = self.place.region.as_deref().or_else(|| settings.region()).ok_or(AwsFault::NoRegion)?;
        let mut url = places::endpoint(settings, "s3", S3_ENDPOINT, region)?;
        let is_elsewhere = places::is_elsewhere(settings, S3_ENDPOINT);
        let BucketPlace { bucket, prefix, .. } = &self.place;
        let object = if name.is_empty() { String::new() } else { format!("{prefix}{name}") };
        let unwritable = || AwsFault::Unwritable { whom: WHOM };
        if is_elsewhere || bucket.contains('.') {
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}/{bucket}/{object}"));
        } else {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|_| unwritable())?;
            url.set_path(&object);
        }
        if !query.is_empty() {
            url.set_query(Some(query));
        }
        Ok((region.to_owned(), url))
    }

    fn good(&self, answer: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, AwsFault> {
        let status = answer.status().as_u16();
        if status == 200 {
            return Ok(answer);
        }
        let code = fault::code(&code_of(&answer));
        let bucket = &self.place.bucket;
        let advice = match code.as_str() {
            "AccessDenied" => format!(
                "allow s3:PutObject, s3:PutObjectRetention, s3:GetObject, s3:GetObjectVersion, s3:GetObjectRetention, s3:ListBucketVersions and s3:GetBucketObjectLockConfiguration on {bucket} to the gateway's role, and its KMS key"
            ),
            "NoSuchBucket" => format!("there is no bucket {bucket}; make it with Object Lock"),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
                format!("{bucket} is in another region; write it in AUDIT_ANCHOR_REGION")
            }
            "InvalidRequest" => format!("{bucket} must have Object Lock"),
            _ => format!("look at the bucket {bucket} and the gateway's role; it is asked again"),
        };
        Err(AwsFault::Refused { whom: WHOM, status, code, advice })
    }
}

/// The query of one page of a list of versions.
fn page(prefix: &str, marker: Option<&(String, Option<String>)>) -> String {
    let mut query = form_urlencoded::Serializer::new("versions=".to_owned());
    query
        .append_pair("prefix", prefix)
        .append_pair("encoding-type", "url")
        .append_pair("max-keys", PAGE_KEYS);
    if let Some((key, id)) = marker {
        query.append_pair("key-marker", key);
        if let Some(id) = id {
            query.append_pair("version-id-marker", id);
        }
    }
    query.finish()
}

/// A name as S3 writes it in a list: percent-encoded, a blank as `+`.
fn url_decoded(key: &str) -> String {
    let pair = format!("={key}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, key)| key.into_owned()).unwrap_or_default()
}

fn version_query(id: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("versionId", id).finish()
}

fn whole_seconds(moment: Timestamp) -> String {
    let micros = moment.micros();
    let text = Timestamp::from_micros(micros - micros.rem_euclid(1_000_000)).to_rfc3339();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn document(answer: &Response<Vec<u8>>) -> Result<Document<'_>, AwsFault> {
    let form = || AwsFault::Form { whom: WHOM, what: "no XML" };
    // The parser knows no entities but those of XML, and no document type is read.
    Document::parse(std::str::from_utf8(answer.body()).map_err(|_| form())?).map_err(|_| form())
}

/// The code of a refusal; empty when there is none, as in every answer to HEAD.
fn code_of(answer: &Response<Vec<u8>>) -> String {
    if answer.status().is_success() {
        return String::new();
    }
    document(answer).ok().and_then(|document| element(&document.root(), "Code")).unwrap_or_default()
}

/// The text of the first element of this name, however deep.
fn element(node: &Node<'_, '_>, name: &str) -> Option<String> {
    let found = node.descendants().find(|node| node.is_element() && node.tag_name().name() == name)?;
    text(&found)
}

/// The text of the child of this name.
fn child(node: &Node<'_, '_>, name: &str) -> Option<String> {
    text(&node.children().find(|node| node.is_element() && node.tag_name().name() == name)?)
}

fn text(node: &Node<'_, '_>) -> Option<String> {
    node.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
