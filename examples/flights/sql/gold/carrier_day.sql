-- One row a carrier and day. Averages are over the flights that have the figure; shares over those with an outcome.
SELECT
    flight_date,
    carrier,
    count(*) AS departures,
    sum(CASE WHEN is_cancelled THEN 1 ELSE 0 END) AS cancelled,
    sum(CASE WHEN is_diverted THEN 1 ELSE 0 END) AS diverted,
    sum(CASE WHEN is_late THEN 1 ELSE 0 END) AS late,
    avg(CAST(is_late AS INT)) AS late_share,
    avg(dep_delay) AS mean_dep_delay,
    avg(arr_delay) AS mean_arr_delay,
    sum(distance) AS scheduled_miles
FROM gold.departures
GROUP BY flight_date, carrier
