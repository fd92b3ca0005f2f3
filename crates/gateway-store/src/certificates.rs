//! Certificates that an ACME server issued, the account there, orders that are not finished, and the answers
//! to its challenges. Private keys are sealed. What the texts mean, and when a certificate is due, is not
//! known here.

use std::sync::Arc;

use gateway_types::{Secret, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::{Engine, WriteTx};
use crate::error::StoreError;
use crate::row::{moment, optional_moment, storable};
use crate::sealing::Sealer;
use crate::store::Core;

/// What the key of private keys is derived for.
pub(crate) const SEALING_KEY: &str = "certificate-sealing/v1";

/// The certificate of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedCertificate {
    /// The host name, in lower case.
    pub name: String,
    /// The directory of the server that issued it.
    pub directory: String,
    /// The chain in PEM, the leaf first.
    pub chain: String,
    /// The leaf's private key, in the form it was given in.
    pub key: Secret<Vec<u8>>,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// When the server suggested to renew it; `None` = it did not say.
    pub renew_at: Option<Timestamp>,
    /// When the server is asked for its suggestion next; `None` = it was not asked yet.
    pub ask_again: Option<Timestamp>,
}

/// What was tried for a name since its last certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The host name.
    pub name: String,
    /// The directory of the server it was tried with.
    pub directory: String,
    /// How often it failed in a row.
    pub failures: u32,
    /// Why, the last time.
    pub last_error: Option<String>,
    /// Not before then.
    pub next_try: Option<Timestamp>,
    /// The order that is not finished.
    pub order: Option<OpenOrder>,
}

/// An order that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenOrder {
    /// Its address at the server.
    pub url: String,
    /// The private key that the certificate is for.
    pub key: Secret<Vec<u8>>,
}

/// A failed attempt to be noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed<'a> {
    /// The host name.
    pub name: &'a str,
    /// The directory of the server.
    pub directory: &'a str,
    /// How often in a row, this time included.
    pub failures: u32,
    /// Why.
    pub error: &'a str,
    /// When it is tried again.
    pub next_try: Timestamp,
    /// Whether the open order may still come to something.
    pub keep_order: bool,
}

/// How a challenge is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChallengeKind {
    /// By a file over plain HTTP (RFC 8555, section 8.3).
    Http01,
    /// By a TXT record (RFC 8555, section 8.4).
    Dns01,
    /// By a certificate (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::Dns01 => "dns-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [ChallengeKind::Http01, ChallengeKind::Dns01, ChallengeKind::TlsAlpn01]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(StoreError::Corrupt { what: "kind of challenge" })
    }
}

/// The answer to a challenge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChallengeAnswer {
    /// How it is given.
    pub kind: ChallengeKind,
    /// What the server names the challenge by.
    pub token: String,
    /// The host name that is proved.
    pub name: String,
    /// The key authorization (RFC 8555, section 8.1).
    pub key_authorization: String,
}

/// The certificates of this gateway.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl Certificates {
    /// Whether other instances may work on the same database.
    pub fn are_shared(&self) -> bool {
        match self.core.database.engine() {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// The account at this server.
    ///
    /// # Errors
    /// When the database cannot be read, or [`StoreError::Corrupt`] when the account does not open.
    pub async fn account(&self, directory: &str) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let row = sqlx::query("SELECT sealed, key_id FROM acme_accounts WHERE directory = $1")
            .bind(directory.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?;
        row.map(|row| self.open(&row, &account_owner(directory))).transpose()
    }

    /// Keeps the account at this server, instead of one that there may be.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn keep_account(&self, directory: &str, account: &Secret<Vec<u8>>) -> Result<(), StoreError> {
        storable("the directory", directory)?;
        let sealed = self.seal(account, &account_owner(directory))?;
        let turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO acme_accounts (directory, sealed, key_id, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (directory) DO UPDATE SET sealed = excluded.sealed, key_id = excluded.key_id, \
             created = excluded.created",
        )
        .bind(directory.to_owned())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(self.core.clock.now().micros())
        .execute(self.core.database.pool())
        .await?;
        drop(turn);
        Ok(())
    }

    /// Every certificate, by name.
    ///
    /// # Errors
    /// When the database cannot be read, or [`StoreError::Corrupt`] when a key does not open.
    pub async fn all(&self) -> Result<Vec<IssuedCertificate>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, directory, chain, sealed, key_id, not_before, not_after, renew_at, ask_again \
             FROM certificates ORDER BY name",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(|row| self.certificate(row)).collect()
    }

    /// Keeps the certificate of a name instead of the one before. What was tried for it, and the answers to
    /// its challenges short of TXT records, are forgotten with the same stroke. All instances learn of it.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn save(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        storable("the chain", &issued.chain)?;
        let sealed = self.seal(&issued.key, &certificate_owner(&issued.name))?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO certificates (name, directory, chain, sealed, key_id, not_before, not_after, \
             renew_at, ask_again, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (name) DO UPDATE SET directory = excluded.directory, chain = excluded.chain, \
             sealed = excluded.sealed, key_id = excluded.key_id, not_before = excluded.not_before, \
             not_after = excluded.not_after, renew_at = excluded.renew_at, ask_again = excluded.ask_again, \
             created = excluded.created",
        )
        .bind(issued.name.clone())
        .bind(issued.directory.clone())
        .bind(issued.chain.clone())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(issued.not_before.micros())
        .bind(issued.not_after.micros())
        .bind(issued.renew_at.map(Timestamp::micros))
        .bind(issued.ask_again.map(Timestamp::micros))
        .bind(self.core.clock.now().micros())
        .execute(tx.connection())
        .await?;
        sqlx::query("DELETE FROM acme_attempts WHERE name = $1")
            .bind(issued.name.clone())
            .execute(tx.connection())
            .await?;
        forget_answers(&mut tx, &issued.name).await?;
        self.core.changes.commit(tx, version).await
    }

    /// Notes when the server suggests to renew the certificate of a name, and when it is asked next.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn suggest(
        &self,
        name: &str,
        renew_at: Option<Timestamp>,
        ask_again: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query("UPDATE certificates SET renew_at = $1, ask_again = $2 WHERE name = $3")
            .bind(renew_at.map(Timestamp::micros))
            .bind(ask_again.micros())
            .bind(name.to_owned())
            .execute(tx.connection())
            .await?;
        self.core.changes.commit(tx, version).await
    }

    /// Everything that was tried and has not come to a certificate.
    ///
    /// # Errors
    /// When the database cannot be read, or [`StoreError::Corrupt`] when a key does not open.
    pub async fn attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, directory, failures, last_error, next_try, order_url, sealed, key_id \
             FROM acme_attempts ORDER BY name",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(|row| self.attempt(row)).collect()
    }

    /// Notes an order before anything is proved, so that a restart goes on with it.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn begin_order(
        &self,
        name: &str,
        directory: &str,
        order: &OpenOrder,
    ) -> Result<(), StoreError> {
        storable("the order's address", &order.url)?;
        let sealed = self.seal(&order.key, &order_owner(name))?;
        let turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO acme_attempts (name, directory, failures, order_url, sealed, key_id) \
             VALUES ($1, $2, 0, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET \
             directory = excluded.directory, order_url = excluded.order_url, sealed = excluded.sealed, \
             key_id = excluded.key_id",
        )
        .bind(name.to_owned())
        .bind(directory.to_owned())
        .bind(order.url.clone())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .execute(self.core.database.pool())
        .await?;
        drop(turn);
        Ok(())
    }

    /// Notes that an attempt failed. The answers to the name's challenges are forgotten, short of
    /// TXT records.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn failed(&self, failed: &Failed<'_>) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO acme_attempts (name, directory, failures, last_error, next_try) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET directory = excluded.directory, \
             failures = excluded.failures, last_error = excluded.last_error, next_try = excluded.next_try",
        )
        .bind(failed.name.to_owned())
        .bind(failed.directory.to_owned())
        .bind(i64::from(failed.failures))
        .bind(failed.error.replace('\0', ""))
        .bind(failed.next_try.micros())
        .execute(tx.connection())
        .await?;
        if !failed.keep_order {
            sqlx::query(
                "UPDATE acme_attempts SET order_url = NULL, sealed = NULL, key_id = NULL WHERE name = $1",
            )
            .bind(failed.name.to_owned())
            .execute(tx.connection())
            .await?;
        }
        forget_answers(&mut tx, failed.name).await?;
        self.core.changes.commit(tx, version).await
    }

    /// Publishes the answer to a challenge to all instances.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn publish(&self, answer: &ChallengeAnswer) -> Result<(), StoreError> {
        storable("the challenge's token", &answer.token)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO acme_challenges (kind, token, name, key_authorization, created) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, token) DO UPDATE SET name = excluded.name, \
             key_authorization = excluded.key_authorization, created = excluded.created",
        )
        .bind(answer.kind.name().to_owned())
        .bind(answer.token.clone())
        .bind(answer.name.clone())
        .bind(answer.key_authorization.clone())
        .bind(self.core.clock.now().micros())
        .execute(tx.connection())
        .await?;
        self.core.changes.commit(tx, version).await
    }

    /// The answers to all challenges that are open.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn answers(&self) -> Result<Vec<ChallengeAnswer>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, token, name, key_authorization FROM acme_challenges ORDER BY created, token",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(answer).collect()
    }

    /// Forgets the answers to a name's challenges, TXT records too: they have been removed.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn withdraw(&self, name: &str) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        forget_all_answers(&mut tx, name).await?;
        self.core.changes.commit(tx, version).await
    }

    fn seal(&self, secret: &Secret<Vec<u8>>, owner: &str) -> Result<String, StoreError> {
        self.sealer.seal(secret, owner, &*self.core.entropy)
    }

    fn open(&self, row: &AnyRow, owner: &str) -> Result<Secret<Vec<u8>>, StoreError> {
        let (sealed, key_id): (String, String) = (row.try_get("sealed")?, row.try_get("key_id")?);
        self.sealer.open(&sealed, &key_id, owner)
    }

    fn certificate(&self, row: &AnyRow) -> Result<IssuedCertificate, StoreError> {
        let name: String = row.try_get("name")?;
        Ok(IssuedCertificate {
            key: self.open(row, &certificate_owner(&name))?,
            name,
            directory: row.try_get("directory")?,
            chain: row.try_get("chain")?,
            not_before: moment(row, "not_before")?,
            not_after: moment(row, "not_after")?,
            renew_at: optional_moment(row, "renew_at")?,
            ask_again: optional_moment(row, "ask_again")?,
        })
    }

    fn attempt(&self, row: &AnyRow) -> Result<Attempt, StoreError> {
        let name: String = row.try_get("name")?;
        let order = match row.try_get::<Option<String>, _>("order_url")? {
            Some(url) => Some(OpenOrder { url, key: self.open(row, &order_owner(&name))? }),
            None => None,
        };
        let failures = u32::try_from(row.try_get::<i64, _>("failures")?)
            .map_err(|_large| StoreError::Corrupt { what: "number of failures" })?;
        Ok(Attempt {
            name,
            directory: row.try_get("directory")?,
            failures,
            last_error: row.try_get("last_error")?,
            next_try: optional_moment(row, "next_try")?,
            order,
        })
    }
}

/// Forgets the answers that are given by the gateway itself. A TXT record is forgotten by who removed it.
async fn forget_answers(tx: &mut WriteTx, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM acme_challenges WHERE name = $1 AND kind <> $2")
        .bind(name.to_owned())
        .bind(ChallengeKind::Dns01.name().to_owned())
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn forget_all_answers(tx: &mut WriteTx, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM acme_challenges WHERE name = $1")
        .bind(name.to_owned())
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn answer(row: &AnyRow) -> Result<ChallengeAnswer, StoreError> {
    Ok(ChallengeAnswer {
        kind: ChallengeKind::parse(&row.try_get::<String, _>("kind")?)?,
        token: row.try_get("token")?,
        name: row.try_get("name")?,
        key_authorization: row.try_get("key_authorization")?,
    })
}

fn account_owner(directory: &str) -> String {
    format!("acme-account:{directory}")
}

fn certificate_owner(name: &str) -> String {
    format!("certificate:{name}")
}

fn order_owner(name: &str) -> String {
    format!("acme-order:{name}")
}

/// What a row of each table is sealed for.
pub(crate) fn owner_of_account(row: &AnyRow) -> Result<String, StoreError> {
    Ok(account_owner(&row.try_get::<String, _>("directory")?))
}

/// As [`owner_of_account`].
pub(crate) fn owner_of_certificate(row: &AnyRow) -> Result<String, StoreError> {
    Ok(certificate_owner(&row.try_get::<String, _>("name")?))
}

/// As [`owner_of_account`].
pub(crate) fn owner_of_order(row: &AnyRow) -> Result<String, StoreError> {
    Ok(order_owner(&row.try_get::<String, _>("name")?))
}
