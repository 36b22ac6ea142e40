//! The same things one season earlier, to tell what comes back at its hour from what does not.

use std::{collections::BTreeMap, time::Duration};

use plugin_cluster::Peers;

use super::{Anomaly, Key, by_object, tracks};
use crate::{flow::Frame, season, store::Store, words};

/// The same things one season earlier.
pub(super) struct Earlier {
    values: BTreeMap<Key, Vec<f64>>,
}

impl Earlier {
    pub(super) fn of(
        (store, frame, season): (&Store, Frame, Duration),
        (namespace, peers): (&str, &Peers),
    ) -> Self {
        let season_ms = i64::try_from(season.as_millis()).unwrap_or(i64::MAX);
        let frame = Frame { grid: frame.grid.earlier(season_ms), ..frame };
        let mut values = BTreeMap::new();
        for metric in store.names() {
            if let Some((name, _, tracks)) = tracks(store, frame, &metric) {
                values.extend(by_object(&name, tracks, namespace, peers));
            }
        }
        Self { values }
    }

    /// Whether the change was there, at the object itself or, as pods come and go, at those that
    /// stood in its place.
    pub(super) fn repeats(&self, anomaly: &Anomaly) -> bool {
        let own = self.values.get(&anomaly.key);
        let own = own.filter(|values| values.iter().any(|v| v.is_finite()));
        match own {
            Some(earlier) => season::repeats(&anomaly.shift, &anomaly.values, earlier),
            None => {
                let earlier = self.in_place_of(&anomaly.key);
                season::repeats(&anomaly.shift, &anomaly.values, &earlier)
            }
        }
    }

    /// The mean over the pods of the same workload.
    fn in_place_of(&self, key: &Key) -> Vec<f64> {
        let alike = |other: &Key| {
            let (a, b) = (&other.object, &key.object);
            other.metric == key.metric
                && other.kind_of_value == key.kind_of_value
                && (&a.kind, &a.namespace, &a.container) == (&b.kind, &b.namespace, &b.container)
                && words::stem(&a.name) == words::stem(&b.name)
        };
        let tracks =
            self.values.iter().filter(|(other, _)| key.object.kind == "Pod" && alike(other));
        let tracks: Vec<&Vec<f64>> = tracks.map(|(_, values)| values).collect();
        let points = tracks.iter().map(|t| t.len()).max().unwrap_or(0);
        (0..points)
            .map(|point| {
                let there = tracks.iter().filter_map(|t| t.get(point)).filter(|v| v.is_finite());
                let (sum, count) = there.fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
                sum / count
            })
            .collect()
    }
}
