//! People: all of them, and an invitation.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::error::PeopleError;
use gateway_app::users::{self, Invitation};
use gateway_store::{Standing, User, UserFilter};
use gateway_types::{Problem, Role, RoleSet, Timestamp};

use super::choices::{self, Choice};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/users";
const PAGE_SIZE: u32 = 50;
const STANDINGS: &[(&str, &str)] = &[("", "any"), ("active", "active"), ("locked", "locked")];

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    text: String,
    roles: Vec<Choice>,
    standings: Vec<Choice>,
    people: Vec<PersonRow>,
    pager: Pager,
    invite: InviteForm,
}

/// A person as listings and pages show them.
pub(crate) struct PersonRow {
    pub(crate) href: String,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) locked: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl PersonRow {
    pub(crate) fn of(user: &User) -> Self {
        Self {
            href: format!("{PATH}/{}", user.id),
            email: user.email.clone(),
            name: user.name.clone(),
            roles: user.roles.iter().map(Role::name).collect(),
            locked: user.locked,
            created: user.created,
            updated: user.updated,
        }
    }
}

/// The form of an invitation, as it was filled in.
#[derive(Default)]
struct InviteForm {
    /// Why this person may not invite.
    refused: Option<String>,
    email: String,
    email_fault: String,
    name: String,
    name_fault: String,
    roles: Vec<Choice>,
    roles_fault: String,
    /// What is wrong and not with one field.
    fault: String,
}

impl InviteForm {
    fn new(web: &Web, request: &OwnRequest, chosen: RoleSet) -> Self {
        Self {
            refused: gate::refusal(web.app(), &request.caller, "POST /app/users", false),
            roles: choices::of_roles(choices::for_people, chosen),
            ..Self::default()
        }
    }

    /// Puts what is wrong where it is wrong; what is not about a field comes back.
    fn at_its_field(&mut self, error: PeopleError) -> Result<(), PeopleError> {
        let text = error.to_string();
        let field = match error {
            PeopleError::BadEmail(_) | PeopleError::PersonExists(_) => &mut self.email_fault,
            PeopleError::BadName => &mut self.name_fault,
            PeopleError::NoRole | PeopleError::MachineRole | PeopleError::AboveOwn(_) => {
                &mut self.roles_fault
            }
            other => return Err(other),
        };
        *field = text;
        Ok(())
    }
}

/// `GET /app/users`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let form = InviteForm::new(web, request, RoleSet::EMPTY);
    page(web, request, form, 200).await
}

async fn page(web: &Web, request: &OwnRequest, invite: InviteForm, status: u16) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let role = query.one("role").and_then(|name| name.parse::<Role>().ok());
    let standing = query.one("standing").unwrap_or_default();
    let filter = UserFilter {
        search: query.one("q"),
        role,
        standing: match standing.as_str() {
            "active" => Some(Standing::Active),
            "locked" => Some(Standing::Locked),
            _ => None,
        },
    };
    let found = users::find(web.app(), &filter, query.one("cursor").as_deref(), PAGE_SIZE).await?;
    let page = UsersPage {
        frame: Frame::of(web, request, "Users"),
        people: found.items.iter().map(PersonRow::of).collect(),
        pager: Pager::new(PATH, &query, found.next.as_deref()),
        text: filter.search.unwrap_or_default(),
        roles: role_choices(role),
        standings: choices::one_of(STANDINGS, &standing),
        invite,
    };
    reply::html_with_status(status, &page)
}

fn role_choices(chosen: Option<Role>) -> Vec<Choice> {
    let roles = Role::ALL.into_iter().filter(|role| choices::for_people(*role));
    let options: Vec<_> =
        std::iter::once(("", "any")).chain(roles.map(|role| (role.name(), role.name()))).collect();
    choices::one_of(&options, chosen.map_or("", Role::name))
}

/// `POST /app/users`.
pub(crate) async fn invite(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let (email, name) = (field("email"), field("name"));
    let roles = choices::ticked(&request.form);
    let mut form = InviteForm::new(web, request, roles.clone().unwrap_or_default());
    form.email.clone_from(&email);
    form.name.clone_from(&name);
    let Ok(roles) = roles.map_err(|fault| form.roles_fault = fault) else {
        return page(web, request, form, 400).await;
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    let invitation = Invitation { email, name: Some(name).filter(|name| !name.is_empty()), roles };
    match users::invite(web.app(), &operator, &request.caller, invitation).await {
        Ok(user) => Ok(reply::done(&format!("{PATH}/{}", user.id), "invited")),
        Err(error) => {
            form.at_its_field(error)?;
            page(web, request, form, 400).await
        }
    }
}
