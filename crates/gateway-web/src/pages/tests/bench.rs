//! Requests as the data plane hands them over: identified, decided by policy with every factor given,
//! refused as it refuses.

use gateway_app::control::{OwnQuestion, PageAsked};
use gateway_app::ownership;
use gateway_audit::{Actor, Event};
use gateway_store::{NewUser, User};
use gateway_types::{
    ActionName, Caller, EventId, Facts, Layer, OsEntropy, Problem, ProblemKind, RequestId, Resource,
};

use crate::sample::{Sample, text};

/// The pages, asked as through the data plane.
pub(super) struct Bench {
    pub(super) sample: Sample,
}

/// A page as a browser gets it.
pub(super) struct Shown {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) headers: Vec<(http::HeaderName, http::HeaderValue)>,
}

impl Shown {
    pub(super) fn header(&self, name: &http::HeaderName) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(super) fn location(&self) -> &str {
        self.header(&http::header::LOCATION)
    }

    /// The value of the first hidden field of this name.
    pub(super) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split(&start).nth(1).unwrap_or_else(|| panic!("no field {name}: {}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self { sample: Sample::new().await }
    }

    /// Somebody who is not signed in.
    pub(super) async fn person(&self, email: &str, name: &str, roles: &str) -> User {
        let new = NewUser { email: email.to_owned(), name: name.to_owned(), roles: roles.parse().unwrap() };
        self.sample.app.store.users().create(new).await.unwrap()
    }

    /// Somebody at a browser.
    pub(super) async fn signed_in(&self, email: &str, roles: &str) -> Caller {
        self.sample.person(email, roles).await
    }

    /// An event by `caller`, in the log.
    pub(super) async fn logged(&self, caller: &Caller, change: impl FnOnce(&mut Event)) -> (u64, RequestId) {
        let now = self.sample.app.clock.now();
        let (id, request) = (EventId::new(now, &OsEntropy), RequestId::new(now, &OsEntropy));
        let actor = Actor::of(&caller.principal);
        let action = ActionName::new("gateway:user:update");
        let mut event = Event::new(now, id, action, Resource::gateway(), actor).by(caller);
        event.request_id = Some(request);
        change(&mut event);
        (self.sample.app.store.audit().append(event).await.unwrap().index, request)
    }

    /// What a minute of serving does.
    pub(super) async fn count(&self) {
        gateway_app::audit::summary::tend(&self.sample.app.store).await.unwrap();
    }

    pub(super) async fn get(&self, caller: &Caller, target: &str) -> Shown {
        self.ask("GET", caller, target, &[]).await
    }

    pub(super) async fn post(&self, caller: &Caller, target: &str, form: &[(&str, &str)]) -> Shown {
        self.ask("POST", caller, target, form).await
    }

    /// Every page that comes back is checked as every page is.
    async fn ask(&self, method: &str, caller: &Caller, target: &str, form: &[(&str, &str)]) -> Shown {
        let app = &self.sample.app;
        let mut request = self.sample.request(method, target, caller, form);
        let route = app.own.identify(method, &request.head.path).unwrap();
        let question = OwnQuestion {
            principal: &caller.principal,
            route: &route,
            query: request.head.query.as_deref(),
            form: &request.form,
            body: &[],
        };
        request.facts = Facts {
            mfa_window: true,
            mfa_bound: true,
            mfa_enrolled: true,
            own_object: ownership::is_own(app, question).await,
            ..Facts::default()
        };
        let verdict = app.policy().decide(caller, &route.operation, &route.resource(), &request.facts);
        let reply = if verdict.is_allowed() {
            self.sample.ask(request).await
        } else {
            let problem = Problem::new(ProblemKind::Refused, Layer::Authorization, verdict.reason);
            let asked = PageAsked {
                at_service: false,
                method: request.head.method.clone(),
                target: target.to_owned(),
                form: request.form.clone(),
                caller: Some(caller.clone()),
                csrf: request.csrf.clone(),
            };
            self.sample.web.problem_page(&asked, &problem, request.request_id)
        };
        let body =
            if reply.status == 303 { text(&reply) } else { self.sample.checked(caller, target, &reply) };
        Shown { status: reply.status, body, headers: reply.headers }
    }
}
