//! `audit story`: deploys, one line each, or one of them with its events.

use clap::Args;
use gateway_app::audit::stories::{self, StoryFilter};
use gateway_app::audit::{Whose as OfWhom, cursor, filter};
use gateway_app::reading::announce;
use gateway_types::wire::audit::{AuditFilter, AuditStory, IndexedEvent, StoryQuery, ToldStory};

use super::search::show as show_event;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, escaped};
use crate::remote::{Remote, Target, Whose, whose};

/// The arguments of `audit story`.
#[derive(Args, Debug)]
#[command(
    after_help = "A story is the requests that built, released and promoted something, with the approval, the sessions and what came of it."
)]
pub(crate) struct StoryArguments {
    /// One story: the index of any entry that belongs to it
    #[arg(value_name = "INDEX", conflicts_with_all = ["actor", "app", "from", "to"])]
    pub(crate) index: Option<u64>,
    /// How many stories at most
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    pub(crate) lines: u32,
    /// Only those in which this actor took part
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only of this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only those of which something happened from this moment on, such as 2026-11-22T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only those of which something happened before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only what one did oneself (asked of a gateway only; needs no role)
    #[arg(long)]
    pub(crate) mine: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// Shows stories, newest first, or one of them.
pub(super) async fn run(context: &Context, arguments: &StoryArguments) -> Result<(), Failure> {
    match whose(context, &arguments.place)? {
        Whose::Local if arguments.mine => Err(super::remote::only_there("--mine")),
        Whose::Local => local(context, arguments).await,
        Whose::Remote(target) => remote(context, *target, arguments).await,
    }
}

async fn local(context: &Context, arguments: &StoryArguments) -> Result<(), Failure> {
    let times =
        AuditFilter { from: arguments.from.clone(), to: arguments.to.clone(), ..AuditFilter::default() };
    let times = filter(&times).map_err(|error| Failure::new(Exit::Usage, error))?;
    let (actor, app) = (arguments.actor.clone(), arguments.app.clone());
    let wanted = StoryFilter { actor, app, since: times.since, until: times.until };
    let local = LocalStore::open(context, &arguments.place).await?;
    let described = match arguments.index {
        Some(index) => index.to_string(),
        None => serde_json::to_string(&query(arguments))?,
    };
    announce(&local.store, &local.operator(), "gateway:audit:search", &[("stories", &described)]).await?;
    if let Some(index) = arguments.index {
        let (story, events) = stories::one(&local.store, OfWhom::Everybodys, index).await?;
        local.close().await;
        let event = |(index, event): &(u64, gateway_audit::Event)| {
            let time = event.time.to_rfc3339();
            Ok(IndexedEvent { index: *index, time, event: serde_json::to_value(event)? })
        };
        let events = events.iter().map(event).collect::<Result<_, Failure>>()?;
        return tell(context, &ToldStory { story: story.wire(), events });
    }
    let mut left = usize::try_from(arguments.lines).unwrap_or(usize::MAX);
    let mut before = None;
    while left > 0 {
        let page = stories::list(&local.store, OfWhom::Everybodys, &wanted, before).await?;
        for story in page.items.iter().take(left) {
            show(context, &story.wire())?;
        }
        left = left.saturating_sub(page.items.len());
        before = cursor(page.next.as_deref())?;
        if before.is_none() {
            break;
        }
    }
    local.close().await;
    Ok(())
}

async fn remote(context: &Context, target: Target, arguments: &StoryArguments) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    if let Some(index) = arguments.index {
        let mine = arguments.mine;
        let told = remote.ask(async |client| client.story(index, mine).await).await?;
        return tell(context, &told);
    }
    let mut query = query(arguments);
    let mut left = usize::try_from(arguments.lines).unwrap_or(usize::MAX);
    while left > 0 {
        let page = remote.ask(async |client| client.stories(&query).await).await?;
        for story in page.items.iter().take(left) {
            show(context, story)?;
        }
        left = left.saturating_sub(page.items.len());
        if page.next.is_none() || page.next == query.cursor {
            break;
        }
        query.cursor = page.next;
    }
    Ok(())
}

fn query(arguments: &StoryArguments) -> StoryQuery {
    StoryQuery {
        actor: arguments.actor.clone(),
        app: arguments.app.clone(),
        from: arguments.from.clone(),
        to: arguments.to.clone(),
        mine: arguments.mine,
        cursor: None,
    }
}

fn tell(context: &Context, told: &ToldStory) -> Result<(), Failure> {
    if context.output.format == Format::Json {
        return context.output.line(&escaped(&serde_json::to_string(told)?));
    }
    show(context, &told.story)?;
    told.events.iter().try_for_each(|event| show_event(context, event))
}

/// Shows one story; as JSON one object a line.
fn show(context: &Context, story: &AuditStory) -> Result<(), Failure> {
    let line = match context.output.format {
        Format::Json => escaped(&serde_json::to_string(story)?),
        Format::Text => gateway_client::text::one_line(&line(story)),
    };
    context.output.line(&line)
}

/// A story as one line of text.
fn line(story: &AuditStory) -> String {
    let mut words = vec![story.ended.clone(), story.app.clone(), story.outcome.replace('_', " ")];
    for (what, names) in [("build", &story.builds), ("release", &story.releases)] {
        if !names.is_empty() {
            words.push(format!("{what} {}", names.join(", ")));
        }
    }
    words.push(format!("by {}", story.actors.join(", ")));
    if let Some(approval) = &story.approval {
        let state = approval.state.as_deref().unwrap_or("asked for");
        let by =
            if approval.by.is_empty() { String::new() } else { format!(" by {}", approval.by.join(", ")) };
        words.push(format!("approval {state}{by}"));
    }
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    words.push(count(story.requests, "request", "requests"));
    if story.sessions > 0 {
        words.push(count(story.sessions, "session", "sessions"));
    }
    if story.refusals > 0 {
        words.push(format!("{} refused", story.refusals));
    }
    words.push(format!("#{}", story.index));
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use gateway_types::wire::audit::StoryApproval;

    use super::*;

    #[test]
    fn a_story_is_one_line() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut story = AuditStory {
            index: 101,
            app: "web".to_owned(),
            began: "2026-11-22T08:00:00.000000Z".to_owned(),
            ended: "2026-11-22T08:09:00.000000Z".to_owned(),
            actors: names(&["ci", "ann"]),
            builds: names(&["B1"]),
            releases: names(&["R1"]),
            approval: Some(StoryApproval {
                id: "a".to_owned(),
                state: Some("deployed".to_owned()),
                by: names(&["ann"]),
            }),
            sessions: 1,
            requests: 20,
            refusals: 2,
            outcome: "promoted".to_owned(),
            events: vec![101],
        };
        assert_eq!(
            line(&story),
            "2026-11-22T08:09:00.000000Z  web  promoted  build B1  release R1  by ci, ann  approval deployed by ann  \
             20 requests  1 session  2 refused  #101"
        );
        (story.approval, story.sessions, story.refusals, story.requests) = (None, 0, 0, 1);
        story.outcome = "not_approved".to_owned();
        assert_eq!(
            line(&story),
            "2026-11-22T08:09:00.000000Z  web  not approved  build B1  release R1  by ci, ann  1 request  #101"
        );
    }
}
