//! Assets that are published together: they are cut alike, so that it is clear which of their steps belong together, and none
//! needs another, which it could only see once that is published. Nor may two groups wait for each other.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::resolve::Edge;
use crate::declaration::AssetDraft;
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::key::AssetKey;

/// Reports groups that cannot be published together. `edges[i]` are the inputs of `drafts[i]`, without circles.
pub(super) fn report(drafts: &[AssetDraft], edges: &[Vec<Edge>], sink: &DiagnosticSink) {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(group) = &draft.rules.atomic_group {
            groups.entry(group).or_default().push(place);
        }
    }
    if groups.is_empty() {
        return;
    }
    let places: HashMap<&AssetKey, usize> = drafts.iter().enumerate().map(|(at, draft)| (&draft.key, at)).collect();
    let reads = edges.iter().map(|edges| {
        let above = edges.iter().filter_map(|edge| places.get(&edge.input.asset));
        above.copied().collect()
    });
    let upstream = Upstream {
        reads: reads.collect(),
        groups: &groups,
        group_of: drafts.iter().map(|draft| draft.rules.atomic_group.as_deref()).collect(),
    };
    for (name, members) in &groups {
        let (first, others) = members.split_first().expect("a group has a member");
        let span_of = |place: usize| drafts[place].atomic_group_span.expect("what was read has a place");
        if others.is_empty() {
            let message = format!("no other asset is in the atomic group `{name}`");
            sink.report(
                Diagnostic::new(Code::InvalidValue, message, span_of(*first))
                    .help("give the same name to all assets that are published together")
                    .did_you_mean(name, groups.keys().filter(|other| *other != name).copied()),
            );
        }
        let cut = |place: usize| drafts[place].partitions.as_ref().map(|by| &by.partitioning);
        for place in others {
            if cut(*place) == cut(*first) || !drafts[*place].partitions_known || !drafts[*first].partitions_known {
                continue;
            }
            let message = format!(
                "`{}` is published together with `{}`, which has other partitions",
                drafts[*place].key, drafts[*first].key
            );
            sink.report(
                Diagnostic::new(Code::InvalidValue, message, span_of(*place))
                    .note("which is declared here", Some(span_of(*first)))
                    .help("all assets of an atomic group have the same partitions, or none has any"),
            );
        }
        // One way is enough to tell: it is to be cut in any case.
        if let Some(way) = members.iter().find_map(|place| way_back(*place, members, &upstream)) {
            let mut message = String::new();
            for (step, place) in way.iter().enumerate() {
                let by_group = step > 0 && !upstream.reads(way[step - 1], *place);
                message += match (step, by_group) {
                    (0, _) => "",
                    (1, _) => " reads ",
                    (_, false) => ", which reads ",
                    (_, true) => ", which is published together with ",
                };
                message += &format!("`{}`", drafts[*place].key);
            }
            sink.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    format!("{message}: none could be published first"),
                    span_of(way[0]),
                )
                .label(format!("the first and the last are of `{name}`"))
                .help(
                    "what an asset reads is published before; take one of them out of its group, or work in an environment, whose merge \
                     publishes everything at once",
                ),
            );
        }
    }
}

/// Who reads whom, and who is published with whom.
struct Upstream<'p> {
    reads: Vec<Vec<usize>>,
    groups: &'p BTreeMap<&'p str, Vec<usize>>,
    group_of: Vec<Option<&'p str>>,
}

impl Upstream<'_> {
    fn reads(&self, place: usize, above: usize) -> bool {
        self.reads[place].contains(&above)
    }

    fn mates(&self, place: usize) -> &[usize] {
        self.group_of[place].map_or(&[], |group| &self.groups[group])
    }
}

/// The shortest way upstream from one member to a member, both included. What is published together with an asset on the way is on
/// it too: that asset waits for it.
fn way_back(start: usize, members: &[usize], upstream: &Upstream<'_>) -> Option<Vec<usize>> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &above in &upstream.reads[at] {
            if members.contains(&above) {
                let mut way = vec![above, at];
                while let Some(&below) = came_from.get(way.last().expect("it holds some")) {
                    way.push(below);
                }
                way.reverse();
                return Some(way);
            }
            for (next, from) in
                std::iter::once((above, at)).chain(upstream.mates(above).iter().map(|mate| (*mate, above)))
            {
                if !came_from.contains_key(&next) {
                    came_from.insert(next, from);
                    queue.push_back(next);
                }
            }
        }
    }
    None
}
