//! Freshness and automation: what may happen to them, and whether the store says what the plain model says.

use std::collections::BTreeMap;

use assets::{AssetKey, AssetPartition, Fingerprint};
use state::Store;
use state::automation::{AutomationDecision, AutomationRequest, EvaluatedPart, Held, HoldReason, LeftOut, Stretches};
use state::event::{Event, Recorded};
use state::freshness::{FreshnessChange, FreshnessState};
use state::queries::{automation, freshness};

use crate::model::Model;
use crate::property::Choices;
use crate::words::asset;

/// What is known of both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) freshness: BTreeMap<AssetKey, (FreshnessState, i64, i64)>,
    changes: Vec<(i64, FreshnessChange)>,
    pub(crate) paused: BTreeMap<Option<AssetKey>, (i64, String)>,
    held: BTreeMap<AssetPartition, (i64, Fingerprint, HoldReason)>,
    requested: Vec<(i64, AutomationDecision)>,
}

impl Watched {
    pub(crate) fn apply(&mut self, seq: i64, recorded: &Recorded) {
        let at = recorded.at;
        match recorded.event.clone() {
            Event::FreshnessChanged { change } => {
                let watched = self.freshness.get(&change.asset).map_or(at, |known| known.2);
                self.freshness.insert(change.asset.clone(), (change.to, at, watched));
                self.changes.push((seq, change));
            }
            Event::FreshnessRemoved { asset } => {
                self.freshness.remove(&asset);
            }
            Event::AutomationRequested { decision } => self.requested.push((seq, decision)),
            Event::AutomationHeld { asset, held } => {
                for one in held {
                    let step = AssetPartition::new(asset.clone(), one.partition);
                    self.held.insert(step, (at, one.version, one.because));
                }
            }
            Event::AutomationPaused { asset, by } => {
                self.paused.insert(asset, (at, by));
            }
            Event::AutomationResumed { asset, by: _ } => {
                self.paused.remove(&asset);
            }
            Event::StepSucceeded { materialization, .. } => {
                self.held.remove(&materialization.step);
            }
            _ => {}
        }
    }
}

/// Something that may happen.
pub(crate) fn event(model: &Model, universe: &[AssetPartition], choose: &mut Choices<'_>) -> Option<Event> {
    let step = choose.one(universe)?;
    let watched = &model.watched;
    Some(match choose.below(5) {
        0 | 1 => {
            let asset = step.asset;
            let from = watched.freshness.get(&asset).map(|known| known.0);
            let to = FreshnessState::ALL[choose.below(4)];
            match from {
                Some(from) if from == to => Event::FreshnessRemoved { asset },
                from => Event::FreshnessChanged {
                    change: FreshnessChange {
                        asset,
                        from,
                        to,
                        made_at: None,
                        late_at: Some(choose.below(9) as i64),
                        reason: "26h".into(),
                    },
                },
            }
        }
        2 => Event::AutomationHeld {
            asset: step.asset,
            held: vec![Held {
                partition: step.partition,
                version: Fingerprint::of([choose.below(3).to_string().as_str()]),
                because: HoldReason::ALL[choose.below(4)],
            }],
        },
        3 => {
            let asset = (choose.below(3) > 0).then_some(step.asset);
            match watched.paused.contains_key(&asset) {
                true => Event::AutomationResumed {
                    asset,
                    by: "cli".into(),
                },
                false => Event::AutomationPaused {
                    asset,
                    by: "page".into(),
                },
            }
        }
        _ => {
            let held = Stretches {
                count: 1,
                stretches: step
                    .partition
                    .clone()
                    .map(|key| (key.clone(), key))
                    .into_iter()
                    .collect(),
                more: choose.below(2) == 0,
            };
            Event::AutomationRequested {
                decision: AutomationDecision {
                    run: choose.one(&model.runs.keys().cloned().collect::<Vec<_>>())?,
                    requests: vec![AutomationRequest {
                        asset: step.asset,
                        rule: "eager".into(),
                        partitions: held.clone(),
                        evaluation: EvaluatedPart {
                            text: "stale".into(),
                            of: 3,
                            held: held.clone(),
                            parts: Vec::new(),
                        },
                        left_out: vec![LeftOut {
                            why: "in flight".into(),
                            partitions: held,
                        }],
                    }],
                },
            }
        }
    })
}

/// Events that cannot follow.
pub(crate) fn impossible(model: &Model) -> Vec<Event> {
    let watched = &model.watched;
    let mut events = vec![Event::FreshnessRemoved {
        asset: asset("never.watched"),
    }];
    for (asset, (state, ..)) in &watched.freshness {
        for from in [None, Some(*state)] {
            events.push(Event::FreshnessChanged {
                change: FreshnessChange {
                    asset: asset.clone(),
                    from,
                    to: *state,
                    made_at: None,
                    late_at: None,
                    reason: String::new(),
                },
            });
        }
    }
    let (asset, by) = (None, "cli".to_owned());
    events.push(match watched.paused.contains_key(&asset) {
        true => Event::AutomationPaused { asset, by },
        false => Event::AutomationResumed { asset, by },
    });
    events
}

/// Panics where the store and the model differ.
pub(crate) fn agree(store: &Store, model: &Model) {
    let watched = &model.watched;
    let loaded = store.load().unwrap();
    let states: BTreeMap<_, _> = loaded
        .freshness
        .iter()
        .map(|(asset, known)| (asset.clone(), (known.state, known.since, known.watched)))
        .collect();
    assert_eq!(states, watched.freshness);
    let listed: BTreeMap<_, _> = freshness::freshness(store)
        .unwrap()
        .into_iter()
        .map(|row| (row.asset.clone(), (row.state, row.since, row.watched)))
        .collect();
    assert_eq!(listed, watched.freshness);
    assert_eq!(loaded.automation_paused, watched.paused);
    let pauses: BTreeMap<_, _> = automation::pauses(store)
        .unwrap()
        .into_iter()
        .map(|row| (row.asset, (row.at, row.by)))
        .collect();
    assert_eq!(pauses, watched.paused);
    let held: BTreeMap<_, _> = loaded
        .held
        .into_iter()
        .map(|(asset, at, held)| {
            (
                AssetPartition::new(asset, held.partition),
                (at, held.version, held.because),
            )
        })
        .collect();
    assert_eq!(held, watched.held);
    for asset in watched.changes.iter().map(|(_, change)| &change.asset) {
        let rows = freshness::freshness_changes(store, asset, None, 1000).unwrap().rows;
        let expected = watched.changes.iter().rev();
        let expected: Vec<_> = expected
            .filter(|(_, change)| change.asset == *asset)
            .map(|(seq, change)| (*seq, change.from, change.to, &change.reason))
            .collect();
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.seq, row.previous, row.state, &row.reason))
            .collect();
        assert_eq!(rows, expected);
    }
    let newest = automation::newest_requests(store, None, 1000).unwrap().rows;
    assert_eq!(newest.len(), watched.requested.len());
    for (row, (seq, decision)) in newest.iter().zip(watched.requested.iter().rev()) {
        let request = &decision.requests[0];
        assert_eq!((row.seq, &row.run, &row.asset), (*seq, &decision.run, &request.asset));
        assert_eq!(
            (&row.partitions, &row.evaluation, &row.left_out),
            (&request.partitions, &request.evaluation, &request.left_out)
        );
        let of_run = automation::requests_of_run(store, &decision.run).unwrap();
        assert!(of_run.contains(row));
        let of_asset = automation::requests(store, &request.asset, Some(seq + 1), 1)
            .unwrap()
            .rows;
        assert_eq!(of_asset, [row.clone()]);
    }
}
