//! Evaluations of automation in words, for commands and pages alike.

use state::automation::{EvaluatedPart, Stretches};

/// One line of an evaluation tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationLine {
    /// How deep it is in the tree; 0 is the whole condition.
    pub depth: usize,
    /// The part.
    pub text: String,
    /// Whether it held for any partition.
    pub held: bool,
    /// For which it held: `yes`, `no`, `for 3 of 20: 2013-01-01 to 2013-01-03`.
    pub result: String,
}

/// The lines of a tree, each part before what it is made of.
pub fn lines(root: &EvaluatedPart) -> Vec<EvaluationLine> {
    let mut found = Vec::new();
    collect(root, 0, &mut found);
    found
}

fn collect(part: &EvaluatedPart, depth: usize, found: &mut Vec<EvaluationLine>) {
    let held = part.held.count;
    let result = match (part.of, held) {
        (0, _) => "not asked".to_owned(),
        (1, 0) => "no".to_owned(),
        (1, _) => "yes".to_owned(),
        (of, 0) => format!("for none of {of}"),
        (of, held) if of == held => format!("for all {of}"),
        (of, held) => format!("for {held} of {of}: {}", keys(&part.held)),
    };
    found.push(EvaluationLine {
        depth,
        text: part.text.clone(),
        held: held > 0,
        result,
    });
    part.parts.iter().for_each(|inner| collect(inner, depth + 1, found));
}

/// Most stretches that are told of a set.
const MOST_TOLD: usize = 3;

/// The keys of a set: `2013-01-01 to 2013-01-03, 2013-01-07`; nothing for an asset without partitions.
pub fn keys(set: &Stretches) -> String {
    let mut told: Vec<String> = set
        .stretches
        .iter()
        .take(MOST_TOLD)
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        })
        .collect();
    if set.more || set.stretches.len() > MOST_TOLD {
        told.push("…".to_owned());
    }
    told.join(", ")
}

/// A set in words: `1 partition (2013-01-01)`, `20 partitions (…)`, `the whole`.
pub fn set(set: &Stretches) -> String {
    let keys = keys(set);
    match set.count {
        _ if keys.is_empty() && set.count == 1 => "the whole".to_owned(),
        0 => "nothing".to_owned(),
        1 => format!("1 partition ({keys})"),
        count => format!("{count} partitions ({keys})"),
    }
}
