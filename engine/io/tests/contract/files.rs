//! Promises about names, lengths and the blocking side.

use std::io::ErrorKind;

use thermocline_io::Entry;

use super::{MIB, Subject, bytes_of, error_of, read, run_one};

pub fn a_created_file_is_zeros_of_its_length(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 3 * 4096).unwrap();
    assert_eq!(disk.length(file).unwrap(), 3 * 4096);
    let mut bytes = vec![1; 3 * 4096];
    assert_eq!(disk.read_at(file, 0, &mut bytes).unwrap(), bytes.len());
    assert!(bytes.iter().all(|&byte| byte == 0));
    let mut queue = disk.queue().unwrap();
    assert_eq!(bytes_of(run_one(&mut *queue, read(1, file, 4096, 8192))), vec![0; 8192]);
}

pub fn a_name_gives_one_id(subject: Subject) {
    let disk = subject.disk;
    assert_eq!(disk.open("segment").unwrap_err().kind(), ErrorKind::NotFound);
    let file = disk.create("segment", 4096).unwrap();
    assert_eq!(disk.open("segment").unwrap(), file);
    assert_ne!(disk.create("other", 4096).unwrap(), file);
}

pub fn creating_again_empties_the_file_and_keeps_its_id(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 8192).unwrap();
    disk.write_at(file, 0, &[7; 8192]).unwrap();
    assert_eq!(disk.create("segment", 4096).unwrap(), file);
    assert_eq!(disk.length(file).unwrap(), 4096);
    let mut bytes = [9; 8192];
    assert_eq!(disk.read_at(file, 0, &mut bytes).unwrap(), 4096);
    assert!(bytes[..4096].iter().all(|&byte| byte == 0));
}

pub fn files_are_listed_by_name(subject: Subject) {
    let disk = subject.disk;
    for (name, bytes) in [("c", 4096), ("a", 0), ("b", 8192)] {
        disk.create(name, bytes).unwrap();
    }
    if let Some(folder) = &subject.folder {
        let _lock = thermocline_io::lock_directory(folder.path()).unwrap();
    }
    let entry = |name: &str, bytes| Entry { name: name.to_owned(), bytes };
    assert_eq!(disk.list().unwrap(), [entry("a", 0), entry("b", 8192), entry("c", 4096)]);
}

pub fn a_removed_file_is_gone(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("segment", 4096).unwrap();
    disk.remove("segment").unwrap();
    assert_eq!(disk.list().unwrap(), []);
    assert_eq!(disk.remove("segment").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.length(file).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.read_at(file, 0, &mut [0]).unwrap_err().kind(), ErrorKind::NotFound);
    let mut queue = disk.queue().unwrap();
    assert_eq!(error_of(run_one(&mut *queue, read(1, file, 0, 4096))), ErrorKind::NotFound);
    assert_ne!(disk.create("segment", 4096).unwrap(), file, "an id is never reused");
}

pub fn a_renamed_file_keeps_its_id_and_replaces_the_other(subject: Subject) {
    let disk = subject.disk;
    let (old, new) = (disk.create("old", 4096).unwrap(), disk.create("new", 4096).unwrap());
    disk.write_at(new, 0, &[5; 4096]).unwrap();
    disk.rename("new", "old").unwrap();
    assert_eq!(disk.open("old").unwrap(), new);
    assert_eq!(disk.open("new").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.length(old).unwrap_err().kind(), ErrorKind::NotFound);
    let mut bytes = [0; 4096];
    disk.read_at(new, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [5; 4096]);
    disk.rename("old", "old").unwrap();
    assert_eq!(disk.open("old").unwrap(), new);
    assert_eq!(disk.rename("absent", "old").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.open("old").unwrap(), new);
}

pub fn names_that_are_not_plain_are_refused(subject: Subject) {
    let disk = subject.disk;
    for name in ["", "..", "a/b", "LOCK"] {
        for result in [disk.open(name).map(|_| ()), disk.create(name, 1).map(|_| ()), disk.remove(name)] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(disk.rename(name, "x").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

pub fn blocking_calls_take_any_alignment(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("map", 0).unwrap();
    let mut model = Vec::new();
    let mut seed = 1u64;
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for step in 0..200u8 {
        let (offset, bytes) = (below(20_000) as usize, below(10_000) as usize);
        disk.write_at(file, offset as u64, &vec![step; bytes]).unwrap();
        if bytes > 0 {
            model.resize(model.len().max(offset + bytes), 0);
            model[offset..offset + bytes].fill(step);
        }
        assert_eq!(disk.length(file).unwrap(), model.len() as u64, "step {step}");
        let (offset, bytes) = (below(25_000) as usize, below(10_000) as usize);
        let mut found = vec![255; bytes];
        let count = disk.read_at(file, offset as u64, &mut found).unwrap();
        let expected = &model[offset.min(model.len())..(offset + bytes).min(model.len())];
        assert!(found[..count] == *expected, "step {step}");
    }
}

pub fn a_large_blocking_write_arrives_whole(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("map", 0).unwrap();
    let bytes: Vec<u8> = (0..3 * MIB as u32 + 777).map(|at| (at / 1000) as u8).collect();
    disk.write_at(file, 333, &bytes).unwrap();
    let mut found = vec![0; bytes.len() + 100];
    assert_eq!(disk.read_at(file, 333, &mut found).unwrap(), bytes.len());
    assert!(found[..bytes.len()] == bytes);
}

pub fn truncate_cuts_and_grows_with_zeros(subject: Subject) {
    let disk = subject.disk;
    let file = disk.create("map", 0).unwrap();
    disk.write_at(file, 0, &[3; 10_000]).unwrap();
    disk.truncate(file, 5_000).unwrap();
    disk.truncate(file, 10_000).unwrap();
    let mut bytes = vec![9; 10_001];
    assert_eq!(disk.read_at(file, 0, &mut bytes).unwrap(), 10_000);
    assert!(bytes[..5_000].iter().all(|&byte| byte == 3));
    assert!(bytes[5_000..10_000].iter().all(|&byte| byte == 0));
}

pub fn a_create_without_room_leaves_no_file(subject: Subject) {
    let disk = subject.disk;
    assert!(disk.free_bytes().unwrap() > 0);
    assert!(disk.create("large", 1 << 60).is_err());
    assert_eq!(disk.list().unwrap(), []);
}

pub fn the_report_and_the_geometry_agree(subject: Subject) {
    let (geometry, report) = (subject.disk.geometry(), subject.disk.backend());
    assert_eq!(geometry.direct, report.direct);
    assert_eq!(geometry.write_align, 4096);
    assert!(if geometry.direct { [512, 4096].contains(&geometry.read_align) } else { geometry.read_align == 1 });
    assert!(!report.reason.is_empty());
    assert_eq!(subject.disk.queue().unwrap().poll_fd().is_some(), ["uring", "pool"].contains(&report.name));
}
