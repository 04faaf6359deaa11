//! `millpond plan`: what would run, on which partitions, and why.

use std::collections::BTreeMap;

use assets::{AssetKey, PartitionKey};
use clap::Args;
use serde_json::json;
use state::event::{OwnerMode, Pace, PartitionChoice};
use state::sqlite::queries::materializations::cost;

use super::look::{Look, Place};
use super::terminal::{Terminal, count};
use super::{Exit, Stop};
use crate::core::{Plan as CorePlan, PlanRequest, plan};
use crate::estimate::{Estimate, LOOKED_AT, estimate};
use crate::wire::RunBody;

/// Which assets and partitions; shared by `plan` and `materialize`.
#[derive(Args, Clone)]
pub struct Choice {
    /// Which assets: silver.flights, +gold.model_quality, "layer:gold and stale".
    #[arg(default_value = "*")]
    pub selection: Vec<String>,
    /// One partition: 2013-03-01. May be given several times.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    pub partition: Vec<String>,
    /// First partition of a range; with --to.
    #[arg(long, value_name = "KEY", requires = "to")]
    pub from: Option<String>,
    /// Last partition of a range; with --from.
    #[arg(long, value_name = "KEY", requires = "from")]
    pub to: Option<String>,
    /// Also what is fresh.
    #[arg(long)]
    pub force: bool,
    /// Its place among the runs that wait for a worker: the higher comes first. Left out, 0; schedules have -10, backfills -20.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub priority: Option<i32>,
}

impl Choice {
    /// The same as a request.
    pub fn body(&self) -> Result<RunBody, Stop> {
        let read = |text: &String| PartitionKey::new(text).map_err(|error| Stop::new(Exit::Usage, error.to_string()));
        let key = |text: &Option<String>| text.as_ref().map(read).transpose();
        let mut keys = self.partition.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let partition = (keys.len() == 1).then(|| keys.remove(0));
        Ok(RunBody {
            selection: self.selection.join(" or "),
            partition,
            these: keys,
            from: key(&self.from)?,
            to: key(&self.to)?,
            force: self.force,
            pace: Pace {
                priority: self.priority,
                ..Pace::default()
            },
            ..RunBody::default()
        })
    }

    fn partitions(&self) -> Result<Option<PartitionChoice>, Stop> {
        let request = self.body()?.request(OwnerMode::Foreground, "plan");
        let request = request.map_err(|error| Stop::new(Exit::Usage, error))?;
        Ok(request.partitions)
    }
}

/// Say what would run, on which partitions, and why.
#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    choice: Choice,
    /// Every step on a line of its own.
    #[arg(long)]
    steps: bool,
}

impl Plan {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let mut look = Look::new(place, terminal)?;
        let keys = look.select(&self.choice.body()?.selection)?;
        look.observe(&keys)?;
        let request = PlanRequest {
            assets: keys.iter().cloned().collect(),
            partitions: self.choice.partitions()?,
            force: self.choice.force,
            only: None,
            alone: false,
        };
        let plan = plan(&look.world, look.at, &request);
        let estimate = estimated(&look, &plan)?;
        if terminal.json() {
            let steps: Vec<_> = plan
                .steps
                .iter()
                .map(|step| json!({ "asset": step.step.asset, "partition": step.step.partition, "reason": step.reason.to_string() }))
                .collect();
            let problems: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
            terminal
                .answer(&json!({ "steps": steps, "fresh": plan.fresh, "problems": problems, "estimate": estimate }));
        } else {
            print(&plan, self.steps, terminal);
            if let Some(estimate) = estimate {
                terminal.say(terminal.dim(&estimate.words()));
            }
        }
        Ok(if plan.problems.iter().any(crate::core::PlanProblem::is_mistake) {
            Exit::Failed
        } else {
            Exit::Done
        })
    }
}

/// How long the steps would take, by what their assets took before.
fn estimated(look: &Look, plan: &CorePlan) -> Result<Option<Estimate>, Stop> {
    let Some(store) = &look.store else { return Ok(None) };
    let mut steps: BTreeMap<AssetKey, u64> = BTreeMap::new();
    for step in &plan.steps {
        *steps.entry(step.step.asset.clone()).or_default() += 1;
    }
    let mut costs = BTreeMap::new();
    for asset in steps.keys() {
        if let Some(cost) = cost(store, asset, LOOKED_AT)? {
            costs.insert(asset.clone(), cost);
        }
    }
    Ok(estimate(&steps, &costs, look.project.definitions.settings.slots as u64))
}

fn print(plan: &CorePlan, every_step: bool, terminal: &Terminal) {
    // Steps come grouped by asset; inside an asset, stretches of partitions with one reason are one line.
    let mut groups: Vec<(&AssetKey, Vec<(Option<&PartitionKey>, String)>)> = Vec::new();
    for step in &plan.steps {
        let entry = (step.step.partition.as_ref(), step.reason.to_string());
        match groups.last_mut() {
            Some((asset, entries)) if *asset == &step.step.asset => entries.push(entry),
            _ => groups.push((&step.step.asset, vec![entry])),
        }
    }
    for (asset, entries) in groups {
        let partitions = if entries.len() == 1 && entries[0].0.is_none() {
            String::new()
        } else {
            format!("  {}", count(entries.len() as u64, "partition", "partitions"))
        };
        terminal.say(format!("{}{partitions}", terminal.bold(asset.as_str())));
        if every_step {
            for (partition, reason) in &entries {
                terminal.say(format!(
                    "  {}  {reason}",
                    partition.map_or("whole", PartitionKey::as_str)
                ));
            }
            continue;
        }
        let mut reasons: BTreeMap<&str, (usize, Option<&PartitionKey>, Option<&PartitionKey>)> = BTreeMap::new();
        for (partition, reason) in &entries {
            let found = reasons.entry(reason).or_insert((0, *partition, *partition));
            found.0 += 1;
            found.2 = *partition;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, (count, first, _))| (std::cmp::Reverse(*count), *first));
        let more = reasons.len().saturating_sub(5);
        for (reason, (count, first, last)) in reasons.into_iter().take(5) {
            let range = match (first, last) {
                (Some(first), Some(last)) if count > 1 => format!("{first} … {last} ({count})  "),
                (Some(first), _) => format!("{first}  "),
                (None, _) => String::new(),
            };
            terminal.say(format!("  {range}{}", terminal.dim(reason)));
        }
        if more > 0 {
            terminal.say(terminal.dim(&format!("  and {more} more reasons (--steps shows every step)")));
        }
    }
    let fresh: usize = plan.fresh.values().sum();
    for problem in &plan.problems {
        let text = problem.to_string();
        terminal.say(format!(
            "{} {text}",
            if problem.is_mistake() {
                terminal.red("cannot:")
            } else {
                terminal.dim("note:")
            }
        ));
    }
    let steps = count(plan.steps.len() as u64, "step", "steps");
    terminal.say(if plan.steps.is_empty() {
        terminal.green(&format!(
            "nothing to do: {} fresh",
            count(fresh as u64, "partition is", "partitions are")
        ))
    } else {
        format!(
            "{steps} would run; {} fresh",
            count(fresh as u64, "partition is", "partitions are")
        )
    });
}
