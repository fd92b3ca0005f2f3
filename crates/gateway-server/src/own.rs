//! The gateway's own operations behind the data plane: browsers get pages, everybody else the JSON API.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_api::Api;
use gateway_app::control::{
    Confirming, ControlPlane, HandedOff, OwnQuestion, OwnReply, OwnRequest, PageAsked, RackForm, Served,
};
use gateway_app::hosts::{self, Visit};
use gateway_app::origin::Origin;
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

    fn app_of<'a>(
        &'a self,
        question: OwnQuestion<'a>,
    ) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>> {
        Box::pin(ownership::app_of(&self.app, question))
    }

    fn fault_of_form(&self, form: RackForm<'_>) -> Option<Problem> {
        self.web.fault_of_form(form)
    }

    fn serve(&self, request: OwnRequest) -> Served<'_> {
        match request.caller.channel {
            Channel::Web => Box::pin(self.web.serve(request)),
            Channel::Api | Channel::RackProxy | Channel::Service | Channel::Local => {
                Box::pin(self.api.serve(request))
            }
        }
    }

    fn hand_off<'a>(&'a self, visit: Visit<'a>) -> HandedOff<'a> {
        Box::pin(async move {
            match hosts::begin(&self.app, visit).await {
                Ok(begun) => begun.map(|begun| gateway_web::away(&begun.location, &begun.cookie)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a browser could not be sent to sign in"
                    );
                    None
                }
            }
        })
    }

    fn confirmation_page<'a>(
        &'a self,
        at: &'a Origin,
        challenge: String,
        visit: Option<Visit<'a>>,
    ) -> Confirming<'a> {
        Box::pin(async move {
            let gateway = hosts::gateway_origin(&self.app, at).await.ok().flatten()?;
            // Without a way back the page still does what it is for.
            let back = match visit {
                Some(visit) => hosts::keep_way_back(&self.app, visit).await.ok(),
                None => None,
            };
            let back = back.map(|id| format!("?back={}", id.expose())).unwrap_or_default();
            Some(gateway.join(&format!("/step-up/{challenge}{back}")))
        })
    }

    fn problem_page(&self, asked: &PageAsked, problem: &Problem, request_id: RequestId) -> OwnReply {
        self.web.problem_page(asked, problem, request_id)
    }
}
