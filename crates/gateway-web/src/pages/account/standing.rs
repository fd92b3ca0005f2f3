//! What a person can confirm with, in words.

use std::time::Duration;

use gateway_app::me;
use gateway_types::{Caller, Problem};

use crate::Web;

/// Fewer backup codes than this are said on the first page.
const FEW_CODES: u64 = 4;

/// What a person can confirm with, and what of it counts now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Second factors are asked for at all.
    pub(crate) asked_for: bool,
    /// How many factors count.
    pub(crate) factors: usize,
    /// Backup codes that are not used yet.
    pub(crate) codes_left: u64,
    /// How long a code counts.
    pub(crate) window: Duration,
    /// How long the last one of this session still counts.
    pub(crate) window_left: Option<Duration>,
}

/// The caller's standing; `None` for whoever is no person.
///
/// # Errors
/// Only the store's.
pub(crate) async fn of(web: &Web, caller: &Caller) -> Result<Option<Standing>, Problem> {
    let me = me::read(web.app(), caller).await?;
    let now = web.app().clock.now();
    Ok(me.second_factor.map(|factor| Standing {
        asked_for: factor.asked_for,
        factors: factor.factors,
        codes_left: factor.backup_codes_left,
        window: factor.window,
        window_left: factor
            .stepped_up
            .and_then(|opened| opened.saturating_add(factor.window).checked_since(now)),
    }))
}

impl Standing {
    /// One line about factors.
    pub(crate) fn in_words(&self) -> String {
        let count = match self.factors {
            0 => "none".to_owned(),
            1 => "one second factor".to_owned(),
            more => format!("{more} second factors"),
        };
        if self.asked_for { count } else { format!("{count}; not asked for, switched off for this gateway") }
    }

    /// Few backup codes, or none, are left to somebody who may need them.
    pub(crate) fn codes_run_low(&self) -> bool {
        self.factors > 0 && self.codes_left < FEW_CODES
    }

    /// One sentence about backup codes.
    pub(crate) fn codes_in_words(&self) -> String {
        match self.codes_left {
            0 => "You have no backup codes left.".to_owned(),
            1 => "You have one backup code left.".to_owned(),
            more => format!("You have {more} backup codes left."),
        }
    }
}
