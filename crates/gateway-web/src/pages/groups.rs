//! Groups of identity providers, and the roles that their members get.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::error::PeopleError;
use gateway_app::groups::{self, GroupInForce};
use gateway_app::rights::Expected;
use gateway_types::{Problem, Role, RoleSet, Timestamp};

use super::choices::{self, Choice};
use super::versions;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/groups";
const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage {
    frame: Frame,
    text: String,
    groups: Vec<GroupCard>,
    /// Why this person may not map groups.
    refused: Option<String>,
    pager: Pager,
}

struct GroupCard {
    name: String,
    /// Where its form goes; `None` when no address can name it.
    href: Option<String>,
    roles: Vec<&'static str>,
    /// Where it comes from.
    origin: String,
    set: Option<Timestamp>,
    version: i64,
    open: bool,
    choices: Vec<Choice>,
    fault: String,
}

impl GroupCard {
    fn of(group: GroupInForce) -> Self {
        Self {
            href: is_addressable(&group.id).then(|| format!("{PATH}/{}", group.id)),
            roles: group.roles.iter().map(Role::name).collect(),
            origin: match (&group.updated, group.roles.is_empty()) {
                (Some((by, _when)), _) => format!("set by {by}"),
                (None, false) => format!("from the {}", group.source.name()),
                (None, true) => "nobody has said anything about it".to_owned(),
            },
            set: group.updated.map(|(_by, when)| when),
            version: group.version,
            open: false,
            choices: choices::of_roles(choices::for_people, group.roles),
            fault: String::new(),
            name: group.id,
        }
    }

    /// The same with its form open and as it was filled in.
    fn filled_in(mut self, ticked: RoleSet, fault: String) -> Self {
        (self.open, self.choices, self.fault) = (true, choices::of_roles(choices::for_people, ticked), fault);
        self
    }
}

/// Whether a name can be a segment of a path: what the table of routes calls plain.
fn is_addressable(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:@+=,~-".contains(c);
    !matches!(name, "." | "..") && (1..=200).contains(&name.len()) && name.chars().all(is_plain)
}

/// `GET /app/groups`. With `group`, the form of exactly that one is open, also when nobody mapped it yet.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let text = query.one("q").unwrap_or_default();
    let begin = query.one("cursor").unwrap_or_default();
    let mut cards: Vec<GroupCard> = Vec::new();
    if let Some(named) = query.one("group") {
        let group = groups::read(app, &named).await?;
        let roles = group.roles;
        cards.push(GroupCard::of(group).filled_in(roles, String::new()));
    } else {
        let matches =
            |group: &GroupInForce| group.id > begin && group.id.to_lowercase().contains(&text.to_lowercase());
        cards.extend(groups::list(app).await?.into_iter().filter(matches).map(GroupCard::of));
    }
    let more = cards.len() > PAGE_SIZE;
    cards.truncate(PAGE_SIZE);
    let next = cards.last().filter(|_last| more).map(|last| last.name.clone());
    reply::html(&page(web, request, text, cards, Pager::new(PATH, &query, next.as_deref())))
}

fn page(web: &Web, request: &OwnRequest, text: String, groups: Vec<GroupCard>, pager: Pager) -> GroupsPage {
    GroupsPage {
        frame: Frame::of(web, request, "Groups"),
        text,
        groups,
        refused: gate::refusal(web.app(), &request.caller, "POST /app/groups/{id}", false),
        pager,
    }
}

/// `POST /app/groups/{id}`.
pub(crate) async fn update(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), request.parameter("id").unwrap_or_default());
    let version = versions::expected(request)?;
    let ticked = choices::ticked(&request.form);
    let fault = match ticked.clone() {
        Err(fault) => fault,
        Ok(roles) => {
            let operator = app.operator(&request.caller, request.request_id);
            let changed =
                groups::update(app, &operator, &request.caller, id, Expected::Version(version), roles).await;
            match changed {
                Ok(_group) => return Ok(reply::done(PATH, "group-changed")),
                Err(error @ (PeopleError::MachineRole | PeopleError::AboveOwn(_))) => error.to_string(),
                Err(error) => return Err(versions::told(error.into(), PATH)),
            }
        }
    };
    let card = GroupCard::of(groups::read(app, id).await?).filled_in(ticked.unwrap_or_default(), fault);
    reply::html_with_status(400, &page(web, request, String::new(), vec![card], Pager::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_address_can_carry() {
        assert!(is_addressable("eng@example.com"));
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a%20b"] {
            assert!(!is_addressable(bad), "{bad}");
        }
    }
}
