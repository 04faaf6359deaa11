-- The predictions of a day against what happened.
--
-- AUC is the chance that a late flight was ranked above a punctual one. From ranks (Mann and Whitney): the sum of the late
-- flights' ranks, less the smallest that it could be, over the number of pairs. Equal predictions share their mean rank.
WITH judged AS (
    SELECT
        predictions.flight_date,
        predictions.model_version,
        -- Kept off 0 and 1, so that one certain mistake does not make the log loss infinite.
        least(greatest(predictions.prediction, 1e-6), 1 - 1e-6) AS probability,
        CAST(departures.is_late AS INT) AS late
    FROM predictions.delay AS predictions
    JOIN gold.departures AS departures ON departures.departure_id = predictions.departure_id
    WHERE departures.is_late IS NOT NULL
),

ranked AS (
    SELECT
        *,
        rank() OVER (PARTITION BY flight_date, model_version ORDER BY probability)
          + (count(*) OVER (PARTITION BY flight_date, model_version, probability) - 1) / 2.0 AS place
    FROM judged
)

SELECT
    flight_date,
    model_version,
    count(*) AS flights,
    sum(late) AS late,
    avg(late) AS late_share,
    avg(probability) AS mean_prediction,
    (sum(late * place) - sum(late) * (sum(late) + 1) / 2.0) / nullif(sum(late) * (count(*) - sum(late)), 0) AS auc,
    avg(power(probability - late, 2)) AS brier,
    -avg(late * ln(probability) + (1 - late) * ln(1 - probability)) AS log_loss
FROM ranked
GROUP BY flight_date, model_version
