//! The parts of a condition, asked of one partition: its states, and when something happened to it last.

use assets::automation::{Condition, Happening, State, is_named};
use assets::cron::Timetable;
use assets::{Asset, AssetInput, AssetKey, InputRole, PartitionKey};
use state::event::Micros;
use state::freshness::FreshnessState;

use super::super::super::effect::StepScope;
use super::super::super::scope::timestamp;
use super::affected::{everything_of, index};
use super::look::Looker;

impl Looker<'_> {
    /// Whether a condition holds for a partition.
    pub(super) fn holds(&self, condition: &Condition, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        match condition {
            Condition::Is(state) => self.is(*state, asset, partition),
            Condition::Latest(count) => {
                let all = everything_of(asset, self.at).len();
                let own = index(asset, partition).unwrap_or(0);
                own + (*count as usize) >= all
            }
            Condition::Since(first, second) => self.since(first, second, asset, partition),
            Condition::UpdatedBy(names) => self.updated_by(names, asset, partition),
            Condition::Any(inner, of) => asset
                .inputs
                .iter()
                .filter(|input| is_named(of, &input.asset))
                .any(|input| self.some_upstream(inner, asset, input, partition) == Some(true)),
            // What sees nothing of an input (a window before its first day) has nothing to wait for there.
            Condition::All(inner, of) => asset
                .inputs
                .iter()
                .filter(|input| is_named(of, &input.asset))
                .all(|input| self.some_upstream(inner, asset, input, partition) != Some(false)),
            Condition::Not(inner) => !self.holds(inner, asset, partition),
            Condition::And(parts) => parts.iter().all(|part| self.holds(part, asset, partition)),
            Condition::Or(parts) => parts.iter().any(|part| self.holds(part, asset, partition)),
        }
    }

    /// Whether a condition holds for some partition of an input that this one sees; `None` if it sees none.
    fn some_upstream(
        &self,
        condition: &Condition,
        asset: &Asset,
        input: &AssetInput,
        partition: Option<&PartitionKey>,
    ) -> Option<bool> {
        let upstream = self.definitions.get(&input.asset)?;
        let keys = match self.sight.scopes().of(asset, input, partition) {
            StepScope::All => self.sight.scopes().existing(upstream),
            StepScope::Keys(keys) => keys.into_iter().map(Some).collect(),
        };
        if keys.is_empty() {
            return None;
        }
        Some(keys.iter().any(|key| self.holds(condition, upstream, key.as_ref())))
    }

    fn is(&self, state: State, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        let record = self.world.partition(&asset.key, partition);
        let made = record.and_then(|record| record.materialization.as_ref());
        let failure = record.and_then(|record| record.failure);
        // What the same decision requests upstream is as good as made: who reads it is made after it, in the same run.
        let coming = self.is_requested(&asset.key, partition);
        match state {
            State::Missing => made.is_none() && !coming,
            State::Stale => !coming && self.is_stale(asset, partition),
            State::UpstreamUpdated => self.updated_by(&[], asset, partition),
            State::SourceChanged => match (made, self.world.asset(&asset.key)) {
                (Some(made), Some(record)) => self.sight.source_changed(asset, record, partition, made),
                (None, Some(record)) => record.fed.contains_key(&partition.cloned()),
                (_, None) => false,
            },
            State::CodeChanged => made.is_some_and(|made| made.fingerprint != asset.fingerprint),
            State::Failed => failure.is_some(),
            State::CheckFailed => failure.is_some_and(|failure| failure.by_check),
            State::FreshnessLate => self.freshness(asset) == Some(FreshnessState::Late),
            State::FreshnessWarning => self.freshness(asset).is_some_and(FreshnessState::is_bad),
            State::InProgress => self.in_progress(&asset.key, partition).is_some(),
        }
    }

    /// Whether what a partition reads of these assets (of all if none is named) changed since it was made, or is requested by
    /// the same decision.
    fn updated_by(&self, of: &[AssetKey], asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        let record = self.world.partition(&asset.key, partition);
        let made = record.and_then(|record| record.materialization.as_ref());
        made.is_some_and(|made| self.sight.inputs_changed(asset, partition, made, of))
            || asset
                .inputs
                .iter()
                .filter(|input| is_named(of, &input.asset))
                .any(|input| self.input_is_requested(asset, input, partition))
    }

    fn freshness(&self, asset: &Asset) -> Option<FreshnessState> {
        self.world.freshness(&asset.key).map(|record| record.state)
    }

    /// Whether some partition of an input that this one sees is requested by the same decision.
    pub(super) fn input_is_requested(
        &self,
        asset: &Asset,
        input: &AssetInput,
        partition: Option<&PartitionKey>,
    ) -> bool {
        let Some(requested) = self.requested(&input.asset) else {
            return false;
        };
        if input.role != InputRole::Rows {
            return true;
        }
        match self.sight.scopes().of(asset, input, partition) {
            StepScope::All => true,
            StepScope::Keys(keys) => keys.into_iter().any(|key| requested.contains(&Some(key))),
        }
    }

    fn since(&self, first: &Happening, second: &Happening, asset: &Asset, partition: Option<&PartitionKey>) -> bool {
        let Some(happened) = self.happened(first, asset, partition) else {
            return false;
        };
        // What is of the very instant of a tick came after it.
        let tick = matches!(second, Happening::Cron(_));
        self.happened(second, asset, partition)
            .is_none_or(|before| happened > before || (tick && happened == before))
    }

    /// When something happened last.
    fn happened(&self, happening: &Happening, asset: &Asset, partition: Option<&PartitionKey>) -> Option<Micros> {
        let record = self.world.partition(&asset.key, partition);
        match happening {
            Happening::Materialized => self.made_at(asset, partition),
            Happening::Failed => record.and_then(|record| record.failure).map(|failure| failure.at),
            Happening::UpstreamMaterialized(of) => {
                let inputs = asset.inputs.iter().filter(|input| is_named(of, &input.asset));
                let newest = inputs.filter_map(|input| {
                    let upstream = self.definitions.get(&input.asset)?;
                    match self.sight.scopes().of(asset, input, partition) {
                        StepScope::All if self.requested(&input.asset).is_some() => Some(self.at),
                        StepScope::All => self.world.asset(&input.asset).and_then(|record| record.newest),
                        StepScope::Keys(keys) => keys.iter().filter_map(|key| self.made_at(upstream, Some(key))).max(),
                    }
                });
                newest.max()
            }
            Happening::Late => {
                let record = self.world.freshness(&asset.key);
                record
                    .filter(|record| record.state == FreshnessState::Late)
                    .map(|record| record.since)
            }
            Happening::Cron(timetable) => self.ticked(timetable),
        }
    }

    fn made_at(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<Micros> {
        if self.is_requested(&asset.key, partition) {
            return Some(self.at);
        }
        let record = self.world.partition(&asset.key, partition)?;
        Some(record.materialization.as_ref()?.at)
    }

    /// The newest tick of a cron.
    pub(super) fn ticked(&self, timetable: &Timetable) -> Option<Micros> {
        let place = std::ptr::from_ref(timetable) as usize;
        if let Some(known) = self.ticks.borrow().get(&place) {
            return *known;
        }
        let tick = timetable.previous(timestamp(self.at.saturating_add(1)));
        let tick = tick.map(|tick| tick.at.as_microsecond());
        self.ticks.borrow_mut().insert(place, tick);
        tick
    }
}
