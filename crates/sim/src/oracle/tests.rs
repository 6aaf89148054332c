//! Every oracle speaks when its promise is broken: a world is tampered with, before it runs or when
//! it is over.

use crate::scenario::Scenario;
use crate::world::World;
use swarm::{Outcome, PeerState};

/// What the oracles say of a job that nothing ails, tampered with.
fn says(before: impl FnOnce(&mut World<'_>), after: impl FnOnce(&mut World<'_>)) -> String {
    let scenario = Scenario::new(6, 60);
    let mut world = World::new(&scenario);
    before(&mut world);
    world.drive(&mut |_| ());
    after(&mut world);
    world.end().finding.map_or_else(String::new, |finding| finding.what)
}

#[track_caller]
fn at_the_end(tamper: impl FnOnce(&mut World<'_>), expected: &str) {
    let said = says(|_| (), tamper);
    assert!(said.contains(expected), "{expected}: {said}");
}

#[track_caller]
fn from_the_beginning(tamper: impl FnOnce(&mut World<'_>), expected: &str) {
    let said = says(tamper, |_| ());
    assert!(said.contains(expected), "{expected}: {said}");
}

fn set_state(world: &mut World<'_>, rank: u32, state: PeerState) {
    let rows = &mut world.report.as_mut().unwrap().peers;
    rows.iter_mut().find(|row| row.rank.0 == rank).unwrap().state = state;
}

#[test]
fn a_job_that_nothing_ails_gives_no_finding() {
    assert_eq!(says(|_| (), |_| ()), "");
}

#[test]
fn a_live_rank_that_lacks_what_others_hold_is_found() {
    at_the_end(
        |world| {
            world.nodes[3].desk.disk.forget(7);
            set_state(world, 3, PeerState::Incomplete);
        },
        "rank 3 lacks",
    );
}

#[test]
fn a_report_that_lies_is_found() {
    at_the_end(|world| world.nodes[4].desk.disk.unname(), "rank 4 is called complete, and is not");
    at_the_end(
        |world| set_state(world, 2, PeerState::Incomplete),
        "rank 2 is complete, and is not called so",
    );
    at_the_end(
        |world| set_state(world, 2, PeerState::Lost),
        "is called lost, and nothing ailed it",
    );
    at_the_end(|world| world.nodes[2].desk.died = Some(0), "rank 2 died, and is not called lost");
    at_the_end(
        |world| world.report.as_mut().unwrap().outcome = Outcome::Failed,
        "the outcome is failed, and nothing is missing",
    );
    at_the_end(|world| drop(world.report.as_mut().unwrap().peers.pop()), "has no row for rank 6");
    at_the_end(|world| world.report = None, "without a report");
}

#[test]
fn pieces_that_come_twice_are_counted() {
    at_the_end(|world| world.duplicates = 1, "1 pieces came twice, and the faults excuse 0");
}

#[test]
fn whatever_grows_beyond_its_limit_is_found() {
    from_the_beginning(|world| world.limits.receiving = 3, "receives or writes");
    from_the_beginning(|world| world.limits.sending = 1, "read or on their way");
    from_the_beginning(|world| world.limits.letters = 1, "messages wait for rank");
    from_the_beginning(|world| world.limits.letters_of_tracker = 1, "messages wait for rank 0");
}

#[test]
fn a_job_that_stands_still_is_ended() {
    from_the_beginning(|world| world.limits.quiet = 10_000, "nothing moved for");
    from_the_beginning(|world| world.limits.quiet_events = 3, "events moved nothing");
}

#[test]
fn a_piece_served_or_named_by_a_rank_that_has_not_got_it_is_found() {
    let forgets = |rank: usize| {
        move |world: &mut World<'_>| {
            // After START, when the disk has begun; nothing has been sent yet.
            while world.started.is_none() || !world.nodes[rank].desk.disk.has_begun() {
                world.step();
            }
            world.nodes[rank].desk.disk.forget(7);
        }
    };
    from_the_beginning(forgets(1), "is to serve piece 7, which it has not got");
}
