//! What every `features` asset is checked for.

use assets::asset::Asset;
use assets::check::{Check, CheckRule};
use assets::outcome::Severity;

use super::FeaturesConfig;

/// Entities and timestamps are there, and no two rows speak of one entity at one moment. Which of two such rows counts is
/// told by `created`, if there is one; so it belongs to the key then.
pub(super) fn own_checks(asset: &Asset) -> Vec<Check> {
    let Ok(config) = serde_json::from_value::<FeaturesConfig>(asset.config.clone()) else {
        // The step itself reports a configuration that cannot be read.
        return Vec::new();
    };
    let present = config.entity.iter().chain([&config.timestamp]);
    let mut checks: Vec<Check> = present
        .map(|column| {
            blocking(
                format!("features: not_null({column})"),
                CheckRule::NotNull { column: column.clone() },
            )
        })
        .collect();
    let key: Vec<String> = config
        .entity
        .into_iter()
        .chain([config.timestamp])
        .chain(config.created)
        .collect();
    checks.push(blocking(
        format!("features: unique({})", key.join(", ")),
        CheckRule::Unique { columns: key },
    ));
    checks
}

fn blocking(name: String, rule: CheckRule) -> Check {
    Check {
        name,
        severity: Severity::Error,
        rule,
    }
}
