//! Vantage points, for those who look from elsewhere and for those who ask what they see.

use gateway_types::wire::vantage::{VantagePoint, VantagePoints, VantageReport, VantageTaken};
use http::Method;

use super::Client;
use crate::error::ClientError;

impl Client {
    /// The vantage points and their last words.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn vantage_points(&self) -> Result<Vec<VantagePoint>, ClientError> {
        let url = self.address().api(&["zone", "vantage-points"]);
        Ok(self.read::<VantagePoints>(url).await?.items)
    }

    /// Reports what was found from a vantage point; gives what is news of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report_sightings(
        &self,
        name: &str,
        report: &VantageReport,
    ) -> Result<Vec<String>, ClientError> {
        let url = self.address().api(&["zone", "vantage-points", name]);
        let taken: VantageTaken = self.change(Method::POST, url, report, None).await?.value;
        Ok(taken.news)
    }

    /// Forgets a vantage point.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_vantage_point(&self, name: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["zone", "vantage-points", name]), None).await
    }
}
