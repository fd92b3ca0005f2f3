//! Devices that wait for a person to let them in (RFC 8628): each is decided once and gives one session.
//! User codes are guessable by design, so tries are counted here too. Who may decide is not known here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{DeviceSignInId, ProviderSessionId, Secret, SessionId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, is_duplicate};
use crate::row::{moment, optional_parsed, parsed, storable};
use crate::secrets::{random_text, sha256_hex};
use crate::sign_ins::{micros, source};
use crate::step_ups::{Try, TryLimit};
use crate::store::Core;

/// How long a person has to let a device in.
pub const DEVICE_TIME: Duration = Duration::from_secs(600);

/// How long a device waits between two polls at first.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What is added to that each time a device polls too early (RFC 8628, section 3.5), and where it ends.
const POLL_STEP: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// How much too early a poll may be: what the network's delays differ by.
const POLL_TOLERANCE: Duration = Duration::from_secs(1);

/// The most devices of one source that wait at one time, and of all.
pub const MOST_DEVICES_OF_A_SOURCE: i64 = 50;
const MOST_DEVICES: i64 = 10_000;

/// A device to be let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDevice {
    /// What the person types, in its one spelling.
    pub user_code: String,
    /// The device's name, as it says.
    pub device: String,
    /// From which address it asks.
    pub ip: IpAddr,
}

/// Where the wish of a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceState {
    /// Nobody decided.
    Pending,
    /// A person let it in; it did not come back yet.
    Approved,
    /// A person refused it.
    Denied,
    /// It got its session.
    Used,
}

impl DeviceState {
    const ALL: [DeviceState; 4] =
        [DeviceState::Pending, DeviceState::Approved, DeviceState::Denied, DeviceState::Used];

    const fn name(self) -> &'static str {
        match self {
            DeviceState::Pending => "pending",
            DeviceState::Approved => "approved",
            DeviceState::Denied => "denied",
            DeviceState::Used => "used",
        }
    }
}

/// What a person decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceDecision {
    /// Let it in.
    Approve,
    /// Refuse it.
    Deny,
}

/// A device that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingDevice {
    /// The row.
    pub id: DeviceSignInId,
    /// What the person types.
    pub user_code: String,
    /// The device's name, as it says.
    pub device: String,
    /// From which address it asked.
    pub ip: IpAddr,
    /// When it asked.
    pub created: Timestamp,
    /// When it is over.
    pub expires: Timestamp,
}

/// What a poll finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Poll {
    /// A person let it in: this call takes it, once.
    Approved {
        /// Who.
        user: UserId,
        /// The device's name.
        device: String,
        /// The session at an identity provider of which the person's own session came.
        provider_session: Option<ProviderSessionId>,
    },
    /// Nobody decided yet.
    Pending,
    /// It came too early; from now on it waits this long between polls.
    TooEarly(Duration),
    /// A person refused it.
    Denied,
    /// It is over, or gave a session already.
    Expired,
    /// There is none.
    Unknown,
}

/// The devices of this gateway.
#[derive(Clone, Debug)]
pub struct Devices {
    pub(crate) core: Arc<Core>,
}

impl Devices {
    /// Lets a device wait. Its code is returned here and never again; `None` when this source, or all
    /// together, have too many that wait.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when another device has this user code; make another.
    pub async fn create(&self, new: &NewDevice) -> Result<Option<Secret<String>>, StoreError> {
        storable("the device", &new.device)?;
        let code = random_text(&*self.core.entropy);
        let now = self.core.clock.now();
        let over = now.micros().saturating_sub(micros(DEVICE_TIME));
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM device_sign_ins WHERE expires < $1")
            .bind(over)
            .execute(tx.connection())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO device_sign_ins \
             (id, device_digest, user_code, device, ip, source, created, expires, poll_interval, hasty, state) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 'pending' \
             WHERE (SELECT count(*) FROM device_sign_ins AS other \
                    WHERE other.source = $6 AND other.expires > $7) < $10 \
             AND (SELECT count(*) FROM device_sign_ins AS every WHERE every.expires > $7) < $11",
        )
        .bind(DeviceSignInId::new(now, &*self.core.entropy).to_string())
        .bind(sha256_hex(code.expose().as_bytes()))
        .bind(new.user_code.clone())
        .bind(new.device.clone())
        .bind(new.ip.to_string())
        .bind(source(new.ip))
        .bind(now.micros())
        .bind(now.saturating_add(DEVICE_TIME).micros())
        .bind(micros(POLL_INTERVAL))
        .bind(MOST_DEVICES_OF_A_SOURCE)
        .bind(MOST_DEVICES)
        .execute(tx.connection())
        .await
        .map_err(|error| if is_duplicate(&error) { StoreError::Exists } else { error.into() })?;
        tx.commit().await?;
        Ok((inserted.rows_affected() == 1).then_some(code))
    }

    /// The waiting device with this user code, when nobody decided yet and it is not over.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn waiting(&self, user_code: &str) -> Result<Option<WaitingDevice>, StoreError> {
        if storable("the code", user_code).is_err() {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT id, user_code, device, ip, created, expires FROM device_sign_ins \
             WHERE user_code = $1 AND state = 'pending' AND expires > $2",
        )
        .bind(user_code.to_owned())
        .bind(self.core.clock.now().micros())
        .fetch_optional(self.core.database.pool())
        .await?;
        row.as_ref().map(waiting).transpose()
    }

    /// Decides about exactly this device, once, with the session `by`: what comes of it ends with what that
    /// session came of.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is over or was decided, or the session that decides has ended meanwhile.
    pub async fn decide(
        &self,
        id: DeviceSignInId,
        user: UserId,
        by: SessionId,
        decision: DeviceDecision,
    ) -> Result<(), StoreError> {
        let state = match decision {
            DeviceDecision::Approve => DeviceState::Approved,
            DeviceDecision::Deny => DeviceState::Denied,
        };
        let _turn = self.core.database.write_turn().await;
        let decided = sqlx::query(
            "UPDATE device_sign_ins SET state = $1, user_id = $2, decided = $3, \
             provider_session = (SELECT provider_session FROM sessions WHERE sessions.id = $5) \
             WHERE id = $4 AND state = 'pending' AND expires > $3 \
             AND $5 IN (SELECT id FROM sessions WHERE revoked IS NULL)",
        )
        .bind(state.name())
        .bind(user.to_string())
        .bind(self.core.clock.now().micros())
        .bind(id.to_string())
        .bind(by.to_string())
        .execute(self.core.database.pool())
        .await?;
        if decided.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    /// What a device finds when it asks again. Of any number of polls at once, on any number of instances,
    /// one gets the approval.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether the approval is taken is then not known.
    pub async fn poll(&self, device_code: &str) -> Result<Poll, StoreError> {
        let digest = sha256_hex(device_code.as_bytes());
        let now = self.core.clock.now().micros();
        let _turn = self.core.database.write_turn().await;
        let taken = sqlx::query(
            "UPDATE device_sign_ins SET state = 'used', last_poll = $1 \
             WHERE device_digest = $2 AND state = 'approved' AND expires > $1 \
             RETURNING user_id, device, provider_session",
        )
        .bind(now)
        .bind(digest.clone())
        .fetch_optional(self.core.database.pool())
        .await?;
        if let Some(row) = taken {
            let (user, device) = (parsed(&row, "user_id", "user id")?, row.try_get("device")?);
            let provider_session = optional_parsed(&row, "provider_session", "provider session id")?;
            return Ok(Poll::Approved { user, device, provider_session });
        }
        // All three compare with the row as it was before: in one UPDATE no column sees another's new value.
        let row = sqlx::query(
            "UPDATE device_sign_ins SET \
             hasty = CASE WHEN last_poll + poll_interval - $3 > $1 THEN 1 ELSE 0 END, \
             poll_interval = CASE WHEN last_poll + poll_interval - $3 > $1 AND poll_interval < $5 \
                             THEN poll_interval + $4 ELSE poll_interval END, \
             last_poll = $1 \
             WHERE device_digest = $2 RETURNING state, expires, hasty, poll_interval",
        )
        .bind(now)
        .bind(digest)
        .bind(micros(POLL_TOLERANCE))
        .bind(micros(POLL_STEP))
        .bind(micros(LONGEST_INTERVAL))
        .fetch_optional(self.core.database.pool())
        .await?;
        row.map_or(Ok(Poll::Unknown), |row| found(&row, now))
    }

    /// Asks to try one more user code with this session, and counts it at once.
    ///
    /// # Errors
    /// Only when the database cannot be written; then no code may be tried.
    pub async fn begin_try(&self, session: SessionId, limit: TryLimit) -> Result<Try, StoreError> {
        let now = self.core.clock.now();
        let over = now.micros().saturating_sub(micros(limit.within));
        let turn = self.core.database.write_turn().await;
        let counted = sqlx::query(
            "INSERT INTO device_tries (session_id, since, tries) VALUES ($1, $2, 1) \
             ON CONFLICT (session_id) DO UPDATE SET \
             tries = CASE WHEN device_tries.since <= $3 THEN 1 ELSE device_tries.tries + 1 END, \
             since = CASE WHEN device_tries.since <= $3 THEN $2 ELSE device_tries.since END \
             WHERE device_tries.since <= $3 OR device_tries.tries < $4",
        )
        .bind(session.to_string())
        .bind(now.micros())
        .bind(over)
        .bind(limit.most)
        .execute(self.core.database.pool())
        .await?;
        drop(turn);
        if counted.rows_affected() == 1 {
            return Ok(Try::Allowed);
        }
        let row = sqlx::query("SELECT since FROM device_tries WHERE session_id = $1")
            .bind(session.to_string())
            .fetch_optional(self.core.database.pool())
            .await?;
        let since = row.as_ref().map(|row| moment(row, "since")).transpose()?;
        Ok(Try::TooMany(since.unwrap_or(now).saturating_add(limit.within)))
    }

    /// Takes back one count of [`Devices::begin_try`]: the code was right.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn succeeded(&self, session: SessionId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE device_tries SET tries = tries - 1 WHERE session_id = $1 AND tries > 0")
            .bind(session.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }
}

fn found(row: &AnyRow, now: i64) -> Result<Poll, StoreError> {
    let state: String = row.try_get("state")?;
    let state = DeviceState::ALL
        .into_iter()
        .find(|known| known.name() == state)
        .ok_or(StoreError::Corrupt { what: "state of a device" })?;
    let over = row.try_get::<i64, _>("expires")? <= now;
    let hasty = row.try_get::<i64, _>("hasty")? != 0;
    let interval = u64::try_from(row.try_get::<i64, _>("poll_interval")?).unwrap_or_default();
    Ok(match state {
        _ if over => Poll::Expired,
        DeviceState::Pending if hasty => Poll::TooEarly(Duration::from_micros(interval)),
        // Approved between the two statements: the next poll takes it.
        DeviceState::Pending | DeviceState::Approved => Poll::Pending,
        DeviceState::Denied => Poll::Denied,
        DeviceState::Used => Poll::Expired,
    })
}

fn waiting(row: &AnyRow) -> Result<WaitingDevice, StoreError> {
    Ok(WaitingDevice {
        id: parsed(row, "id", "device sign-in id")?,
        user_code: row.try_get("user_code")?,
        device: row.try_get("device")?,
        ip: parsed(row, "ip", "address")?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
    })
}
