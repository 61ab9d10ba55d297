//! This file checks that pages of ended tasks show each once, however many ended together.

use super::*;
use crate::name::GoalId;
use crate::task::Dependency;
use crate::view::TaskQuery;

/// The tasks of all pages of this size, of one state if there is a word for it.
fn listed(rig: &mut Rig, state: &str, limit: usize) -> Vec<TaskId> {
    let states = [state].into_iter().filter(|state| !state.is_empty()).map(Into::into).collect();
    let mut query = TaskQuery { states, limit, ..TaskQuery::default() };
    let mut listed = Vec::new();
    loop {
        let handle = rig.handle.clone();
        let page = rig.ask(handle.tasks(query.clone())).unwrap();
        assert!(page.tasks.len() <= limit);
        listed.extend(page.tasks.iter().map(|task| task.id));
        query.after = page.next;
        if query.after.is_none() {
            return listed;
        }
    }
}

/// Tasks that end together, the first of them by being called off.
fn end_together(rig: &mut Rig, others: usize) -> Vec<TaskId> {
    let (root, _) = rig.submit(draft());
    let after = Draft { depends_on: Vec::from([Dependency::Known(root)]), ..draft() };
    let mut ids = Vec::from([root]);
    ids.extend((0..others).map(|_| rig.submit(after.clone()).0));
    rig.pass(1);
    assert!(matches!(rig.call(Command::Cancel(root)), Ok(Reply::Cancelled { .. })));
    ids
}

fn sorted(mut ids: Vec<TaskId>) -> Vec<TaskId> {
    ids.sort_unstable();
    ids
}

#[test]
fn tasks_that_ended_together_are_all_on_pages_of_any_size() {
    let mut rig = Rig::new();
    let early = end_together(&mut rig, 40);
    rig.pass(1);
    let late = end_together(&mut rig, 2);
    let latest_first = |ids: &[TaskId]| ids.iter().rev().copied().collect::<Vec<_>>();
    let all = [latest_first(&late), latest_first(&early)].concat();
    for limit in [1, 3, 7, 43, 44] {
        assert_eq!(listed(&mut rig, "", limit), all, "pages of {limit}");
    }
    assert_eq!(sorted(listed(&mut rig, "cancelled", 1)), sorted(Vec::from([early[0], late[0]])));
    let rows = rig.disk.rows();
    let index = rows.keys().filter(|key| key.table == Table::EndedIndex).count();
    // Twice by time and by who submitted, and twice by each of two states.
    assert_eq!(index, 8, "those that ended together share rows");
}

#[test]
fn a_task_that_came_back_is_on_no_page_until_it_ends_again_and_then_on_one() {
    let mut rig = Rig::new();
    let ids = end_together(&mut rig, 3);
    let back = ids[2];
    rig.pass(1);
    let revived = rig.call(Command::Revive(Vec::from([back])));
    assert!(matches!(revived, Ok(Reply::Revived { .. })), "{revived:?}");
    assert_eq!(listed(&mut rig, "dead_letter", 1), [ids[3], ids[1]]);
    rig.pass(1);
    assert!(matches!(rig.call(Command::Cancel(back)), Ok(Reply::Cancelled { .. })));
    assert_eq!(listed(&mut rig, "dead_letter", 1), [ids[3], ids[1]]);
    assert_eq!(listed(&mut rig, "", 2), [back, ids[3], ids[1], ids[0]]);
}

#[test]
fn a_task_that_ended_twice_within_a_moment_is_on_a_page_once() {
    let mut rig = Rig::new();
    let ids = end_together(&mut rig, 2);
    let revived = rig.call(Command::Revive(Vec::from([ids[1]])));
    assert!(matches!(revived, Ok(Reply::Revived { .. })), "{revived:?}");
    assert!(matches!(rig.call(Command::Cancel(ids[1])), Ok(Reply::Cancelled { .. })));
    assert_eq!(sorted(listed(&mut rig, "", 10)), sorted(ids));
}

#[test]
fn tasks_of_a_goal_are_found_as_long_as_they_live_and_when_they_have_ended() {
    let mut rig = Rig::new();
    let goal = GoalId::new("goal-1").ok();
    let mut of_goal = draft();
    of_goal.group.goal_id = goal.clone();
    rig.submit(draft());
    let [ended, living] = [(); 2].map(|()| rig.submit(of_goal.clone()).0);
    assert!(rig.call(Command::Cancel(ended)).is_ok());
    let (other, _) = rig.submit(draft());
    assert!(rig.call(Command::Cancel(other)).is_ok());
    let handle = rig.handle.clone();
    let page = rig.ask(handle.tasks(TaskQuery { goal, ..TaskQuery::default() })).unwrap();
    assert_eq!(page.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [living, ended]);
}
