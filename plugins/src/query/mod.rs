//! SQL over the lakehouse: one session sees tables as `layer.name`, in pinned versions, and can do nothing but read them.
//!
//! Who resolves a name to a version is the caller's [`TableResolver`]: a worker hands in the pinned inputs of its step, the
//! console the newest pointers. Results stream; memory is bounded and spills to a folder of the caller's.

mod catalog;
mod changed_contents;
mod changed_rows;
mod damage;
mod drift;
mod error;
mod first_rows;
mod local_time;
mod memory;
mod one_way;
mod render;
mod row_samples;
mod same_rows;
mod session;
mod sorting_joins;

pub use catalog::{QueryTable, TableResolver};
pub use changed_contents::{ContentChanges, changed_contents};
pub use changed_rows::{ChangesOrder, RowChanges, changed_rows};
pub use drift::{ColumnDrift, ColumnFigures, column_drift};
pub use error::{QueryError, engine_error};
pub use first_rows::{RowsOrder, first_rows};
pub use render::{RenderError, Rendered, ResultFormat, render};
pub use row_samples::{ChangedRow, RowSamples, row_samples};
pub use same_rows::{CompareOptions, RowsCompared, compare_rows};
pub use session::{AsOf, QueryOptions, QuerySession, parameter};
