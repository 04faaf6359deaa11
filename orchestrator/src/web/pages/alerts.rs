//! `/alerts`: who is told of what went wrong, what is wrong now, and what was told.

use askama::Template;
use assets::Alert;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use state::alert::MessageStatus;
use state::ids::RunId;
use state::sqlite::queries::alerts::{AlertCounts, AlertRow, MessageRow, counts, messages, open_alerts, open_by_alert};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::{Clock, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, encode, query};
use super::tone::Tone;
use super::{given, read, render};

const ON_A_PAGE: usize = 50;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    alert: Option<String>,
    /// Open things before this number.
    open_before: Option<i64>,
    /// Messages before this number.
    before: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AlertsFacts {
    /// How much there is to look at.
    pub counts: AlertCounts,
    /// The alerts that are declared, by name.
    pub alerts: Vec<AlertFacts>,
    /// What is wrong now, newest first.
    pub open: Vec<AlertRow>,
    /// Pass as `open_before` for what is wrong before these.
    pub open_next: Option<i64>,
    /// Messages, newest first.
    pub messages: Vec<MessageRow>,
    /// Pass as `before` for the messages before these.
    pub next: Option<i64>,
}

/// One alert.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AlertFacts {
    /// Its name.
    pub alert: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it tells of.
    pub on: Vec<&'static str>,
    /// The assets it is about; all if absent.
    pub select: Option<String>,
    /// `webhook`, `slack`, `teams`, `mail`, `command`.
    pub to: &'static str,
    /// Seconds to wait for more of the same.
    pub group_wait_seconds: u64,
    /// Most messages in an hour.
    pub most_per_hour: u32,
    /// How much is wrong now.
    pub open: u64,
}

struct AlertView {
    facts: AlertFacts,
    on: String,
    state: Markup,
    href: String,
    action: String,
}

struct OpenView {
    seq: i64,
    since: Markup,
    state: Markup,
    subject: String,
    href: Option<String>,
    alert: String,
    text: String,
    run: Option<RunId>,
}

struct MessageView {
    seq: i64,
    made: Markup,
    alert: String,
    title: String,
    lines: Vec<(Markup, String, String)>,
    more: Option<String>,
    state: Markup,
    detail: String,
    next: Option<Markup>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    alerts: Vec<AlertView>,
    only: Option<String>,
    notice: Option<String>,
    open: Vec<OpenView>,
    open_first: Option<String>,
    open_next: Option<String>,
    messages: Vec<MessageView>,
    first: Option<String>,
    next: Option<String>,
}

/// Alerts as they are.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<AlertsFacts, ErrorPage> {
    let only = given(asked.alert.clone());
    let definitions = state.engine.definitions().await?;
    let declared: Vec<Alert> = definitions
        .alerts()
        .values()
        .filter(|alert| only.as_ref().is_none_or(|only| *only == alert.name))
        .cloned()
        .collect();
    if let (Some(only), true) = (&only, declared.is_empty()) {
        return Err(ErrorPage::not_found(format!("there is no alert `{only}`")));
    }
    let (open_before, before) = (asked.open_before, asked.before);
    let (counts, by_alert, open, told) = read(&state.engine, move |store| {
        Ok((
            counts(store)?,
            open_by_alert(store)?,
            open_alerts(store, only.as_deref(), open_before, ON_A_PAGE)?,
            messages(store, only.as_deref(), before, ON_A_PAGE)?,
        ))
    })
    .await?;
    let open_of = |name: &str| {
        by_alert
            .iter()
            .find(|(alert, _)| alert == name)
            .map_or(0, |(_, open)| *open)
    };
    Ok(AlertsFacts {
        counts,
        alerts: declared
            .iter()
            .map(|alert| of_alert(alert, open_of(&alert.name)))
            .collect(),
        open: open.rows,
        open_next: open.next,
        messages: told.rows,
        next: told.next,
    })
}

fn of_alert(alert: &Alert, open: u64) -> AlertFacts {
    let on = alert.on.iter().map(|trouble| trouble.as_str());
    AlertFacts {
        alert: alert.name.clone(),
        description: alert.description.clone(),
        on: on.chain(alert.recovered.then_some("recovered")).collect(),
        select: alert.selection.as_ref().map(|select| select.as_str().to_owned()),
        to: alert.receiver.words(),
        group_wait_seconds: alert.group_wait_seconds,
        most_per_hour: alert.most_per_hour,
        open,
    }
}

fn alert_view(facts: AlertFacts) -> AlertView {
    AlertView {
        on: facts
            .on
            .iter()
            .map(|on| on.replace('_', " "))
            .collect::<Vec<_>>()
            .join(", "),
        state: match facts.open {
            0 => Tone::Good.state("nothing open"),
            open => Tone::Bad.state(&format!("{} open", number(open))),
        },
        href: format!("/alerts{}", query(&[("alert", Some(facts.alert.clone()))])),
        action: format!("/alerts/{}", encode(&facts.alert)),
        facts,
    }
}

fn open_view(row: AlertRow, clock: &Clock) -> OpenView {
    let schedule = row.subject.strip_prefix("schedule ");
    let sensor = row.subject.strip_prefix("sensor ");
    let href = match (&row.asset, schedule, sensor) {
        (Some(asset), ..) => {
            let partition = row.subject.split_once('@').map(|(_, partition)| partition.to_owned());
            Some(format!(
                "/assets/{}{}",
                encode(asset),
                query(&[("partition", partition)])
            ))
        }
        (None, Some(schedule), _) => Some(format!(
            "/schedules{}",
            query(&[("schedule", Some(schedule.to_owned()))])
        )),
        (None, None, Some(sensor)) => Some(format!("/sensors{}", query(&[("sensor", Some(sensor.to_owned()))]))),
        (None, None, None) => None,
    };
    OpenView {
        seq: row.seq,
        since: clock.when(row.at),
        state: Tone::Bad.state(row.trouble.words()),
        subject: row.subject,
        href,
        alert: row.alert,
        text: row.text,
        run: row.run,
    }
}

fn message_view(row: MessageRow, clock: &Clock) -> MessageView {
    let (tone, word) = match row.status {
        MessageStatus::Delivered => (Tone::Good, "delivered"),
        MessageStatus::Waiting if row.tries > 0 => (Tone::Warn, "tried again"),
        MessageStatus::Waiting => (Tone::Busy, "on its way"),
        MessageStatus::Failed => (Tone::Bad, "given up"),
    };
    let tries = match row.tries {
        0 | 1 => String::new(),
        tries => format!("{} tries", number(u64::from(tries))),
    };
    let detail = match (&row.error, tries.is_empty()) {
        (Some(error), true) => error.clone(),
        (Some(error), false) => format!("{tries}: {error}"),
        (None, _) => tries,
    };
    let lines = row.message.lines.iter().map(|line| {
        let state = match line.raised {
            true => Tone::Bad.state(line.trouble.words()),
            false => Tone::Good.state("recovered"),
        };
        (state, line.subject.clone(), line.text.clone())
    });
    MessageView {
        seq: row.seq,
        made: clock.when(row.at),
        title: row.message.title(),
        lines: lines.collect(),
        more: Some(row.message.more())
            .filter(|more| *more > 0)
            .map(|more| format!("and {} more", number(more))),
        alert: row.message.alert,
        state: tone.state(word),
        detail,
        next: row.next_at.filter(|_| row.tries > 0).map(|at| clock.when(at)),
    }
}

/// What a page is asked for, and what it says of a button that was pressed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageAsked {
    alert: Option<String>,
    open_before: Option<i64>,
    before: Option<i64>,
    notice: Option<String>,
}

/// `GET /alerts?alert=team&open_before=12&before=17`
pub async fn page(State(state): State<WebState>, Query(asked): Query<PageAsked>) -> Result<Html<String>, ErrorPage> {
    let notice = given(asked.notice);
    let asked = Asked {
        alert: asked.alert,
        open_before: asked.open_before,
        before: asked.before,
    };
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let only = given(asked.alert);
    let link = |open_before: Option<i64>, before: Option<i64>| {
        let pairs = [
            ("alert", only.clone()),
            ("open_before", open_before.map(|before| before.to_string())),
            ("before", before.map(|before| before.to_string())),
        ];
        format!("/alerts{}", query(&pairs))
    };
    render(&AlertsPage {
        frame: Frame::new(&state, "Alerts", Section::Alerts),
        open_first: asked.open_before.map(|_| link(None, asked.before)),
        open_next: facts.open_next.map(|next| link(Some(next), asked.before)),
        first: asked.before.map(|_| link(asked.open_before, None)),
        next: facts.next.map(|next| link(asked.open_before, Some(next))),
        alerts: facts.alerts.into_iter().map(alert_view).collect(),
        open: facts.open.into_iter().map(|row| open_view(row, &clock)).collect(),
        messages: facts
            .messages
            .into_iter()
            .map(|row| message_view(row, &clock))
            .collect(),
        only,
        notice,
    })
}

/// A form without fields.
#[derive(Debug, Deserialize)]
pub struct Press {}

/// `POST /alerts/{alert}/test`
pub async fn test(
    State(state): State<WebState>,
    Path(alert): Path<String>,
    Form(_): Form<Press>,
) -> Result<Response, ErrorPage> {
    let notice = match state.engine.test_alert(&alert).await? {
        None => {
            return Err(ErrorPage::new(
                StatusCode::NOT_FOUND,
                format!("there is no alert `{alert}`"),
            ));
        }
        Some(Ok(())) => format!("the receiver of {alert} took the test message"),
        Some(Err(error)) => format!("the receiver of {alert} did not take the test message: {error}"),
    };
    Ok(Redirect::to(&format!("/alerts{}", query(&[("notice", Some(notice))]))).into_response())
}
