//! Failures as pages show them: steps of one asset that failed for the same reason are one entry.

use assets::AssetPartition;
use assets::outcome::{Failure, FailureClass};
use state::event::Micros;
use state::ids::{AttemptId, RunId};

use super::figures::{Clock, count};
use super::markup::{Markup, query};

/// One entry.
pub struct FailureView {
    /// The first step.
    pub step: String,
    /// Its page.
    pub href: String,
    /// The others, in words.
    pub others: Option<String>,
    /// Its class in words.
    pub class: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// When.
    pub when: Markup,
    /// The run, where it is not told already.
    pub run: Option<String>,
    /// The attempt's log.
    pub log: Option<String>,
}

/// One step that failed.
pub struct Failed<'a> {
    /// The step.
    pub step: AssetPartition,
    /// Why.
    pub failure: &'a Failure,
    /// When.
    pub at: Option<Micros>,
    /// In which run, where that is not told already.
    pub run: Option<&'a RunId>,
    /// In which attempt.
    pub attempt: Option<&'a AttemptId>,
}

/// Entries in the order of their first steps, at most `limit`; and how many steps they leave out.
pub fn group<'a>(failed: impl Iterator<Item = Failed<'a>>, limit: usize, clock: &Clock) -> (Vec<FailureView>, usize) {
    let mut groups: Vec<(Failed<'a>, usize)> = Vec::new();
    for one in failed {
        let same = groups
            .iter_mut()
            .find(|(first, _)| first.step.asset == one.step.asset && first.failure == one.failure);
        match same {
            Some((_, number)) => *number += 1,
            None => groups.push((one, 1)),
        }
    }
    let left_out = groups.iter().skip(limit).map(|(_, number)| number).sum();
    let views = groups.into_iter().take(limit).map(|(first, number)| FailureView {
        href: step_href(&first.step),
        others: (number > 1).then(|| {
            format!(
                "and {}",
                count(number as u64 - 1, "other partition", "other partitions")
            )
        }),
        step: first.step.to_string(),
        class: class_word(first.failure.class),
        message: first.failure.message.clone(),
        help: first.failure.help.clone(),
        when: clock.when_known(first.at),
        log: first.attempt.map(|attempt| match first.run {
            Some(run) => format!("/runs/{run}?attempt={attempt}#log"),
            None => format!("?attempt={attempt}#log"),
        }),
        run: first.run.map(ToString::to_string),
    });
    (views.collect(), left_out)
}

/// The page of the asset, at the step's partition.
pub fn step_href(step: &AssetPartition) -> String {
    match &step.partition {
        Some(key) => format!(
            "/assets/{}{}#partition",
            step.asset,
            query(&[("partition", Some(key.to_string()))])
        ),
        None => format!("/assets/{}", step.asset),
    }
}

/// The class of a failure in words: `missing input`.
fn class_word(class: FailureClass) -> String {
    class.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_that_fails_for_one_reason_is_one_entry() {
        let (one, other) = (
            Failure::new(FailureClass::MissingInput, "no file"),
            Failure::new(FailureClass::Check, "not unique"),
        );
        let step = |day: u32| {
            let key = assets::PartitionKey::new(&format!("2013-01-{day:02}")).unwrap();
            AssetPartition::new("silver.flights".parse().unwrap(), Some(key))
        };
        let failed = (1..=30).map(|day| Failed {
            step: step(day),
            failure: if day % 10 == 0 { &other } else { &one },
            at: Some(0),
            run: None,
            attempt: None,
        });
        let (views, left_out) = group(failed, 5, &Clock::new(0, "UTC"));
        let shown: Vec<(&str, Option<&str>, &str)> = views
            .iter()
            .map(|view| (view.step.as_str(), view.others.as_deref(), view.class.as_str()))
            .collect();
        let expected = [
            (
                "silver.flights@2013-01-01",
                Some("and 26 other partitions"),
                "missing input",
            ),
            ("silver.flights@2013-01-10", Some("and 2 other partitions"), "check"),
        ];
        assert_eq!((shown.as_slice(), left_out), (&expected[..], 0));
    }
}
