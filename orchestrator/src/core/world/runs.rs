//! Open runs: their steps, what each step waits for, and the attempts in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::assets::{Asset, AssetKey, AssetPartition, Fingerprint, PartitionKey};
use state::event::{Micros, PinnedVersion, RunRequest};
use state::ids::{AttemptId, RunId};
use state::status::{RunStatus, StepStatus};

use super::super::definitions::Definitions;
use super::super::effect::StepScope;
use super::super::scope::Scopes;

/// A run that is not over.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its place among all runs of this world: the earlier has the older claim to a partition.
    pub number: u64,
    /// What was asked for.
    pub request: RunRequest,
    /// When.
    pub submitted_at: Micros,
    /// Where it is.
    pub status: RunStatus,
    /// The definitions that it was planned with.
    pub definitions: Arc<Definitions>,
    /// Its steps, grouped by asset, upstream first.
    pub groups: Vec<Group>,
    /// All steps; a group is a stretch of them.
    pub steps: Vec<Step>,
    /// How many steps are not over.
    pub open: usize,
    /// How many of its attempts hold a worker.
    pub attempts: usize,
    /// Whether any step failed.
    pub failed: bool,
    /// How many steps are with a worker or being published. One that waits for those that it is published together with is not:
    /// those have to come through.
    pub in_flight: usize,
    /// Whether it starts nothing more until it is resumed.
    pub paused: bool,
    /// When it last got a worker, or was submitted.
    pub last_start: Micros,
    /// The steps that failed and wait to be tried again, by position, and until when.
    pub delayed: BTreeMap<u32, Micros>,
}

/// The steps of one asset in a run.
#[derive(Debug, Clone)]
pub struct Group {
    /// The asset's name.
    pub asset: AssetKey,
    /// The asset as the run's definitions have it; `None` if they do not (only after a recovery that did not find them any more).
    pub definition: Option<Arc<Asset>>,
    /// Position of its first step in the run.
    pub first: u32,
    /// How many steps it has.
    pub len: u32,
    /// Where each partition's step is.
    pub positions: BTreeMap<Option<PartitionKey>, u32>,
    /// Steps that wait for nothing but a worker, by position (and for `blocked_by`).
    pub ready: BTreeSet<u32>,
    /// How many steps have not succeeded.
    pub unfinished: usize,
    /// How many steps are not over.
    pub open: usize,
    /// How many groups upstream, all of which each step here needs, have steps that did not succeed yet.
    pub blocked_by: usize,
    /// Groups each of whose steps needs all steps here.
    pub needed_whole_by: Vec<u32>,
    /// Groups whose assets are published together with this one.
    pub published_with: Vec<u32>,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its group.
    pub group: u32,
    /// Its partition.
    pub partition: Option<PartitionKey>,
    /// Where it is.
    pub status: StepStatus,
    /// The attempt whose word counts, while it runs or is published.
    pub attempt: Option<AttemptId>,
    /// The number of its newest attempt; 0 before the first.
    pub tries: u32,
    /// How often it was given another try after a failure.
    pub retries: u32,
    /// How many steps upstream in this run have not succeeded yet, besides those of whole groups.
    pub waits_for: u32,
    /// The steps that count this one in `waits_for`.
    pub needed_by: Vec<u32>,
}

impl Run {
    /// A run as it is when it is submitted. Steps come grouped by asset, upstream first.
    pub(super) fn open(
        id: RunId,
        number: u64,
        request: RunRequest,
        submitted_at: Micros,
        definitions: Arc<Definitions>,
        planned: impl IntoIterator<Item = AssetPartition>,
    ) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut steps: Vec<Step> = Vec::new();
        for AssetPartition { asset, partition } in planned {
            if groups.last().is_none_or(|group| group.asset != asset) {
                let definition = definitions.get(&asset).cloned();
                groups.push(Group::new(asset, definition, steps.len() as u32));
            }
            let group = groups.len() - 1;
            groups[group].positions.insert(partition.clone(), steps.len() as u32);
            groups[group].len += 1;
            groups[group].unfinished += 1;
            groups[group].open += 1;
            steps.push(Step {
                group: group as u32,
                partition,
                status: StepStatus::Waiting,
                attempt: None,
                tries: 0,
                retries: 0,
                waits_for: 0,
                needed_by: Vec::new(),
            });
        }
        let open = steps.len();
        let status = RunStatus::Queued;
        let mut run = Self {
            id,
            number,
            request,
            submitted_at,
            status,
            definitions,
            groups,
            steps,
            open,
            attempts: 0,
            failed: false,
            in_flight: 0,
            paused: false,
            last_start: submitted_at,
            delayed: BTreeMap::new(),
        };
        run.connect();
        for (position, step) in run.steps.iter().enumerate() {
            if step.waits_for == 0 {
                run.groups[step.group as usize].ready.insert(position as u32);
            }
        }
        run
    }

    /// Notes for every step what it waits for within this run.
    fn connect(&mut self) {
        let by_asset: BTreeMap<AssetKey, usize> = self
            .groups
            .iter()
            .enumerate()
            .map(|(i, group)| (group.asset.clone(), i))
            .collect();
        for group in 0..self.groups.len() {
            let together = self.definitions.published_with(&self.groups[group].asset);
            let others = together.iter().filter_map(|other| by_asset.get(other));
            let others = others.filter(|other| **other != group).map(|other| *other as u32);
            self.groups[group].published_with = others.collect();
        }
        let scopes = Scopes::new(&self.definitions, self.submitted_at);
        for below in 0..self.groups.len() {
            let Some(definition) = self.groups[below].definition.clone() else {
                continue;
            };
            for input in &definition.inputs {
                let Some(&above) = by_asset.get(&input.asset).filter(|&&above| above != below) else {
                    continue;
                };
                let stretch = self.groups[below].first..self.groups[below].first + self.groups[below].len;
                for position in stretch {
                    match scopes.of(&definition, input, self.steps[position as usize].partition.as_ref()) {
                        // One asset's steps all have the same mapping, so if one needs the whole, each does.
                        StepScope::All => {
                            self.groups[above].needed_whole_by.push(below as u32);
                            self.groups[below].blocked_by += 1;
                            break;
                        }
                        // A window before the first day sees no row, but it has to see columns: the table must be there.
                        StepScope::Keys(keys) if keys.is_empty() => {
                            let first = self.groups[above].first;
                            self.steps[first as usize].needed_by.push(position);
                            self.steps[position as usize].waits_for += 1;
                        }
                        StepScope::Keys(keys) => {
                            for key in keys {
                                if let Some(&needed) = self.groups[above].positions.get(&Some(key)) {
                                    self.steps[needed as usize].needed_by.push(position);
                                    self.steps[position as usize].waits_for += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The steps of this run that are published together with the one at a position.
    pub fn mates(&self, position: u32) -> impl Iterator<Item = u32> + '_ {
        let step = &self.steps[position as usize];
        let groups = self.groups[step.group as usize].published_with.iter();
        groups.filter_map(|group| self.groups[*group as usize].positions.get(&step.partition).copied())
    }

    /// Whether a step that is staged waits for another that it is published together with.
    pub fn waits_for_mates(&self, position: u32) -> bool {
        self.mate_to_come(position).is_some()
    }

    /// The first step that keeps one which is published together with it waiting, once that is staged.
    pub fn mate_to_come(&self, position: u32) -> Option<u32> {
        let comes = |mate: &u32| {
            let status = self.steps[*mate as usize].status;
            !matches!(status, StepStatus::Publishing | StepStatus::Succeeded)
        };
        self.mates(position).find(comes)
    }

    /// A step that this one is published together with and that will never be.
    pub fn mate_in_vain(&self, position: u32) -> Option<u32> {
        self.mates(position).find(|mate| {
            let status = self.steps[*mate as usize].status;
            status.is_terminal() && status != StepStatus::Succeeded
        })
    }

    /// Whether a step counts for `max_in_flight`.
    pub fn counts_in_flight(&self, position: u32) -> bool {
        let step = &self.steps[position as usize];
        match step.status {
            StepStatus::Running => true,
            StepStatus::Publishing => self.groups[step.group as usize].published_with.is_empty(),
            _ => false,
        }
    }

    /// Lets the steps that waited for this one go on, if it succeeded.
    pub(super) fn step_ended(&mut self, position: u32, succeeded: bool) {
        let group = self.steps[position as usize].group as usize;
        self.groups[group].ready.remove(&position);
        self.groups[group].open -= 1;
        if !succeeded {
            return;
        }
        for other in std::mem::take(&mut self.steps[position as usize].needed_by) {
            let waiting = &mut self.steps[other as usize];
            waiting.waits_for -= 1;
            if waiting.waits_for == 0 && waiting.status == StepStatus::Waiting {
                let group = waiting.group as usize;
                self.groups[group].ready.insert(other);
            }
        }
        self.groups[group].unfinished -= 1;
        if self.groups[group].unfinished == 0 {
            for other in self.groups[group].needed_whole_by.clone() {
                self.groups[other as usize].blocked_by -= 1;
            }
        }
    }

    /// How many more steps may be in flight as far as this run goes.
    pub fn room(&self) -> usize {
        match (self.paused, self.request.pace.max_in_flight) {
            (true, _) => 0,
            (false, Some(most)) => (most.max(1) as usize).saturating_sub(self.in_flight),
            (false, None) => usize::MAX,
        }
    }

    /// Most steps of one attempt.
    pub fn batch(&self) -> usize {
        self.request.pace.batch.map_or(usize::MAX, |most| most.max(1) as usize)
    }

    /// Its groups in the order in which they get workers.
    pub fn groups_in_turn(&self) -> Box<dyn Iterator<Item = &Group> + '_> {
        if self.request.pace.newest_first {
            Box::new(self.groups.iter().rev())
        } else {
            Box::new(self.groups.iter())
        }
    }

    /// The ready steps of a group in the order in which they get workers.
    pub fn ready_in_turn<'g>(&self, group: &'g Group) -> Box<dyn Iterator<Item = u32> + 'g> {
        if self.request.pace.newest_first {
            Box::new(group.ready.iter().rev().copied())
        } else {
            Box::new(group.ready.iter().copied())
        }
    }

    /// Where the step of a partition is.
    pub fn position(&self, step: &AssetPartition) -> Option<u32> {
        self.groups
            .iter()
            .find(|group| group.asset == step.asset)?
            .positions
            .get(&step.partition)
            .copied()
    }

    /// The name of the step at a position.
    pub fn name(&self, position: u32) -> AssetPartition {
        let step = &self.steps[position as usize];
        AssetPartition::new(self.groups[step.group as usize].asset.clone(), step.partition.clone())
    }

    /// The step of a partition.
    pub fn step(&self, step: &AssetPartition) -> Option<&Step> {
        self.position(step).map(|position| &self.steps[position as usize])
    }

    /// What is in vain when a step is: every step that needs it, at any distance, and still waits, and those that are published
    /// together with any of these and do not run.
    pub fn in_vain(&self, position: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut whole = BTreeSet::new();
        let mut runs = BTreeSet::new();
        let mut queue = vec![position];
        while let Some(next) = queue.pop() {
            let step = &self.steps[next as usize];
            let mut reach = step.needed_by.clone();
            for &group in &self.groups[step.group as usize].needed_whole_by {
                if whole.insert(group) {
                    let group = &self.groups[group as usize];
                    reach.extend(group.first..group.first + group.len);
                }
            }
            for other in reach {
                if self.steps[other as usize].status == StepStatus::Waiting && found.insert(other) {
                    queue.push(other);
                }
            }
            for mate in self.mates(next) {
                match self.steps[mate as usize].status {
                    StepStatus::Waiting | StepStatus::Publishing => {
                        if found.insert(mate) {
                            queue.push(mate);
                        }
                    }
                    // It is told when it is staged; what waits for it waits in vain from now on.
                    StepStatus::Running => {
                        if runs.insert(mate) {
                            queue.push(mate);
                        }
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

impl Group {
    fn new(asset: AssetKey, definition: Option<Arc<Asset>>, first: u32) -> Self {
        Self {
            asset,
            definition,
            first,
            len: 0,
            positions: BTreeMap::new(),
            ready: BTreeSet::new(),
            unfinished: 0,
            open: 0,
            blocked_by: 0,
            needed_whole_by: Vec::new(),
            published_with: Vec::new(),
        }
    }

    /// Whether some step could be given to a worker as far as this run goes.
    pub fn has_ready(&self) -> bool {
        self.blocked_by == 0 && !self.ready.is_empty()
    }
}

/// One try of a batch of steps of one asset.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id: the fence.
    pub id: AttemptId,
    /// Its run.
    pub run: RunId,
    /// The asset.
    pub asset: AssetKey,
    /// The steps, by position in the run.
    pub steps: Vec<u32>,
    /// How many of them still have this attempt as their current one.
    pub open: usize,
    /// 1 for the first try.
    pub number: u32,
    /// The inputs it was given.
    pub inputs: Vec<PinnedVersion>,
    /// What each step saw of each input, in the order of `steps`: the input's part of the data version.
    pub versions: Vec<BTreeMap<AssetKey, Fingerprint>>,
    /// What each step of an automated asset is made from, in the order of `steps`; nothing for another asset.
    pub tried: Vec<Fingerprint>,
    /// When it was given to a worker.
    pub started_at: Micros,
    /// The steps that it took too long over, once it did: its worker is being stopped.
    pub timed_out: Option<BTreeSet<u32>>,
    /// Whether the worker has said its last word: the slot is free, and what is staged waits for the committer.
    pub ended: bool,
}
