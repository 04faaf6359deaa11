//! Steps that failed and wait to be tried again: until when each waits, and which attempts took too long over what.

use ::assets::{AssetPartition, PartitionKey};
use state::event::Micros;
use state::ids::{AttemptId, RunId};
use state::status::StepStatus;

use super::World;
use super::apply::{Broken, illegal};

impl World {
    /// When the first wait for a retry is over.
    pub fn next_retry(&self) -> Option<Micros> {
        self.retries.first().map(|(due, _, _)| *due)
    }

    /// The steps whose wait for a retry is over at `until`, the longest overdue first.
    pub fn retries_due(&self, until: Micros) -> impl Iterator<Item = (&RunId, u32)> {
        let due = self.retries.iter().take_while(move |(due, _, _)| *due <= until);
        due.map(|(_, run, position)| (run, *position))
    }

    pub(super) fn step_up_for_retry(
        &mut self,
        id: &RunId,
        name: &AssetPartition,
        attempt: &AttemptId,
        retry: u32,
        due: Micros,
    ) -> Result<(), Broken> {
        let (run, position) = self.current(id, name, Some(attempt))?;
        let counted = run.counts_in_flight(position);
        let step = &mut run.steps[position as usize];
        if !matches!(step.status, StepStatus::Running | StepStatus::Publishing) || retry != step.retries + 1 {
            return Err(illegal(format!("{name} is to be tried again while {:?}", step.status)));
        }
        step.status = StepStatus::Waiting;
        step.retries = retry;
        let released = step.attempt.take();
        run.in_flight -= usize::from(counted);
        run.delayed.insert(position, due);
        self.retries.insert((due, id.clone(), position));
        self.release(released);
        Ok(())
    }

    pub(super) fn step_retry_due(&mut self, id: &RunId, name: &AssetPartition) -> Result<(), Broken> {
        let (run, position) = self.current(id, name, None)?;
        let Some(due) = run.delayed.remove(&position) else {
            return Err(illegal(format!("{name} of {id} does not wait to be tried again")));
        };
        let group = run.steps[position as usize].group as usize;
        run.groups[group].ready.insert(position);
        self.retries.remove(&(due, id.clone(), position));
        Ok(())
    }

    /// A step that waited to be tried again is over.
    pub(super) fn forget_retry(&mut self, id: &RunId, position: u32) {
        let run = self.runs.get_mut(id);
        if let Some(due) = run.and_then(|run| run.delayed.remove(&position)) {
            self.retries.remove(&(due, id.clone(), position));
        }
    }

    pub(super) fn attempt_timed_out(
        &mut self,
        id: &AttemptId,
        partitions: &[Option<PartitionKey>],
    ) -> Result<(), Broken> {
        let positions = self.positions_of(id, partitions)?;
        let attempt = self.attempts.get_mut(id).expect("its positions were just found");
        if attempt.ended || attempt.timed_out.is_some() {
            return Err(illegal(format!("{id} is over, and took too long")));
        }
        attempt.timed_out = Some(positions);
        Ok(())
    }

    fn positions_of(
        &self,
        id: &AttemptId,
        partitions: &[Option<PartitionKey>],
    ) -> Result<std::collections::BTreeSet<u32>, Broken> {
        let attempt = self.attempt(id);
        let known = attempt.and_then(|attempt| Some((attempt, self.run(&attempt.run)?)));
        let (attempt, run) = known.ok_or_else(|| illegal(format!("{id} is not known")))?;
        let mine = attempt.steps.iter().copied();
        Ok(mine
            .filter(|&position| partitions.contains(&run.steps[position as usize].partition))
            .collect())
    }
}
