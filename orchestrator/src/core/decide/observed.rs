//! The sources of an ingest asset were looked at: a fact only if they differ from what is known.

use assets::AssetKey;
use assets::outcome::Observation;
use state::event::Event;

use super::super::effect::Decision;
use super::super::world::World;

pub(super) fn observed(world: &World, asset: &AssetKey, observation: &Observation) -> Decision {
    let known = world.asset(asset).and_then(|record| record.observation.as_ref());
    let mut decision = Decision::default();
    if known != Some(observation) {
        decision.events.push(Event::SourceObserved {
            asset: asset.clone(),
            observation: observation.clone(),
        });
    }
    decision
}
