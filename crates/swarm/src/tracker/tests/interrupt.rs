//! A job that is interrupted.

use super::*;

const WHY: &str = "interrupted by SIGINT";

fn interrupt(bench: &mut Bench) {
    bench.event(TrackerEvent::Interrupt(WHY.into()));
}

fn ticks(bench: &mut Bench, millis: u64) {
    (0..millis / 10).for_each(|_| bench.pass(Duration::from_millis(10)));
}

fn reports(bench: &Bench) -> usize {
    let is_report = |action: &&TrackerAction| matches!(action, TrackerAction::Report(_));
    bench.actions.iter().filter(is_report).count()
}

fn is_finish(message: &FromTracker, is_lost: bool) -> bool {
    matches!(message, FromTracker::Finish { outcome: Outcome::Failed, lost } if *lost == is_lost)
}

#[test]
fn all_are_told_at_once_and_where_all_answer_the_report_comes_then() {
    let mut bench = Bench::new(3);
    bench.sent(1);
    bench.sent(2);
    interrupt(&mut bench);
    assert!(matches!(&bench.sent(1)[..], [finish] if is_finish(finish, false)));
    bench.say(2, gained(0, 10));
    bench.say(2, stop(1));
    bench.say(2, ToTracker::Counters(Counters { bytes_received: 7, ..Counters::default() }));
    assert_eq!(reports(&bench), 0);
    bench.say(1, ToTracker::Counters(Counters::default()));
    let report = bench.report().unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.reasons[0].to_string().starts_with(WHY), "{report:?}");
    let states: Vec<_> = report.peers.iter().map(|row| (row.state, row.reason.clone())).collect();
    assert_eq!(states, [(PeerState::Complete, None), (PeerState::Incomplete, Some(WHY.into()))]);
    assert_eq!(report.peers[1].counters.bytes_received, 7);
    assert!(bench.tracker.has_ended() && !bench.tracker.has_lost());
}

#[test]
fn the_report_does_not_wait_for_a_rank_that_does_not_answer_and_the_end_not_for_long() {
    let mut bench = Bench::new(3);
    interrupt(&mut bench);
    bench.say(1, ToTracker::Counters(Counters::default()));
    ticks(&mut bench, 150);
    assert_eq!(reports(&bench), 1, "a launcher may kill all after 200 ms");
    assert!(!bench.tracker.has_ended());
    bench.sent(1);
    ticks(&mut bench, 2000);
    assert!(matches!(&bench.sent(1)[..], [finish, FromTracker::End] if is_finish(finish, true)));
    assert_eq!(reports(&bench), 1);
    assert!(bench.tracker.has_lost(), "nobody waits in MPI for a rank that may be stuck");
}

#[test]
fn before_start_a_report_says_that_nothing_was_transferred() {
    let mut bench = Bench::gathering(3);
    bench.introduce(1);
    interrupt(&mut bench);
    ticks(&mut bench, 150);
    let report = bench.report().unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.reasons[0].to_string().contains("before anything was transferred"));
    assert!(report.peers.iter().all(|row| row.state == PeerState::Incomplete));
    // The last INIT is too late.
    bench.introduce(2);
    assert!(bench.sent(2).iter().all(|message| !matches!(message, FromTracker::Start(_))));
}

#[test]
fn a_job_that_was_complete_but_for_the_last_words_is_complete() {
    let mut bench = Bench::new(3);
    interrupt(&mut bench);
    let entries = vec![Span { first: 0, count: 1 }];
    bench.say(2, ToTracker::Update(Gains { entries, ..Gains::default() }));
    bench.sent(1);
    for rank in [1, 2] {
        bench.say(rank, ToTracker::Counters(Counters::default()));
    }
    assert_eq!(bench.report().unwrap().outcome, Outcome::Complete);
    let told = bench.sent(1);
    let outcome = Outcome::Complete;
    assert_eq!(told, [FromTracker::Finish { outcome, lost: false }, FromTracker::End]);
}

#[test]
fn one_rank_that_leaves_is_named_and_makes_the_job_failed() {
    let mut bench = Bench::new(4);
    bench.say(2, ToTracker::Interrupted("interrupted by SIGTERM".into()));
    bench.say(2, stop(0));
    let entries = vec![Span { first: 0, count: 1 }];
    bench.say(3, ToTracker::Update(Gains { entries, ..Gains::default() }));
    bench.say(3, stop(1));
    bench.say(1, stop(0));
    (1..4).for_each(|rank| bench.say(rank, ToTracker::Counters(Counters::default())));
    let report = bench.report().unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(
        report.reasons[0].to_string().starts_with("rank 2 interrupted by SIGTERM; "),
        "{report:?}"
    );
    assert_eq!(report.peers[2].state, PeerState::Complete);
}
