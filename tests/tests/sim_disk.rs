//! This file runs a slice of `cargo xtask sim-disk` with the other tests.

use agentcom_tests::sim_disk::{
    Base, Files, Interrupted, Losses, Rot, Work, fail_each_call, interrupt, lose_power,
    lose_power_under_a_hub, rot,
};

#[tokio::test]
async fn a_power_loss_at_any_moment_loses_nothing_that_was_confirmed() {
    let mut told = Losses::default();
    for seed in 0..10 {
        told.add(lose_power(seed, 6, None).await);
    }
    assert_eq!(told.found, Vec::<String>::new());
    assert!(told.losses > 60 && told.in_recovery > 0 && told.acknowledged > 100, "{told:?}");
}

#[tokio::test]
async fn a_power_loss_under_a_hub_loses_no_task_that_was_acknowledged() {
    let told = lose_power_under_a_hub(3, 8).await;
    assert_eq!(told.found, Vec::<String>::new());
    assert!(told.losses == 8 && told.acknowledged > 20, "{told:?}");
}

#[tokio::test]
async fn a_disk_that_lies_about_one_sync_in_five_is_caught() {
    for seed in 0..100 {
        if !lose_power(seed, 6, Some(5)).await.found.is_empty() {
            return;
        }
    }
    panic!("a hundred disks that lie went unnoticed");
}

#[tokio::test]
async fn a_call_that_fails_stops_the_store_and_a_restart_mends_it() {
    let told = fail_each_call((0..500).step_by(83)).await;
    assert_eq!(told.found, Vec::<String>::new());
    assert!(told.failures > 30 && told.by_call.len() >= 3, "{told:?}");
}

#[tokio::test]
async fn upkeep_that_is_interrupted_leaves_the_old_file_or_the_new_one() {
    let files = Files::new(0).await;
    let mut told = Interrupted::default();
    for work in Work::ALL {
        told.add(interrupt(&files, work, 24, 12, None).await);
    }
    assert_eq!(told.found, Vec::<String>::new());
    assert!(told.by_work.len() == 4 && told.losses > 300, "{told:?}");
}

#[tokio::test]
async fn a_file_system_that_lies_about_syncs_is_caught() {
    let files = Files::new(0).await;
    for work in Work::ALL {
        let told = interrupt(&files, work, 0, 40, Some(1)).await;
        assert_ne!(told.found, Vec::<String>::new(), "{work:?}");
    }
}

#[tokio::test]
async fn damage_is_reported_and_never_read_as_data() {
    let bases = [Base::new(0).await, Base::new(1).await];
    let mut told = Rot::default();
    for seed in 0..150 {
        told.add(rot(&bases[seed as usize / 4 % 2], seed).await);
    }
    assert_eq!(told.found, Vec::<String>::new());
    assert!(told.reported > 50 && told.unharmed > 5, "{told:?}");
}

#[tokio::test]
async fn a_whole_record_of_another_table_in_a_torn_page_is_not_taken_for_a_row() {
    let told = rot(&Base::new(3).await, 1_000_013).await;
    assert_eq!((told.reported, told.found), (1, vec![]));
}
