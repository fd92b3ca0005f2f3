//! Which function makes which page.

mod choices;
mod event;
mod files;
pub(crate) mod problems;
mod roles;

use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Layer, Problem, ProblemKind};

use crate::Web;

/// One table for two questions: whether there is such a page, and who makes it.
macro_rules! pages {
    ($($page:literal => $make:path,)*) => {
        /// Whether the table has this page.
        pub(crate) fn is_page(page: &str) -> bool {
            [$($page),*].contains(&page)
        }

        /// Makes the page that is asked for.
        pub(crate) async fn serve(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
            match request.page.as_deref() {
                $(Some($page) => $make(web, request).await,)*
                _ => Err(no_such_page()),
            }
        }
    };
}

// Every arm is `async fn(&Web, &OwnRequest) -> Result<OwnReply, Problem>`.
pages! {
    "GET /" => files::to_the_pages,
    "GET /app/static/{file}" => files::asset,
    "GET /problems/{kind}" => problems::explain,
    "GET /app/roles" => roles::list,
}

pub(crate) fn no_such_page() -> Problem {
    Problem::new(ProblemKind::NotFound, Layer::Network, "There is no such page.")
}
