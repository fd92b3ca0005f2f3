//! TLS as configured: from the configuration to what ends it, and to what keeps its certificates fresh.

use std::sync::Arc;

use gateway_config::{AcmeChallenge, Config, Tls as TlsConfig, TsigAlgorithm};
use gateway_store::Store;
use gateway_tls::acme::{Acme, AcmeOptions, AcmeParts, DnsUpdater, HttpAnswers, Proof};
use gateway_tls::{
    Asking, CertificateResolver, FilePair, Files, Limits, OwnNames, Status, Terminator, TlsError, provider,
    server_settings,
};
use gateway_types::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::StartError;
use crate::server::Surroundings;

/// What keeps the certificates fresh.
enum Source {
    Files(Files),
    Acme(Arc<Acme>),
}

/// TLS at this gateway.
pub(crate) struct Tls {
    pub(crate) terminator: Arc<Terminator>,
    pub(crate) status: Arc<Status>,
    pub(crate) answers: Arc<HttpAnswers>,
    resolver: Arc<CertificateResolver>,
    source: Source,
}

impl Tls {
    /// Makes what the configuration asks for; `None` = TLS ends in front. Certificates that are at hand are
    /// shown from the first connection on.
    pub(crate) async fn set_up(
        config: &Config,
        store: &Arc<Store>,
        surroundings: &Surroundings,
        names: watch::Receiver<Vec<String>>,
    ) -> Result<Option<Self>, StartError> {
        let provider = Arc::new(provider());
        let resolver = CertificateResolver::new();
        let (status, answers) = (Arc::<Status>::default(), Arc::<HttpAnswers>::default());
        let (source, own_names) = match &config.listener.tls {
            TlsConfig::Off => return Ok(None),
            TlsConfig::Files(pairs) => {
                let pair = |pair: &gateway_config::CertificateFiles| FilePair {
                    certificate: pair.certificate.clone(),
                    key: pair.key.clone(),
                };
                let files = Files::read(pairs.iter().map(pair).collect(), provider.clone()).await?;
                files.show(&resolver, &status);
                (Source::Files(files), OwnNames::NotProved)
            }
            TlsConfig::Acme(acme) => {
                let acme = Acme::new(AcmeParts {
                    options: acme_options(acme, &surroundings.clock)?,
                    store: store.clone(),
                    clock: surroundings.clock.clone(),
                    entropy: surroundings.entropy.clone(),
                    provider: provider.clone(),
                    resolver: resolver.clone(),
                    answers: answers.clone(),
                    status: status.clone(),
                    names,
                })?;
                acme.load().await?;
                (Source::Acme(acme), OwnNames::ProvedHere)
            }
        };
        let asking =
            if config.listener.client_certificates { Asking::ForCertificates } else { Asking::ForNothing };
        let settings =
            server_settings(provider, resolver.clone(), asking, own_names).map_err(TlsError::from)?;
        let limits = Limits {
            time: config.limits.handshake_timeout,
            // The other half of all connections is for clients that are through.
            unfinished: config.limits.handshakes.min(config.limits.connections / 2),
        };
        let terminator = Arc::new(Terminator::new(settings, limits));
        Ok(Some(Self { terminator, status, answers, resolver, source }))
    }

    /// Keeps the certificates fresh until it is stopped.
    pub(crate) async fn keep_fresh(self, stopping: CancellationToken) {
        match self.source {
            Source::Files(files) => files.watch(self.resolver, self.status, stopping).await,
            Source::Acme(acme) => acme.run(stopping).await,
        }
    }
}

fn acme_options(acme: &gateway_config::Acme, clock: &Arc<dyn Clock>) -> Result<AcmeOptions, TlsError> {
    let proof = match &acme.challenge {
        AcmeChallenge::InTurn => Proof::InTurn,
        AcmeChallenge::TlsAlpn01 => Proof::TlsAlpn01,
        AcmeChallenge::Http01 => Proof::Http01,
        AcmeChallenge::Dns01(update) => {
            let algorithm = match update.algorithm {
                TsigAlgorithm::HmacSha256 => gateway_tls::acme::TsigAlgorithm::HmacSha256,
                TsigAlgorithm::HmacSha384 => gateway_tls::acme::TsigAlgorithm::HmacSha384,
                TsigAlgorithm::HmacSha512 => gateway_tls::acme::TsigAlgorithm::HmacSha512,
            };
            let key = (update.key_name.as_str(), algorithm, &update.secret);
            Proof::Dns01(DnsUpdater::new(update.server, &update.zone, key, clock.clone())?)
        }
    };
    Ok(AcmeOptions {
        directory: acme.directory.to_string(),
        ca_file: acme.ca_file.clone(),
        contact: acme.contact.clone(),
        external_account: acme
            .external_account
            .as_ref()
            .map(|account| (account.key_id.clone(), account.key.clone())),
        proof,
    })
}

/// The host names of this gateway: its own first, then those on which the rack is.
pub(crate) fn own_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in config.listener.domain.iter().chain(&config.proxy.hosts) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
