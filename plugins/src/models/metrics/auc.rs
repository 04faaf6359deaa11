//! Area under the ROC curve.

use super::{Metric, MetricError, Task};

pub(super) const AUC: Metric = Metric {
    name: "auc",
    higher_is_better: true,
    task: Task::Binary,
    doc: "the chance that a random positive row is ranked above a random negative one, ties counting half",
    compute,
};

/// The Mann-Whitney statistic: positives' ranks (ties sharing their mean rank) less the least they could sum to, over the
/// number of pairs.
fn compute(targets: &[f64], predictions: &[f64]) -> Result<f64, MetricError> {
    let positives = targets.iter().filter(|&&target| target == 1.0).count();
    let negatives = targets.len() - positives;
    if positives == 0 || negatives == 0 {
        return Err(MetricError::SingleClass { metric: AUC.name });
    }
    let mut order: Vec<(f64, bool)> = predictions.iter().zip(targets).map(|(&p, &t)| (p, t == 1.0)).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the sum of ranks is a whole number, so nothing is rounded: ranks from 1, the mean of first..=last doubled.
    let mut twice_ranks: u128 = 0;
    let mut first = 0;
    while first < order.len() {
        let tied = order[first..].iter().take_while(|row| row.0 == order[first].0).count();
        let positive = order[first..first + tied].iter().filter(|row| row.1).count();
        twice_ranks += positive as u128 * (2 * first + tied + 1) as u128;
        first += tied;
    }
    let least = positives as u128 * (positives as u128 + 1);
    Ok((twice_ranks - least) as f64 / (2 * positives as u128 * negatives as u128) as f64)
}
