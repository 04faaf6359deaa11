//! The point-in-time join: for each label the newest feature row that was already true, and not too old.
//!
//! A training set must show the model what it could have known at the moment of each label and nothing later.
//! [`point_in_time_join`] is a LEFT join per [`FeatureSource`]: exactly one output row per label row, in label order.
//! For a label `l` and a source, the candidates are the feature rows `f` with
//!
//! 1. all entity columns equal to those of `l` (a null in any of them matches nothing),
//! 2. `f.timestamp <= l.timestamp`, inclusive (a null timestamp on either side matches nothing),
//! 3. with a time to live: `f.timestamp >= l.timestamp - ttl`, inclusive,
//! 4. with a created column: `f.created <= l.timestamp`, inclusive (a null created matches nothing),
//!
//! and the winner is the candidate with the latest timestamp; among those the highest created; among those the greatest
//! row of the source's selected columns, compared from left to right with null lowest. So the winner never depends on
//! how the features are partitioned, batched or ordered. Without a candidate the source's columns are null.
//! These are Feast's rules, with the created cut-off on where Feast leaves it off, and the last tie decided.
//!
//! # How it works
//!
//! Labels are held in memory; features of any size stream past once, in parallel.
//!
//! ```text
//!  labels ──> LabelIndex: one *slot* per distinct (entity, label time), ascending in time inside an entity
//!                 │
//!  features ──> Winners (one per worker): a row is offered to the first slot at which it is known,
//!                 │              that is the first label time >= max(timestamp, created); the best per slot is kept
//!                 └──> settle: over workers, then forward in time inside each entity: the best so far is the winner
//!                          └──> output: the winners beside the label batches, lazily
//! ```
//!
//! A row that is known at a slot is known at all later slots of the entity, and the rank of a row (timestamp, created,
//! row) does not depend on the label. So the winner of a slot is the greatest rank offered to it or to an earlier slot,
//! and only one row per slot has to be kept: memory is labels + winners. Carrying "the last filled slot" forward would be
//! wrong with a created column, since a correction of an old event becomes known late and must not replace a newer event.
//!
//! # Files
//!
//! `source` (what a caller passes), `time` (timestamps to one scale), `entity` (keys to dense entity ids), `labels` (the
//! slots), `winners` and `tie` (the stream side), `settle`, `join` (wiring), `error`.
//!
//! # What it does not do
//!
//! It reads no tables and pushes nothing down: project the inputs to the columns they need, and filter features to the
//! label range when that saves reading. It does not spill; labels and winners are accounted in the task's memory pool.

mod entity;
mod error;
mod join;
mod labels;
mod settle;
mod source;
mod tie;
mod time;
mod winners;

#[cfg(test)]
mod tests;

pub use error::PointInTimeError;
pub use join::point_in_time_join;
pub use source::{FeatureColumn, FeatureSource, LabelInput, RowInput, TimeToLive};
