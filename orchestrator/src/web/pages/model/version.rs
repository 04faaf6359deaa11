//! One version of a model as the page shows it.

use plugins::models::Metric;
use serde_json::Value;
use state::sqlite::queries::models::ModelVersionRow;

use super::super::figures::{Clock, NOTHING, figure};
use super::super::markup::Markup;
use super::super::plots::{CalibrationBin, calibration};

/// A metric of one version, beside that of the version before.
pub(super) struct MetricView {
    pub(super) value: String,
    pub(super) change: Option<String>,
    /// `better`, `worse` or nothing.
    pub(super) tone: &'static str,
}

pub(super) struct VersionView {
    pub(super) version: u64,
    pub(super) aliases: Vec<String>,
    pub(super) algorithm: String,
    pub(super) when: Markup,
    pub(super) run: String,
    pub(super) metrics: Vec<MetricView>,
    /// Asset, which version of it, and where its rows are shown.
    pub(super) inputs: Vec<(String, String, String)>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) importance: Vec<(String, String, Markup)>,
    pub(super) calibration: Option<Markup>,
    pub(super) details: Vec<(String, String)>,
    pub(super) sha256: String,
    pub(super) artifact: String,
    pub(super) open: bool,
}

pub(super) fn version_view(
    version: &ModelVersionRow,
    before: Option<&ModelVersionRow>,
    metrics: &[String],
    open: bool,
    clock: &Clock,
) -> VersionView {
    let metric = |name: &String| {
        let value = version.metrics.get(name);
        let change = value
            .zip(before.and_then(|before| before.metrics.get(name)))
            .map(|(is, was)| is - was)
            .filter(|change| *change != 0.0);
        MetricView {
            value: value.map_or_else(|| NOTHING.to_owned(), |value| figure(*value)),
            tone: change.and_then(|change| better(name, change)).unwrap_or_default(),
            change: change.map(signed),
        }
    };
    let importance = version.details.get("importance").map(importance).unwrap_or_default();
    let bins = version
        .details
        .get("calibration")
        .map(calibration_bins)
        .unwrap_or_default();
    let greatest = importance
        .iter()
        .map(|(_, share)| *share)
        .fold(f64::MIN_POSITIVE, f64::max);
    VersionView {
        version: version.version,
        aliases: version.aliases.clone(),
        algorithm: version.algorithm.clone(),
        when: clock.when(version.at),
        run: version.run.to_string(),
        metrics: metrics.iter().map(metric).collect(),
        inputs: version
            .inputs
            .iter()
            .map(|input| {
                let is = match (&input.table, input.model_version) {
                    (_, Some(version)) => format!("version {version}"),
                    (Some(table), None) => table
                        .snapshot_id
                        .map_or_else(|| "empty".to_owned(), |id| format!("snapshot {id}")),
                    (None, None) => "never materialized".to_owned(),
                };
                let snapshot = input.table.as_ref().and_then(|table| table.snapshot_id);
                let href = match snapshot {
                    Some(id) => format!("/assets/{}/rows?snapshot={id}", input.asset),
                    None => format!("/assets/{}", input.asset),
                };
                (input.asset.to_string(), is, href)
            })
            .collect(),
        parameters: version
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), text_of(value)))
            .collect(),
        importance: importance
            .into_iter()
            .take(20)
            .map(|(name, share)| (name, format!("{:.1} %", share * 100.0), share_bar(share / greatest)))
            .collect(),
        details: match &version.details {
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, value)| !["importance", "calibration"].contains(&name.as_str()) && !value.is_null())
                .map(|(name, value)| (name.replace('_', " "), detail(name, value)))
                .collect(),
            _ => Vec::new(),
        },
        calibration: calibration(&bins),
        sha256: version.sha256.chars().take(16).collect(),
        artifact: version.artifact.clone(),
        open,
    }
}

/// Features and their shares, greatest first; from a list of `{feature, share}` or an object of numbers.
pub(super) fn importance(value: &Value) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = match value {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| Some((item.get("feature")?.as_str()?.to_owned(), item.get("share")?.as_f64()?)))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(name, share)| Some((name.clone(), share.as_f64()?)))
            .collect(),
        _ => Vec::new(),
    };
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// A value in one line.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if !number.is_u64() && !number.is_i64() => figure(value),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn share_bar(share: f64) -> Markup {
    let width = (share * 100.0).clamp(0.5, 100.0);
    Markup(format!(
        "<svg class=\"share\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width:.1}\" height=\"8\"/></svg>"
    ))
}

/// A detail in a few words: columns with commas between, a split as `sched_dep_at, test from 2013-11-01`.
pub(super) fn detail(name: &str, value: &Value) -> String {
    match (name, value) {
        ("features", Value::Array(features)) => {
            let names: Vec<&str> = features.iter().filter_map(Value::as_str).collect();
            format!("{}: {}", names.len(), names.join(", "))
        }
        ("split", Value::Object(split)) => {
            let by = split.get("by").and_then(Value::as_str).unwrap_or_default();
            let point = split.get("point");
            let share = point.and_then(|point| point.get("share")).and_then(Value::as_f64);
            match (share, point.and_then(first_plain)) {
                (Some(share), _) => format!("{by}, the last {:.0} % test", share * 100.0),
                (None, Some(point)) => format!("{by}, test from {}", point.trim_end_matches("T00:00:00")),
                (None, None) => by.to_owned(),
            }
        }
        _ => text_of(value),
    }
}

/// The first text or number inside.
fn first_plain(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields.values().find_map(first_plain),
        Value::Array(items) => items.iter().find_map(first_plain),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) => None,
    }
}

/// What was told of calibration when the version was judged.
fn calibration_bins(value: &Value) -> Vec<CalibrationBin> {
    let bins = value.as_array().into_iter().flatten().filter_map(|bin| {
        Some(CalibrationBin {
            predicted: bin.get("predicted")?.as_f64()?,
            observed: bin.get("observed")?.as_f64()?,
            rows: bin.get("rows")?.as_u64()?,
        })
    });
    bins.collect()
}

/// Whether a change of a metric is for the better or the worse; `None` for one that nobody knows.
pub(super) fn better(metric: &str, change: f64) -> Option<&'static str> {
    let metric = Metric::named(metric).ok()?;
    Some(if (change > 0.0) == metric.higher_is_better {
        "better"
    } else {
        "worse"
    })
}

/// `+0.0123`
pub(super) fn signed(change: f64) -> String {
    format!("{}{}", if change > 0.0 { "+" } else { "−" }, figure(change.abs()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn importance_is_read_in_both_forms() {
        let listed =
            json!([{ "feature": "distance", "share": 0.1 }, { "feature": "hour", "share": 0.6 }, { "odd": 1 }]);
        assert_eq!(
            importance(&listed),
            [("hour".to_owned(), 0.6), ("distance".to_owned(), 0.1)]
        );
        assert_eq!(importance(&json!({ "a": 0.2, "b": 0.8 }))[0].0, "b");
        assert!(importance(&json!(null)).is_empty());
    }

    #[test]
    fn a_split_is_told_in_words() {
        let split = |point: Value| detail("split", &json!({ "by": "at", "point": point }));
        assert_eq!(
            split(json!({ "time": { "local": "2013-11-01T00:00:00", "zone": "UTC" } })),
            "at, test from 2013-11-01"
        );
        assert_eq!(split(json!({ "number": 150.5 })), "at, test from 150.5");
        assert_eq!(split(json!({ "share": 0.25 })), "at, the last 25 % test");
        assert_eq!(detail("features", &json!(["a", "b"])), "2: a, b");
    }

    #[test]
    fn less_loss_is_better_and_less_area_is_worse() {
        assert_eq!(better("log_loss", -0.1), Some("better"));
        assert_eq!(better("auc", -0.1), Some("worse"));
        assert_eq!(better("charm", 1.0), None);
    }
}
