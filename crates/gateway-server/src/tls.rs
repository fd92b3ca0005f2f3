//! TLS as configured: from the configuration to what ends it, and to what keeps its certificates fresh.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_app::zone::ZoneInForce;
use gateway_config::{AcmeChallenge, Config, Tls as TlsConfig, TsigAlgorithm};
use gateway_proxy::RedirectParts;
use gateway_services::ServiceTable;
use gateway_store::Store;
use gateway_tls::acme::{Acme, AcmeOptions, AcmeParts, DnsUpdater, HttpAnswers, Proof};
use gateway_tls::handshake::Counts;
use gateway_tls::{
    Asking, CertificateResolver, Face, FilePair, Files, Limits, OwnNames, Status, Terminator, TlsError,
    provider, server_settings,
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
        zone: &Arc<ZoneInForce>,
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
        let face = zone_face(zone).map_err(TlsError::from)?;
        let terminator = Arc::new(Terminator::new(settings, limits).with_face(face));
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

/// What members of the zone meet, who ask for the gateway by its name there: its leaf, and a question for theirs.
fn zone_face(zone: &Arc<ZoneInForce>) -> Result<Face, rustls::Error> {
    let mut settings = gateway_pki::tls::server_settings(
        gateway_pki::tls::provider(),
        zone.leaf.clone(),
        gateway_pki::tls::Callers::MayShow,
    )?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    let zone = zone.clone();
    Ok(Face { names: Box::new(move |name| zone.is_gateways_name(name)), settings: Arc::new(settings) })
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

/// The host names of this gateway: its own first, then those on which the rack is, then those of services.
pub(crate) struct OwnHosts {
    fixed: Vec<String>,
    of_services: Vec<String>,
    names: watch::Sender<Vec<String>>,
}

impl OwnHosts {
    pub(crate) fn new(config: &Config, services: &ServiceTable) -> Self {
        let fixed: Vec<String> = config.listener.domain.iter().chain(&config.proxy.hosts).cloned().collect();
        let of_services = hosts_of(services);
        let names = watch::Sender::new(together(&fixed, &of_services));
        Self { fixed, of_services, names }
    }

    pub(crate) fn names(&self) -> watch::Receiver<Vec<String>> {
        self.names.subscribe()
    }

    pub(crate) fn sender(&self) -> watch::Sender<Vec<String>> {
        self.names.clone()
    }

    /// Takes in that services came, went or moved.
    pub(crate) fn follow(&mut self, services: &ServiceTable) {
        let now = hosts_of(services);
        if now != self.of_services {
            self.of_services = now;
            self.names.send_replace(together(&self.fixed, &self.of_services));
        }
    }
}

fn hosts_of(services: &ServiceTable) -> Vec<String> {
    let mut hosts: Vec<String> = services.hosts().map(str::to_owned).collect();
    hosts.sort();
    hosts
}

fn together(fixed: &[String], of_services: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in fixed.iter().chain(of_services) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// An address that others can reach and where TLS is off.
pub(crate) fn plain_address(config: &Config) -> Option<SocketAddr> {
    let reachable = config.listener.addresses.iter().find(|address| !address.ip().is_loopback()).copied();
    match &config.listener.tls {
        TlsConfig::Off => reachable,
        TlsConfig::Files(_) | TlsConfig::Acme(_) => None,
    }
}

/// What the plain-HTTP listener knows. `https` is where the main one is.
pub(crate) fn redirect_parts(
    config: &Config,
    https: Option<&SocketAddr>,
    tls: &Tls,
    names: watch::Receiver<Vec<String>>,
) -> RedirectParts {
    let answers = tls.answers.clone();
    RedirectParts {
        answers: Box::new(move |path| answers.to(path)),
        names: Box::new(move || names.borrow().clone()),
        https_port: https.map_or(443, SocketAddr::port),
        head_limit_bytes: config.limits.head_size_bytes,
        head_limit: config.limits.head_timeout,
    }
}

/// One line a minute for all handshakes that came to nothing.
pub(crate) fn tell_of_handshakes(before: Counts, now: Counts) {
    let (failed, too_slow) = (now.failed - before.failed, now.too_slow - before.too_slow);
    let displaced = now.displaced - before.displaced;
    if failed + too_slow + displaced > 0 {
        let finished = now.finished - before.finished;
        tracing::info!(finished, failed, too_slow, displaced, "TLS handshakes of the last minute");
    }
}
