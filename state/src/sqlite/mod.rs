//! The one SQLite file of a project: `state.db` in its state folder.
//!
//! ```text
//!  lock        who owns the state folder (never a lock on the database file)
//!  open        a connection that is safe to write with, or one to read with
//!  migrations  the schema, by `user_version`
//!  commit      events and everything they change, in one transaction     projection/  one file per family of tables
//!  load        what the core needs to carry on after a restart
//!  catalog     the Iceberg SQL catalog's two tables
//!  queries/    one file per question of a page or a command
//!  retention   removes what is too old
//!  fsck        are the tables still what the events say
//! ```
//!
//! Invariant: `commit` and `retire` are the only code that writes rows after `open`, except the mark of a clean shutdown, the
//! project's name and the copies of its definitions in `meta`.

pub mod catalog;
pub mod commit;
mod definitions;
mod error;
pub mod fsck;
pub mod load;
mod loaded;
pub mod loaded_alerts;
pub mod loaded_sensors;
pub mod lock;
mod migrations;
mod mounts;
mod open;
mod projection;
pub mod queries;
pub mod retention;
mod value;

pub use commit::{CommitError, Committed};
pub use error::StateError;
pub use lock::{Owner, OwnerLock};
pub use open::{OpenMode, Store};
