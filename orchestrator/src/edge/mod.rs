//! The outside world: clocks, environment, files, processes, threads. Everything with an effect is here, so that
//! [`crate::core`] can be without any.
//!
//! | file | what |
//! |---|---|
//! | `processes` | the door to other programs |

pub mod processes;
