//! Faults on demand, so that tests can see what a crash of a worker does to everything else.
//!
//! `MILLPOND_FAULT="silver.flights@2013-01-05=abort"` makes the worker that turns to this step do so. A step without a
//! partition is written alone. Faults: `overflow` (of the stack), `abort`, `kill`, `exit`, `memory`, `hang`.

use assets::{AssetKey, AssetPartition, PartitionKey};

use super::environment;

/// Does what the variable asks for at this step, if it asks for anything.
pub fn inject(asset: &AssetKey, partition: Option<&PartitionKey>) {
    let Some(orders) = environment::variable("MILLPOND_FAULT") else {
        return;
    };
    let step = AssetPartition::new(asset.clone(), partition.cloned()).to_string();
    for order in orders.split(';') {
        if let Some((at, fault)) = order.split_once('=')
            && (at == step || at == asset.as_str())
        {
            commit_fault(fault);
        }
    }
}

fn commit_fault(fault: &str) {
    match fault {
        "overflow" => {
            std::hint::black_box(overflow(std::hint::black_box(1)));
        }
        "abort" => std::process::abort(),
        "kill" => super::worker_process::kill_self(),
        "exit" => super::worker_process::exit_now(3),
        "memory" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            loop {
                held.push(vec![1; 16 << 20]);
                std::hint::black_box(&held);
            }
        }
        "hang" => loop {
            std::thread::park();
        },
        _ => tracing::error!(fault, "unknown fault"),
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn overflow(depth: u64) -> u64 {
    let held = [depth; 64];
    std::hint::black_box(&held);
    overflow(depth + 1) + held[(depth % 64) as usize]
}
