//! The simulation must be able to fail: bugs planted in the engine are found.
//!
//! Promises: each of these is noticed within 2,000 seeds. Never: a bug that needs luck (those are for `simulate --bugs`).

use thermocline::planted::Bug;
use thermocline_simulate::{Profile, Settings, seeds_until_found};

fn is_found(bug: Bug) {
    thermocline_simulate::campaign::catch_panics();
    let found = seeds_until_found(bug, Settings::default(), 1, 2_000, 2);
    assert!(found.is_some(), "{bug:?} was not noticed in 2,000 seeds");
}

#[test]
fn an_early_acknowledgement_is_found() {
    is_found(Bug::AckEarly);
}

#[test]
fn a_map_written_without_waiting_for_its_causes_is_found() {
    is_found(Bug::MapWithoutCauses);
}

#[test]
fn a_victim_reused_without_a_younger_map_is_found() {
    is_found(Bug::ReuseWithoutMap);
}

#[test]
fn a_partial_group_that_is_kept_is_found() {
    is_found(Bug::PartialGroup);
}

#[test]
fn a_forgotten_cut_is_found() {
    is_found(Bug::ForgetCuts);
}

#[test]
fn a_reuse_without_a_new_epoch_is_found() {
    is_found(Bug::NoNewEpoch);
}

#[test]
fn a_stream_that_goes_on_behind_a_cut_is_found() {
    is_found(Bug::AppendAfterCut);
}

#[test]
fn a_read_that_answers_for_a_newer_version_is_found() {
    is_found(Bug::FlightJoinedAcrossOverwrite);
}

#[test]
fn a_seq_taken_before_the_latch_is_found() {
    is_found(Bug::SeqBeforeLatch);
}

#[test]
fn names_that_are_not_synced_are_found() {
    is_found(Bug::NoDirectorySync);
}

#[test]
fn a_recovery_that_builds_on_what_is_only_visible_is_found() {
    is_found(Bug::NoRecoverySync);
}

#[test]
fn a_copy_of_what_has_died_is_found() {
    is_found(Bug::GcCopyAfterDeath);
}

#[test]
fn an_expiry_by_the_clock_alone_is_found() {
    is_found(Bug::ExpiredByTime);
}

#[test]
fn damage_that_is_not_told_is_found() {
    is_found(Bug::QuietDamage);
}

#[test]
fn a_damaged_record_that_is_served_is_found_on_a_disk_that_damages() {
    thermocline_simulate::campaign::catch_panics();
    let settings = Settings { profile: Profile::Media, ..Settings::default() };
    assert!(seeds_until_found(Bug::SkipCrc, settings, 1, 2_000, 2).is_some());
}
