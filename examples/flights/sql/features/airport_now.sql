-- One row for each minute in which somebody left: how late the departures of the last hour were. A delay is known when
-- the aircraft leaves, so the instant of that departure is the timestamp, not the one it was scheduled for.
-- Stragglers that left after midnight are not counted: they belong to a day whose flights are done.
WITH minutes AS (
    SELECT
        origin,
        flight_date,
        dep_at,
        count(*) AS departures,
        sum(dep_delay) AS delay
    FROM gold.departures
    WHERE CAST(dep_at AT TIME ZONE 'America/New_York' AS DATE) = flight_date
    GROUP BY origin, flight_date, dep_at
)

SELECT
    origin,
    flight_date,
    dep_at AS known_at,
    sum(departures) OVER last_hour AS airport_departures,
    sum(delay) OVER last_hour / CAST(sum(departures) OVER last_hour AS DOUBLE) AS airport_mean_delay
FROM minutes
WINDOW last_hour AS (
    PARTITION BY origin, flight_date ORDER BY dep_at RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW
)
