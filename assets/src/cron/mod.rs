//! Crons: five fields of local time, and the instants at which they tick in a time zone.
//!
//! ```text
//!   "30 2 * * MON-FRI" ──parse──► Cron (sets of bits, local time) ──┐
//!   zone, `repeated`  ─────────────────────────────────────────────►┴─ Timetable: next, previous, odd
//! ```
//!
//! **The fields** are minute, hour, day of the month, month and day of the week: `*`, numbers, names (`JAN`, `MON`, any case),
//! ranges (`1-5`), steps (`*/15`, `9-17/2`) and lists of these with commas. Sunday is 0 and 7. `@hourly`, `@daily`, `@midnight`,
//! `@weekly`, `@monthly`, `@yearly` and `@annually` stand for a whole cron.
//!
//! **Both days.** Where the day of the month and the day of the week are both restricted (no entry begins with `*`), a day
//! matches if *either* does, as in cron since 1987: `0 0 13 * FRI` is every 13th and every Friday. Otherwise it has to match both.
//!
//! **When clocks change**
//! - A cron that names every hour of the day (`0 * * * *`, `*/15 * * * *`) follows elapsed time: it ticks through both
//!   passes of a repeated hour, and not at all in a gap.
//! - Any other cron names times of the day. A time that falls into a gap ticks once, at the end of the gap; several times
//!   of one gap are one tick. A time that comes twice ticks at its `first` pass, its `last`, or `both`, as declared.
//!
//! So a daily cron ticks once for every day of the calendar, also for the day that Samoa left out in 2011.
//!
//! What is deliberately absent: seconds, years, `L`, `W`, `#`, `H`, `?`, `@reboot` and `@every` (each is told so), and clocks.
//! Nothing here walks minute by minute: a search jumps from month to month and from one change of the clocks to the next.

mod calendar;
mod field;
mod parse;
mod timetable;

pub use calendar::Cron;
pub use parse::{CronMistake, MistakeKind};
pub use timetable::{Odd, OddKind, Repeated, Tick, TickKind, Timetable};
