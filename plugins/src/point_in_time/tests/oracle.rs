//! The join by its definition: for each label and source, look at every feature row. Shares no code with the join.

/// A label: its entity columns and its time, in ticks.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) number: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) time: Option<i64>,
}

/// A feature row.
#[derive(Debug, Clone)]
pub(super) struct Feature {
    pub(super) number: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) time: Option<i64>,
    pub(super) created: Option<i64>,
    pub(super) values: Values,
}

/// The selected columns of a feature row. Their order as a tuple is the order of the columns, `None` lowest.
pub(super) type Values = (Option<i64>, Option<String>);

/// What a source is joined on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) on_number: bool,
    pub(super) on_name: bool,
    pub(super) created: bool,
    pub(super) ttl: Option<i64>,
}

/// The winner's values for one label.
pub(super) fn winner(label: &Label, features: &[Feature], rules: Rules) -> Option<Values> {
    let mut best: Option<(i64, i64, &Values)> = None;
    for feature in features {
        if rules.on_number && (label.number.is_none() || label.number != feature.number) {
            continue;
        }
        if rules.on_name && (label.name.is_none() || label.name != feature.name) {
            continue;
        }
        let (Some(at), Some(time)) = (label.time, feature.time) else {
            continue;
        };
        if time > at || rules.ttl.is_some_and(|ttl| time < at - ttl) {
            continue;
        }
        let mut created = 0;
        if rules.created {
            match feature.created {
                Some(known) if known <= at => created = known,
                _ => continue,
            }
        }
        let candidate = (time, created, &feature.values);
        if best.is_none_or(|best| candidate > best) {
            best = Some(candidate);
        }
    }
    best.map(|(_, _, values)| values.clone())
}
