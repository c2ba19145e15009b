//! The numbers of both tiers, in the order INFO shows them.
//!
//! Promises: names are only ever added. A number is the store's; only ratios of two of them are worked out here.

use crate::server::Server;

/// Names and values, as INFO, TIER INFO and the metrics page show them.
pub fn tier_fields(server: &Server) -> Vec<(&'static str, String)> {
    let stats = server.engine.stats();
    let thousandths = |value: u64| format!("{:.3}", value as f64 / 1000.0);
    let mut fields: Vec<(&'static str, String)> =
        stats.fields().into_iter().map(|(name, value)| (name, value.to_string())).collect();
    fields.push(("write_amplification", thousandths(stats.write_amplification_milli())));
    fields.push(("reads_per_cold_get", thousandths(stats.reads_per_cold_get_milli())));
    fields.push(("bytes_per_cold_get", stats.bytes_per_cold_get().to_string()));
    fields.push(("io_backend", server.about.io_backend.clone()));
    fields.push(("io_backend_reason", server.about.io_backend_reason.clone()));
    fields
}
