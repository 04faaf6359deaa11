-- Airports, with their great-circle distance from JFK in statute miles (haversine; mean radius of the Earth 3,958.8 miles).
WITH jfk AS (
    SELECT radians(latitude) AS lat, radians(longitude) AS lon FROM silver.airports WHERE faa = 'JFK'
)

SELECT
    faa,
    name,
    latitude,
    longitude,
    altitude_feet,
    tzone,
    faa IN ('EWR', 'JFK', 'LGA') AS is_new_york,
    is_published,
    2 * 3958.8 * asin(sqrt(
        power(sin((radians(latitude) - jfk.lat) / 2), 2)
        + cos(radians(latitude)) * cos(jfk.lat) * power(sin((radians(longitude) - jfk.lon) / 2), 2)
    )) AS miles_from_jfk
FROM silver.airports
CROSS JOIN jfk
