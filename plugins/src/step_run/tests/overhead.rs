//! What a small partition costs beside its rows. Run with `cargo test … overhead -- --ignored --nocapture`.

use std::time::Instant;

use super::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_small_partition_costs_a_few_milliseconds() {
    let mut world = World::new(
        r#"
[asset.bronze.flights]
kind = "sql"
sql = """
SELECT CAST($partition_start AS DATE) AS flight_date, value AS flight, value % 3 AS origin, value * 1.5 AS delay
FROM generate_series(1, 900)
"""
partitions = { use = "daily", column = "flight_date" }

[asset.silver.flights]
kind = "sql"
sql = "SELECT * FROM bronze.flights WHERE delay > 3"
partitions = { use = "daily", column = "flight_date" }
checks = [{ unique = ["flight"] }, { not_null = ["origin"] }, { row_count = { min = 1 } }]

[asset.gold.flights]
kind = "sql"
sql = "SELECT flight_date, origin, count(*) AS flights, avg(delay) AS delay FROM silver.flights GROUP BY 1, 2"
partitions = { use = "daily", column = "flight_date" }
checks = [{ sql = "SELECT * FROM this WHERE flights < 0", name = "none negative" }]
"#,
    );
    let days: Vec<String> = (1..=31).map(|day| format!("2013-03-{day:02}")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    for asset in ["bronze.flights", "silver.flights", "gold.flights"] {
        let started = Instant::now();
        let outcome = world.execute(asset, &days).await;
        let elapsed = started.elapsed();
        println!(
            "{asset}: {:.2} ms a partition",
            elapsed.as_secs_f64() * 1000.0 / days.len() as f64
        );
        assert_eq!(outcome.failed, []);
        for staged in &outcome.staged {
            world.publish(staged).await;
        }
    }
}
