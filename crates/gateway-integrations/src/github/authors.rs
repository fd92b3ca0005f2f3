//! Whether somebody approves what they wrote.
//!
//! # Security
//! Who wrote a commit is what the commit says. Without [`super::Demands::signed`] that is a claim; who opened the pull
//! request is GitHub's own word.

use super::Asked;
use super::demands::Demand;
use super::documents::{Account, CommitDocument, GitPerson};
use super::fault::EvidenceFault;
use super::names::shown;
use super::pulls::Counted;
use crate::http::CallFault;

/// The most commits of a pull request that GitHub lists; of what has more, the rest cannot be seen.
const MOST_COMMITS: usize = 250;

/// The address with which GitHub hides somebody's own: `LOGIN@` or `NUMBER+LOGIN@` before it.
const NOREPLY: &str = "users.noreply.github.com";

/// Somebody who approves, by all names that are known of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Approver {
    /// Their login at this GitHub.
    pub login: Option<String>,
    /// Their e-mail addresses.
    pub emails: Vec<String>,
}

impl Approver {
    /// One name: with an `@` an e-mail address, else a login.
    pub fn named(name: &str) -> Self {
        if name.contains('@') {
            Self { login: None, emails: vec![name.to_owned()] }
        } else {
            Self { login: Some(name.to_owned()), emails: Vec::new() }
        }
    }

    fn known_as(&self) -> String {
        shown(self.login.as_deref().or(self.emails.first().map(String::as_str)).unwrap_or("somebody"))
    }

    /// Logins, also those inside of hidden addresses.
    fn logins(&self) -> impl Iterator<Item = &str> {
        self.login.as_deref().into_iter().chain(self.emails.iter().filter_map(|email| hidden_login(email)))
    }

    /// Addresses that are somebody's own.
    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.emails.iter().map(String::as_str).filter(|email| hidden_login(email).is_none())
    }
}

/// Who wrote something; the same names as of an approver.
type Author = Approver;

/// What comparing two people gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sameness {
    Same,
    Different,
    Unknown,
}

impl Asked<'_> {
    /// The authors, none of whom is an approver: the commit's author, committer and co-authors, who opened the pull
    /// request, and the same of the pull request's commits (`GET /repos/{owner}/{repo}/pulls/{pull_number}/commits`,
    /// "List commits on a pull request").
    pub(super) async fn authors(
        &self,
        document: &CommitDocument,
        pull: Option<&Counted>,
        approvers: &[Approver],
    ) -> Result<Vec<String>, EvidenceFault> {
        let mut authors = Vec::new();
        collect(document, &mut authors);
        let mut page = self.commit_page();
        if let Some(counted) = pull {
            page.clone_from(&counted.seen.url);
            let login = counted.author.as_ref().and_then(|account| account.login.clone());
            add(&mut authors, Author { login, emails: Vec::new() });
            for commit in self.commits(counted).await? {
                collect(&commit, &mut authors);
            }
        }
        if approvers.is_empty() {
            return Err(EvidenceFault::NoApprover { url: page });
        }
        let pairs =
            || authors.iter().flat_map(|author| approvers.iter().map(move |approver| (author, approver)));
        // What is known comes before what is not: the first says who must not approve.
        if let Some((_, approver)) =
            pairs().find(|(author, approver)| sameness(author, approver) == Sameness::Same)
        {
            return Err(EvidenceFault::ApproverIsAuthor { approver: approver.known_as(), url: page });
        }
        if let Some((author, approver)) =
            pairs().find(|(author, approver)| sameness(author, approver) == Sameness::Unknown)
        {
            let (author, approver) = (author.known_as(), approver.known_as());
            return Err(EvidenceFault::AuthorUnknown { author, approver, url: page });
        }
        Ok(authors.iter().map(Author::known_as).collect())
    }

    async fn commits(&self, counted: &Counted) -> Result<Vec<CommitDocument>, EvidenceFault> {
        let unreadable = |cause| self.unreadable(Demand::Author, cause);
        let number = counted.seen.number.to_string();
        let url = self.github.at(self.repository, &["pulls", &number, "commits"]);
        let commits =
            self.github.endpoint.list::<Vec<CommitDocument>>(self.http, &url).await.map_err(unreadable)?;
        if commits.len() >= MOST_COMMITS {
            let (host, path) = (self.github.endpoint.host(), url.path().to_owned());
            return Err(unreadable(CallFault::Incomplete { host, path }));
        }
        Ok(commits)
    }
}

fn collect(document: &CommitDocument, authors: &mut Vec<Author>) {
    add(authors, author(document.author.as_ref(), document.commit.author.as_ref()));
    add(authors, author(document.committer.as_ref(), document.commit.committer.as_ref()));
    for email in co_authors(&document.commit.message) {
        add(authors, Author { login: None, emails: vec![email.to_owned()] });
    }
}

fn author(account: Option<&Account>, person: Option<&GitPerson>) -> Author {
    Author {
        login: account.and_then(|account| account.login.clone()),
        emails: person.and_then(|person| person.email.clone()).into_iter().collect(),
    }
}

/// Adds somebody, to the same person's other names where the login or an address is the same.
fn add(authors: &mut Vec<Author>, new: Author) {
    // GitHub itself commits what is merged or edited on its pages. An app is nobody who approves.
    let is_nobody = new.logins().any(|login| login == "web-flow" || login.ends_with("[bot]"))
        || (new.login.is_none()
            && new.emails.iter().all(|email| email == "noreply@github.com" || email.is_empty()));
    if is_nobody {
        return;
    }
    match authors.iter_mut().find(|known| is_same(known, &new)) {
        Some(known) => {
            known.login = known.login.take().or(new.login);
            for email in new.emails {
                if !known.emails.iter().any(|have| have.eq_ignore_ascii_case(&email)) {
                    known.emails.push(email);
                }
            }
        }
        None => authors.push(new),
    }
}

/// Addresses of `Co-authored-by: NAME <ADDRESS>` lines.
fn co_authors(message: &str) -> impl Iterator<Item = &str> {
    message.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let (_, rest) = value.split_once('<')?;
        let (email, _) = rest.split_once('>')?;
        key.trim().eq_ignore_ascii_case("co-authored-by").then(|| email.trim())
    })
}

fn is_same(one: &Author, other: &Author) -> bool {
    let logins = one.logins().any(|login| other.logins().any(|also| also.eq_ignore_ascii_case(login)));
    logins || one.addresses().any(|email| other.addresses().any(|also| also.eq_ignore_ascii_case(email)))
}

/// Two logins can be compared. So can two addresses of one domain, in which people have one each; a private address
/// beside one of the company says nothing.
fn sameness(author: &Author, approver: &Approver) -> Sameness {
    let both_logins = author.logins().next().is_some() && approver.logins().next().is_some();
    let one_domain =
        author.addresses().any(|email| approver.addresses().any(|also| is_one_domain(email, also)));
    match is_same(author, approver) {
        true => Sameness::Same,
        false if both_logins || one_domain => Sameness::Different,
        false => Sameness::Unknown,
    }
}

fn is_one_domain(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((_, one)), Some((_, other))) => one.eq_ignore_ascii_case(other),
        (Some(_) | None, Some(_) | None) => false,
    }
}

fn hidden_login(email: &str) -> Option<&str> {
    let (local, domain) = email.rsplit_once('@')?;
    let login = local.split_once('+').map_or(local, |(_, login)| login);
    domain.eq_ignore_ascii_case(NOREPLY).then_some(login)
}
