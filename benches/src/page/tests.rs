//! Whole pages from made-up results: whatever stands in a result, the page is whole, safe, and says the bad news first.

use super::*;
use crate::record::Machine;
use crate::report::{CurvePoint, LatencyReport, ObservedPoint, Report, Shares, Timeline, TimelinePoint};
use std::collections::BTreeMap;

const ATTACK: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&\u{0}";

fn record(results: Results) -> Record {
    let machine = Machine { cpu: "CPU".to_owned(), cores: 2, memory_bytes: 8 << 30, kernel: "6.1".to_owned() };
    let command = ["/somewhere/thermocline-bench", "run", "a b"].map(str::to_owned).to_vec();
    Record { schema: 1, tool: "tool 1".to_owned(), command, started_unix_s: 1_795_513_044, machine, results }
}

fn full_pass(name: &str) -> Report {
    let point = |second: u64| TimelinePoint {
        answers: 1_000 + second,
        p50_us: 50.0,
        p99_us: 900.0,
        p999_us: 2_000.0,
        max_us: 50_000.0,
        hot: 700,
        cold: 200,
        miss: 100,
        errors: second % 2,
    };
    let seen = |second: u64| ObservedPoint {
        at_s: second as f64,
        rss_bytes: Some(60 << 20),
        dram_bytes: Some(50 << 20),
        disk_used_bytes: Some(second << 28),
        device_read_bytes: Some(second << 20),
        device_write_bytes: Some(second << 22),
        write_amplification: Some(1.03),
        cpu_seconds: Some(1.0),
    };
    let curve = [(0.0, 10.0), (50.0, 50.0), (99.0, 900.0)].map(|(percentile, us)| CurvePoint { percentile, us });
    let latency = LatencyReport {
        count: 10_000,
        mean_us: 80.0,
        p50_us: 50.0,
        p90_us: 100.0,
        p99_us: 900.0,
        p999_us: 2_000.0,
        max_us: 50_000.0,
        curve: curve.to_vec(),
    };
    Report {
        name: name.to_owned(),
        server: "here:1".to_owned(),
        complete: true,
        seconds: 10.0,
        operations: 10_000,
        operations_per_second: 1_000.0,
        shares: Some(Shares { hot: 0.7, cold: 0.2, miss: 0.1 }),
        timeline: Timeline {
            interval_s: 1.0,
            points: (0..10).map(point).collect(),
            observed: (0..10).map(seen).collect(),
        },
        latency: BTreeMap::from([("get".to_owned(), latency.clone()), ("cold".to_owned(), latency)]),
        ..Report::default()
    }
}

fn page_of(records: &[Record], title: &str) -> (String, Vec<Section>) {
    let sections: Vec<Section> = records.iter().map(section_of).collect();
    (html::page(title, &sections).unwrap(), sections)
}

/// Every element is closed by its own end, in order; gives the names of all.
fn elements(text: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for piece in text.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {piece}"));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in order: {tag}");
        } else {
            if !tag.ends_with('/') && !["meta", "!doctype"].contains(&name.as_str()) {
                open.push(name.clone());
            }
            all.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    all
}

#[test]
fn a_full_result_has_every_figure_in_order() {
    let (page, sections) = page_of(&[record(Results::Passes(vec![full_pass("load"), full_pass("run")]))], "Title");
    let names = elements(&page);
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    assert_eq!((count("figure"), count("svg")), (14, 14), "seven for each pass");
    let titles: Vec<_> = plots::placed_in(0, &sections[0]).map(|placed| placed.figure.title.clone()).take(7).collect();
    assert_eq!(
        titles,
        [
            "Throughput over time – load",
            "Latency over time – load",
            "Latency percentiles, by kind and by tier – load",
            "Where GETs were served from – load",
            "DRAM over time – load",
            "SSD over time – load",
            "Write amplification over time – load",
        ]
    );
    let names: std::collections::HashSet<_> = plots::placed_in(0, &sections[0]).map(|placed| placed.name).collect();
    assert_eq!(names.len(), 14, "each figure has its own name");
    for words in ["2026-11-24 09:37:24 UTC", "CPU, 2 cores, 8 GiB RAM", "thermocline-bench run &#39;a b&#39;", "1 k/s"]
    {
        assert!(page.contains(words), "{words:?} is missing");
    }
    assert!(!page.contains("class=\"alerts\"") && !page.contains("/somewhere/"));
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org").count());
}

#[test]
fn a_text_from_a_result_never_becomes_markup() {
    let attack = || ATTACK.to_owned();
    let mut pass = full_pass(ATTACK);
    pass.server = attack();
    pass.failure = Some(attack());
    pass.wrong = 1;
    pass.wrong_shown = vec![attack()];
    pass.errors = BTreeMap::from([(attack(), 1)]);
    pass.first_error = Some(attack());
    pass.observed.version = attack();
    pass.observed.tier_changes = BTreeMap::from([(attack(), 1.0)]);
    pass.workload.name = attack();
    let hit_ratio = serde_json::json!({
        "trace": ATTACK, "requests": 1, "keys": 1, "distinct_bytes": 1, "rows": [{ "policy": ATTACK,
        "capacity_bytes": 1, "capacity_share": 0.1, "hit_ratio": 0.5, "byte_hit_ratio": 0.5 }],
    });
    let mut evil = record(Results::Passes(vec![pass]));
    evil.command = vec![attack(), attack()];
    evil.tool = attack();
    evil.machine.cpu = attack();
    evil.machine.kernel = attack();
    let (page, sections) =
        page_of(&[evil, record(Results::HitRatio(serde_json::from_value(hit_ratio).unwrap()))], ATTACK);
    let names = elements(&page);
    assert!(names.iter().all(|name| name != "script" && name != "img"), "{names:?}");
    assert!(!page.contains('\u{0}'));
    for (index, section) in sections.iter().enumerate() {
        for placed in plots::placed_in(index, section) {
            let svg = canvas::svg(&plots::Picture(placed.figure)).unwrap();
            assert!(elements(&svg).iter().all(|name| name != "script" && name != "img"));
            assert!(
                placed.name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-'),
                "{}",
                placed.name
            );
        }
    }
}

#[test]
fn bad_news_stand_at_the_top() {
    let pass = Report {
        complete: false,
        failure: Some("the server died".to_owned()),
        wrong: 2,
        wrong_shown: vec!["key 7: wrong byte at 50".to_owned()],
        errors: BTreeMap::from([("OOM".to_owned(), 3)]),
        lost: 4,
        ..Report { name: "run".to_owned(), ..Report::default() }
    };
    let (page, _) = page_of(&[record(Results::Passes(vec![pass]))], "Title");
    elements(&page);
    let top = page.split("<nav").next().unwrap();
    for words in ["the server died", "2 WRONG VALUES (key 7: wrong byte at 50)", "ended early", "OOM 3", "4 keys"] {
        assert!(top.contains(words), "{words:?} is missing at the top");
    }
}

#[test]
fn an_empty_result_is_a_page_without_figures() {
    let empty = Report { name: "run".to_owned(), complete: true, ..Report::default() };
    let (page, _) = page_of(&[record(Results::Passes(vec![empty])), record(Results::Passes(Vec::new()))], "Title");
    assert!(!elements(&page).contains(&"figure".to_owned()));
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn plots_are_files_and_the_png_has_ink() {
    let folder = tempfile::tempdir().unwrap();
    let sections = [section_of(&record(Results::Passes(vec![full_pass("run")])))];
    let files = plots::write(folder.path(), true, &sections).unwrap();
    assert_eq!(files.len(), 14);
    let first = files.iter().find(|file| file.extension().is_some_and(|ending| ending == "png")).unwrap();
    let decoder = png::Decoder::new(std::io::BufReader::new(open(first)));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.width, 2 * lines::WIDTH as u32);
    let inked = pixels.chunks(3).filter(|pixel| pixel[0] < 128).count();
    assert!(inked > 1_000, "text and lines are there: {inked} dark pixels");
}

#[expect(clippy::disallowed_methods, reason = "a picture that this test has written")]
fn open(path: &std::path::Path) -> std::fs::File {
    std::fs::File::open(path).unwrap()
}
