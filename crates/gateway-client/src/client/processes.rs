//! Processes of an app, as `run` needs them: started, looked at, stopped. The rack's own operations.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use crate::client::Client;
use crate::error::ClientError;
use crate::rack_session::RACK;
use crate::transport::Call;

/// A process, as far as it is looked at.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct RackProcess {
    /// Its id.
    pub id: String,
    /// What it does: `running`, and others.
    #[serde(default)]
    pub status: String,
}

/// How a process is started: names and values as the official client sends them.
#[derive(Clone, Debug, Default)]
pub struct ProcessOptions(HeaderMap);

impl ProcessOptions {
    /// Adds one.
    ///
    /// # Errors
    /// When the value cannot stand in a header: it has a line break.
    pub fn set(&mut self, name: &'static str, value: &str) -> Result<(), ClientError> {
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| ClientError::BadHeader(name))?;
        self.0.insert(HeaderName::from_static(name), value);
        Ok(())
    }
}

impl Client {
    /// Starts a process of a service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_process(
        &self,
        app: &str,
        service: &str,
        options: &ProcessOptions,
    ) -> Result<RackProcess, ClientError> {
        let url = self.address().api(&[RACK, "apps", app, "services", service, "processes"]);
        let reply = self.transport.send_with(Call::new(Method::POST, url), options.0.clone()).await?;
        self.transport.document(&reply.body)
    }

    /// A process.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn process(&self, app: &str, id: &str) -> Result<RackProcess, ClientError> {
        self.read(self.address().api(&[RACK, "apps", app, "processes", id])).await
    }

    /// Stops a process.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stop_process(&self, app: &str, id: &str) -> Result<(), ClientError> {
        self.order(Method::DELETE, self.address().api(&[RACK, "apps", app, "processes", id]), None).await
    }
}
