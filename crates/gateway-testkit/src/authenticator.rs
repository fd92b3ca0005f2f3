//! A person's authenticator, which shows codes for the gateway's clock.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use gateway_app::{Operator, factors};
use gateway_identity::{TotpCode, TotpSecret, TotpStep};
use gateway_types::{Clock, OsEntropy, Role, Secret, Timestamp};

use crate::TestGateway;

/// An authenticator.
#[derive(Debug)]
pub struct Authenticator(TotpSecret);

impl Authenticator {
    /// The one with this secret.
    pub fn of(base32: &str) -> Self {
        let bytes = BASE32_NOPAD.decode(base32.as_bytes()).expect("base32");
        Self(TotpSecret::from_bytes(Secret::new(bytes)))
    }

    /// Enrols one for the person with this role; it counts at once.
    pub async fn enrol(gateway: &TestGateway, role: Role) -> Self {
        let operator = Operator::local("tester", &*gateway.clock, &OsEntropy);
        let user = gateway.person(role).id;
        let enrolment = factors::enrol_confirmed_totp(gateway.store(), &operator, user, "phone").await;
        Self::of(enrolment.expect("an authenticator").secret.expose())
    }

    /// What it shows now.
    pub fn shows(&self, gateway: &TestGateway) -> String {
        self.shows_at(gateway.clock.now())
    }

    /// What it shows at this moment.
    pub fn shows_at(&self, now: Timestamp) -> String {
        self.0.code(TotpStep::at(now)).expect("a code").digits().expose().clone()
    }

    /// Waits for a code that nobody has seen, and reads it.
    pub fn next(&self, gateway: &TestGateway) -> String {
        gateway.clock.advance(Duration::from_secs(30));
        self.shows(gateway)
    }

    /// Six digits that are not good now.
    pub fn wrong(&self, gateway: &TestGateway) -> String {
        let now = gateway.clock.now();
        (0..)
            .map(|number| format!("{number:06}"))
            .find(|code| {
                let code: TotpCode = code.parse().expect("six digits");
                self.0.matching_step(&code, now).is_none()
            })
            .expect("a wrong code")
    }
}
