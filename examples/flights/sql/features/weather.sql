-- The report of an hour covers that hour, so it is known when the hour is over: a flight at 10:15 must not see the rain
-- that fell until 11:00. `wind_gust` is published only when there is one; no gust is the wind itself.
SELECT
    origin,
    observed_at + INTERVAL '1 hour' AS known_at,
    temp,
    dewp,
    humid,
    wind_speed,
    coalesce(wind_gust, wind_speed) AS wind_gust,
    precip,
    pressure,
    visib
FROM silver.weather
