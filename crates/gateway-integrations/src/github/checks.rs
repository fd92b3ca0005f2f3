//! Whether checks and commit statuses are green.

use super::demands::{Checks, Demand};
use super::documents::{CheckRun, CheckRuns, CombinedStatus, StatusDocument};
use super::evidence::{CheckKind, CheckSeen};
use super::fault::EvidenceFault;
use super::names::shown;
use super::{Asked, OWN_CONTEXT};
use crate::http::link;

/// One report, whichever way it came.
struct Report {
    /// The whole name, as it is compared.
    name: String,
    seen: CheckSeen,
}

impl Report {
    fn is_success(&self) -> bool {
        self.seen.outcome == "success"
    }

    /// Green, or said to be beside the point.
    fn passes(&self) -> bool {
        // Commit statuses know neither of the other two.
        self.is_success()
            || (self.seen.kind == CheckKind::CheckRun
                && matches!(self.seen.outcome.as_str(), "neutral" | "skipped"))
    }
}

impl Asked<'_> {
    /// `GET /repos/{owner}/{repo}/commits/{ref}/check-runs` ("List check runs for a Git reference", the latest of each)
    /// and `GET /repos/{owner}/{repo}/commits/{ref}/status` ("Get the combined status").
    ///
    /// # Security
    /// The combined `state` is not looked at: it knows nothing of check runs. Both lists are read to their ends.
    pub(super) async fn checks(&self, demand: &Checks) -> Result<Vec<CheckSeen>, EvidenceFault> {
        let unreadable = |cause| self.unreadable(Demand::Checks, cause);
        let endpoint = &self.github.endpoint;
        let runs = self.github.at(self.repository, &["commits", self.commit.as_str(), "check-runs"]);
        let runs = endpoint.list::<CheckRuns>(self.http, &runs).await.map_err(unreadable)?;
        let statuses = self.github.at(self.repository, &["commits", self.commit.as_str(), "status"]);
        let statuses = endpoint.list::<CombinedStatus>(self.http, &statuses).await.map_err(unreadable)?;
        let reports: Vec<Report> = runs
            .into_iter()
            .map(of_run)
            .chain(statuses.into_iter().filter(|one| !one.context.starts_with(OWN_CONTEXT)).map(of_status))
            .collect();
        match demand {
            Checks::All { required, except } => self.all(reports, required, except),
            Checks::Named(names) => self.named(reports, names),
        }
    }

    fn all(
        &self,
        reports: Vec<Report>,
        required: &[String],
        except: &[String],
    ) -> Result<Vec<CheckSeen>, EvidenceFault> {
        self.required(&reports, required)?;
        let counting: Vec<Report> = reports
            .into_iter()
            .filter(|report| required.contains(&report.name) || !except.contains(&report.name))
            .collect();
        if let Some(red) = counting.iter().find(|report| !report.passes()) {
            return Err(self.not_green(red));
        }
        if !counting.iter().any(Report::is_success) {
            return Err(EvidenceFault::NoChecks { url: self.commit_page() });
        }
        Ok(counting.into_iter().map(|report| report.seen).collect())
    }

    fn named(&self, reports: Vec<Report>, names: &[String]) -> Result<Vec<CheckSeen>, EvidenceFault> {
        if names.is_empty() {
            return Err(EvidenceFault::NoChecks { url: self.commit_page() });
        }
        self.required(&reports, names)?;
        let named = reports.into_iter().filter(|report| names.contains(&report.name));
        Ok(named.map(|report| report.seen).collect())
    }

    /// Each of the names is there, and every report of that name is a success: a skipped one did not look.
    fn required(&self, reports: &[Report], names: &[String]) -> Result<(), EvidenceFault> {
        for name in names {
            let mut of_name = reports.iter().filter(|report| report.name == *name).peekable();
            if of_name.peek().is_none() {
                return Err(EvidenceFault::CheckMissing { name: shown(name), url: self.commit_page() });
            }
            if let Some(red) = of_name.find(|report| !report.is_success()) {
                return Err(self.not_green(red));
            }
        }
        Ok(())
    }

    fn not_green(&self, report: &Report) -> EvidenceFault {
        EvidenceFault::CheckNotGreen {
            name: report.seen.name.clone(),
            found: report.seen.outcome.clone(),
            url: report.seen.url.clone().unwrap_or_else(|| self.commit_page()),
        }
    }
}

fn of_run(run: CheckRun) -> Report {
    let outcome = match (run.status.as_str(), run.conclusion.as_deref()) {
        ("completed", Some(conclusion)) => conclusion,
        ("completed", None) => "without a conclusion",
        (status, Some(_) | None) => status,
    };
    let seen = CheckSeen {
        name: shown(&run.name),
        kind: CheckKind::CheckRun,
        outcome: shown(outcome),
        url: link(run.html_url.as_deref()),
    };
    Report { name: run.name, seen }
}

fn of_status(status: StatusDocument) -> Report {
    let seen = CheckSeen {
        name: shown(&status.context),
        kind: CheckKind::Status,
        outcome: shown(&status.state),
        url: link(status.target_url.as_deref()),
    };
    Report { name: status.context, seen }
}
