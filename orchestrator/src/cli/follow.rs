//! A run as it happens: bars on a terminal, a line per asset elsewhere, or one JSON object per event.

use std::collections::HashMap;

use assets::AssetKey;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use state::event::{Event, Micros, Recorded};
use state::ids::{AttemptId, RunId};
use state::status::RunStatus;

use super::terminal::{Terminal, count, duration};

/// Failures that are told one by one; the rest is counted.
const TOLD_FAILURES: usize = 10;

/// What was seen of a run so far.
pub struct Follower<'a> {
    run: RunId,
    terminal: &'a Terminal,
    bars: Option<MultiProgress>,
    assets: Vec<AssetView>,
    index: HashMap<AssetKey, usize>,
    attempts: HashMap<AttemptId, usize>,
    failures: usize,
    retries: usize,
    began: Option<Micros>,
    /// How it ended, once it has.
    pub ended: Option<RunStatus>,
    seconds: i64,
}

struct AssetView {
    key: AssetKey,
    total: u64,
    succeeded: u64,
    fresh: u64,
    failed: u64,
    skipped: u64,
    canceled: u64,
    rows: u64,
    warnings: u64,
    first: Option<Micros>,
    last: Micros,
    bar: Option<ProgressBar>,
}

impl<'a> Follower<'a> {
    /// Follows one run.
    pub fn new(run: RunId, terminal: &'a Terminal) -> Self {
        Self {
            run,
            terminal,
            bars: terminal.watched().then(MultiProgress::new),
            assets: Vec::new(),
            index: HashMap::new(),
            attempts: HashMap::new(),
            failures: 0,
            retries: 0,
            began: None,
            ended: None,
            seconds: 0,
        }
    }

    /// Takes one event in. Events of other runs are passed over.
    pub fn see(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        if self.terminal.json() && self.is_mine(&recorded.event) {
            self.terminal.answer(recorded);
        }
        match &recorded.event {
            Event::RunSubmitted { run, steps, .. } if *run == self.run => {
                self.began = Some(at);
                for step in steps {
                    let key = &step.step.asset;
                    let next = self.assets.len();
                    let position = *self.index.entry(key.clone()).or_insert(next);
                    if position == next {
                        self.assets.push(AssetView::new(key.clone()));
                    }
                    self.assets[position].total += 1;
                }
                let width = self
                    .assets
                    .iter()
                    .map(|asset| asset.key.as_str().len())
                    .max()
                    .unwrap_or(0);
                if let Some(bars) = &self.bars {
                    let style =
                        ProgressStyle::with_template("{prefix} {bar:24.cyan/black.dim} {pos:>6}/{len:<6} {msg}")
                            .expect("the template is well formed")
                            .progress_chars("━╸─");
                    for asset in &mut self.assets {
                        let bar = bars.add(ProgressBar::new(asset.total).with_style(style.clone()));
                        bar.set_prefix(format!("{:width$}", asset.key));
                        asset.bar = Some(bar);
                    }
                }
            }
            Event::AttemptStarted {
                attempt, run, asset, ..
            } if *run == self.run => {
                if let Some(position) = self.index.get(asset) {
                    self.attempts.insert(attempt.clone(), *position);
                    self.assets[*position].first.get_or_insert(at);
                    self.assets[*position].show();
                }
            }
            Event::StepSucceeded {
                run, materialization, ..
            } if *run == self.run => {
                let warnings = materialization.checks.iter().filter(|check| !check.passed).count() as u64;
                self.update(&materialization.step.asset, at, |asset| {
                    asset.succeeded += 1;
                    asset.rows += materialization.rows;
                    asset.warnings += warnings;
                });
            }
            Event::StepFresh { run, step, .. } if *run == self.run => {
                self.update(&step.asset, at, |asset| asset.fresh += 1);
            }
            Event::StepFailed { run, step, failure, .. } if *run == self.run => {
                self.failures += 1;
                if self.failures <= TOLD_FAILURES && !self.terminal.json() {
                    let help = failure
                        .help
                        .as_ref()
                        .map_or_else(String::new, |help| format!("\n       help: {help}"));
                    self.line(&format!("failed {step}: {}{help}", failure.message));
                }
                self.update(&step.asset, at, |asset| asset.failed += 1);
            }
            Event::StepSkipped { run, step, .. } if *run == self.run => {
                self.update(&step.asset, at, |asset| asset.skipped += 1);
            }
            Event::StepCanceled { run, step } if *run == self.run => {
                self.update(&step.asset, at, |asset| asset.canceled += 1);
            }
            Event::StepUpForRetry {
                run,
                step,
                failure,
                retry,
                due,
                ..
            } if *run == self.run => {
                self.retries += 1;
                if self.retries <= TOLD_FAILURES && !self.terminal.json() {
                    let wait = duration(due - at);
                    self.line(&format!("retry {retry} of {step} in {wait}: {}", failure.message));
                }
            }
            Event::RunPaused { run } if *run == self.run && !self.terminal.json() => {
                self.line(&format!("paused; it goes on with: millpond resume {run}"));
            }
            Event::RunResumed { run } if *run == self.run && !self.terminal.json() => self.line("resumed"),
            Event::RunEnded { run, status } if *run == self.run => {
                self.ended = Some(*status);
                self.seconds = at - self.began.unwrap_or(at);
                self.finish(*status);
            }
            _ => {}
        }
    }

    fn is_mine(&self, event: &Event) -> bool {
        match event {
            Event::RunSubmitted { run, .. }
            | Event::AttemptStarted { run, .. }
            | Event::StepSucceeded { run, .. }
            | Event::StepFresh { run, .. }
            | Event::StepFailed { run, .. }
            | Event::StepSkipped { run, .. }
            | Event::StepCanceled { run, .. }
            | Event::StepRequeued { run, .. }
            | Event::StepUpForRetry { run, .. }
            | Event::StepRetryDue { run, .. }
            | Event::RunPaused { run }
            | Event::RunResumed { run }
            | Event::RunCancelRequested { run }
            | Event::ModelRegistered { run, .. }
            | Event::RunEnded { run, .. } => *run == self.run,
            Event::AttemptEnded { attempt, .. }
            | Event::AttemptTimedOut { attempt, .. }
            | Event::StepStaged { attempt, .. } => self.attempts.contains_key(attempt),
            Event::AliasMoved { .. } => true,
            Event::PointerMoved { .. }
            | Event::SnapshotsExpired { .. }
            | Event::FilesCompacted { .. }
            | Event::TableRepartitioned { .. }
            | Event::PartitionCutAway { .. }
            | Event::RolledBack { .. }
            | Event::PartitionRolledBack { .. }
            | Event::SourceObserved { .. }
            | Event::ScheduleDeclared { .. }
            | Event::ScheduleRemoved { .. }
            | Event::SchedulePaused { .. }
            | Event::ScheduleResumed { .. }
            | Event::Ticked { .. }
            | Event::FreshnessChanged { .. }
            | Event::FreshnessRemoved { .. }
            | Event::AutomationRequested { .. }
            | Event::AutomationHeld { .. }
            | Event::AutomationPaused { .. }
            | Event::AutomationResumed { .. }
            | Event::AlertRaised { .. }
            | Event::AlertEnded { .. }
            | Event::AlertGrouped { .. }
            | Event::AlertDelivered { .. }
            | Event::AlertFailed { .. }
            | Event::SensorDeclared { .. }
            | Event::SensorRemoved { .. }
            | Event::SensorPaused { .. }
            | Event::SensorResumed { .. }
            | Event::SensorTicked { .. }
            | Event::SensorForgot { .. }
            | Event::Started { .. } => false,
        }
    }

    fn update(&mut self, key: &AssetKey, at: Micros, change: impl FnOnce(&mut AssetView)) {
        let Some(position) = self.index.get(key).copied() else {
            return;
        };
        let asset = &mut self.assets[position];
        asset.last = at;
        change(asset);
        asset.show();
        if asset.over() == asset.total {
            if let Some(bar) = &asset.bar {
                bar.finish();
            } else if !self.terminal.json() {
                let text = format!("{}  {}", asset.key, asset.text());
                self.line(&text);
            }
        }
    }

    /// A line above the bars, or a plain one.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                // Losing a line of a terminal that went away is no loss.
                bars.println(text).ok();
            }
            None => self.terminal.note(text),
        }
    }

    fn finish(&mut self, status: RunStatus) {
        if self.terminal.json() {
            return;
        }
        for asset in &self.assets {
            if let Some(bar) = &asset.bar {
                bar.abandon();
            }
        }
        if self.failures > TOLD_FAILURES {
            self.line(&format!("and {} more failures", self.failures - TOLD_FAILURES));
        }
        let sum = |of: fn(&AssetView) -> u64| self.assets.iter().map(of).sum::<u64>();
        let mut parts = vec![format!(
            "{} done",
            count(sum(|a| a.succeeded + a.fresh), "step", "steps")
        )];
        for (number, word) in [
            (sum(|a| a.failed), "failed"),
            (sum(|a| a.skipped), "skipped, because something upstream failed"),
            (sum(|a| a.canceled), "canceled"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        let text = format!(
            "{} {} in {}: {}",
            self.run,
            status.as_str(),
            duration(self.seconds),
            parts.join(", ")
        );
        self.terminal.note(text);
        if status == RunStatus::Failed {
            self.terminal.note(format!(
                "what happened: millpond runs {0}   the log: millpond logs {0}",
                self.run
            ));
        }
    }

    /// A summary for programs.
    pub fn summary(&self) -> serde_json::Value {
        let sum = |of: fn(&AssetView) -> u64| self.assets.iter().map(of).sum::<u64>();
        json!({
            "run": self.run, "status": self.ended, "succeeded": sum(|a| a.succeeded), "fresh": sum(|a| a.fresh),
            "failed": sum(|a| a.failed), "skipped": sum(|a| a.skipped), "canceled": sum(|a| a.canceled),
            "rows": sum(|a| a.rows), "micros": self.seconds,
        })
    }
}

impl AssetView {
    fn new(key: AssetKey) -> Self {
        Self {
            key,
            total: 0,
            succeeded: 0,
            fresh: 0,
            failed: 0,
            skipped: 0,
            canceled: 0,
            rows: 0,
            warnings: 0,
            first: None,
            last: 0,
            bar: None,
        }
    }

    fn over(&self) -> u64 {
        self.succeeded + self.fresh + self.failed + self.skipped + self.canceled
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.succeeded > 0 {
            parts.push(count(self.rows, "row", "rows"));
            if self.total > 1 {
                parts.push(count(self.succeeded, "partition", "partitions"));
            }
        }
        for (number, word) in [
            (self.fresh, "fresh"),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
            (self.canceled, "canceled"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        if self.warnings > 0 {
            parts.push(count(self.warnings, "warning", "warnings"));
        }
        if let Some(first) = self.first {
            parts.push(duration(self.last - first));
        }
        parts.join(", ")
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.over());
            bar.set_message(self.text());
        }
    }
}
