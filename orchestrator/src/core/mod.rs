//! The core decides: pure, synchronous, and the only place where the life of runs and steps is decided.
//!
//! ```text
//!   Input ──► turn ──► events (committed by the driver in one transaction) ──► World (by apply)
//!               └────► effects (performed after the commit), answers
//! ```
//!
//! [`turn()`] takes one [`Input`], decides ([`decide()`]), applies the events to the [`World`], and goes on deciding what
//! follows (skips, ends of runs, admission) until nothing more does. The driver collects the events of all inputs that
//! waited, commits them at once, and only then performs the effects and gives the answers.
//!
//! What is deliberately absent: a clock, randomness, locks, async, files, SQL. Time comes with the input; ids derive from a
//! seed. Rows staged by workers never enter the world: the driver keeps them by (attempt, step) until the step ends.
//! Everything in the world can be loaded from the store, and recovery is an ordinary input ([`Input::Recover`]).

mod decide;
mod definitions;
mod effect;
mod health;
mod impact;
mod input;
mod invariants;
mod limits;
mod plan;
mod queue;
mod replay;
mod restored;
mod scope;
mod staleness;
mod upkeep;
mod world;

pub use decide::{
    AUTOMATION, Explanation, FreshnessNow, Turn, about_to_write, decide, explain, freshness_now, refused_to_adopt,
    remembered_from, schedule_of, selected, sensor_of, turn, wait_of,
};
pub use definitions::{CoreSettings, Definitions};
pub use effect::{
    Answer, Decision, Effect, KeptStaged, Member, RequestId, StartAttempt, StartInput, StartModel, StartPartition,
    StepScope,
};
pub use health::{Health, HealthState};
pub use impact::{Impact, ImpactedAsset, impact};
pub use input::{
    AdoptedAlias, AdoptedAttempt, AdoptedFrom, AdoptedModel, Adoption, Input, PreparedCompaction, PreparedExpiry,
    PreparedMember, PreparedRepartition, PreparedRollback, PreparedTable, RestoredPartition, SensorLook, SensorSight,
    TableChange, TableChangeKind,
};
pub use invariants::{InvariantId, check as check_invariants, check_same, check_settled};
pub use limits::InUse;
pub use plan::{Plan, PlanProblem, PlanRequest, Step as PlanStep, plan, reference_text};
pub use queue::{Wait, WaitsFor, waits, waits_of};
pub use replay::replay;
pub use restored::{HeldRows, restored};
pub use staleness::{ChangedBy, ChangedInput, Sight, SourceChange, StaleReason};
pub use upkeep::{Listener, Upkeep, UpkeepRule};
pub use world::{
    AlertRecord, AssetRecord, Attempt, AutomationRecord, Broken, Due, FreshnessRecord, Group, Hold, KeyHash,
    LastFailure, LastMaterialization, ModelRecord, ModelVersion, PartitionRecord, PartitionRollback, RollbackAsked,
    Run, ScheduleRecord, SensorRecord, SourceRead, Step, WaitingMessage, World, key_hash,
};
