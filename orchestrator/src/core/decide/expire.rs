//! A table without the snapshots that nobody needs takes the place of the one it was made from, unless that moved on meanwhile.

use assets::AssetKey;
use assets::outcome::TablePointer;
use state::event::Event;

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::world::World;

pub(super) fn expire(
    world: &World,
    request: RequestId,
    table: &AssetKey,
    (from, to): (&TablePointer, &TablePointer),
    (snapshots, files, bytes): (u64, u64, u64),
    by: &str,
) -> Decision {
    let mut decision = Decision::default();
    let moved = world.pointer(table) == Some(from);
    if moved {
        decision.events.push(Event::PointerMoved {
            table: table.clone(),
            from: Some(from.clone()),
            to: to.clone(),
        });
        decision.events.push(Event::SnapshotsExpired {
            table: table.clone(),
            snapshots,
            files,
            bytes,
            by: by.to_owned(),
        });
    }
    decision.effects.push(Effect::Reply {
        request,
        answer: Answer::Expired { moved },
    });
    decision
}
