//! Services behind the gateway.

use gateway_types::wire::services::{
    ApproveCandidate, ImportOpenapi, ImportedRoutes, ReadCandidates, Service, ServiceCandidates,
    ServiceCheck, ServiceOpenapi, Services, WriteService,
};
use http::Method;
use serde_json::Value;

use super::{Client, Tagged, etag};
use crate::error::ClientError;

impl Client {
    /// Every service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn services(&self) -> Result<Services, ClientError> {
        self.read(self.address().api(&["services"])).await
    }

    /// One service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn service(&self, name: &str) -> Result<Tagged<Service>, ClientError> {
        self.read_tagged(self.address().api(&["services", name])).await
    }

    /// What a service's own OpenAPI document has, read from the service now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn service_openapi(&self, name: &str) -> Result<ServiceOpenapi, ClientError> {
        self.read(self.address().api(&["services", name, "openapi"])).await
    }

    /// What is wrong with a declaration; nothing is changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check_service(&self, declaration: &Value) -> Result<ServiceCheck, ClientError> {
        let body = WriteService { declaration: declaration.clone() };
        let url = self.address().api(&["services", "check"]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// The routes of an OpenAPI document; nothing is changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn import_openapi(&self, document: &Value) -> Result<ImportedRoutes, ClientError> {
        let body = ImportOpenapi { document: document.clone() };
        let url = self.address().api(&["services", "import-openapi"]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// What labels of a compose file ask for: of this text, or of the file that the gateway watches. Nothing is changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn service_candidates(&self, compose: Option<&str>) -> Result<ServiceCandidates, ClientError> {
        let url = self.address().api(&["service-candidates"]);
        match compose {
            None => self.read(url).await,
            Some(compose) => {
                let body = ReadCandidates { compose: compose.to_owned() };
                Ok(self.change(Method::POST, url, &body, None).await?.value)
            }
        }
    }

    /// Puts a candidate in force, if `difference` is what it still would change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve_service_candidate(
        &self,
        name: &str,
        difference: &str,
        compose: Option<&str>,
    ) -> Result<Service, ClientError> {
        let body =
            ApproveCandidate { difference: difference.to_owned(), compose: compose.map(str::to_owned) };
        let url = self.address().api(&["service-candidates", name]);
        Ok(self.change(Method::POST, url, &body, None).await?.value)
    }

    /// Writes a service of the database, if it is still at this version; 0 = there is none yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn write_service(
        &self,
        name: &str,
        declaration: &Value,
        version: i64,
    ) -> Result<Service, ClientError> {
        let body = WriteService { declaration: declaration.clone() };
        let url = self.address().api(&["services", name]);
        Ok(self.change(Method::PUT, url, &body, Some(&etag(version))).await?.value)
    }

    /// Removes a service of the database, if it is still at this version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_service(&self, name: &str, version: i64) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&["services", name]), Some(&etag(version))).await
    }
}
