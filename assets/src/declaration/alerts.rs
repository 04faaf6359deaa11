//! `[alert.NAME]`: who is told of what went wrong.

use std::collections::BTreeSet;

use super::context::inline_text;
use super::schedules::told;
use super::secret_references::{SECRET_REFERENCE, read_secret};
use crate::alert::{Alert, Mail, MailTls, Receiver, Trouble, Webhook, WebhookShape};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::graph::AssetGraph;
use crate::key::is_name;
use crate::selection::Selection;
use crate::span::{Sources, Spanned};
use crate::sql::QueryText;
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};

/// Seconds to wait for more of the same, if not declared.
const GROUP_WAIT_SECONDS: u64 = 30;
/// Longest such wait.
const LONGEST_GROUP_WAIT_SECONDS: u64 = 24 * 3600;
/// Messages in an hour, if not declared.
const MOST_PER_HOUR: u32 = 20;

/// The word in `on` for messages that something is over.
const RECOVERED: &str = "recovered";

pub(crate) static ALERT: TableSpec = TableSpec {
    name: "alert",
    doc: "Who is told of what went wrong, by one of `webhook`, `mail` and `command`.",
    fields: &[
        FieldSpec::optional("description", FieldType::Text, "What it is for, for people."),
        FieldSpec::optional(
            "on",
            FieldType::STRINGS,
            "What it tells of: \"run_failed\", \"check_failed\", \"check_warned\", \"freshness_late\", \
             \"schedule_missed\", \"sensor_failing\", and \"recovered\" when one of those is over; all but \
             \"check_warned\" if left out.",
        ),
        FieldSpec::optional(
            "select",
            FieldType::Text,
            "The assets it is about: `layer:gold`, `owner:me@example.com`, `tag:daily`; all if left out.",
        ),
        FieldSpec::optional("webhook", FieldType::Table(&WEBHOOK), "Sends messages by HTTP."),
        FieldSpec::optional("mail", FieldType::Table(&MAIL), "Sends messages by mail."),
        FieldSpec::optional(
            "command",
            FieldType::StringList,
            "Runs a program in the project's folder with the message as JSON on standard input.",
        ),
        FieldSpec::optional(
            "group_wait",
            FieldType::Duration,
            "How long to wait for more of the same before a message goes out; `30s` if left out.",
        ),
        FieldSpec::optional(
            "most_per_hour",
            FieldType::IntegerWithin(1, 100),
            "Most messages in an hour; what comes beyond waits and is told together. 20 if left out.",
        ),
    ],
};

static WEBHOOK: TableSpec = TableSpec {
    name: "webhook",
    doc: "An HTTP address that messages are sent to.",
    fields: &[
        FieldSpec::required(
            "url",
            SECRET_REFERENCE,
            "The address; whoever knows it can write to it, so it is a reference to a secret.",
        ),
        FieldSpec::optional(
            "shape",
            FieldType::Choice(&["json", "slack", "teams"]),
            "What the receiver understands; \"json\" if left out.",
        ),
        FieldSpec::optional(
            "token",
            SECRET_REFERENCE,
            "Sent as `Authorization: Bearer`; a reference to a secret.",
        ),
    ],
};

static MAIL: TableSpec = TableSpec {
    name: "mail",
    doc: "Mail addresses that messages are sent to.",
    fields: &[
        FieldSpec::required("server", FieldType::Text, "The mail server that takes them."),
        FieldSpec::optional(
            "port",
            FieldType::IntegerWithin(1, 65535),
            "Its port; the usual one of `tls` if left out.",
        ),
        FieldSpec::optional(
            "tls",
            FieldType::Choice(&["starttls", "tls", "none"]),
            "How the connection is kept private; \"starttls\" if left out, \"none\" only to this machine.",
        ),
        FieldSpec::optional("user", FieldType::Text, "Who logs in."),
        FieldSpec::optional(
            "password",
            SECRET_REFERENCE,
            "The password of `user`; a reference to a secret.",
        ),
        FieldSpec::required("from", FieldType::Text, "The sender: `millpond@example.com`."),
        FieldSpec::required("to", FieldType::STRINGS, "The receivers."),
    ],
};

/// An alert as declared, its selection not resolved yet.
pub(crate) struct AlertDraft {
    alert: Alert,
    /// Where the selection's text stands, to point into it.
    select: Option<QueryText>,
}

/// Reads one alert; `None` if something in it is wrong (and reported).
pub(crate) fn read_alert(name: Spanned<&str>, table: &TableReader<'_>, sources: &Sources) -> Option<AlertDraft> {
    if !is_name(name.value) {
        table.report(bad_name(
            &format!("`{}` cannot be the name of an alert", name.value),
            name.span,
        ));
    }
    let on = read_on(table);
    let select = read_select(table, sources);
    let receiver = read_receiver(table);
    let group_wait_seconds = read_group_wait(table);
    let (on, recovered) = on?;
    let (selection, select) = select?;
    let alert = Alert {
        name: name.value.to_owned(),
        description: table.string("description").map(|text| text.value.to_owned()),
        on,
        recovered,
        selection,
        assets: None,
        receiver: receiver?,
        group_wait_seconds: group_wait_seconds?,
        most_per_hour: match table.has("most_per_hour") {
            true => u32::try_from(table.integer("most_per_hour")?.value).ok()?,
            false => MOST_PER_HOUR,
        },
        location: sources.location(name.span),
    };
    Some(AlertDraft { alert, select })
}

impl AlertDraft {
    /// The alert, once it is known which assets there are.
    pub(crate) fn resolve(mut self, graph: &AssetGraph, sink: &DiagnosticSink) -> Option<Alert> {
        if let (Some(selection), Some(place)) = (&self.alert.selection, &self.select) {
            match selection.resolve(graph, &|_, _| true) {
                Ok(assets) => self.alert.assets = Some(assets.into_iter().collect()),
                Err(error) => {
                    sink.report(told(&error, place));
                    return None;
                }
            }
        }
        Some(self.alert)
    }
}

fn read_on(table: &TableReader<'_>) -> Option<(BTreeSet<Trouble>, bool)> {
    if !table.has("on") {
        // Warnings are many, and on purpose no reason to stop: who wants to be told of them says so.
        let failures = Trouble::ALL
            .into_iter()
            .filter(|trouble| *trouble != Trouble::CheckWarned);
        return Some((failures.collect(), true));
    }
    let words = table.strings("on");
    let mut on = BTreeSet::new();
    let mut recovered = false;
    let mut known = true;
    for word in &words {
        match Trouble::of(word.value) {
            Some(trouble) => drop(on.insert(trouble)),
            None if word.value == RECOVERED => recovered = true,
            None => {
                known = false;
                let message = format!("an alert cannot be on \"{}\"", word.value);
                let diagnostic = Diagnostic::new(Code::InvalidValue, message, word.span);
                let choices: Vec<&str> = Trouble::ALL.iter().map(|one| one.as_str()).chain([RECOVERED]).collect();
                table.report(match closest(word.value, choices.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean \"{near}\"?")),
                    None => diagnostic.help(format!("it is on {}", choices.join(", "))),
                });
            }
        }
    }
    if known && on.is_empty() {
        table.invalid("on", "an alert that is on nothing that goes wrong tells nothing");
        return None;
    }
    known.then_some((on, recovered))
}

type Select = (Option<Selection>, Option<QueryText>);

fn read_select(table: &TableReader<'_>, sources: &Sources) -> Option<Select> {
    if !table.has("select") {
        return Some((None, None));
    }
    let written = table.string("select")?;
    let place = inline_text(written, sources);
    match Selection::parse(written.value) {
        Ok(selection) if selection.speaks_of_states() => {
            table.report(
                Diagnostic::new(
                    Code::BadSelection,
                    "an alert is about the same assets whatever their state",
                    written.span,
                )
                .help("leave out `stale` and `missing`"),
            );
            None
        }
        Ok(selection) => Some((Some(selection), Some(place))),
        Err(error) => {
            table.report(told(&error, &place));
            None
        }
    }
}

fn read_receiver(table: &TableReader<'_>) -> Option<Receiver> {
    let declared: Vec<&str> = ["webhook", "mail", "command"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    match declared[..] {
        [one] => match one {
            "webhook" => read_webhook(&table.table("webhook")?).map(Receiver::Webhook),
            "mail" => read_mail(&table.table("mail")?).map(Receiver::Mail),
            _ => {
                let words = table.strings("command");
                if words.is_empty() {
                    table.invalid("command", "`command` names no program");
                    return None;
                }
                let words = words.into_iter().map(|word| word.value.to_owned());
                Some(Receiver::Command(words.collect()))
            }
        },
        [] => {
            table.report(
                Diagnostic::new(Code::MissingKey, "the alert tells nobody", table.span())
                    .help("give it one of `webhook`, `mail` and `command`"),
            );
            None
        }
        [_, second, ..] => {
            table.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    "an alert has one receiver, so that each is known to be told",
                    table.key_span(second),
                )
                .help("declare a second alert for the second receiver"),
            );
            None
        }
    }
}

fn read_webhook(table: &TableReader<'_>) -> Option<Webhook> {
    let url = read_secret(table, "url");
    let token = read_secret(table, "token");
    if table.has("token") && token.is_none() {
        return None;
    }
    Some(Webhook {
        url: url?,
        shape: match table.string("shape") {
            Some(word) => WebhookShape::of(word.value)?,
            None => WebhookShape::default(),
        },
        token,
    })
}

fn read_mail(table: &TableReader<'_>) -> Option<Mail> {
    let server = table.string("server");
    let tls = match table.string("tls") {
        Some(word) => MailTls::of(word.value),
        None => (!table.has("tls")).then(MailTls::default),
    };
    if let (Some(server), Some(MailTls::None)) = (server, tls)
        && !matches!(server.value, "localhost" | "127.0.0.1" | "::1")
    {
        table.report(
            Diagnostic::new(
                Code::InvalidValue,
                format!("mail to `{}` would cross the network for all to read", server.value),
                table.span_of("tls"),
            )
            .help("`tls = \"none\"` is for a mail server on this machine: leave it out, or name `localhost`"),
        );
    }
    let password = read_secret(table, "password");
    if table.has("password") && password.is_none() {
        return None;
    }
    let login = match (table.string("user"), password) {
        (Some(user), Some(password)) => Some((user.value.to_owned(), password)),
        (None, None) => None,
        (Some(_), None) => {
            table.report(
                Diagnostic::new(Code::MissingKey, "`user` has no password", table.key_span("user"))
                    .help("refer to it: `password = { env = \"NAME\" }`"),
            );
            return None;
        }
        (None, Some(_)) => {
            table.report(Diagnostic::new(
                Code::MissingKey,
                "`password` belongs to no `user`",
                table.key_span("password"),
            ));
            return None;
        }
    };
    let from = table.string("from");
    let to = table.strings("to");
    if table.has("to") && to.is_empty() {
        table.invalid("to", "`to` names nobody");
    }
    let addresses: Vec<Spanned<&str>> = from.iter().copied().chain(to.iter().copied()).collect();
    let mut good = !to.is_empty();
    for address in &addresses {
        if !is_address(address.value) {
            good = false;
            table.report(
                Diagnostic::new(Code::InvalidValue, "not a mail address", address.span)
                    .help("write it as `me@example.com`"),
            );
        }
    }
    let tls = tls?;
    Some(Mail {
        server: server?.value.to_owned(),
        port: match table.has("port") {
            true => u16::try_from(table.integer("port")?.value).ok()?,
            false => tls.port(),
        },
        tls,
        login,
        from: from?.value.to_owned(),
        to: to.into_iter().map(|address| address.value.to_owned()).collect(),
    })
    .filter(|_| good)
}

/// Whether a text can be a mail address: something on both sides of one `@`, in plain characters. The server has the last word.
fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    match text.split_once('@') {
        Some((name, domain)) => {
            (1..=64).contains(&name.len())
                && (1..=255).contains(&domain.len())
                && name.chars().all(plain)
                && domain
                    .split('.')
                    .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        }
        None => false,
    }
}

fn read_group_wait(table: &TableReader<'_>) -> Option<u64> {
    if !table.has("group_wait") {
        return Some(GROUP_WAIT_SECONDS);
    }
    let wait = table.duration("group_wait")?.value;
    if wait > LONGEST_GROUP_WAIT_SECONDS {
        table.invalid(
            "group_wait",
            "`group_wait` is at most a day: nobody would be told before",
        );
        return None;
    }
    Some(wait)
}
