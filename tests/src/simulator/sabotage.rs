//! Bugs put in on purpose: each changes what the core decided before it counts. A suite that does not notice them proves
//! nothing.

use orchestrator::core::{Effect, Input, World};
use state::event::{Event, OwnerMode, Recorded};
use state::schedule::TickStatus;
use state::sensor::SensorTick;
use state::status::StepStatus;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A result is published although another attempt has the step now, or the step is over.
    SkipTheFence,
    /// A success is recorded twice.
    ApplyTwice,
    /// A step whose worker was lost is not queued again.
    LoseTheRequeue,
    /// A worker that ended keeps its slot.
    KeepTheSlot,
    /// What is downstream of a failure goes on waiting.
    ForgetToSkip,
    /// What is to be published together is published in part.
    PublishAlone,
    /// A failed check does not keep rows from being published.
    IgnoreTheCheck,
    /// A step is given to a worker before its turn.
    StartTooEarly,
    /// A stale step is taken for fresh.
    TakeStaleForFresh,
    /// The pointer is moved from a version that it no longer points to.
    PublishOnAnOldBase,
    /// An event is applied and not stored.
    ForgetToStore,
    /// Instants that nobody was there for are not told.
    ForgetWhatWasMissed,
    /// A schedule counts from each start of the daemon instead of from where it was.
    CountFromEachStart,
    /// A schedule that is paused ticks.
    TickWhilePaused,
    /// A step that is to wait before it is tried again does not.
    RetryAtOnce,
    /// A step is tried again whatever its failure was and however often that was so.
    RetryForEver,
    /// One more than there are places gets into a pool.
    OvercrowdAPool,
    /// An asset that became late is not told of.
    ForgetToTellLateness,
    /// What went wrong is not raised.
    ForgetToRaise,
    /// A message that its receiver did not take counts as delivered.
    TakeARefusalForDelivery,
    /// The run that a sensor requests is submitted, and its tick is not recorded with it.
    SubmitWithoutTheTick,
    /// A sensor reads on and does not say which events it has told of.
    ForgetTheKeys,
    /// A sensor tells of all that it sees, also of what it has told of before.
    TellOfAllThatIsSeen,
    /// A sensor forgets what is still there to be seen.
    ForgetWhatIsThere,
    /// A rollback is recorded twice.
    RollBackTwice,
    /// A rollback brings back what it was to take back.
    BringBackTheWrongOne,
    /// A rollback does not say what the partitions would have been made from.
    ForgetWhatStands,
    /// A step is not told which raw files its partition has the rows of.
    ForgetWhatWasAdded,
    /// Maintenance does not ask what attempts and models need.
    ForgetWhatIsPinned,
    /// Maintenance takes what is new for left behind.
    SweepTooSoon,
    /// Maintenance does not look for old metadata.
    OverlookLeftovers,
    /// Few files take the place of many that are there no more.
    CompactWhatIsGone,
    /// An environment is merged though production has moved underneath it.
    MergeOverWhatMoved,
}

impl Sabotage {
    /// Every bug.
    pub const ALL: &'static [Self] = &[
        Self::RetryAtOnce,
        Self::RetryForEver,
        Self::OvercrowdAPool,
        Self::SkipTheFence,
        Self::ApplyTwice,
        Self::LoseTheRequeue,
        Self::KeepTheSlot,
        Self::ForgetToSkip,
        Self::PublishAlone,
        Self::IgnoreTheCheck,
        Self::StartTooEarly,
        Self::TakeStaleForFresh,
        Self::PublishOnAnOldBase,
        Self::ForgetToStore,
        Self::ForgetWhatWasMissed,
        Self::CountFromEachStart,
        Self::TickWhilePaused,
        Self::ForgetToTellLateness,
        Self::ForgetToRaise,
        Self::TakeARefusalForDelivery,
        Self::SubmitWithoutTheTick,
        Self::ForgetTheKeys,
        Self::TellOfAllThatIsSeen,
        Self::ForgetWhatIsThere,
        Self::RollBackTwice,
        Self::BringBackTheWrongOne,
        Self::ForgetWhatStands,
        Self::ForgetWhatWasAdded,
        Self::ForgetWhatIsPinned,
        Self::SweepTooSoon,
        Self::OverlookLeftovers,
        Self::CompactWhatIsGone,
        Self::MergeOverWhatMoved,
    ];

    /// Changes an input before the core sees it.
    pub(super) fn input(self, input: Input) -> Input {
        match (self, input) {
            (Self::IgnoreTheCheck, Input::Staged { attempt, mut staged }) => {
                staged.checks.iter_mut().for_each(|check| check.passed = true);
                Input::Staged { attempt, staged }
            }
            (
                Self::ForgetWhatIsThere,
                Input::SensorLooked {
                    request,
                    sensor,
                    mut look,
                    by,
                },
            ) => {
                if let Ok(sight) = &mut look.sight {
                    sight.shown = sight.shown.take().map(|_| std::collections::BTreeSet::new());
                }
                Input::SensorLooked {
                    request,
                    sensor,
                    look,
                    by,
                }
            }
            (_, input) => input,
        }
    }

    /// Changes what was decided in `before` because of `input`; `None` leaves it as it is.
    pub(super) fn events(self, before: &World, input: &Input, events: &[Recorded]) -> Option<Vec<Recorded>> {
        let without = |drop: fn(&Event) -> bool| {
            let kept: Vec<Recorded> = events
                .iter()
                .filter(|recorded| !drop(&recorded.event))
                .cloned()
                .collect();
            (kept.len() < events.len()).then_some(kept)
        };
        let at = events.first().map_or(0, |recorded| recorded.at);
        match self {
            Self::ForgetToTellLateness => without(
                |event| matches!(event, Event::FreshnessChanged { change } if change.to == state::freshness::FreshnessState::Late),
            ),
            Self::ForgetToRaise => without(|event| matches!(event, Event::AlertRaised { .. })),
            Self::TakeARefusalForDelivery => {
                let Input::AlertTried { error: Some(_), .. } = input else {
                    return None;
                };
                let mut changed = events.to_vec();
                for recorded in &mut changed {
                    if let Event::AlertFailed {
                        alert, message, tries, ..
                    } = &recorded.event
                    {
                        recorded.event = Event::AlertDelivered {
                            alert: alert.clone(),
                            message: message.clone(),
                            tries: *tries,
                        };
                    }
                }
                Some(changed)
            }
            Self::LoseTheRequeue => without(|event| matches!(event, Event::StepRequeued { .. })),
            Self::KeepTheSlot => without(|event| matches!(event, Event::AttemptEnded { failure: None, .. })),
            Self::ForgetToSkip => without(|event| matches!(event, Event::StepSkipped { .. })),
            Self::ApplyTwice => {
                let twice = events
                    .iter()
                    .position(|r| matches!(r.event, Event::StepSucceeded { .. }))?;
                let mut changed = events.to_vec();
                changed.insert(twice, events[twice].clone());
                Some(changed)
            }
            Self::SkipTheFence => {
                let Input::CommitPrepared { members, .. } = input else {
                    return None;
                };
                let refused = events.iter().all(|r| !matches!(r.event, Event::StepSucceeded { .. }));
                let zombie = members.iter().find(|member| {
                    let attempt = before.attempt(&member.attempt);
                    let step = attempt.and_then(|attempt| before.run(&attempt.run)?.step(&member.step));
                    step.is_none_or(|step| step.attempt.as_ref() != Some(&member.attempt))
                })?;
                let run = before
                    .open_runs()
                    .find(|run| run.step(&zombie.step).is_some())
                    .filter(|_| refused)?;
                let made = before.partition(&zombie.step.asset, zombie.step.partition.as_ref());
                let asset = run.definitions.get(&zombie.step.asset)?;
                let mut changed = events.to_vec();
                changed.push(Recorded {
                    at,
                    event: Event::StepSucceeded {
                        run: run.id.clone(),
                        attempt: zombie.attempt.clone(),
                        materialization: state::event::Materialization {
                            step: zombie.step.clone(),
                            fingerprint: asset.fingerprint.clone(),
                            data_version: asset.fingerprint.clone(),
                            inputs: std::collections::BTreeMap::new(),
                            snapshot_id: made.and_then(|m| m.materialization.as_ref()?.snapshot_id),
                            rows: 0,
                            bytes: 0,
                            metadata: std::collections::BTreeMap::new(),
                            checks: Vec::new(),
                            sources: Vec::new(),
                        },
                    },
                });
                Some(changed)
            }
            Self::StartTooEarly => {
                let started = events
                    .iter()
                    .position(|r| matches!(r.event, Event::AttemptStarted { .. }))?;
                let mut changed = events.to_vec();
                let Event::AttemptStarted {
                    run, asset, partitions, ..
                } = &mut changed[started].event
                else {
                    return None;
                };
                let open = before.run(run)?;
                let early = open
                    .groups
                    .iter()
                    .find(|group| group.blocked_by > 0)
                    .map(|group| group.first)
                    .or_else(|| {
                        let waiting =
                            |step: &orchestrator::core::Step| step.status == StepStatus::Waiting && step.waits_for > 0;
                        open.steps.iter().position(waiting).map(|position| position as u32)
                    })?;
                let name = open.name(early);
                (*asset, *partitions) = (name.asset, vec![name.partition]);
                Some(changed)
            }
            Self::TakeStaleForFresh => {
                let started = events.iter().position(|r| {
                    matches!(&r.event, Event::AttemptStarted { run, .. } if before.run(run).is_some_and(|r| !r.request.force))
                })?;
                let Event::AttemptStarted {
                    run, asset, partitions, ..
                } = &events[started].event
                else {
                    return None;
                };
                let mut changed = events[..started].to_vec();
                changed.extend(partitions.iter().map(|partition| Recorded {
                    at,
                    event: Event::StepFresh {
                        run: run.clone(),
                        step: assets::AssetPartition::new(asset.clone(), partition.clone()),
                    },
                }));
                // A core that believed it would end the run if nothing else is open.
                let mut after = before.clone();
                let believed = changed.iter().try_for_each(|recorded| after.apply(recorded));
                if believed.is_ok() && after.run(run).is_some_and(|run| run.open == 0 && run.attempts == 0) {
                    let status = state::status::RunStatus::Succeeded;
                    changed.push(Recorded {
                        at,
                        event: Event::RunEnded {
                            run: run.clone(),
                            status,
                        },
                    });
                }
                Some(changed)
            }
            Self::PublishAlone => {
                let made = events.iter().filter_map(|recorded| match &recorded.event {
                    Event::StepSucceeded { materialization, .. } => Some(&materialization.step),
                    _ => None,
                });
                let made: Vec<&assets::AssetPartition> = made.collect();
                let together = |one: &&&assets::AssetPartition| {
                    let group = before.definitions().published_with(&one.asset);
                    let mut others = made.iter().filter(|other| other.asset != one.asset);
                    others.any(|other| other.partition == one.partition && group.contains(&other.asset))
                };
                let left = (*made.iter().find(together)?).clone();
                // Nothing of what follows from it does.
                let changed = events.iter().filter(|recorded| match &recorded.event {
                    Event::StepSucceeded { materialization, .. } => materialization.step != left,
                    Event::PointerMoved { table, .. } => *table != left.asset,
                    _ => false,
                });
                Some(changed.cloned().collect())
            }
            Self::PublishOnAnOldBase => {
                let moved = events
                    .iter()
                    .position(|r| matches!(&r.event, Event::PointerMoved { from: Some(_), .. }))?;
                let mut changed = events.to_vec();
                let Event::PointerMoved { from: Some(from), .. } = &mut changed[moved].event else {
                    return None;
                };
                from.metadata_location.push_str(".old");
                Some(changed)
            }
            Self::ForgetWhatWasMissed => {
                without(|event| matches!(event, Event::Ticked { tick } if tick.status == TickStatus::Missed))
            }
            Self::CountFromEachStart => {
                let Input::Recover { mode, .. } = input else {
                    return None;
                };
                let again = before.schedules().filter(|(_, record)| record.declared);
                let again = again.map(|(name, record)| Recorded {
                    at,
                    event: Event::ScheduleDeclared {
                        schedule: name.clone(),
                        times: record.times.clone(),
                        paused: record.paused.is_some(),
                    },
                });
                let mut changed = events.to_vec();
                changed.extend(again);
                (*mode == OwnerMode::Daemon && changed.len() > events.len()).then_some(changed)
            }
            Self::TickWhilePaused => {
                let Input::ResumeSchedule { .. } = input else {
                    return None;
                };
                let mut changed = events.to_vec();
                changed.iter_mut().for_each(|recorded| {
                    if let Event::Ticked { tick } = &mut recorded.event {
                        tick.status = TickStatus::Missed;
                    }
                });
                (changed != events).then_some(changed)
            }
            Self::RetryAtOnce => {
                let put_off = events
                    .iter()
                    .position(|r| matches!(r.event, Event::StepUpForRetry { .. }))?;
                let Event::StepUpForRetry { run, step, .. } = &events[put_off].event else {
                    return None;
                };
                let event = Event::StepRetryDue {
                    run: run.clone(),
                    step: step.clone(),
                };
                let mut changed = events.to_vec();
                changed.insert(put_off + 1, Recorded { at, event });
                Some(changed)
            }
            Self::RetryForEver => {
                let Input::StepFailed { .. } = input else { return None };
                let failed = events
                    .iter()
                    .position(|r| matches!(&r.event, Event::StepFailed { attempt: Some(_), .. }))?;
                let Event::StepFailed {
                    run,
                    attempt: Some(attempt),
                    step,
                    failure,
                    ..
                } = &events[failed].event
                else {
                    return None;
                };
                let known = before.run(run)?.step(step)?;
                let event = Event::StepUpForRetry {
                    run: run.clone(),
                    attempt: attempt.clone(),
                    step: step.clone(),
                    failure: failure.clone(),
                    retry: known.retries + 1,
                    due: at,
                };
                Some(vec![Recorded { at, event }])
            }
            Self::SubmitWithoutTheTick => {
                without(|event| matches!(event, Event::SensorTicked { tick } if tick.run.is_some()))
            }
            Self::ForgetTheKeys => changed_tick(events, |tick| {
                tick.cursor.is_some() && tick.run.is_none() && !std::mem::take(&mut tick.events).is_empty()
            }),
            Self::TellOfAllThatIsSeen => {
                let Input::SensorLooked { look, .. } = input else {
                    return None;
                };
                let sight = look.sight.as_ref().ok()?;
                changed_tick(events, |tick| {
                    let more = sight.events.len() > tick.events.len();
                    tick.events.clone_from(&sight.events);
                    more
                })
            }
            Self::RollBackTwice => {
                let moved = events
                    .iter()
                    .position(|r| matches!(r.event, Event::RolledBack { .. }))?;
                let mut changed = events.to_vec();
                changed.insert(moved, events[moved].clone());
                Some(changed)
            }
            Self::BringBackTheWrongOne => {
                let mut changed = events.to_vec();
                for recorded in &mut changed {
                    if let Event::PartitionRolledBack {
                        restored: Some(restored),
                        ..
                    } = &mut recorded.event
                    {
                        restored.materialization.data_version = assets::Fingerprint::of(["another"]);
                    }
                }
                (changed != events).then_some(changed)
            }
            Self::ForgetWhatStands => {
                let mut changed = events.to_vec();
                for recorded in &mut changed {
                    if let Event::PartitionRolledBack { version, .. } = &mut recorded.event {
                        *version = assets::Fingerprint::of(["nothing"]);
                    }
                }
                (changed != events).then_some(changed)
            }
            Self::IgnoreTheCheck
            | Self::ForgetToStore
            | Self::OvercrowdAPool
            | Self::ForgetWhatIsThere
            | Self::ForgetWhatWasAdded
            | Self::ForgetWhatIsPinned
            | Self::SweepTooSoon
            | Self::OverlookLeftovers
            | Self::CompactWhatIsGone
            | Self::MergeOverWhatMoved => None,
        }
    }

    /// Changes what is to be done.
    pub(super) fn effect(self, effect: &mut Effect) {
        if let (Self::ForgetWhatWasAdded, Effect::Start(order)) = (self, effect) {
            order.partitions.iter_mut().for_each(|partition| partition.has.clear());
        }
    }

    /// What is stored of what was applied.
    pub(super) fn stored(self, events: &[Recorded]) -> Vec<Recorded> {
        let forgotten = match self {
            Self::ForgetToStore => events.iter().position(|r| matches!(r.event, Event::StepStaged { .. })),
            _ => None,
        };
        events
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != forgotten)
            .map(|(_, r)| r.clone())
            .collect()
    }
}

/// The events with the tick of a sensor changed; `None` if `change` changes none.
fn changed_tick(events: &[Recorded], mut change: impl FnMut(&mut SensorTick) -> bool) -> Option<Vec<Recorded>> {
    let mut changed = events.to_vec();
    let ticks = changed.iter_mut().filter_map(|recorded| match &mut recorded.event {
        Event::SensorTicked { tick } => Some(tick),
        _ => None,
    });
    let any = ticks.map(&mut change).fold(false, |any, one| any | one);
    any.then_some(changed)
}
