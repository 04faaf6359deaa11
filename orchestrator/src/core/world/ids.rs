//! Ids: time in the high bits so that they sort by age, a count from a place that the seed chooses in the low ones, so
//! that two starts differ.

use state::event::Micros;
use state::ids::{AttemptId, MessageId, RunId};

use super::World;

/// 2020-01-01T00:00:00Z in milliseconds: 41 bits from there reach the year 2089.
const EPOCH_MS: i64 = 1_577_836_800_000;

/// How many ids one start can make in one millisecond before two could be equal.
const IN_A_MILLISECOND: u64 = 1 << 19;

impl World {
    /// An id for the next run. The world moves on to the next id when `RunSubmitted` is applied.
    pub(in super::super) fn next_run_id(&self, at: Micros) -> RunId {
        RunId::from_bits(self.next_bits(at))
    }

    /// An id for the next attempt. The world moves on to the next id when `AttemptStarted` is applied.
    pub(in super::super) fn next_attempt_id(&self, at: Micros) -> AttemptId {
        AttemptId::from_bits(self.next_bits(at))
    }

    /// An id for an attempt, `ahead` ids after the next.
    pub(in super::super) fn attempt_id_ahead(&self, at: Micros, ahead: u64) -> AttemptId {
        AttemptId::from_bits(self.bits(at, ahead))
    }

    /// An id for a message of an alert, `ahead` ids after the next. The world moves on to the next id when `AlertGrouped` is
    /// applied.
    pub(in super::super) fn next_message_id(&self, at: Micros, ahead: u64) -> MessageId {
        MessageId::from_bits(self.bits(at, ahead))
    }

    fn next_bits(&self, at: Micros) -> u64 {
        self.bits(at, 0)
    }

    fn bits(&self, at: Micros, ahead: u64) -> u64 {
        let millis = (at.div_euclid(1000) - EPOCH_MS).max(0) as u64 & ((1 << 41) - 1);
        millis * IN_A_MILLISECOND + split_mix(self.seed, 0).wrapping_add(self.minted + ahead) % IN_A_MILLISECOND
    }
}

/// The `n`th number of the SplitMix64 sequence of a seed (Steele, Lea, Flood 2014).
pub(in super::super) fn split_mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
