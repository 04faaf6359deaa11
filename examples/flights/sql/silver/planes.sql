-- The register, with one spelling for each manufacturer: Airbus signs in two ways, McDonnell Douglas in three.
-- `speed` is known for 23 of 3,322 aircraft and is dropped.
SELECT
    tailnum,
    year AS built_year,
    type,
    CASE
        WHEN manufacturer = 'AIRBUS INDUSTRIE' THEN 'AIRBUS'
        WHEN manufacturer LIKE 'MCDONNELL DOUGLAS%' THEN 'MCDONNELL DOUGLAS'
        WHEN manufacturer = 'CANADAIR LTD' THEN 'CANADAIR'
        ELSE manufacturer
    END AS manufacturer,
    model,
    engines,
    seats,
    engine
FROM bronze.planes
