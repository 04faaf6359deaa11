-- The fact table: one row a scheduled departure. `is_late` is null for flights that never arrived where they should.
SELECT
    concat_ws('-', CAST(flight_date AS VARCHAR), carrier, CAST(flight AS VARCHAR), origin, CAST(sched_dep_time AS VARCHAR)) AS departure_id,
    flight_date,
    carrier,
    flight,
    tailnum,
    origin,
    dest,
    sched_dep_at,
    dep_at,
    sched_arr_at,
    arr_at,
    block_minutes,
    dep_delay,
    arr_delay,
    air_time,
    distance,
    is_cancelled,
    is_diverted,
    arr_delay > $late_minutes AS is_late
FROM silver.flights
