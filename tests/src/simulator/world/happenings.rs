//! What comes out of the heap when its time has come.

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass};
use orchestrator::core::{Broken, Input, InvariantId};
use state::ids::{AttemptId, RunId};

use super::super::lake::Missing;
use super::super::workers::{Trouble, Word, merged_meanwhile};
use super::{Happening, SECOND, Simulation};

impl Simulation {
    pub(super) fn happen(&mut self, what: Happening) -> Result<(), Broken> {
        self.lake.now = self.clock();
        match what {
            Happening::Request => self.request(),
            Happening::Cancel => {
                let runs: Vec<RunId> = self.world.open_runs().map(|run| run.id.clone()).collect();
                if runs.is_empty() {
                    return Ok(());
                }
                let run = self.dice.pick(&runs).clone();
                self.requests += 1;
                self.take(Input::CancelRun {
                    request: self.requests - 1,
                    run,
                })
            }
            Happening::Pause => {
                let runs: Vec<RunId> = self.world.open_runs().map(|run| run.id.clone()).collect();
                if runs.is_empty() {
                    return Ok(());
                }
                let run = self.dice.pick(&runs).clone();
                self.later(3600, Happening::Resume(run.clone()));
                self.pause(run, true)
            }
            Happening::Resume(run) => {
                self.pause(run.clone(), false)?;
                // The process may have died before it was committed; who got no answer asks again.
                if self.world.run(&run).is_some_and(|run| run.paused) {
                    self.later(600, Happening::Resume(run));
                }
                Ok(())
            }
            Happening::ChangeSources => {
                for asset in self.ingest() {
                    self.change_source(&asset);
                }
                Ok(())
            }
            Happening::Edit => {
                self.project.edit(&mut self.dice);
                if self.dice.percent(30) {
                    self.limits
                        .pools
                        .insert("share".to_owned(), 1 + self.dice.below(3) as u32);
                }
                self.edited()
            }
            Happening::Crash => self.crash(),
            Happening::ClockJumps => {
                self.skew += self.dice.between(-30 * 3600, 30 * 3600) * SECOND;
                self.note("the clock jumps");
                // A machine that slept finds that maintenance was due.
                if self.dice.percent(50) {
                    self.tend_all();
                }
                Ok(())
            }
            Happening::Retries { until } => {
                self.alarm = None;
                self.take(Input::RetriesDue { until })
            }
            Happening::Look => self.look(),
            Happening::Schedule => {
                let names: Vec<String> = self.world.schedules().map(|(name, _)| name.clone()).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let (schedule, by) = (self.dice.pick(&names).clone(), "someone".to_owned());
                self.requests += 1;
                let request = self.requests - 1;
                let choice = self.dice.below(5);
                self.take(match choice {
                    0 | 1 => Input::PauseSchedule { request, schedule, by },
                    2 | 3 => Input::ResumeSchedule { request, schedule, by },
                    _ => Input::TickSchedule { request, schedule, by },
                })
            }
            Happening::Automation => {
                let assets: Vec<AssetKey> = self.project.declared().map(|asset| asset.key.clone()).collect();
                let asset = self.dice.percent(60).then(|| self.dice.pick(&assets).clone());
                let pause = self.dice.percent(60);
                self.pause_automation(asset, pause)
            }
            Happening::Try { boot, message, takes } => self.try_message(boot, &message, takes),
            Happening::Outside => {
                let keys = self.some_keys();
                for sensor in self.project.sensors().into_keys() {
                    self.outside.happen(&sensor, &keys, &mut self.dice);
                }
                Ok(())
            }
            Happening::Sensor => {
                let names: Vec<String> = self.world.sensors().map(|(name, _)| name.clone()).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let (sensor, by) = (self.dice.pick(&names).clone(), "someone".to_owned());
                self.requests += 1;
                let (request, pause) = (self.requests - 1, self.dice.percent(50));
                self.take(Input::PauseSensor {
                    request,
                    sensor,
                    pause,
                    by,
                })
            }
            Happening::Looked { boot, input } => {
                // What a process that is gone has seen is gone with it, or was on its way.
                if boot != self.boot && self.dice.percent(70) {
                    return Ok(());
                }
                for asset in self.ingest() {
                    let observation = self.lake.observe(&asset);
                    self.take(Input::Observed { asset, observation })?;
                }
                self.take(*input)
            }
            Happening::Word { boot, attempt, word } => self.word(boot, &attempt, &word),
            Happening::Committer {
                boot,
                asset,
                members,
                bases,
                fails,
            } => {
                if boot != self.boot && self.dice.percent(70) {
                    return Ok(());
                }
                if fails {
                    let is_its = |key: &AssetKey| members.iter().any(|member| member.step.asset == *key);
                    let merges = self
                        .project
                        .declared()
                        .any(|known| is_its(&known.key) && known.write.keeps_rows());
                    let failure = match merges && self.dice.percent(50) {
                        // Another program wrote the table in between.
                        true => merged_meanwhile(),
                        false => Failure::new(FailureClass::Io, "the warehouse does not answer"),
                    };
                    self.outcome.conflicts += usize::from(failure.class == FailureClass::Changed);
                    return self.take(Input::CommitFailed {
                        asset,
                        members,
                        failure,
                    });
                }
                let mut tables = members.iter().map(|member| &member.step.asset);
                let is_current = tables.all(|table| bases.get(table) == self.world.pointer(table));
                let input = match self.workers.commit(&asset, &members, &bases, &mut self.lake) {
                    Ok(input) => input,
                    // A committer that comes twice, or late, may find that what it was to build on is gone.
                    Err(_) if boot != self.boot || !is_current => return Ok(()),
                    Err(Missing(what)) => {
                        let found = format!("a commit to {asset} refers to {what}, which is not there");
                        return Err(Broken::new(InvariantId::NeededIsKept, found));
                    }
                };
                self.outcome.conflicts += usize::from(matches!(input, Input::CommitFailed { .. }));
                // Between writing and deciding, time passes.
                if self.dice.percent(50) {
                    let most = self.faults.wait(3, 900, &mut self.dice);
                    self.later(most, Happening::Again(Box::new(input)));
                    return Ok(());
                }
                if self.dice.percent(self.faults.share / 2) {
                    self.later(2000, Happening::Again(Box::new(input.clone())));
                }
                self.take(input)
            }
            Happening::Again(input) => self.take(*input),
            Happening::ChangeTable => self.change_a_table(),
            Happening::Compact => self.compact_a_table(),
            Happening::Tend => {
                self.tend_all();
                Ok(())
            }
            Happening::Environment => self.make_environment(),
            Happening::Merge(number) => self.merge(number),
            Happening::Recut => self.recut_an_asset(),
            Happening::Repartition(asset) => self.repartition(&asset),
            Happening::Want {
                boot,
                table,
                wanted,
                tries,
            } => match boot == self.boot {
                true => self.want(&table, wanted, tries),
                false => Ok(()),
            },
            Happening::Decide { boot, written, tries } => self.decide(boot, written, tries),
            Happening::Remove {
                boot,
                table,
                files,
                pins,
            } => self.remove(boot, &table, &files, &pins),
            Happening::Sweep { boot, table, pins } => self.sweep(boot, &table, &pins),
        }
    }

    pub(super) fn word(&mut self, boot: u64, attempt: &AttemptId, word: &Word) -> Result<(), Broken> {
        // Of another start's workers, most are gone with it; of those told to stop, some speak on.
        if boot != self.boot && self.dice.percent(70) {
            return Ok(());
        }
        if self.workers.canceled.contains(attempt) && !matches!(word, Word::Ended | Word::Lost { .. }) {
            if self.dice.percent(50) {
                return Ok(());
            }
        }
        let input = match self.workers.hear(attempt, word, &mut self.lake) {
            Ok(input) => input,
            Err(Trouble::Broken(broken)) if self.its_word_counts(attempt) => return Err(broken),
            Err(Trouble::Missing(Missing(what))) if self.its_word_counts(attempt) && !self.went_back => {
                let found = format!("{attempt} reads {what}, which is not there");
                return Err(Broken::new(InvariantId::NeededIsKept, found));
            }
            // Nobody waits for what it reads.
            Err(_) => Input::WorkerLost {
                attempt: attempt.clone(),
                failure: Failure::new(FailureClass::Io, "a file is not there"),
                working_on: None,
            },
        };
        self.take(input)
    }

    /// Whether an attempt has a step that is to be made by it.
    fn its_word_counts(&self, attempt: &AttemptId) -> bool {
        self.world
            .attempt(attempt)
            .is_some_and(|attempt| !attempt.ended && attempt.open > 0)
    }
}
