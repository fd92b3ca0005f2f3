//! The pages that the browser sees at the end of a sign-in. They hold no script, load nothing, and are
//! kept nowhere.

/// What became of the sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// All is well.
    SignedIn,
    /// The gateway did not sign the person in.
    Failed,
    /// The request is not the end of the sign-in that waits here.
    NotThisOne,
    /// There is nothing at this path.
    Nothing,
}

impl Page {
    const fn status(self) -> &'static str {
        match self {
            Page::SignedIn => "200 OK",
            Page::Failed | Page::NotThisOne => "400 Bad Request",
            Page::Nothing => "404 Not Found",
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Page::SignedIn => ("You are signed in", "You can close this tab and go back to the terminal."),
            Page::Failed => ("You are not signed in", "The terminal says why. You can close this tab."),
            Page::NotThisOne => (
                "This is not the sign-in that is waited for",
                "Use the tab that rack-gateway opened, or run rack-gateway login again.",
            ),
            Page::Nothing => ("There is nothing here", "rack-gateway waits here for one sign-in."),
        }
    }

    /// The whole reply.
    pub(super) fn reply(self) -> String {
        let (title, text) = self.words();
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title}</title><h1>{title}</h1><p>{text}</p></html>\n"
        );
        format!(
            "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Opener-Policy: same-origin\r\nConnection: close\r\n\r\n{body}",
            self.status(),
            body.len()
        )
    }
}
