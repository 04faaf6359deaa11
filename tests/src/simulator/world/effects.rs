//! What follows from a turn: attempts, commits, answers.

use orchestrator::core::{Broken, Effect, InvariantId};
use state::event::Event;

use super::super::workers::{Bases, Word};
use super::{Happening, SECOND, Simulation};

impl Simulation {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start(order) => {
                let attempt = order.attempt.clone();
                for (after, word) in self.workers.start(*order, &mut self.dice, self.faults) {
                    let word = Happening::Word {
                        boot: self.boot,
                        attempt: attempt.clone(),
                        word,
                    };
                    self.at(self.now + after * SECOND, word);
                }
            }
            Effect::CancelAttempt { attempt } => {
                self.workers.canceled.insert(attempt.clone());
                let word = if self.dice.percent(50) {
                    Word::Ended
                } else {
                    Word::Lost { working_on: None }
                };
                self.later(
                    20,
                    Happening::Word {
                        boot: self.boot,
                        attempt,
                        word,
                    },
                );
            }
            Effect::Prepare { asset, members } => {
                let fails = self.dice.percent(self.faults.share / 4);
                let tables = members.iter().map(|member| &member.step.asset);
                let bases = tables.filter_map(|table| Some((table.clone(), self.world.pointer(table)?.clone())));
                let bases: Bases = bases.collect();
                let boot = self.boot;
                let seconds = self.faults.wait(5, 3000, &mut self.dice);
                if self.dice.percent(self.faults.share / 2) {
                    let (asset, members, bases) = (asset.clone(), members.clone(), bases.clone());
                    self.later(
                        seconds,
                        Happening::Committer {
                            boot,
                            asset,
                            members,
                            bases,
                            fails: false,
                        },
                    );
                }
                self.later(
                    seconds,
                    Happening::Committer {
                        boot,
                        asset,
                        members,
                        bases,
                        fails,
                    },
                );
            }
            // To be looked at by people, of whom there are none here.
            Effect::KeepStaged(_) => {}
            Effect::Reply { request, answer } => {
                self.note(format!("  answer {answer:?}").chars().take(400).collect::<String>());
                self.answers.insert(request, answer);
            }
        }
    }

    pub(super) fn published(&mut self, event: &Event) -> Result<(), Broken> {
        let (attempt, materialization) = match event {
            Event::StepSucceeded {
                attempt,
                materialization,
                ..
            } => (attempt, materialization),
            Event::PartitionCutAway { step } => {
                self.contents.remove(step);
                return Ok(());
            }
            Event::PartitionRolledBack { step, restored, .. } => {
                let shown = Self::there(self.lake.read(self.world.pointer(&step.asset)), "a table")?;
                match restored {
                    Some(_) => {
                        let content = shown.get(&step.partition).cloned().unwrap_or_default();
                        self.contents.insert(step.clone(), content);
                    }
                    None => {
                        self.contents.remove(step);
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let step = &materialization.step;
        // What was made in an environment.
        if let Some(merging) = &self.merging {
            let content = merging.contents.get(step).cloned().unwrap_or_default();
            self.contents.insert(step.clone(), content);
            return Ok(());
        }
        let Some(kept) = self.workers.kept.get(&(attempt.clone(), step.clone())) else {
            return Err(Broken::new(
                InvariantId::MaterializedBySuccess,
                format!("{step} was published and never staged"),
            ));
        };
        if !kept.checks_pass {
            return Err(Broken::new(
                InvariantId::PublishedOnPass,
                format!("{step} did not pass its check"),
            ));
        }
        self.contents.insert(step.clone(), kept.content.clone());
        let shown = Self::there(self.lake.read(self.world.pointer(&step.asset)), "a table")?;
        let shown = shown.get(&step.partition).map_or("", String::as_str);
        if kept.staged.model.is_none() && shown != kept.content {
            return Err(Broken::new(
                InvariantId::MaterializedBySuccess,
                format!("readers do not see the rows of {step}"),
            ));
        }
        Ok(())
    }

    /// As the driver does: wakes when the first wait for a retry is over, however the clock was set meanwhile.
    pub(super) fn set_alarm(&mut self) {
        let next = self.world.next_retry();
        if next != self.alarm {
            self.alarm = next;
            if let Some(due) = next {
                let wait = (due - self.clock()).max(0);
                self.at(self.now + wait, Happening::Retries { until: due });
            }
        }
    }
}
