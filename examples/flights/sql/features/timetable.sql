-- Known from midnight on: the timetable of the day. `departures_that_hour` is how crowded the runways will be.
SELECT
    departure_id,
    flight_date,
    $partition_start AS known_at,
    date_part('hour', sched_dep_at AT TIME ZONE 'America/New_York') AS sched_hour,
    date_part('dow', flight_date) AS weekday,
    distance,
    block_minutes,
    count(*) OVER (PARTITION BY origin, date_trunc('hour', sched_dep_at)) AS departures_that_hour,
    count(*) OVER (PARTITION BY origin, carrier) AS departures_of_carrier
FROM gold.departures
