//! Alerts: what may happen to one, what may not, and a plain model of both.

use std::collections::BTreeMap;

use assets::AssetKey;
use assets::alert::Trouble;
use state::Store;
use state::alert::{AlertEnd, AlertLine, AlertMessage, MessageStatus, RaisedAlert};
use state::event::{Event, Recorded};
use state::ids::MessageId;
use state::queries::alerts::{counts, messages, open_alerts, open_by_alert};

use crate::agreement::every;
use crate::words::{asset, run};

#[derive(Debug, Clone, Default)]
pub(crate) struct ModelAlert {
    open: BTreeMap<(Trouble, String), (i64, i64, RaisedAlert)>,
    lines: Vec<AlertLine>,
    messages: Vec<ModelMessage>,
}

#[derive(Debug, Clone)]
struct ModelMessage {
    seq: i64,
    at: i64,
    message: AlertMessage,
    status: MessageStatus,
    tries: u32,
    error: Option<String>,
    next_at: Option<i64>,
}

impl ModelAlert {
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    fn waiting(&self) -> Option<&ModelMessage> {
        self.messages
            .last()
            .filter(|message| message.status == MessageStatus::Waiting)
    }
}

pub(crate) fn apply(alerts: &mut BTreeMap<String, ModelAlert>, seq: i64, recorded: &Recorded) {
    let at = recorded.at;
    match recorded.event.clone() {
        Event::AlertRaised { raised } => {
            let alert = alerts.entry(raised.alert.clone()).or_default();
            alert.lines.push(raised.line(at));
            alert
                .open
                .insert((raised.trouble, raised.subject.clone()), (seq, at, raised));
        }
        Event::AlertEnded { alert, line, tell, .. } => {
            let alert = alerts.get_mut(&alert).unwrap();
            alert.open.remove(&(line.trouble, line.subject.clone()));
            alert.lines.extend(tell.then_some(line));
        }
        Event::AlertGrouped { message } => {
            let alert = alerts.get_mut(&message.alert).unwrap();
            alert.lines.clear();
            alert.messages.push(ModelMessage {
                seq,
                at,
                message,
                status: MessageStatus::Waiting,
                tries: 0,
                error: None,
                next_at: Some(at),
            });
        }
        Event::AlertDelivered { alert, tries, .. } => {
            let message = alerts.get_mut(&alert).unwrap().messages.last_mut().unwrap();
            (message.status, message.tries) = (MessageStatus::Delivered, tries);
            (message.error, message.next_at) = (None, None);
        }
        Event::AlertFailed {
            alert,
            tries,
            error,
            next_at,
            ..
        } => {
            let message = alerts.get_mut(&alert).unwrap().messages.last_mut().unwrap();
            (message.tries, message.error, message.next_at) = (tries, Some(error), next_at);
            if next_at.is_none() {
                message.status = MessageStatus::Failed;
            }
        }
        other => unreachable!("{other:?} is not about an alert"),
    }
}

/// Something that may happen to an alert; `choose` picks below a number.
pub(crate) fn next_event(
    alerts: &BTreeMap<String, ModelAlert>,
    at: i64,
    choose: &mut dyn FnMut(usize) -> usize,
) -> Option<Event> {
    let name = ["team", "pager"][choose(2)].to_owned();
    let none = ModelAlert::default();
    let alert = alerts.get(&name).unwrap_or(&none);
    let trouble = Trouble::ALL[choose(2)];
    let subject = ["gold.whole", "silver.flights@a", "schedule nightly"][choose(3)].to_owned();
    let is_open = alert.open.contains_key(&(trouble, subject.clone()));
    match (choose(6), alert.waiting()) {
        (0..=2, _) if !is_open => Some(Event::AlertRaised {
            raised: raised(&name, trouble, &subject),
        }),
        (0..=2, _) => Some(Event::AlertEnded {
            alert: name,
            end: AlertEnd::ALL[choose(2)],
            line: over(trouble, &subject, at),
            tell: choose(3) > 0,
        }),
        (_, Some(waiting)) => {
            let (message, tries) = (waiting.message.id.clone(), waiting.tries + 1);
            Some(match choose(3) {
                0 => Event::AlertDelivered {
                    alert: name,
                    message,
                    tries,
                },
                kind => Event::AlertFailed {
                    alert: name,
                    message,
                    tries,
                    error: "refused".to_owned(),
                    next_at: (kind == 1).then_some(at + 10),
                },
            })
        }
        (_, None) if !alert.lines.is_empty() => {
            let known: usize = alerts.values().map(|alert| alert.messages.len()).sum();
            Some(Event::AlertGrouped {
                message: AlertMessage::of(MessageId::from_bits(known as u64), &name, &alert.lines),
            })
        }
        (_, None) => None,
    }
}

fn raised(alert: &str, trouble: Trouble, subject: &str) -> RaisedAlert {
    RaisedAlert {
        alert: alert.to_owned(),
        trouble,
        subject: subject.to_owned(),
        asset: subject.split('@').next().and_then(|asset| asset.parse().ok()),
        run: (trouble == Trouble::RunFailed).then(|| run(3)),
        text: "what happened".to_owned(),
    }
}

fn over(trouble: Trouble, subject: &str, at: i64) -> AlertLine {
    AlertLine {
        at,
        trouble,
        subject: subject.to_owned(),
        raised: false,
        text: "well again".to_owned(),
        run: None,
    }
}

/// Events that cannot follow.
pub(crate) fn impossible(alerts: &BTreeMap<String, ModelAlert>) -> Vec<Event> {
    let unknown = MessageId::from_bits(1 << 50);
    let mut events = vec![Event::AlertDelivered {
        alert: "team".to_owned(),
        message: unknown.clone(),
        tries: 1,
    }];
    for (name, alert) in alerts {
        for (_, _, raised) in alert.open.values() {
            events.push(Event::AlertRaised { raised: raised.clone() });
        }
        events.push(Event::AlertEnded {
            alert: name.clone(),
            end: AlertEnd::Recovered,
            line: over(Trouble::SensorFailing, "never raised", 1),
            tell: true,
        });
        for told in alert
            .messages
            .iter()
            .filter(|told| told.status != MessageStatus::Waiting)
        {
            events.push(Event::AlertFailed {
                alert: name.clone(),
                message: told.message.id.clone(),
                tries: 1,
                error: String::new(),
                next_at: Some(1),
            });
        }
        // More than waits to be told.
        let mut lines = alert.lines.clone();
        lines.push(over(Trouble::RunFailed, "gold.whole", 1));
        events.push(Event::AlertGrouped {
            message: AlertMessage::of(unknown.clone(), name, &lines),
        });
        if alert.waiting().is_some() && !alert.lines.is_empty() {
            events.push(Event::AlertGrouped {
                message: AlertMessage::of(unknown.clone(), name, &alert.lines),
            });
        }
    }
    events
}

/// Panics where the store and the model differ.
pub(crate) fn agree(store: &Store, alerts: &BTreeMap<String, ModelAlert>) {
    let loaded = store.load().unwrap().alerts;
    assert_eq!(loaded.keys().collect::<Vec<_>>(), alerts.keys().collect::<Vec<_>>());
    for (name, alert) in alerts {
        let remembered = &loaded[name];
        let open: BTreeMap<(Trouble, String), Option<AssetKey>> = alert
            .open
            .iter()
            .map(|(key, (_, _, raised))| (key.clone(), raised.asset.clone()))
            .collect();
        assert_eq!(remembered.open, open);
        assert_eq!(remembered.lines, alert.lines);
        let waiting = alert
            .waiting()
            .map(|waiting| (waiting.message.clone(), waiting.tries, waiting.next_at.unwrap()));
        assert_eq!(remembered.waiting, waiting);
        let made: Vec<i64> = alert.messages.iter().map(|message| message.at).collect();
        assert_eq!(remembered.made, made);

        let listed = every(|before: Option<&i64>| open_alerts(store, Some(name), before.copied(), 2).unwrap());
        let mut expected: Vec<_> = alert.open.values().collect();
        expected.sort_by_key(|(seq, _, _)| std::cmp::Reverse(*seq));
        assert_eq!(listed.len(), expected.len());
        for (row, (seq, at, raised)) in listed.iter().zip(expected) {
            assert_eq!((row.seq, row.at, row.ended), (*seq, *at, None));
            assert_eq!(
                (&row.subject, row.trouble, &row.run),
                (&raised.subject, raised.trouble, &raised.run)
            );
            assert_eq!((&row.asset, &row.text), (&raised.asset, &raised.text));
        }
        let told = every(|before: Option<&i64>| messages(store, Some(name), before.copied(), 2).unwrap());
        assert_eq!(told.len(), alert.messages.len());
        for (row, expected) in told.iter().zip(alert.messages.iter().rev()) {
            assert_eq!(
                (row.seq, row.at, &row.message),
                (expected.seq, expected.at, &expected.message)
            );
            assert_eq!((row.status, row.tries), (expected.status, expected.tries));
            assert_eq!((&row.error, row.next_at), (&expected.error, expected.next_at));
        }
    }
    let all = every(|before: Option<&i64>| open_alerts(store, None, before.copied(), 2).unwrap());
    assert_eq!(all.len(), alerts.values().map(|alert| alert.open.len()).sum::<usize>());
    let by_alert: Vec<(String, u64)> = alerts
        .iter()
        .filter(|(_, alert)| !alert.open.is_empty())
        .map(|(name, alert)| (name.clone(), alert.open.len() as u64))
        .collect();
    assert_eq!(open_by_alert(store).unwrap(), by_alert);
    let mut subjects: Vec<_> = alerts.values().flat_map(|alert| alert.open.keys()).collect();
    subjects.sort();
    subjects.dedup();
    let failed = alerts.values().map(|alert| {
        let since = alert.messages.iter().rev();
        let since = since.take_while(|message| message.status != MessageStatus::Delivered);
        since.filter(|message| message.status == MessageStatus::Failed).count() as u64
    });
    let counted = counts(store).unwrap();
    assert_eq!((counted.open, counted.failed), (subjects.len() as u64, failed.sum()));
}

#[test]
fn what_two_alerts_are_about_is_wrong_once() {
    let mut store = Store::in_memory().unwrap();
    let raise = |alert: &str| Recorded {
        at: 1,
        event: Event::AlertRaised {
            raised: raised(alert, Trouble::RunFailed, "gold.whole"),
        },
    };
    store.commit(&[raise("team"), raise("pager")]).unwrap();
    assert_eq!(counts(&store).unwrap().open, 1);
    let rows = open_alerts(&store, None, None, 10).unwrap().rows;
    assert_eq!(rows[0].asset, Some(asset("gold.whole")));
}
