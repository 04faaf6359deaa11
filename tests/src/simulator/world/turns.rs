//! What an input comes to: decided, joined with what came at the same time as the driver does it, committed, performed.

use std::cmp::Reverse;

use orchestrator::core::{Broken, Input, InvariantId, Turn, check_invariants, turn};
use state::event::Event;

use super::{Simulation, summary};

/// Turns that are committed at once, at most.
const MOST_JOINED: usize = 5;

/// What was decided and is not committed yet.
#[derive(Default)]
pub(super) struct Held {
    /// The inputs, and how many events each led to.
    inputs: Vec<(Input, usize)>,
    turn: Turn,
}

impl Simulation {
    /// One input: turn, commit, effects. Now and then the process dies between two of them, and now and then it is committed together with
    /// the next.
    pub(super) fn take(&mut self, input: Input) -> Result<(), Broken> {
        self.outcome.turns += 1;
        let at = self.clock();
        self.went_back |= at < self.latest;
        self.latest = self.latest.max(at);
        let input = self
            .sabotage
            .map_or_else(|| input.clone(), |bug| bug.input(input.clone()));
        self.note(summary(&input));
        let before = self.sabotage.map(|_| self.world.clone());
        let mut turn = turn(&mut self.world, at, input.clone())?;
        if let (Some(bug), Some(before)) = (self.sabotage, before) {
            if let Some(changed) = bug.events(&before, &input, &turn.events) {
                let definitions = self.world.definitions().clone();
                self.world = before;
                self.world.set_definitions(definitions);
                for recorded in &changed {
                    self.world.apply(recorded)?;
                }
                turn.events = changed;
            }
        }
        for recorded in &turn.events {
            let text = serde_json::to_string(&recorded.event).expect("events are written as JSON");
            self.note(format!("  {}", text.chars().take(220).collect::<String>()));
        }
        if self.sabotage.is_some() {
            check_invariants(&self.world)?;
        }
        let held = std::mem::take(&mut self.held);
        let (mut inputs, mut decided) = (held.inputs, held.turn);
        inputs.push((input, turn.events.len()));
        if inputs.len() > 1 {
            self.outcome.joined += 1;
            decided.join(&self.world, turn);
        } else {
            decided = turn;
        }
        if self.waits(&inputs) {
            self.held = Held { inputs, turn: decided };
            return Ok(());
        }
        self.settle(&inputs, decided)
    }

    /// Whether what was decided is committed together with what is decided next: more has come at the same time.
    fn waits(&mut self, inputs: &[(Input, usize)]) -> bool {
        let comes_more = self.heap.peek().is_some_and(|Reverse((at, _))| *at <= self.now);
        let is_word = |(input, _): &(Input, usize)| {
            matches!(
                input,
                Input::Staged { .. }
                    | Input::StepFailed { .. }
                    | Input::AttemptEnded { .. }
                    | Input::WorkerLost { .. }
                    | Input::CommitPrepared { .. }
                    | Input::CommitFailed { .. }
            )
        };
        let may = self.sabotage.is_none() && comes_more && inputs.len() < MOST_JOINED && inputs.iter().all(is_word);
        may && self.joins.percent(70)
    }

    /// Commits what waits to be committed.
    pub(super) fn settle_held(&mut self) -> Result<(), Broken> {
        let held = std::mem::take(&mut self.held);
        match held.inputs.is_empty() {
            true => Ok(()),
            false => self.settle(&held.inputs, held.turn),
        }
    }

    /// Commits what was decided on some inputs, and does what follows. Each comes with how many of the events are its own.
    fn settle(&mut self, inputs: &[(Input, usize)], turn: Turn) -> Result<(), Broken> {
        let at = self.clock();
        let dies =
            self.faults.share > 0 && self.dice.percent(self.faults.share).then(|| self.dice.percent(20)) == Some(true);
        if dies && self.dice.percent(50) {
            return self.start_again();
        }
        let stored = self
            .sabotage
            .map_or_else(|| turn.events.clone(), |bug| bug.stored(&turn.events));
        self.store.commit(&stored).map_err(|error| {
            Broken::new(
                InvariantId::OnlyListedTransitions,
                format!("the store refused what was decided: {error}"),
            )
        })?;
        let limits = self.limits.clone();
        let mut own = turn.events.as_slice();
        let mut turns = Vec::new();
        for (input, events) in inputs {
            let (first, others) = own.split_at(*events);
            self.history.waited_long_enough(input, first)?;
            turns.push(first);
            own = others;
        }
        self.history.tell(&self.world, &limits, &turns)?;
        for (sensor, key) in &self.history.sensors.forgotten {
            // One that is declared no more does not look.
            let looks = self.world.sensor(sensor).is_some_and(|record| record.declared);
            if looks && !self.outside.is_gone(sensor, key) {
                let found = format!("{sensor} forgot {key}, which is still there");
                return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
            }
        }
        // Until a start has decided on it, what the process before had in flight counts as waited for.
        if self.dice.percent(10) && !self.world.is_unrecovered() {
            self.history.reasons_are_true(&self.world, &limits, at)?;
        }
        for recorded in &turn.events {
            self.published(&recorded.event)?;
        }
        for recorded in &turn.events {
            if let Event::PointerMoved { table, to, .. } = &recorded.event {
                self.moved(table, to)?;
            }
        }
        if dies {
            return self.start_again();
        }
        for mut effect in turn.effects {
            if let Some(bug) = self.sabotage {
                bug.effect(&mut effect);
            }
            self.perform(effect);
        }
        self.set_alarm();
        Ok(())
    }
}
