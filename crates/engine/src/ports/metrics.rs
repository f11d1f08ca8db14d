//! Metrics by query, as the engine needs them.

use taxiway_model::ids::StreamId;
use taxiway_model::metrics::{Order, Reading};

/// Asks sources of metrics beside the engine. No method waits for a source.
pub trait Metrics: Send + Sync {
    /// From now on the queries of this order are asked again and again. The same order changes
    /// nothing; another one in the stream takes its place, and counting begins anew.
    fn want(&self, stream: &StreamId, order: &Order);

    /// Nobody wants to know any more.
    fn forget(&self, stream: &StreamId);

    /// The newest answer; none while there has not been any, good or bad.
    fn latest(&self, stream: &StreamId) -> Option<Reading>;
}
