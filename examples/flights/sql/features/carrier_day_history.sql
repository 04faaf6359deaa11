-- Here `gold.departures` is the seven days before this partition. Known at its midnight; so a flight that was still in the
-- air at midnight does not count, though it belongs to the day before. Cancelled flights were known before they were due.
SELECT
    CAST($partition_key AS DATE) AS feature_date,
    $partition_start AS known_at,
    carrier,
    origin,
    count(*) AS carrier_flights,
    avg(arr_delay) AS carrier_mean_delay,
    avg(CAST(is_late AS INT)) AS carrier_late_share,
    avg(CAST(is_cancelled AS INT)) AS carrier_cancelled_share
FROM gold.departures
WHERE is_cancelled OR arr_at < $partition_start
GROUP BY carrier, origin
