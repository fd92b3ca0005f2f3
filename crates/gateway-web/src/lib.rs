//! The server-rendered pages.
//!
//! Every page arrives here through the data plane: the verdict is given, second factors are spent and
//! the intent is recorded, so nothing here looks at a role, a token of a form or a code. Pages call
//! the application functions of `gateway-app`; they write no SQL and know no sockets. Everything works
//! without JavaScript. Start reading at [`Web`] and the table in [`pages`], then at [`page::Frame`], what
//! stands around every page.

mod assets;
mod confirm;
mod device;
mod filters;
mod flash;
mod gate;
mod hosts;
mod live;
mod page;
mod pages;
mod query;
mod reply;
#[cfg(test)]
mod sample;
mod sign_in;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest, PageAsked, RackForm};
use gateway_types::{Problem, RequestId};

use assets::Assets;

pub use hosts::away;

/// The pages.
#[derive(Debug)]
pub struct Web {
    app: Arc<App>,
    assets: Assets,
    followers: Arc<live::Followers>,
}

impl Web {
    /// The pages of this application.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, assets: Assets::new(), followers: Arc::default() }
    }

    /// What the pages call.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The same, for what goes on after a page was served.
    pub(crate) fn shared_app(&self) -> Arc<App> {
        self.app.clone()
    }

    /// Who follows pages.
    pub(crate) fn followers(&self) -> &Arc<live::Followers> {
        &self.followers
    }

    /// The address of a file that only some pages load.
    pub(crate) fn asset(&self, name: &str) -> String {
        self.assets.href(name)
    }

    /// Whether this page, `METHOD /template` as in the table of pages, is served here.
    pub fn serves(&self, page: &str) -> bool {
        pages::is_page(page)
    }

    /// Why the form of a page that does something at the rack cannot be meant so.
    pub fn fault_of_form(&self, form: RackForm<'_>) -> Option<Problem> {
        pages::rack::fault_of_form(form)
    }

    /// Serves a page.
    ///
    /// # Errors
    /// What the person is to be told; [`Web::problem_page`] tells it.
    pub async fn serve(&self, request: OwnRequest) -> Result<OwnReply, Problem> {
        pages::serve(self, &request).await
    }

    /// The page that tells a problem: what it is, which layer and rules decided, and what would turn it
    /// into a yes.
    pub fn problem_page(&self, asked: &PageAsked, problem: &Problem, request_id: RequestId) -> OwnReply {
        pages::problems::refusal(self, asked, problem, request_id)
    }
}
