//! This file holds a hub to the model of it, transition by transition, under loads of each kind.

use agentcom_core::testing::model::machine::{Ageing, Caps, Machine, Queue, Scheduler, Whims};
use proptest::test_runner::Config;
use proptest_state_machine::prop_state_machine;

prop_state_machine! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn tasks_live_as_in_the_model(sequential 1..120 => Machine<Queue>);

    #[test]
    fn work_is_given_out_as_in_the_model(sequential 1..120 => Machine<Scheduler>);

    #[test]
    fn lanes_age_as_in_the_model(sequential 1..120 => Machine<Ageing>);

    #[test]
    fn caps_and_rates_hold_back_as_in_the_model(sequential 1..120 => Machine<Caps>);

    #[test]
    fn a_policy_that_refuses_is_obeyed_as_in_the_model(sequential 1..120 => Machine<Whims>);
}
