//! From the table of a `training` asset to its configuration.

use assets::asset::InputRole;
use assets::condition::Condition;
use assets::diagnostic::{Code, Diagnostic};
use assets::kind::{CompileContext, CompiledKind, DeclaredInput};
use assets::table::TableReader;

use super::{Promote, Split, SplitPoint, TrainingConfig, settings};
use crate::models::{METRICS, Metric, Task, Trainer};

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    // Every part is read before the first is missed, so that all mistakes are told.
    let from = table.asset_key("from");
    let target = table.string("target").map(|target| target.value.to_owned());
    let trainer = settings::trainer(table);
    let features = features(table, target.as_deref());
    let split = split(table, context.timezone());
    let metrics = metrics(table, trainer.as_ref().map(|(trainer, _)| trainer));
    let promote = promote(table, metrics.as_deref());
    if !table.has("split") {
        for key in ["metrics", "promote"] {
            let judged = key == "metrics" || promote.as_ref().is_some_and(|promote| promote.when.is_some());
            if table.has(key) && judged {
                table.report(
                    Diagnostic::new(
                        Code::MissingKey,
                        format!("`{key}` needs rows that the model has not seen, and there is no `split`"),
                        table.key_span(key),
                    )
                    .help("add `split = { by = \"…\", test_share = 0.2 }`, or `test_from`"),
                );
                return None;
            }
        }
    }
    let (trainer, seeded) = trainer?;
    let from = from?;
    let config = TrainingConfig {
        from: from.value.clone(),
        target: target?,
        trainer,
        seeded,
        features,
        label_columns: None,
        partition_column: None,
        split: if table.has("split") { Some(split?) } else { None },
        metrics,
        promote,
    };
    let input = DeclaredInput {
        asset: from.value,
        role: InputRole::Rows,
        span: from.span,
        default_mapping: None,
    };
    Some(CompiledKind {
        code: code(&config),
        config: serde_json::to_value(config).expect("its numbers are finite and its keys texts"),
        inputs: vec![input],
    })
}

/// What changes the model and its figures. When it is promoted does not.
pub(super) fn code(config: &TrainingConfig) -> Vec<String> {
    let judged = TrainingConfig {
        promote: None,
        ..config.clone()
    };
    vec![
        serde_json::to_value(judged)
            .expect("its numbers are finite and its keys texts")
            .to_string(),
    ]
}

fn features(table: &TableReader<'_>, target: Option<&str>) -> Option<Vec<String>> {
    if !table.has("features") {
        return None;
    }
    let written = table.strings("features");
    if written.is_empty() {
        table.invalid("features", "`features` names no column");
    }
    for (place, column) in written.iter().enumerate() {
        let wrong = |message: String| table.report(Diagnostic::new(Code::InvalidValue, message, column.span));
        if Some(column.value) == target {
            wrong(format!("`{}` is the target: no model may see it", column.value));
        }
        if written[..place].iter().any(|other| other.value == column.value) {
            wrong(format!("the feature `{}` is named twice", column.value));
        }
    }
    Some(written.into_iter().map(|column| column.value.to_owned()).collect())
}

fn split(table: &TableReader<'_>, zone: &str) -> Option<Split> {
    let split = table.table("split")?;
    let point = match (split.has("test_from"), split.has("test_share")) {
        (true, false) => match (split.date_time("test_from"), split.float("test_from")) {
            (Some(local), _) => Some(SplitPoint::Time {
                local: local.value,
                zone: zone.to_owned(),
            }),
            (None, Some(number)) => Some(SplitPoint::Number(number.value)),
            (None, None) => None,
        },
        (false, true) => match split.float("test_share") {
            Some(share) if share.value > 0.0 && share.value < 1.0 => Some(SplitPoint::Share(share.value)),
            Some(_) => {
                split.invalid("test_share", "`test_share` is above 0 and below 1");
                None
            }
            None => None,
        },
        (both, _) => {
            let (code, message) = if both {
                (Code::InvalidValue, "a split has `test_from` or `test_share`, not both")
            } else {
                (Code::MissingKey, "a split has no `test_from` and no `test_share`")
            };
            table.report(Diagnostic::new(code, message, split.span()));
            None
        }
    };
    Some(Split {
        by: split.string("by")?.value.to_owned(),
        point: point?,
    })
}

fn metrics(table: &TableReader<'_>, trainer: Option<&Trainer>) -> Option<Vec<String>> {
    if !table.has("metrics") {
        return None;
    }
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let mut metrics: Vec<String> = Vec::new();
    for written in table.strings("metrics") {
        match Metric::named(written.value) {
            Err(_) => table.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    format!("there is no metric `{}`", written.value),
                    written.span,
                )
                .help(format!("there are {}", names.join(", ")))
                .did_you_mean(written.value, names.iter().copied()),
            ),
            Ok(metric) => {
                if metric.task == Task::Binary && matches!(trainer, Some(Trainer::LinearRegression(_))) {
                    let message = format!(
                        "`{}` judges chances, and linear_regression predicts numbers",
                        metric.name
                    );
                    table.report(
                        Diagnostic::new(Code::InvalidValue, message, written.span)
                            .help("take rmse or mae, or another algorithm"),
                    );
                }
                if !metrics.iter().any(|other| other == metric.name) {
                    metrics.push(metric.name.to_owned());
                }
            }
        }
    }
    Some(metrics)
}

/// The promotion with its condition judged: it reads, and speaks of metrics that there will be and of its own alias.
fn promote(table: &TableReader<'_>, metrics: Option<&[String]>) -> Option<Promote> {
    let promote = table.table("promote")?;
    let alias = promote.string("alias")?.value.to_owned();
    let Some(when) = promote.string("when") else {
        return Some(Promote { alias, when: None });
    };
    let wrong = |message: String| Diagnostic::new(Code::InvalidValue, message, when.span);
    match Condition::parse(when.value) {
        Err(error) => table.report(wrong(error.to_string()).help("write it as `auc > 0.65 AND auc >= champion.auc`")),
        Ok(condition) => {
            let known: Vec<&str> = match metrics {
                Some(metrics) => metrics.iter().map(String::as_str).collect(),
                None => METRICS.iter().map(|metric| metric.name).collect(),
            };
            for (of, metric) in condition.names() {
                if let Some(of) = of
                    && of != alias
                {
                    table.report(
                        wrong(format!("`{of}.{metric}` is not of the alias `{alias}`")).help(format!(
                            "a new version is compared with the one it would replace: `{alias}.{metric}`"
                        )),
                    );
                }
                if !known.contains(&metric) {
                    table.report(
                        wrong(format!("`metrics` has no `{metric}`"))
                            .help(format!("it has {}", known.join(", ")))
                            .did_you_mean(metric, known.iter().copied()),
                    );
                }
            }
        }
    }
    Some(Promote {
        alias,
        when: Some(when.value.to_owned()),
    })
}
