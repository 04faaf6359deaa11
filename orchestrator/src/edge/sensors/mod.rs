//! Keeps the sensors of a project: looks at what each watches and reports what it saw to the core, which decides.
//!
//! Each sensor has a task of its own, its own deadline and its own pause after failures: one that hangs, fails or floods
//! delays no other and no schedule. Nothing here is remembered: what was told of is the core's, and a look that a crash
//! interrupts is made again.
//!
//! | file | what |
//! |---|---|
//! | `keeper` | a task for each sensor that is declared |
//! | `task` | one sensor: when it looks, and what is done with what it saw |
//! | `look` | one look, by the kind of the sensor |
//! | `http`, `addresses` | an address that is polled; which may be |
//! | `facts` | what this project's state tells, and that of another |
//! | `sql` | rows of a query |
//! | `command` | a program that looks |
//! | `files` | files that land in a folder |
//! | `watch` | what the system tells of changes in folders |

mod addresses;
mod command;
mod facts;
mod files;
mod http;
mod keeper;
mod look;
mod sql;
mod task;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use state::event::Micros;
use tokio::sync::{mpsc, oneshot};

use super::engine::RequestError;
use crate::core::{Answer, SensorSight};

pub use http::partitions_at;
pub use keeper::SensorKeeper;
pub use task::look_at_sources;

/// Orders that may wait for a sensor that is busy with a look.
const WAITING_ORDERS: usize = 16;

/// What a sensor does at the moment. Not committed: it is gone after a restart, and so is what it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SensorNow {
    /// When the look that is under way began.
    pub looking_since: Option<Micros>,
    /// When the last look ended.
    pub looked_at: Option<Micros>,
    /// When it looks again, unless something wakes it earlier.
    pub next_at: Option<Micros>,
    /// How many things were seen that are not complete yet: files that are still written.
    pub incomplete: u64,
}

/// What someone asks of a sensor.
struct Order {
    /// Who asks.
    by: String,
    /// Only to see what it would tell of.
    test: bool,
    answer: oneshot::Sender<Looked>,
}

/// What came of an order.
#[derive(Debug)]
pub enum Looked {
    /// The core's answer.
    Decided(Answer),
    /// What it sees, or why it cannot see. Nothing was decided.
    Tested(Result<SensorSight, String>),
}

/// The place of one sensor.
struct Seat {
    orders: mpsc::Sender<Order>,
    now: Arc<Mutex<SensorNow>>,
}

/// Talks to the sensors that are kept. Cheap to clone.
#[derive(Clone, Default)]
pub struct SensorsHandle(Arc<Mutex<BTreeMap<String, Seat>>>);

impl SensorsHandle {
    /// What a sensor does at the moment; `None` if none of this name is kept.
    pub fn now(&self, sensor: &str) -> Option<SensorNow> {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seats.get(sensor)?.now.lock().unwrap_or_else(PoisonError::into_inner);
        Some(*now)
    }

    /// Asks a sensor to look now. `None`: none of this name is kept.
    pub(super) async fn look(&self, sensor: &str, by: String, test: bool) -> Result<Option<Looked>, RequestError> {
        let orders = {
            let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seats.get(sensor).map(|seat| seat.orders.clone())
        };
        let Some(orders) = orders else { return Ok(None) };
        let (answer, answered) = oneshot::channel();
        // A sensor that went meanwhile is asked for in vain, as one that never was.
        if orders.send(Order { by, test, answer }).await.is_err() {
            return Ok(None);
        }
        answered.await.map(Some).map_err(|_| RequestError::Stopping)
    }

    fn take_seat(&self, sensor: &str) -> (mpsc::Receiver<Order>, Arc<Mutex<SensorNow>>) {
        let (orders, received) = mpsc::channel(WAITING_ORDERS);
        let now = Arc::default();
        let seat = Seat {
            orders,
            now: Arc::clone(&now),
        };
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.insert(sensor.to_owned(), seat);
        (received, now)
    }

    fn leave_seat(&self, sensor: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sensor);
    }
}
