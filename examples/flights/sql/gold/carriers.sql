-- Carriers without the legal form at the end of the name.
SELECT
    carrier,
    name AS legal_name,
    trim(regexp_replace(name, '(Inc\.|Co\.|Corporation)$', '')) AS name
FROM bronze.airlines
