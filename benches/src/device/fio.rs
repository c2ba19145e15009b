//! The same measurements by fio: a job file with one section per row, and a run of one section.
//!
//! The job uses io_uring with one request per submission or more, as fio does by default: no fixed buffers, no registered
//! files, no polling, as our own queue. Never runs without being asked; the job file can be run by hand at any time.

use super::case::{Case, Kind};
use super::scratch::Scratch;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The job file.
pub struct Fio {
    job: PathBuf,
}

/// What fio measured.
#[derive(Debug, Default, PartialEq)]
pub struct FioMeasured {
    /// Requests per second.
    pub iops: f64,
    /// CPU of fio per request.
    pub cpu_us_per_request: Option<f64>,
    /// Median latency, as fio counts it.
    pub p50_us: Option<f64>,
    /// 99th percentile.
    pub p99_us: Option<f64>,
}

/// The version of the fio that would run.
pub fn version() -> Result<String> {
    let output = Command::new("fio")
        .arg("--version")
        .output()
        .context("--fio needs fio in the path: install it, or leave --fio away and run the job file elsewhere")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Fio {
    /// Writes the job file.
    pub fn write(job: &Path, scratch: &Scratch, cases: &[Case], seconds: f64) -> Result<Self> {
        write(job, &text(scratch, cases, seconds))?;
        Ok(Self { job: job.to_owned() })
    }

    /// Runs the section of one row.
    pub fn measure(&self, case: &Case) -> Result<FioMeasured> {
        let section = case.section();
        let output = Command::new("fio")
            .args(["--output-format=json", &format!("--section={section}")])
            .arg(&self.job)
            .output()
            .context("cannot start fio")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("fio {section}: {} ({})", output.status, said.trim().lines().next().unwrap_or("no words"));
        }
        parse(&String::from_utf8_lossy(&output.stdout), case).with_context(|| format!("the answer of fio {section}"))
    }
}

/// The job file's text.
fn text(scratch: &Scratch, cases: &[Case], seconds: f64) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).and_then(|()| text.write_char('\n')).expect("a String takes every write");
    };
    line(format_args!("# What `thermocline-bench device` measures, for fio. One row: fio --section=NAME FILE"));
    line(format_args!("# By itself fio makes {} and leaves it there.", scratch.path().display()));
    line(format_args!("[global]"));
    line(format_args!("ioengine=io_uring"));
    line(format_args!("direct={}", u8::from(scratch.disk.geometry().direct)));
    line(format_args!("time_based=1"));
    line(format_args!("runtime={}ms", (seconds * 1e3).ceil() as u64));
    line(format_args!("norandommap=1"));
    line(format_args!("refill_buffers=0"));
    for case in cases {
        let (path, bytes) = match case.kind {
            Kind::RandomRead => (scratch.read_path(), scratch.read_bytes),
            Kind::SequentialWrite | Kind::DurableWrite | Kind::WriteThenSync => {
                (scratch.write_path(), scratch.write_bytes)
            }
        };
        line(format_args!("\n[{}]", case.section()));
        line(format_args!("stonewall"));
        line(format_args!("filename={}", path.display()));
        line(format_args!("size={bytes}"));
        line(format_args!("rw={}", if case.kind == Kind::RandomRead { "randread" } else { "write" }));
        line(format_args!("bs={}", case.block_bytes));
        line(format_args!("iodepth={}", case.depth));
        match case.kind {
            Kind::DurableWrite => line(format_args!("sync=dsync")),
            Kind::WriteThenSync => line(format_args!("fdatasync=1")),
            Kind::RandomRead | Kind::SequentialWrite => {}
        }
    }
    text
}

/// Reads fio's JSON.
fn parse(output: &str, case: &Case) -> Result<FioMeasured> {
    // Warnings may come first.
    let start = output.find('{').context("no JSON in it")?;
    let answer: Value = serde_json::from_str(&output[start..])?;
    let job = &answer["jobs"][0];
    if job["error"].as_i64() != Some(0) {
        bail!("fio ended with error {}", job["error"]);
    }
    let side = &job[if case.kind == Kind::RandomRead { "read" } else { "write" }];
    let number = |value: &Value| value.as_f64();
    let iops = number(&side["iops"]).context("no iops in it")?;
    let percent = number(&job["usr_cpu"]).zip(number(&job["sys_cpu"])).map(|(user, system)| user + system);
    let run_ms = number(&job["job_runtime"]);
    let requests = number(&side["total_ios"]).filter(|requests| *requests > 0.0);
    let cpu_us_per_request =
        percent.zip(run_ms).zip(requests).map(|((percent, ms), requests)| percent / 100.0 * ms * 1e3 / requests);
    // The sync behind a write is in none of fio's write latencies.
    let told = case.kind != Kind::WriteThenSync;
    let percentile = |name: &str| number(&side["clat_ns"]["percentile"][name]).filter(|_| told).map(|ns| ns / 1e3);
    Ok(FioMeasured { iops, cpu_us_per_request, p50_us: percentile("50.000000"), p99_us: percentile("99.000000") })
}

#[expect(clippy::disallowed_methods, reason = "a job file for fio, nothing of the engine's")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thermocline_io::BackendChoice;

    const READ: Case = Case { kind: Kind::RandomRead, block_bytes: 4096, depth: 32 };
    const SYNC: Case = Case { kind: Kind::WriteThenSync, block_bytes: 4096, depth: 1 };

    #[test]
    fn the_job_has_a_section_for_each_row() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(folder.path(), 16 << 20, BackendChoice::Auto).unwrap();
        let text = text(&scratch, &[READ, SYNC], 1.5);
        let read = format!(
            "[random-read-4096-depth-32]\nstonewall\nfilename={}\nsize=16777216\nrw=randread\nbs=4096\niodepth=32\n",
            scratch.read_path().display()
        );
        assert!(text.contains(&read), "{text}");
        assert!(text.contains("runtime=1500ms\n"), "{text}");
        assert!(text.ends_with("rw=write\nbs=4096\niodepth=1\nfdatasync=1\n"), "{text}");
    }

    #[test]
    fn fios_answer_is_read() {
        let answer = r#"fio: a warning
            {"jobs": [{"error": 0, "job_runtime": 2000, "usr_cpu": 10.0, "sys_cpu": 15.0,
            "read": {"iops": 50000.5, "total_ios": 100000, "clat_ns": {"percentile": {"50.000000": 20000, "99.000000": 90000}}},
            "write": {"iops": 7.0, "total_ios": 0}}]}"#;
        let measured = parse(answer, &READ).unwrap();
        assert_eq!(
            measured,
            FioMeasured { iops: 50000.5, cpu_us_per_request: Some(5.0), p50_us: Some(20.0), p99_us: Some(90.0) }
        );
        let of_writes = parse(answer, &SYNC).unwrap();
        assert_eq!(of_writes, FioMeasured { iops: 7.0, ..FioMeasured::default() });
        assert!(parse("nothing", &READ).is_err());
        assert!(parse(&answer.replace("\"error\": 0", "\"error\": 5"), &READ).is_err());
    }
}
