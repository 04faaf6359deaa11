-- The labels: flights that arrived, on the days the model may see. December is kept for scoring.
SELECT
    departure_id,
    carrier,
    tailnum,
    origin,
    dest,
    sched_dep_at,
    is_late
FROM gold.departures
WHERE is_late IS NOT NULL
  AND flight_date < CAST($labels_end AS DATE)
