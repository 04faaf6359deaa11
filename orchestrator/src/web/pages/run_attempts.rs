//! The attempts of a run: together by asset over its time, and unfolded one by one.

use std::collections::BTreeMap;

use ::assets::AssetKey;
use state::ids::AttemptId;
use state::sqlite::queries::attempts::AttemptBar;

use super::figures::{Clock, count, number};
use super::gantt::{Stretch, draw};
use super::markup::{Markup, query};
use super::run::RunFacts;
use super::tone::{Tone, bar, in_words, step_parts};

/// The attempts and steps of one asset.
pub struct Lane {
    /// The asset.
    pub asset: AssetKey,
    /// Its state.
    pub state: Markup,
    /// Its steps, drawn.
    pub bar: Markup,
    /// The same in words.
    pub words: String,
    /// How many of its steps are over.
    pub done: String,
    /// What it does at the moment.
    pub doing: Option<String>,
    /// What its steps wait for.
    pub waits: Vec<String>,
    /// Its attempts over time.
    pub gantt: Option<Markup>,
    /// Where its attempts are shown one by one, or together again.
    pub unfold: String,
    /// Whether they are shown one by one.
    pub unfolded: bool,
}

/// One attempt.
pub struct AttemptView {
    /// 1 for the first try.
    pub number: u32,
    /// Its partitions.
    pub partitions: String,
    /// Its state.
    pub state: Markup,
    /// When it started.
    pub started: Markup,
    /// How long it took.
    pub length: String,
    /// When it was.
    pub gantt: Markup,
    /// Its log.
    pub log: String,
    /// Why it ended early.
    pub note: String,
}

/// The attempts of one asset, unfolded.
pub struct Unfolded {
    /// The asset.
    pub asset: AssetKey,
    /// The attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Those after these.
    pub next: Option<String>,
}

/// The assets of the run, each with its attempts over time.
pub fn lanes(facts: &RunFacts, whole: Option<Stretch>, unfold: Option<&str>) -> Vec<Lane> {
    let mut by_asset: BTreeMap<&AssetKey, &[AttemptBar]> = BTreeMap::new();
    for bars in facts.bars.chunk_by(|one, other| one.asset == other.asset) {
        by_asset.insert(&bars[0].asset, bars);
    }
    let lanes = facts.run.assets.iter().map(|lane| {
        let parts = step_parts(&lane.steps);
        let steps = &lane.steps;
        let tone = match steps {
            _ if steps.failed > 0 => Tone::Bad,
            _ if steps.running + steps.publishing > 0 => Tone::Busy,
            _ if steps.waiting > 0 => Tone::Idle,
            _ if steps.skipped + steps.canceled > 0 => Tone::Off,
            _ => Tone::Good,
        };
        let own = by_asset.get(&lane.asset).copied().unwrap_or_default();
        let doing = own.iter().find_map(|attempt| {
            let progress = facts.progress.get(&attempt.attempt)?;
            let rows = count(progress.rows, "row", "rows");
            Some(
                progress
                    .partition
                    .as_ref()
                    .map_or_else(|| rows.clone(), |partition| format!("{partition}: {rows}")),
            )
        });
        let own_waits = facts.waits.iter().filter(|fact| fact.wait.asset == lane.asset);
        let unfolded = unfold == Some(lane.asset.as_str());
        let pairs = [("unfold", (!unfolded).then(|| lane.asset.to_string()))];
        Lane {
            waits: own_waits
                .map(|fact| format!("{}: {}", count(fact.wait.steps as u64, "step", "steps"), fact.text))
                .collect(),
            state: tone.mark(),
            bar: bar(&parts),
            words: in_words(&parts),
            done: format!("{} / {}", number(steps.over()), number(steps.total())),
            doing,
            gantt: whole.filter(|_| !own.is_empty()).map(|whole| draw(own, whole)),
            unfold: format!("/runs/{}{}#assets", facts.run.row.run, query(&pairs)),
            unfolded,
            asset: lane.asset.clone(),
        }
    });
    lanes.collect()
}

/// The attempts of one asset, one by one.
pub fn unfolded(facts: &RunFacts, asset: &str, whole: Stretch, clock: &Clock) -> Option<Unfolded> {
    let asset: AssetKey = asset.parse().ok()?;
    let run = &facts.run.row.run;
    let attempts = facts
        .attempts
        .iter()
        .filter(|attempt| attempt.asset == asset)
        .map(|attempt| {
            let bar = AttemptBar {
                attempt: attempt.attempt.clone(),
                asset: attempt.asset.clone(),
                number: attempt.number,
                started_at: attempt.started_at,
                ended_at: attempt.ended_at,
                failed: attempt.failure.is_some(),
            };
            AttemptView {
                number: attempt.number,
                partitions: match attempt.partitions.as_slice() {
                    [None] => "whole".to_owned(),
                    [Some(one)] => one.to_string(),
                    [Some(first), .., Some(last)] => format!("{first} … {last} ({})", attempt.partitions.len()),
                    _ => String::new(),
                },
                state: match (&attempt.failure, attempt.ended_at) {
                    (Some(_), _) => Tone::Bad.state("ended early"),
                    (None, None) => Tone::Busy.state("running"),
                    (None, Some(_)) => Tone::Good.state("ended"),
                },
                started: clock.when(attempt.started_at),
                length: clock.length(Some(attempt.started_at), attempt.ended_at),
                gantt: draw(&[bar], whole),
                log: log_href(&attempt.attempt),
                note: attempt
                    .failure
                    .as_ref()
                    .map_or_else(String::new, |failure| failure.message.clone()),
            }
        });
    let next = facts.next_attempt.map(|next| {
        let pairs = [
            ("unfold", Some(asset.to_string())),
            ("after_attempt", Some(next.to_string())),
        ];
        format!("/runs/{run}{}#unfolded", query(&pairs))
    });
    Some(Unfolded {
        attempts: attempts.collect(),
        next,
        asset,
    })
}

/// The log of an attempt, as a query of the run's page.
pub fn log_href(attempt: &AttemptId) -> String {
    format!("?attempt={attempt}#log")
}
