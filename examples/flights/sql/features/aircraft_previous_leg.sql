-- A late aircraft leaves late. Its delay is known when it lands, and not a minute before: the timestamp is the landing, so
-- a flight that leaves while the aircraft is still on its way cannot see it.
-- We know only the legs out of New York; the way back is not in the data, and still the delay tells.
--
-- Once in the year, on 18 April, two legs of one tail number land in the same minute: the one that left later counts.
WITH legs AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY tailnum, arr_at ORDER BY dep_at DESC, departure_id) AS place
    FROM gold.departures
    WHERE arr_at IS NOT NULL AND tailnum IS NOT NULL
)

SELECT
    tailnum,
    flight_date,
    arr_at,
    dest AS previous_dest,
    dep_delay AS previous_dep_delay,
    arr_delay AS previous_arr_delay
FROM legs
WHERE place = 1
