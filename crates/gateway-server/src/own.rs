//! The gateway's own operations behind the data plane: browsers get pages, everybody else the JSON API.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_api::Api;
use gateway_app::control::{ControlPlane, OwnQuestion, OwnReply, OwnRequest, PageAsked, Served};
use gateway_app::{App, ownership};
use gateway_types::{Channel, Operation, Problem, RequestId};
use gateway_web::Web;

/// Serves the gateway's own operations.
#[derive(Debug)]
pub struct OwnOperations {
    app: Arc<App>,
    api: Api,
    web: Web,
    /// Routes of operations that have a page.
    shown: BTreeSet<Arc<str>>,
}

impl OwnOperations {
    /// Both faces of this application.
    pub fn new(app: Arc<App>) -> Self {
        let web = Web::new(app.clone());
        let shown = app
            .own
            .pages()
            .into_iter()
            .filter(|(page, _)| web.serves(page))
            .map(|(_, operation)| operation.route.clone())
            .collect();
        Self { api: Api::new(app.clone()), web, shown, app }
    }
}

impl ControlPlane for OwnOperations {
    fn serves(&self, operation: &Operation) -> bool {
        self.api.serves(operation) || self.shown.contains(&operation.route)
    }

    fn is_own<'a>(&'a self, question: OwnQuestion<'a>) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ownership::is_own(&self.app, question))
    }

    fn serve(&self, request: OwnRequest) -> Served<'_> {
        match request.caller.channel {
            Channel::Web => Box::pin(self.web.serve(request)),
            Channel::Api | Channel::RackProxy | Channel::Service | Channel::Local => {
                Box::pin(self.api.serve(request))
            }
        }
    }

    fn problem_page(&self, asked: &PageAsked, problem: &Problem, request_id: RequestId) -> OwnReply {
        self.web.problem_page(asked, problem, request_id)
    }
}
