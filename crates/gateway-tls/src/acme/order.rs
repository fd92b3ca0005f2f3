//! One certificate from beginning to end: the account, the order, the proof, the certificate. Each step is in
//! the store before the next one is made.

use std::time::Duration;

use gateway_audit::{Actor, Event};
use gateway_store::{
    Attempt, ChallengeAnswer, ChallengeKind, Failed, IssuedCertificate, OpenOrder, StoreError,
};
use gateway_types::{ActionName, EventId, Resource, Secret, Timestamp};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Acme, AcmeError, Proof, pair, pair_of, schedule};

/// How long the server may take to check a proof, or to issue.
const SERVER_PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// How long other instances may take to see an answer that was published: they look at least each 2 s.
const PROPAGATION: Duration = Duration::from_millis(2500);

/// How long an instance waits for another that makes the account.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(60);

impl Acme {
    /// Gets a certificate for a name, and notes it when that fails.
    pub(super) async fn order(
        &self,
        name: &str,
        previous: Option<&IssuedCertificate>,
        attempt: Option<Attempt>,
    ) -> Result<(), StoreError> {
        let directory = &self.parts.options.directory;
        let attempt = attempt.filter(|attempt| attempt.directory == *directory);
        let failures = attempt.as_ref().map_or(0, |attempt| attempt.failures);
        self.sweep(name).await;
        let outcome = self.obtain(name, previous, attempt).await;
        self.sweep(name).await;
        let error = match outcome {
            Ok(until) => {
                tracing::info!(name, %until, "a certificate was issued and is shown from now on");
                return self.load().await;
            }
            Err(error) => error,
        };
        if error.account_is_gone() && self.new_account().await.is_err() {
            tracing::warn!("the ACME server forgot the account and does not make another one");
        }
        let failures = failures.saturating_add(1);
        let next_try = self.now().saturating_add(schedule::pause(failures, self.random()));
        let sentence = error.sentence();
        tracing::warn!(name, problem = sentence, %next_try, "no certificate could be got");
        let keep_order = error.leaves_order_open();
        let failed = Failed { name, directory, failures, error: &sentence, next_try, keep_order };
        self.parts.store.certificates().failed(&failed).await
    }

    /// Takes back what an attempt published: this one's, or one's that was cut off.
    async fn sweep(&self, name: &str) {
        let stored = self.parts.store.certificates();
        let answers = match stored.answers().await {
            Ok(answers) => answers,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name, error, "answers to challenges could not be taken back");
                return;
            }
        };
        let own: Vec<&ChallengeAnswer> = answers.iter().filter(|answer| answer.name == name).collect();
        for answer in own.iter().filter(|answer| answer.kind == ChallengeKind::Dns01) {
            let Proof::Dns01(dns) = &self.parts.options.proof else { continue };
            if let Err(error) = dns.remove(name, &dns_value(&answer.key_authorization)).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name, error, "a TXT record could not be removed; it is harmless");
            }
        }
        if !own.is_empty()
            && let Err(error) = stored.withdraw(name).await
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(name, error, "answers to challenges could not be taken back");
        }
    }

    async fn obtain(
        &self,
        name: &str,
        previous: Option<&IssuedCertificate>,
        attempt: Option<Attempt>,
    ) -> Result<Timestamp, AcmeError> {
        let failures = attempt.as_ref().map_or(0, |attempt| attempt.failures);
        let account = self.account().await?;
        let open = attempt.and_then(|attempt| attempt.order);
        let (mut order, key) = self.open_order(&account, name, previous, open).await?;
        if order.state().status == OrderStatus::Pending {
            self.prove(&mut order, name, failures).await?;
            order.poll_ready(&SERVER_PATIENCE).await?;
        }
        match order.state().status {
            OrderStatus::Ready => order.finalize_csr(&request(name, &key)?).await?,
            OrderStatus::Processing | OrderStatus::Valid => {}
            OrderStatus::Pending | OrderStatus::Invalid => return Err(not_proved(&mut order).await),
        }
        let chain = order.poll_certificate(&SERVER_PATIENCE).await?;
        let pair = pair(chain.as_bytes(), &key, &self.parts.provider)?;
        if !pair.is_for(name) {
            return Err(AcmeError::OtherName);
        }
        let issued = IssuedCertificate {
            name: name.to_owned(),
            directory: self.parts.options.directory.clone(),
            chain,
            key,
            not_before: pair.not_before,
            not_after: pair.not_after,
            renew_at: None,
            ask_again: None,
        };
        self.record(previous, &issued).await?;
        self.parts.store.certificates().save(&issued).await?;
        Ok(issued.not_after)
    }

    /// The change of what the gateway shows is in the log before it is made.
    async fn record(
        &self,
        previous: Option<&IssuedCertificate>,
        issued: &IssuedCertificate,
    ) -> Result<(), StoreError> {
        let shown = |issued: &IssuedCertificate| {
            json!({
                "name": issued.name,
                "issued_by": issued.directory,
                "not_before": issued.not_before.to_rfc3339(),
                "not_after": issued.not_after.to_rfc3339(),
            })
        };
        let now = self.now();
        let id = EventId::new(now, &*self.parts.entropy);
        let action = ActionName::new("gateway:certificate:renew");
        let mut event = Event::new(now, id, action, Resource::gateway(), Actor::system());
        event.parameters.insert("name".to_owned(), issued.name.clone());
        event.before = Some(previous.map_or(Value::Null, shown));
        event.after = Some(shown(issued));
        self.parts.store.audit().append(event).await.map(|_receipt| ())
    }

    /// The account at the server: the one of the store, or a new one.
    async fn account(&self) -> Result<Account, AcmeError> {
        let lease =
            self.parts.store.leases().acquire("acme-account", ACCOUNT_PATIENCE, ACCOUNT_PATIENCE).await?;
        let kept = self.parts.store.certificates().account(&self.parts.options.directory).await?;
        let account = match kept {
            None => self.new_account().await,
            Some(kept) => {
                let credentials: AccountCredentials =
                    serde_json::from_slice(kept.expose()).map_err(AcmeError::Account)?;
                let builder = Account::builder_with_http(Box::new(self.transport.clone()));
                builder.from_credentials(credentials).await.map_err(AcmeError::from)
            }
        };
        lease.release().await?;
        account
    }

    async fn new_account(&self) -> Result<Account, AcmeError> {
        let options = &self.parts.options;
        let contact = options.contact.as_ref().map(|address| format!("mailto:{address}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            // The configuration does not load without the operator's yes.
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = options
            .external_account
            .as_ref()
            .map(|(id, key)| ExternalAccountKey::new(id.clone(), key.expose()));
        let (account, credentials) = Account::builder_with_http(Box::new(self.transport.clone()))
            .create(&new, options.directory.clone(), external.as_ref())
            .await?;
        let kept = Secret::new(serde_json::to_vec(&credentials).map_err(AcmeError::Account)?);
        self.parts.store.certificates().keep_account(&options.directory, &kept).await?;
        Ok(account)
    }

    /// The order that is open, if it is of use, or a new one; with the key that its certificate is for.
    async fn open_order(
        &self,
        account: &Account,
        name: &str,
        previous: Option<&IssuedCertificate>,
        open: Option<OpenOrder>,
    ) -> Result<(Order, Secret<Vec<u8>>), AcmeError> {
        if let Some(open) = open {
            match account.order(open.url).await {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        return Ok((order, open.key));
                    }
                }
                // The server knows it no longer.
                Err(instant_acme::Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let key = Secret::new(KeyPair::generate()?.serialize_der());
        let order = self.new_order(account, name, previous).await?;
        let open = OpenOrder { url: order.url().to_owned(), key: key.clone() };
        let directory = &self.parts.options.directory;
        self.parts.store.certificates().begin_order(name, directory, &open).await?;
        Ok((order, key))
    }

    /// A server with renewal information is told which certificate is replaced (RFC 9773, section 5). One that
    /// does not like that gets a plain order.
    async fn new_order(
        &self,
        account: &Account,
        name: &str,
        previous: Option<&IssuedCertificate>,
    ) -> Result<Order, AcmeError> {
        let identifiers = [Identifier::Dns(name.to_owned())];
        let of_this_server = previous.filter(|issued| issued.directory == self.parts.options.directory);
        let pair = of_this_server.and_then(|issued| pair_of(issued, &self.parts.provider).ok());
        if let Some(leaf) = pair.as_ref().and_then(|pair| pair.leaf())
            && let Ok(replaced) = CertificateIdentifier::try_from(leaf)
        {
            match account.new_order(&NewOrder::new(&identifiers).replaces(replaced)).await {
                Ok(order) => return Ok(order),
                Err(error) => {
                    tracing::debug!(name, %error, "the order is made without naming the one before")
                }
            }
        }
        Ok(account.new_order(&NewOrder::new(&identifiers)).await?)
    }

    async fn prove(&self, order: &mut Order, name: &str, failures: u32) -> Result<(), AcmeError> {
        let kind = self.kind(failures);
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => return Err(AcmeError::OrderOver),
            }
            let wanted = match kind {
                ChallengeKind::Http01 => ChallengeType::Http01,
                ChallengeKind::Dns01 => ChallengeType::Dns01,
                ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let mut challenge = authorization.challenge(wanted).ok_or(AcmeError::NotOffered(kind.name()))?;
            let answer = ChallengeAnswer {
                kind,
                token: challenge.token.clone(),
                name: name.to_owned(),
                key_authorization: challenge.key_authorization().as_str().to_owned(),
            };
            self.publish(&answer).await?;
            // A run that was cut off may have said so before.
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }

    fn kind(&self, failures: u32) -> ChallengeKind {
        match &self.parts.options.proof {
            Proof::TlsAlpn01 => ChallengeKind::TlsAlpn01,
            Proof::Http01 => ChallengeKind::Http01,
            Proof::Dns01(_) => ChallengeKind::Dns01,
            Proof::InTurn if failures.is_multiple_of(2) => ChallengeKind::TlsAlpn01,
            Proof::InTurn => ChallengeKind::Http01,
        }
    }

    /// Publishes an answer, so that it is there when the server asks, whichever instance it asks.
    async fn publish(&self, answer: &ChallengeAnswer) -> Result<(), AcmeError> {
        let stored = self.parts.store.certificates();
        stored.publish(answer).await?;
        match &self.parts.options.proof {
            Proof::Dns01(dns) => dns.add(&answer.name, &dns_value(&answer.key_authorization)).await?,
            Proof::InTurn | Proof::TlsAlpn01 | Proof::Http01 => {
                self.load().await?;
                if stored.are_shared() {
                    sleep(PROPAGATION).await;
                }
            }
        }
        Ok(())
    }

    /// Asks the server when the certificate should be renewed (RFC 9773).
    pub(super) async fn ask(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        let now = self.now();
        let (renew_at, ask_again) = match self.suggestion(issued, now).await {
            Ok(suggestion) => suggestion,
            Err(AcmeError::Store(error)) => return Err(error),
            Err(AcmeError::Server(instant_acme::Error::Unsupported(_))) => (None, schedule::ask_later(now)),
            Err(error) => {
                tracing::debug!(name = issued.name, problem = error.sentence(), "no renewal information");
                // What the server said before holds on.
                (issued.renew_at, schedule::ask_again(now, schedule::pause(4, self.random())))
            }
        };
        self.parts.store.certificates().suggest(&issued.name, renew_at, ask_again).await
    }

    async fn suggestion(
        &self,
        issued: &IssuedCertificate,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Timestamp), AcmeError> {
        let pair = pair_of(issued, &self.parts.provider)?;
        let leaf = pair.leaf().ok_or(crate::PairError::NoCertificate)?;
        let id = CertificateIdentifier::try_from(leaf).map_err(|_no_key_id| crate::PairError::Certificate)?;
        let account = self.account().await?;
        let (information, after) = account.renewal_info(&id).await?;
        let moment = |time: time::OffsetDateTime| {
            Timestamp::from_micros(i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
        };
        let window = information.suggested_window;
        // The same moment of the same window each time, else it would creep towards its end with each question.
        let same = issued.renew_at.filter(|at| moment(window.start) <= *at && *at <= moment(window.end));
        let chosen = || schedule::within(moment(window.start), moment(window.end), self.random());
        Ok((Some(same.unwrap_or_else(chosen)), schedule::ask_again(now, after)))
    }
}

/// What the TXT record holds (RFC 8555, section 8.4).
fn dns_value(key_authorization: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key_authorization.as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(digest.as_ref())
}

/// The request for a certificate (RFC 8555, section 7.4): the name as an alternative name, and no subject.
fn request(name: &str, key: &Secret<Vec<u8>>) -> Result<Vec<u8>, AcmeError> {
    let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key.expose().as_slice()))?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key)?.der().to_vec())
}

/// What the server says about why it does not believe the proof.
async fn not_proved(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return AcmeError::NotProved(problem.to_string());
        }
    }
    AcmeError::OrderOver
}
