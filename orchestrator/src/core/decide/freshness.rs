//! Freshness: which assets became late, are late soon, or recovered. Decided from the newest materialization and the time
//! alone, at the end of a turn that materialized an asset with a policy, that read its policy anew, or whose time had come.

use assets::freshness::{Freshness, FreshnessRule, FreshnessVerdict, Standing, length};
use assets::{Asset, AssetKey};
use serde::Serialize;
use state::event::{Event, Micros};
use state::freshness::{FreshnessChange, FreshnessState};

use super::super::scope::timestamp;
use super::super::world::{Alarm, World};

/// How an asset stands by its policy at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct FreshnessNow {
    /// Where it stands.
    pub state: FreshnessState,
    /// When its newest materialization was published.
    pub made_at: Option<Micros>,
    /// From when on it is late, or will be if nothing is made.
    pub late_at: Option<Micros>,
    /// When it stands otherwise if nothing is made.
    pub until: Option<Micros>,
    /// What is asked and what is there, for people.
    pub reason: String,
}

/// How an asset stands by its policy at `at`; `None` without a policy. Needs no daemon: what is remembered is only from when on
/// the asset is watched.
pub fn freshness_now(world: &World, at: Micros, asset: &Asset) -> Option<FreshnessNow> {
    let policy = asset.freshness.as_ref()?;
    let made_at = world.asset(&asset.key).and_then(|record| record.newest);
    let watched = world.freshness(&asset.key).map_or(at, |known| known.watched);
    let verdict = policy.verdict(made_at.map(timestamp), timestamp(watched), timestamp(at));
    let state = match (verdict.standing, made_at) {
        (Standing::OnTime, None) => FreshnessState::Unknown,
        (Standing::OnTime, Some(_)) => FreshnessState::OnTime,
        (Standing::Warning, _) => FreshnessState::Warning,
        (Standing::Late, _) => FreshnessState::Late,
    };
    Some(FreshnessNow {
        state,
        made_at,
        late_at: verdict.late_at.map(|late| late.as_microsecond()),
        until: verdict.until.map(|until| until.as_microsecond()),
        reason: reason(policy, &verdict, made_at, at),
    })
}

fn reason(policy: &Freshness, verdict: &FreshnessVerdict, made_at: Option<Micros>, at: Micros) -> String {
    let made = match made_at {
        Some(made_at) => format!("made {} ago", age(at - made_at)),
        None => "never made".to_owned(),
    };
    match &policy.rule {
        FreshnessRule::Within { seconds } => format!("{made}; it has to be made within {}", length(*seconds)),
        FreshnessRule::ByDeadline { timetable, zone, .. } => match verdict.late_at {
            Some(late_at) => {
                let local = late_at.to_zoned(timetable.zone().clone()).strftime("%Y-%m-%d %H:%M");
                let verb = if verdict.standing == Standing::Late {
                    "was"
                } else {
                    "is"
                };
                format!("{made}; it {verb} to be made by {local} ({zone})")
            }
            None => format!("{made}; every deadline to come is met"),
        },
    }
}

/// `40s`, `59m`, `26h`, `3 days`: rounded down.
fn age(micros: Micros) -> String {
    let seconds = (micros / 1_000_000).unsigned_abs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The changes that are due, and when each of the assets that were looked at is to be looked at again.
pub(super) fn next(world: &World, at: Micros) -> (Vec<Event>, Vec<(AssetKey, Option<Micros>)>) {
    let (mut events, mut looked) = (Vec::new(), Vec::new());
    let pending = world.pending();
    let definitions = world.definitions();
    let due = pending.due(at).filter_map(|alarm| match alarm {
        Alarm::Freshness(asset) => Some(asset.clone()),
        Alarm::Automation(_) => None,
    });
    let mut keys: Vec<AssetKey> = due.chain(pending.made.iter().cloned()).collect();
    if pending.everything {
        keys = definitions.upkeep().watched().iter().cloned().collect();
        for (asset, _) in world.watched() {
            if !definitions.upkeep().watched().contains(asset) {
                events.push(Event::FreshnessRemoved { asset: asset.clone() });
            }
        }
    }
    keys.sort();
    keys.dedup();
    for key in keys {
        let now = definitions.get(&key).and_then(|asset| freshness_now(world, at, asset));
        let Some(now) = now else {
            looked.push((key, None));
            continue;
        };
        let from = world.freshness(&key).map(|known| known.state);
        if from != Some(now.state) {
            events.push(Event::FreshnessChanged {
                change: FreshnessChange {
                    asset: key.clone(),
                    from,
                    to: now.state,
                    made_at: now.made_at,
                    late_at: now.late_at,
                    reason: now.reason,
                },
            });
        }
        looked.push((key, now.until));
    }
    (events, looked)
}
