-- Departures with instants instead of clock readings.
--
-- The file gives times as HHMM on a local clock: New York's for the departure, the destination's for the arrival, with no
-- date. A plane that arrives after midnight seems to land before it left, 2400 is a time, and twice a year the clock jumps.
-- Three steps make instants of them, and none needs a calendar:
--
--   1. The scheduled departure. `time_hour` is its hour as an instant (UTC), so only the minutes are missing. What New York's
--      clock shows minus what UTC shows is New York's offset at that moment: -300 minutes in winter, -240 in summer.
--   2. The scheduled time under way ("block time"). Both scheduled clock times, each brought to UTC by the offset of its own
--      airport, differ by the block time, up to whole days. No flight takes a day, so modulo a day it is exact, and
--      arrivals after midnight need no case of their own. Where the destination has summer time it changes with New York's
--      (nobody lands in the hours in between); where it has none (Phoenix, Honolulu, Puerto Rico) its offset is fixed.
--   3. What happened. The delays are minutes on the scheduled instants, so they just add up.
--
-- Nothing of this reads `dep_time` or `arr_time`; the checks hold the result against them.
WITH offsets AS (
    SELECT
        flights.*,
        -- Between -12 and +12 hours, so that 19:00 in New York at 00:00 UTC is five hours behind and not 19 ahead.
        (hour * 60 - CAST(date_part('hour', time_hour) AS BIGINT) * 60 + 2160) % 1440 - 720 AS origin_offset,
        airports.utc_offset_hours * 60 AS standard_offset,
        airports.observes_dst
    FROM bronze.flights AS flights
    LEFT JOIN silver.airports AS airports ON airports.faa = flights.dest
),

blocks AS (
    SELECT
        *,
        (   (sched_arr_time / 100 * 60 + sched_arr_time % 100)
          - (standard_offset + CASE WHEN observes_dst THEN origin_offset + 300 ELSE 0 END)
          - (hour * 60 + minute)
          + origin_offset
          + 2880
        ) % 1440 AS block_minutes,
        time_hour + CAST(minute || ' minutes' AS INTERVAL) AS sched_dep_at
    FROM offsets
)

SELECT
    flight_date,
    carrier,
    flight,
    tailnum,
    origin,
    dest,
    sched_dep_time,
    dep_time % 2400 AS dep_time,           -- midnight is published as 2400
    sched_arr_time % 2400 AS sched_arr_time,
    arr_time % 2400 AS arr_time,
    sched_dep_at,
    sched_dep_at + CAST(dep_delay || ' minutes' AS INTERVAL) AS dep_at,
    sched_dep_at + CAST(block_minutes || ' minutes' AS INTERVAL) AS sched_arr_at,
    -- Diverted flights have no delay at arrival, hence no arrival: some came later, some never, and the file cannot tell.
    sched_dep_at + CAST((block_minutes + arr_delay) || ' minutes' AS INTERVAL) AS arr_at,
    block_minutes,
    dep_delay,
    arr_delay,
    air_time,
    distance,
    dep_time IS NULL AS is_cancelled,
    dep_time IS NOT NULL AND arr_delay IS NULL AS is_diverted
FROM blocks
