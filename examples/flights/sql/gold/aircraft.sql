-- Aircraft with their age in 2013 and a class of size by seats.
SELECT
    tailnum,
    manufacturer,
    model,
    engine,
    engines,
    seats,
    CASE
        WHEN seats < 20 THEN 'small'
        WHEN seats <= 100 THEN 'regional'
        WHEN seats <= 240 THEN 'narrow'
        ELSE 'wide'
    END AS size,
    built_year,
    2013 - built_year AS age_years
FROM silver.planes
