//! Conditions of automation that name assets: each has to be one that is read where it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::resolve::Edge;
use crate::automation::{AutomationRule, Condition, Happening};
use crate::declaration::AssetDraft;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink, closest};
use crate::key::AssetKey;

/// What each asset reads.
type Reads<'e> = BTreeMap<&'e AssetKey, BTreeSet<&'e AssetKey>>;

/// Reports names that nothing reads which is asked.
pub(super) fn report(drafts: &[AssetDraft], edges: &[Vec<Edge>], sink: &DiagnosticSink) {
    let reads: Reads<'_> = drafts
        .iter()
        .zip(edges)
        .map(|(draft, edges)| (&draft.key, edges.iter().map(|edge| &edge.input.asset).collect()))
        .collect();
    for draft in drafts.iter().filter(|draft| !draft.automation_names.is_empty()) {
        let Some(AutomationRule::When(condition)) = draft.automation.as_ref().map(|automation| &automation.rule) else {
            continue;
        };
        let mut asked = Vec::new();
        walk(condition, &BTreeSet::from([&draft.key]), &reads, &mut asked);
        // In the order of the text, as the places are.
        for (owners, (name, span)) in asked.iter().zip(&draft.automation_names) {
            let read: BTreeSet<&AssetKey> = owners
                .iter()
                .filter_map(|owner| reads.get(owner))
                .flatten()
                .copied()
                .collect();
            if read.contains(name) {
                continue;
            }
            let who: Vec<String> = owners.iter().map(|owner| format!("`{owner}`")).collect();
            let verb = if who.len() == 1 { "does" } else { "do" };
            let message = format!("{} {verb} not read `{name}`", who.join(", "));
            let diagnostic = Diagnostic::new(Code::BadCondition, message, *span);
            sink.report(match closest(name.as_str(), read.iter().map(|key| key.as_str())) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None if read.is_empty() => diagnostic.help("it reads no asset"),
                None => {
                    let read: Vec<String> = read.iter().map(|key| format!("`{key}`")).collect();
                    diagnostic.help(format!("it reads {}", read.join(", ")))
                }
            });
        }
    }
}

/// For each name, in the order of the text, the assets of which it is asked.
fn walk<'e>(
    condition: &'e Condition,
    owners: &BTreeSet<&'e AssetKey>,
    reads: &Reads<'e>,
    asked: &mut Vec<BTreeSet<&'e AssetKey>>,
) {
    let mut name = |names: &[AssetKey]| asked.extend(names.iter().map(|_| owners.clone()));
    match condition {
        Condition::Is(_) | Condition::Latest(_) => {}
        Condition::UpdatedBy(names) => name(names),
        Condition::Since(first, second) => {
            for happening in [first, second] {
                if let Happening::UpstreamMaterialized(names) = happening {
                    name(names);
                }
            }
        }
        Condition::Any(inner, of) | Condition::All(inner, of) => {
            let all = || {
                owners
                    .iter()
                    .filter_map(|owner| reads.get(owner))
                    .flatten()
                    .copied()
                    .collect()
            };
            let next: BTreeSet<&AssetKey> = if of.is_empty() { all() } else { of.iter().collect() };
            walk(inner, &next, reads, asked);
            asked.extend(of.iter().map(|_| owners.clone()));
        }
        Condition::Not(inner) => walk(inner, owners, reads, asked),
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                walk(part, owners, reads, asked);
            }
        }
    }
}
