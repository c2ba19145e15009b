//! What survives a power cut or a kill, and what may not.

use std::io::ErrorKind;
use std::time::Duration;

use thermocline_io::{Disk, FaultDisk, Faults};

use super::{BLOCK, MIB, complete, disk, stored, submit, sync, write};

/// Runs a story under many seeds and counts in how many it answered yes.
fn seeds_with(story: impl Fn(u64) -> bool) -> usize {
    (0..200).filter(|&seed| story(seed)).count()
}

#[test]
fn a_durable_write_survives_the_cut_and_vouches_for_itself_alone() {
    let lost = seeds_with(|seed| {
        let disk = disk(seed);
        let file = disk.create("segment", MIB).unwrap();
        let mut queue = disk.queue().unwrap();
        complete(&mut *queue, write(1, file, 0, 1, false)).result.unwrap();
        complete(&mut *queue, write(2, file, 1, 2, true)).result.unwrap();
        disk.power_cut();
        assert_eq!(stored(&disk, file, 1), [2; BLOCK]);
        stored(&disk, file, 0) != [1; BLOCK]
    });
    assert!((20..180).contains(&lost), "{lost} of 200 lost the plain write");
}

#[test]
fn a_sync_covers_what_had_completed_when_it_was_submitted() {
    let lost = seeds_with(|seed| {
        let disk = disk(seed);
        let file = disk.create("segment", MIB).unwrap();
        let mut queue = disk.queue().unwrap();
        complete(&mut *queue, write(1, file, 0, 1, false)).result.unwrap();
        // The second write completes while the sync is under way.
        queue.submit(sync(2, file)).unwrap();
        disk.write_at(file, BLOCK as u64, &[2; BLOCK]).unwrap();
        let mut done = Vec::new();
        queue.wait(Duration::from_secs(1), &mut done).unwrap();
        assert!(done[0].result.is_ok());
        disk.power_cut();
        assert_eq!(stored(&disk, file, 0), [1; BLOCK]);
        stored(&disk, file, 1) != [2; BLOCK]
    });
    assert!((20..180).contains(&lost), "{lost} of 200 lost the later write");
}

#[test]
fn an_older_plain_write_never_wins_over_a_durable_one() {
    seeds_with(|seed| {
        let disk = disk(seed);
        let file = disk.create("segment", MIB).unwrap();
        disk.write_at(file, 100, &[1; 3 * BLOCK]).unwrap();
        let mut queue = disk.queue().unwrap();
        complete(&mut *queue, write(1, file, 1, 2, true)).result.unwrap();
        disk.power_cut();
        assert_eq!(stored(&disk, file, 1), [2; BLOCK], "seed {seed}");
        true
    });
}

#[test]
fn a_cut_tears_writes_at_sectors_and_pages() {
    let (mut by_sector, mut by_page, mut whole, mut none) = (0, 0, 0, 0);
    for seed in 0..400 {
        let disk = disk(seed);
        let file = disk.create("segment", MIB).unwrap();
        disk.write_at(file, 0, &[1; 4 * BLOCK]).unwrap();
        disk.power_cut();
        let sectors: Vec<bool> = (0..4)
            .flat_map(|block| {
                stored(&disk, file, block).chunks(512).map(|sector| sector == [1; 512]).collect::<Vec<_>>()
            })
            .collect();
        let pages_whole = sectors.chunks(8).all(|page| page.iter().all(|&kept| kept == page[0]));
        match (sectors.iter().filter(|&&kept| kept).count(), pages_whole) {
            (0, _) => none += 1,
            (32, _) => whole += 1,
            (_, true) => by_page += 1,
            (_, false) => by_sector += 1,
        }
    }
    assert!(
        [by_sector, by_page, whole, none].into_iter().all(|count| count > 20),
        "{by_sector} {by_page} {whole} {none}"
    );
}

#[test]
fn requests_complete_in_many_orders() {
    let orders: std::collections::BTreeSet<Vec<u64>> = (0..200)
        .map(|seed| {
            let disk = disk(seed);
            let file = disk.create("segment", MIB).unwrap();
            let mut queue = disk.queue().unwrap();
            (0..3).for_each(|tag| submit(&mut *queue, write(tag, file, tag, 1, false)));
            assert_eq!(disk.outstanding(), 3);
            let mut done = Vec::new();
            assert_eq!(queue.reap(&mut done).unwrap(), 0, "completions come from steps alone");
            while disk.step() {}
            assert_eq!(queue.reap(&mut done).unwrap(), 3);
            done.iter().map(|completion| completion.tag).collect()
        })
        .collect();
    assert_eq!(orders.len(), 6, "all orders of three");
}

#[test]
fn what_is_in_flight_at_a_crash_happens_or_not_and_is_never_answered() {
    for (cut, whole_only) in [(FaultDisk::power_cut as fn(&FaultDisk), false), (FaultDisk::kill, true)] {
        let landed = seeds_with(|seed| {
            let disk = disk(seed);
            let file = disk.create("segment", MIB).unwrap();
            let mut queue = disk.queue().unwrap();
            submit(&mut *queue, write(1, file, 0, 1, true));
            cut(&disk);
            assert_eq!((disk.outstanding(), queue.in_flight(), disk.step()), (0, 0, false));
            let mut done = Vec::new();
            assert_eq!(queue.wait(Duration::from_secs(1), &mut done).unwrap(), 0);
            let answer = complete(&mut *queue, sync(2, file));
            assert_eq!(answer.result.unwrap_err().kind(), ErrorKind::BrokenPipe, "the queue is dead");
            let found = stored(&disk, file, 0);
            assert!(!whole_only || found == [0; BLOCK] || found == [1; BLOCK]);
            assert!(complete(&mut *disk.queue().unwrap(), sync(3, file)).result.is_ok());
            found == [1; BLOCK]
        });
        assert!((20..180).contains(&landed), "{landed} of 200 landed");
    }
}

#[test]
fn a_kill_keeps_completed_writes_but_a_later_cut_may_not() {
    let lost = seeds_with(|seed| {
        let disk = disk(seed);
        let file = disk.create("segment", MIB).unwrap();
        disk.write_at(file, 0, &[1; BLOCK]).unwrap();
        disk.kill();
        assert_eq!(stored(&disk, file, 0), [1; BLOCK]);
        disk.power_cut();
        stored(&disk, file, 0) != [1; BLOCK]
    });
    assert!((20..180).contains(&lost), "{lost} of 200 lost it");
}

#[test]
fn names_survive_unless_the_directory_sync_is_lost() {
    let story = |seed, faults| {
        let disk = FaultDisk::new(4 * MIB, seed, Faults::default());
        for name in ["kept", "gone", "old"] {
            disk.create(name, 4096).unwrap();
        }
        disk.set_faults(faults);
        disk.remove("gone").unwrap();
        disk.rename("old", "new").unwrap();
        disk.create("fresh", 4096).unwrap();
        disk.power_cut();
        let names: Vec<String> = disk.list().unwrap().into_iter().map(|entry| entry.name).collect();
        names.join(" ")
    };
    seeds_with(|seed| {
        assert_eq!(story(seed, Faults::default()), "fresh kept new");
        true
    });
    let lossy = Faults { lose_directory_sync: 1.0, ..Faults::default() };
    let found: std::collections::BTreeSet<String> = (0..200).map(|seed| story(seed, lossy)).collect();
    let expected = ["fresh kept new", "gone kept old", "kept new", "kept old"].map(str::to_owned);
    assert!(found.into_iter().eq(expected), "every prefix of the changes, nothing else");
}
