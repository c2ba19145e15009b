//! The numbers of both tiers, in the order INFO shows them.
//!
//! Promises: names are only ever added. A number is the store's; only ratios of two of them are worked out here.

use thermocline::Engine;

use crate::server::Server;

/// Names and values, as INFO, TIER INFO and the metrics page show them. None before the store is open.
pub fn tier_fields(server: &Server) -> Vec<(&'static str, String)> {
    let Some(engine) = server.store() else { return Vec::new() };
    let stats = engine.stats();
    let thousandths = |value: u64| format!("{:.3}", value as f64 / 1000.0);
    let mut fields: Vec<(&'static str, String)> =
        stats.fields().into_iter().map(|(name, value)| (name, value.to_string())).collect();
    fields.push(("write_amplification", thousandths(stats.write_amplification_milli())));
    fields.push(("recovery_seconds", thousandths(stats.recovery_us / 1000)));
    fields.push(("reads_per_cold_get", thousandths(stats.reads_per_cold_get_milli())));
    fields.push(("bytes_per_cold_get", stats.bytes_per_cold_get().to_string()));
    let (backend, reason) = backend_words(engine);
    fields.push(("io_backend", backend));
    fields.push(("io_backend_reason", reason));
    fields
}

/// Which way the disk is used; why, and what would change it.
pub fn backend_words(engine: &Engine) -> (String, String) {
    let backend = engine.backend();
    let reason = match backend.cure {
        Some(cure) => format!("{}; {cure}", backend.reason),
        None => backend.reason,
    };
    (backend.name.to_owned(), reason)
}
