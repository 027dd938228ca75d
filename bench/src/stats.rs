//! Percentiles of measured times, in milliseconds.

use serde_json::{Value, json};
use std::time::Duration;

/// The value below which this share (0 to 1) of the times lies; `times` must be sorted. 0 if there are none.
pub fn percentile_ms(times: &[Duration], share: f64) -> f64 {
    let index = (times.len().saturating_sub(1) as f64 * share) as usize;
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// Count, median, 99th percentile and maximum.
pub fn summary(mut times: Vec<Duration>) -> Value {
    times.sort();
    let ms = |share| percentile_ms(&times, share);
    json!({ "count": times.len(), "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) })
}

/// The middle value, 0 if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_and_one_and_of_none() {
        let times: Vec<_> = (0..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&times, 0.5), 50.0);
        assert_eq!(percentile_ms(&times, 0.99), 99.0);
        assert_eq!(percentile_ms(&times, 1.0), 100.0);
        assert_eq!(percentile_ms(&[], 0.99), 0.0);
    }
}
