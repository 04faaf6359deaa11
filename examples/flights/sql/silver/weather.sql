-- Hourly weather, one row an airport and instant.
--
-- Dirt dealt with:
--   on 3 November the clock shows 01:00 twice; the instant `time_hour` tells the two apart, the local columns cannot, so
--   they are dropped and the instant is the key;
--   on 12 February 2013, 03:00 at Newark, the wind blew at 1,048 mph. Nothing in the row says what it was meant to be:
--   it becomes null and is marked, rather than guessed.
-- Left as it is: 75 hours are missing, and the last day and a half of the year with them. A join that needs weather says
-- for how long an old report may serve (features.weather, time to live).
SELECT
    origin,
    time_hour AS observed_at,
    CAST(time_hour AT TIME ZONE 'America/New_York' AS DATE) AS observed_date,
    temp,
    dewp,
    humid,
    wind_dir,
    CASE WHEN wind_speed <= 150 THEN wind_speed END AS wind_speed,
    CASE WHEN wind_speed <= 150 THEN wind_gust END AS wind_gust,
    precip,
    pressure,
    visib,
    coalesce(wind_speed > 150, FALSE) AS is_wind_rejected
FROM bronze.weather
