-- Here `gold.departures` is the fourteen days before this partition; only what had landed by midnight counts.
SELECT
    CAST($partition_key AS DATE) AS feature_date,
    $partition_start AS known_at,
    origin,
    dest,
    count(*) AS route_flights,
    avg(arr_delay) AS route_mean_delay,
    avg(CAST(is_late AS INT)) AS route_late_share
FROM gold.departures
WHERE arr_at < $partition_start
GROUP BY origin, dest
