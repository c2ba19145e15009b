//! The page that Prometheus scrapes, and `/health`, on `metrics-port`.
//!
//! Promises: one request for each connection, at most 8 KiB of it, within two seconds. Never changes anything.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::command::table::every;
use crate::config::memory;
use crate::metrics::tier_fields;
use crate::server::Server;

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Most requests at once; others wait in the listener's backlog.
const REQUESTS_MAX: usize = 8;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, server: Arc<Server>) {
    let permits = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            // A scraper that is too slow or goes away comes again.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &server)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, server: &Server) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if request.len() >= REQUEST_BYTES_MAX || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let path = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let (status, text) = match (request.starts_with(b"GET "), path) {
        (true, b"/metrics") => ("200 OK", metrics(server)),
        (true, b"/health") if server.is_ending() => ("503 Service Unavailable", "ending\n".to_owned()),
        (true, b"/health") if server.store().is_none() => ("503 Service Unavailable", "loading\n".to_owned()),
        (true, b"/health") => ("200 OK", "ok\n".to_owned()),
        (true, _) => ("404 Not Found", "this port has /metrics and /health\n".to_owned()),
        (false, _) => ("405 Method Not Allowed", "only GET is understood here\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

fn metrics(server: &Server) -> String {
    let mut page = String::new();
    let (accepted, refused) = server.clients.totals();
    let (input, output) = server.counters.network_bytes();
    let uptime_s = server.now_ms().saturating_sub(server.about.started_ms) / 1000;
    for (name, kind, value) in [
        ("uptime_seconds", "gauge", uptime_s),
        ("connected_clients", "gauge", server.clients.count()),
        ("connections_accepted_total", "counter", accepted),
        ("connections_refused_total", "counter", refused),
        ("network_input_bytes_total", "counter", input),
        ("network_output_bytes_total", "counter", output),
        ("resident_bytes", "gauge", memory::resident_bytes()),
    ] {
        line(&mut page, name, kind, value);
    }
    for (name, value) in tier_fields(server) {
        if value.parse::<f64>().is_ok() {
            // Whether a number only grows is not known here; a gauge may be rated all the same.
            line(&mut page, name, "gauge", value);
        }
    }
    for (name, value) in server.backups.fields() {
        match name {
            // What has not been yet has no line: `absent()` finds it, and no rule takes -1 for a time.
            "backup_last_status" if value != "none" => {
                line(&mut page, "backup_last_ok", "gauge", u8::from(value == "ok"));
            }
            "backup_last_status" | "backup_last_name" | "backup_last_error" => {}
            _ if value == "-1" => {}
            _ => line(&mut page, name, "gauge", value),
        }
    }
    let _ = writeln!(page, "# TYPE thermocline_commands_total counter");
    let _ = writeln!(page, "# TYPE thermocline_command_microseconds_total counter");
    for id in every() {
        let sums = server.counters.sums(id);
        if sums.calls > 0 {
            let name = &id.command().full_name;
            let _ = writeln!(page, "thermocline_commands_total{{command=\"{name}\"}} {}", sums.calls);
            let _ =
                writeln!(page, "thermocline_command_microseconds_total{{command=\"{name}\"}} {}", sums.microseconds);
        }
    }
    page
}

fn line(page: &mut String, name: &str, kind: &str, value: impl std::fmt::Display) {
    // A String takes everything.
    let _ = writeln!(page, "# TYPE thermocline_{name} {kind}\nthermocline_{name} {value}");
}
