//! Which model version an alias points to: moved when the declared condition holds for a new version, or by hand.

use assets::condition::Condition;
use assets::outcome::StagedModel;
use assets::{Asset, AssetKey};
use serde_json::Value;
use state::event::Event;

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::world::{ModelRecord, World};

/// The alias that a new version earns by the asset's `promote`, and the condition that held.
pub(super) fn earned(asset: &Asset, model: &StagedModel, registered: &ModelRecord) -> Option<(String, String)> {
    let promote = asset.config.get("promote")?;
    let alias = promote.get("alias").and_then(Value::as_str)?;
    let Some(when) = promote.get("when").and_then(Value::as_str) else {
        return Some((alias.to_owned(), "every new version is promoted".to_owned()));
    };
    let holder = registered
        .aliases
        .get(alias)
        .and_then(|version| registered.versions.get(version));
    let held = Condition::parse(when)
        .ok()?
        .holds(&model.metrics, alias, holder.map(|holder| &holder.metrics))
        .ok()?;
    held.then(|| (alias.to_owned(), when.to_owned()))
}

pub(super) fn by_hand(
    world: &World,
    request: RequestId,
    model: &AssetKey,
    alias: &str,
    version: u64,
    by: &str,
) -> Decision {
    let mut decision = Decision::default();
    let known = world.model(model);
    let answer = match known {
        Some(record) if record.versions.contains_key(&version) => {
            let from = record.aliases.get(alias).copied();
            if from != Some(version) {
                decision.events.push(Event::AliasMoved {
                    model: model.clone(),
                    alias: alias.to_owned(),
                    from,
                    to: version,
                    reason: by.to_owned(),
                });
            }
            Answer::Promoted { from }
        }
        Some(record) => {
            let newest = record.versions.keys().next_back().copied().unwrap_or(0);
            Answer::Refused {
                reasons: vec![format!(
                    "{model} has no version {version}: it has versions 1 to {newest}"
                )],
            }
        }
        None => Answer::Refused {
            reasons: vec![format!("{model} has no version yet: materialize it first")],
        },
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}
