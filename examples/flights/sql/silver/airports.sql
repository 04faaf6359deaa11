-- Airports with everything that turns their clock into an instant.
--
-- Dirt dealt with:
--   three airports have no zone name (EEN, LRO, YAK): it follows from their offset;
--   EEN has latitude and longitude swapped, and the sign lost on the way;
--   four airports that New York flies to are not in the file at all (7,602 flights): San Juan, Aguadilla and Ponce in
--   Puerto Rico, and St. Thomas. All four keep Atlantic time, UTC-4, the whole year. They are added here by hand.
SELECT
    faa,
    name,
    CASE WHEN faa = 'EEN' THEN lon ELSE lat END AS latitude,
    CASE WHEN faa = 'EEN' THEN -lat ELSE lon END AS longitude,
    alt AS altitude_feet,
    tz AS utc_offset_hours,
    -- `N` keeps standard time all year; `A` has the summer time of the United States; `U` (unknown) is taken as `A`.
    dst <> 'N' AS observes_dst,
    CASE
        WHEN tzone IS NOT NULL THEN tzone
        WHEN tz = -5 THEN 'America/New_York'
        WHEN tz = -9 THEN 'America/Anchorage'
    END AS tzone,
    TRUE AS is_published
FROM bronze.airports

UNION ALL

SELECT faa, name, latitude, longitude, altitude_feet, -4, FALSE, tzone, FALSE
FROM (VALUES
    ('SJU', 'Luis Munoz Marin Intl',  18.4394, -66.0018,   9, 'America/Puerto_Rico'),
    ('BQN', 'Rafael Hernandez',       18.4949, -67.1294, 237, 'America/Puerto_Rico'),
    ('PSE', 'Mercedita',              18.0083, -66.5630,  29, 'America/Puerto_Rico'),
    ('STT', 'Cyril E King',           18.3373, -64.9734,  23, 'America/St_Thomas')
) AS forgotten (faa, name, latitude, longitude, altitude_feet, tzone)
