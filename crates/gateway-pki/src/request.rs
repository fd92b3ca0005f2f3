//! Certificate requests: only the key is taken from them. What a request may say besides is nothing, or exactly what
//! its registration says: who asks for more is refused, so that the attempt is seen.

use rcgen::{PKCS_ECDSA_P256_SHA256, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName};
use x509_parser::public_key::PublicKey;

use crate::der::KeyId;
use crate::error::PkiError;
use crate::id::SpiffeId;

/// The largest request that is read, in bytes.
const LARGEST: usize = 16 * 1024;

/// Why a request is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestFault {
    /// It cannot be read.
    #[error("the certificate request cannot be read")]
    Malformed,
    /// It is not signed by its own key.
    #[error("the certificate request is not signed by the key that it is for")]
    Signature,
    /// The key is of a kind or size that is not taken.
    #[error("the key must be ECDSA over P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")]
    Key,
    /// It asks to be an authority.
    #[error("the certificate request asks to be an authority")]
    Authority,
    /// It asks for a name that its registration does not give.
    #[error("the certificate request asks for the name `{name}`, which its registration does not give")]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// It asks for an extension that nobody may ask for.
    #[error("the certificate request asks for an extension that is not taken")]
    Extension,
}

/// A key whose holder proved to have the private one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestedKey {
    spki: Vec<u8>,
}

impl RequestedKey {
    /// Takes the key from a DER encoded request for a leaf of `id`.
    ///
    /// # Errors
    /// [`RequestFault`].
    pub fn take(der: &[u8], id: &SpiffeId) -> Result<Self, RequestFault> {
        if der.len() > LARGEST {
            return Err(RequestFault::Malformed);
        }
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
            return Err(RequestFault::Malformed);
        };
        let info = &request.certification_request_info;
        let key = info.subject_pki.parsed().map_err(|_bad| RequestFault::Key)?;
        match key {
            PublicKey::RSA(rsa) if (2048..=4096).contains(&rsa.key_size()) => {}
            PublicKey::EC(_) | PublicKey::Unknown(_) => {}
            PublicKey::RSA(_)
            | PublicKey::DSA(_)
            | PublicKey::GostR3410(_)
            | PublicKey::GostR3410_2012(_) => {
                return Err(RequestFault::Key);
            }
        }
        let spki = info.subject_pki.raw.to_vec();
        // It knows exactly the kinds above; any other curve or algorithm ends here.
        SubjectPublicKeyInfo::from_der(&spki).map_err(|_unsupported| RequestFault::Key)?;
        request.verify_signature().map_err(|_wrong| RequestFault::Signature)?;
        asked_extensions(&request, id)?;
        Ok(Self { spki })
    }

    /// The key, as DER encoded SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.spki)
    }
}

fn asked_extensions(request: &X509CertificationRequest<'_>, id: &SpiffeId) -> Result<(), RequestFault> {
    let Some(extensions) = request.requested_extensions() else { return Ok(()) };
    for extension in extensions {
        match extension {
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                return Err(RequestFault::Authority);
            }
            ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
                return Err(RequestFault::Authority);
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    is_own_name(name, id)?;
                }
            }
            ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectKeyIdentifier(_) => {}
            // A type of another crate's, which may grow: whatever is not named above is not taken.
            _ => return Err(RequestFault::Extension),
        }
    }
    Ok(())
}

fn is_own_name(name: &GeneralName<'_>, id: &SpiffeId) -> Result<(), RequestFault> {
    let (asked, own) = match name {
        GeneralName::URI(uri) => ((*uri).to_owned(), id.to_string()),
        GeneralName::DNSName(dns) => ((*dns).to_owned(), id.dns_name()),
        other => (other.to_string(), String::new()),
    };
    let shown = || asked.chars().filter(|c| !c.is_control()).take(100).collect();
    if asked == own { Ok(()) } else { Err(RequestFault::Name { name: shown() }) }
}

/// A new key and a request for it that asks for nothing: what members send.
///
/// # Errors
/// When the crypto provider fails.
pub fn make() -> Result<(gateway_types::Secret<Vec<u8>>, Vec<u8>), PkiError> {
    let pair = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(&pair)?;
    Ok((gateway_types::Secret::new(pair.serialize_der()), request.der().to_vec()))
}
