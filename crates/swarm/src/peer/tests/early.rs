//! Caps, and an end before the end.

use super::*;

/// A cap under which a piece takes so long.
fn cap(piece: Duration) -> Option<u64> {
    Some(PIECE * 1000 / piece.as_millis() as u64)
}

const SECOND: Duration = Duration::from_secs(1);

fn seeder_with(upload: Option<u64>) -> Bench {
    let mut bench = Bench::limited(40, true, 64, Limits { upload, download: None });
    bench.start(40, true);
    bench.actions.clear();
    bench
}

fn ask(bench: &mut Bench, rank: u32, number: u32, first: u32, count: u32) {
    let pieces = span(first, count);
    bench.from(rank, Between::Request { number: RequestNumber(number), pieces, gained: vec![] });
}

#[test]
fn a_capped_holder_promises_one_piece_and_gives_the_rest_back() {
    let mut bench = seeder_with(cap(SECOND));
    ask(&mut bench, 7, 1, 0, 10);
    let (to, ack) = bench.take_ack().unwrap();
    assert_eq!((to, ack.follows, ack.refused), (Rank(7), span(0, 1), vec![]));
    assert!(bench.sent().is_empty(), "it is not paid for yet");
    bench.pass(SECOND - Duration::from_millis(1));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn askers_of_a_capped_holder_take_turns() {
    let mut bench = seeder_with(cap(SECOND));
    for rank in [9, 7, 8] {
        ask(&mut bench, rank, 1, rank, 1);
        ask(&mut bench, rank, 2, 10 + rank, 1);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        bench.pass(SECOND);
        for (to, transfer) in bench.sent() {
            order.push(to.0);
            bench.event(PeerEvent::Sent(transfer.unwrap()));
        }
    }
    assert_eq!(order, [9, 7, 8, 9, 7, 8]);
}

#[test]
fn askers_that_hang_hold_up_nobody_else_for_long() {
    // A quarter of 16 pieces may be acknowledged and not have left.
    let mut bench = Bench::opening(64, true, 16);
    bench.start(64, true);
    for rank in [7, 8] {
        ask(&mut bench, rank, 0, 4 * rank, 3);
        assert_eq!(bench.take_ack().unwrap().0, Rank(rank));
    }
    assert_eq!(bench.sent().len(), 6);
    ask(&mut bench, 9, 0, 0, 2);
    assert!(bench.take_ack().is_none(), "enough is on its way");
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.take_ack().unwrap().0, Rank(9));
    assert_eq!(bench.sent().iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [9, 9]);
}

#[test]
fn what_waits_for_a_cap_can_still_be_taken_back() {
    let mut bench = seeder_with(cap(SECOND));
    ask(&mut bench, 7, 1, 0, 1);
    bench.from(7, Between::Cancel(RequestNumber(1)));
    assert_eq!(bench.sent(), [(Rank(7), None)], "withdrawn at once");
}

#[test]
fn a_piece_that_was_given_back_is_asked_again_of_its_holder() {
    let mut bench = Bench::new(3, false);
    bench.holder(7, span(0, 3));
    let (_, number, pieces) = bench.take_request().unwrap();
    assert_eq!(pieces, span(0, 3));
    bench.ack(7, number.0, span(0, 1));
    let (to, _, pieces) = bench.take_request().unwrap();
    assert_eq!((to, pieces), (Rank(7), span(1, 2)));
}

#[test]
fn a_piece_that_was_refused_is_not_asked_again_of_its_holder() {
    let mut bench = Bench::new(3, false);
    bench.holder(7, span(0, 3));
    let (_, request, _) = bench.take_request().unwrap();
    let ack = Ack {
        request,
        follows: span(0, 1),
        refused: span(1, 1),
        gained: vec![],
        sent: vec![],
        backlog: 0,
    };
    bench.from(7, Between::Ack(ack));
    let (_, _, pieces) = bench.take_request().unwrap();
    assert_eq!(pieces, span(2, 1));
}

#[test]
fn a_capped_asker_asks_for_what_is_paid_for() {
    let download = cap(SECOND);
    let mut bench = Bench::limited(40, false, 64, Limits { upload: None, download });
    bench.start(40, false);
    bench.holder(7, span(0, 40));
    assert!(bench.take_request().is_none());
    bench.pass(SECOND);
    let (_, _, pieces) = bench.take_request().unwrap();
    assert_eq!(pieces.iter().map(|span| span.count).sum::<u32>(), 1);
    assert!(bench.take_request().is_none());
}

fn is_interrupted(bench: &mut Bench) -> bool {
    bench.take_said(|said| matches!(said, ToTracker::Interrupted(_)).then_some(())).is_some()
}

#[test]
fn an_interrupted_peer_takes_back_its_requests_serves_on_and_stops() {
    let mut bench = Bench::new(30, false);
    bench.holder(7, span(0, 30));
    let (_, number, _) = bench.take_request().unwrap();
    bench.event(PeerEvent::Interrupt("interrupted by SIGTERM".into()));
    assert!(is_interrupted(&mut bench));
    let cancelled = bench.take(|action| match action {
        PeerAction::Send { message: Message::Between(Between::Cancel(number)), .. } => {
            Some(*number)
        }
        _ => None,
    });
    assert_eq!(cancelled, Some(number));
    assert!(!bench.has_stopped(), "what was acknowledged may yet come");
    bench.ack(7, number.0, vec![]);
    bench.event(PeerEvent::Sealed(Ok(())));
    assert!(bench.has_stopped() && bench.take_request().is_none());
    // It has the last 30 but one.
    bench.event(PeerEvent::Interrupt("interrupted by SIGTERM".into()));
    assert!(!is_interrupted(&mut bench), "it is said once");
}

#[test]
fn finish_in_mid_transfer_is_answered_with_stop_at_once_and_counters_after() {
    let mut bench = Bench::new(3, false);
    bench.holder(7, span(0, 3));
    let (_, number, _) = bench.take_request().unwrap();
    bench.ack(7, number.0, span(0, 3));
    let transfers: Vec<_> = std::iter::from_fn(|| bench.take_receive()).collect();
    bench.piece_comes(transfers[0].0);
    bench.tracker(FromTracker::Finish { outcome: Outcome::Failed, lost: false });
    let gains = bench.take_update().expect("what it has is told");
    assert_eq!(gains.have_bytes, PIECE);
    assert!(bench.has_stopped());
    let closes = |action: &PeerAction| matches!(action, PeerAction::Close(_)).then_some(());
    assert!(bench.take(closes).is_none(), "two pieces are on their way");
    for (transfer, _) in &transfers[1..] {
        bench.event(PeerEvent::Received(*transfer, 0));
    }
    assert!(bench.take(closes).is_some());
    bench.event(PeerEvent::Closed);
    let counters = bench.take_said(|said| match said {
        ToTracker::Counters(counters) => Some(*counters),
        _ => None,
    });
    assert_eq!(counters.unwrap().bytes_delivered, PIECE);
}
