//! The signer's certificate: whether it was good at a moment, and for whom it was given.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::BundleFault;

/// `id-kp-codeSigning`, 1.3.6.1.5.5.7.3.3: content of its DER form (RFC 5280, section 4.2.1.12).
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// Who vouched for the signer: Issuer (V2).
const ISSUER: &str = "1.3.6.1.4.1.57264.1.8";
/// The page of the repository that was built.
const SOURCE_REPOSITORY: &str = "1.3.6.1.4.1.57264.1.12";
/// The commit that was built.
const SOURCE_DIGEST: &str = "1.3.6.1.4.1.57264.1.13";

/// For whom and for what the authority gave the certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    /// The workflow that signs.
    pub(super) builder: String,
    /// Who vouched for it.
    pub(super) issuer: String,
    /// The page of the repository that it was run for.
    pub(super) repository: String,
    /// The commit that it was run for.
    pub(super) commit: String,
}

/// Whether it is signed by itself; `None` when it cannot be read.
pub(super) fn is_root(certificate: &CertificateDer<'_>) -> Option<bool> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then(|| parsed.subject() == parsed.issuer())
}

/// Whether the certificate leads to a root and was good for signing at that moment.
pub(super) fn check(
    leaf: &EndEntityCert<'_>,
    roots: &[CertificateDer<'_>],
    between: &[CertificateDer<'_>],
    seconds: u64,
) -> Result<(), BundleFault> {
    let fault = |cause| BundleFault::Certificate { cause };
    let anchors: Vec<TrustAnchor<'_>> =
        roots.iter().map(anchor_from_trusted_cert).collect::<Result<_, _>>().map_err(fault)?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let usage = KeyUsage::required(CODE_SIGNING);
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, between, at, usage, None, None)
        .map(drop)
        .map_err(fault)
}

impl Identity {
    /// Reads a certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, BundleFault> {
        let form = |part| BundleFault::Form { part };
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_bad| form("its certificate is not one of X.509"))?;
        let names = parsed.subject_alternative_name().map_err(|_bad| form("the names of its certificate"))?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        // Exactly one name: of two nobody could say who signed.
        let [GeneralName::URI(builder)] = names else {
            return Err(form("its certificate does not name exactly one workflow"));
        };
        Ok(Self {
            builder: (*builder).to_owned(),
            issuer: extension(&parsed, ISSUER)
                .ok_or(form("its certificate does not say who vouched for it"))?,
            repository: extension(&parsed, SOURCE_REPOSITORY)
                .ok_or(form("its certificate does not name a repository"))?,
            commit: extension(&parsed, SOURCE_DIGEST)
                .ok_or(form("its certificate does not name a commit"))?,
        })
    }
}

/// The text of an extension: a DER UTF8String. Twice the same extension is none.
fn extension(certificate: &X509Certificate<'_>, oid: &str) -> Option<String> {
    let mut found = certificate.extensions().iter().filter(|one| one.oid.to_id_string() == oid);
    let (one, other) = (found.next()?, found.next());
    let text = utf8_string(one.value)?;
    other.is_none().then(|| text.to_owned())
}

/// Tag 12, a length in its short or one of its two first long forms, and that many bytes to the end (X.690, 8.1.3).
fn utf8_string(der: &[u8]) -> Option<&str> {
    let (text, length) = match der {
        [0x0c, 0x82, high, low, text @ ..] => (text, usize::from(u16::from_be_bytes([*high, *low]))),
        [0x0c, 0x81, length, text @ ..] => (text, usize::from(*length)),
        [0x0c, length, text @ ..] if *length < 0x80 => (text, usize::from(*length)),
        _ => return None,
    };
    if text.len() == length { std::str::from_utf8(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::utf8_string;

    #[test]
    fn texts_of_extensions_have_one_form() {
        let long = [&[0x0c, 0x81, 0x80][..], &[b'a'; 128]].concat();
        let check = |der: &[u8], text: Option<&str>| assert_eq!(utf8_string(der), text, "{der:?}");
        check(&[0x0c, 2, b'h', b'i'], Some("hi"));
        check(&long, Some(&"a".repeat(128)));
        check(&[0x0c, 0x82, 0, 1, b'x'], Some("x"));
        check(&[0x0c, 0], Some(""));
        check(&[0x0c, 2, b'h'], None);
        check(&[0x0c, 1, b'h', b'i'], None);
        check(&[0x16, 2, b'h', b'i'], None);
        check(&[0x0c, 1, 0xff], None);
        check(&[0x0c, 0x80, b'h'], None);
        check(&[], None);
    }
}
