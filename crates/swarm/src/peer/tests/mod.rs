//! The rules that a peer keeps towards holders, askers and the tracker, one event at a time.

mod early;

use super::*;
use crate::message::{Ack, HolderPieces, PieceSet, RequestNumber, Start};
use crate::{Held, Offer, Origin, Purpose};
use content::{Bitfield, Entry, FileContent, Geometry, Hash, Kind, Metadata, Name};
use content::{EntryIndex, PieceId, PieceLayer, PieceLen, Span, Timestamp};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const PIECE: u64 = 16 * 1024;

fn layer(pieces: u32) -> PieceLayer {
    let geometry = Geometry::new(u64::from(pieces) * PIECE, PieceLen::MIN);
    let hashes = (0..pieces).map(|piece| Hash([piece as u8; 32])).collect();
    PieceLayer::new(geometry, hashes).unwrap()
}

fn file(pieces: u32) -> Entry {
    let layer = layer(pieces);
    let content = FileContent::hashed(&layer);
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    Entry {
        name: Name::new("f").unwrap(),
        kind: Kind::File(content),
        metadata: Metadata::new(0o644, modified),
    }
}

fn span(first: u32, count: u32) -> Vec<Span> {
    vec![Span { first, count }]
}

/// A peer with what it wanted done since the last look.
struct Bench {
    peer: Peer,
    now: Instant,
    actions: Vec<PeerAction>,
}

impl Bench {
    /// Rank 1 of many, after START: it wants a file of so many pieces, or shares it.
    fn new(pieces: u32, shares: bool) -> Self {
        let mut bench = Self::opening(pieces, shares, 64);
        bench.start(pieces, shares);
        bench
    }

    /// The same before START; it reads so many pieces ahead.
    fn opening(pieces: u32, shares: bool, ahead: u64) -> Self {
        Self::limited(pieces, shares, ahead, Limits::default())
    }

    fn limited(pieces: u32, shares: bool, ahead: u64, limits: Limits) -> Self {
        let config = PeerConfig {
            rank: Rank(1),
            ranks: 100,
            tracker: Rank(0),
            batch: 10,
            window_bytes: 160 * PIECE,
            upload_window_bytes: ahead * PIECE,
            entry_bytes: 0,
            limits,
            delete: false,
            purpose: Purpose::Transfer,
            patience: PATIENCE,
        };
        let peer = Peer::new(config, Instant::ZERO);
        let mut bench = Self { peer, now: Instant::ZERO, actions: Vec::new() };
        let offer = Offer { entry: file(pieces), held: Held::Whole, origin: Origin::Share(0) };
        let offered = Offered { offer, layer: Some(layer(pieces).prove().into()) };
        bench.event(PeerEvent::Offered(if shares { vec![offered] } else { vec![] }));
        bench
    }

    fn start(&mut self, pieces: u32, shares: bool) {
        self.tracker(FromTracker::Entries([file(pieces)].into()));
        self.tracker(FromTracker::Wanted(if shares { vec![] } else { span(0, 1) }));
        self.tracker(FromTracker::Start(Start { entry_count: 1, admitted: true }));
        if !shares {
            let mut known = Bitfield::new(pieces);
            known.remove(0);
            let found = Surveyed::Partial(known);
            let whole = layer(pieces).prove();
            self.session().pieces.hashes_mut().know(EntryIndex(0), whole);
            self.event(PeerEvent::Surveyed(EntryIndex(0), Ok(found)));
            while let Some(piece) = self.take(|action| match action {
                PeerAction::Salvage(piece, _) => Some(*piece),
                _ => None,
            }) {
                self.event(PeerEvent::Salvaged(piece, Ok(Salvaged::Absent)));
            }
        } else {
            self.event(PeerEvent::Sealed(Ok(())));
        }
    }

    fn session(&mut self) -> &mut Session {
        self.peer.session_mut().expect("START has come")
    }

    fn event(&mut self, event: PeerEvent) {
        self.actions.extend(self.peer.handle(self.now, event));
        self.peer.check_invariants();
    }

    fn hear(&mut self, from: Rank, message: Message) {
        let envelope = Envelope { epoch: Epoch(0), message };
        self.event(PeerEvent::Message { from, envelope });
    }

    fn tracker(&mut self, message: FromTracker) {
        self.hear(Rank(0), Message::FromTracker(message));
    }

    fn from(&mut self, rank: u32, message: Between) {
        self.hear(Rank(rank), Message::Between(message));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.event(PeerEvent::Tick);
    }

    /// The tracker names a holder of some pieces.
    fn holder(&mut self, rank: u32, pieces: Vec<Span>) {
        let holder = HolderPieces { rank: Rank(rank), pieces: PieceSet::Runs(pieces) };
        let (holders, gone) = (vec![holder], vec![]);
        self.tracker(FromTracker::Holders { question: 1, holders, gone, last: true });
    }

    fn ack(&mut self, rank: u32, number: u32, follows: Vec<Span>) {
        let request = RequestNumber(number);
        let ack =
            Ack { request, follows, refused: vec![], gained: vec![], sent: vec![], backlog: 0 };
        self.from(rank, Between::Ack(ack));
    }

    /// Takes the first action that is of a kind.
    fn take<T>(&mut self, kind: impl Fn(&PeerAction) -> Option<T>) -> Option<T> {
        let at = self.actions.iter().position(|action| kind(action).is_some())?;
        kind(&self.actions.remove(at))
    }

    fn take_request(&mut self) -> Option<(Rank, RequestNumber, Vec<Span>)> {
        self.take(|action| match action {
            PeerAction::Send {
                to,
                message: Message::Between(Between::Request { number, pieces, .. }),
            } => Some((*to, *number, pieces.clone())),
            _ => None,
        })
    }

    fn take_receive(&mut self) -> Option<(TransferId, PieceId)> {
        self.take(|action| match action {
            PeerAction::Receive { transfer, pieces, .. } => {
                Some((*transfer, PieceId(pieces.first)))
            }
            _ => None,
        })
    }

    fn take_ack(&mut self) -> Option<(Rank, Ack)> {
        self.take(|action| match action {
            PeerAction::Send { to, message: Message::Between(Between::Ack(ack)) } => {
                Some((*to, ack.clone()))
            }
            _ => None,
        })
    }

    fn take_said<T>(&mut self, kind: impl Fn(&ToTracker) -> Option<T>) -> Option<T> {
        self.take(|action| match action {
            PeerAction::Send { message: Message::ToTracker(message), .. } => kind(message),
            _ => None,
        })
    }

    fn take_update(&mut self) -> Option<Gains> {
        self.take_said(|said| match said {
            ToTracker::Update(gains) => Some(gains.clone()),
            _ => None,
        })
    }

    fn has_stopped(&mut self) -> bool {
        self.take_said(|said| matches!(said, ToTracker::Stop(_)).then_some(())).is_some()
    }

    /// A posted receive gets its piece, which is written.
    fn piece_comes(&mut self, transfer: TransferId) {
        self.event(PeerEvent::Received(transfer, PIECE as u32));
        self.stored(transfer, Stored::Written);
    }

    /// All that was to be stored of a transfer was stored so.
    fn stored(&mut self, transfer: TransferId, how: Stored) {
        let expected = self.take(|action| match action {
            PeerAction::Store { transfer: of, expected, .. } if *of == transfer => {
                Some(expected.clone())
            }
            _ => None,
        });
        let pieces = expected.expect("it came").into_iter().map(|(piece, _)| (piece, Ok(how)));
        self.event(PeerEvent::Stored(transfer, pieces.collect()));
    }

    /// Reads what is to be read, and gives what leaves: to whom, and which piece where it is not
    /// withdrawn.
    fn sent(&mut self) -> Vec<(Rank, Option<TransferId>)> {
        while let Some(transfer) = self.take(|action| match action {
            PeerAction::Load { transfer, .. } => Some(*transfer),
            _ => None,
        }) {
            self.event(PeerEvent::Loaded(transfer, Ok(())));
        }
        let mut sent = Vec::new();
        while let Some(one) = self.take(|action| match action {
            PeerAction::SendPiece { to, transfer } => Some((*to, Some(*transfer))),
            PeerAction::Withdraw { to, .. } => Some((*to, None)),
            _ => None,
        }) {
            sent.push(one);
        }
        sent
    }
}

#[test]
fn a_holder_is_asked_for_ten_pieces_and_then_for_ten_more() {
    let mut bench = Bench::new(64, false);
    bench.holder(7, span(0, 64));
    let (to, number, pieces) = bench.take_request().unwrap();
    assert_eq!((to, number), (Rank(7), RequestNumber(0)));
    assert_eq!(pieces.iter().map(|span| span.count).sum::<u32>(), 10);
    assert_eq!(bench.take_request(), None, "it has not answered");
    bench.ack(7, 0, pieces);
    assert_eq!(bench.take_request().unwrap().1, RequestNumber(1), "the next is ready in time");
    assert_eq!(bench.take_request(), None);
}

#[test]
fn the_tracker_is_told_after_each_batch_and_not_before() {
    let mut bench = Bench::new(64, false);
    bench.holder(7, span(0, 64));
    let (_, _, pieces) = bench.take_request().unwrap();
    bench.ack(7, 0, pieces);
    let transfers: Vec<_> = std::iter::from_fn(|| bench.take_receive()).collect();
    assert_eq!(transfers.len(), 10);
    for (at, (transfer, _)) in transfers.iter().enumerate() {
        assert_eq!(bench.take_update(), None, "after {at} pieces");
        bench.piece_comes(*transfer);
    }
    let told = bench.take_update().unwrap();
    assert_eq!(told.pieces.iter().map(|span| span.count).sum::<u32>(), 10);
    assert_eq!(told.have_bytes, 10 * PIECE);
}

#[test]
fn receives_are_posted_in_the_order_of_the_acknowledgement() {
    let mut bench = Bench::new(4, false);
    bench.holder(7, span(0, 4));
    bench.ack(7, 0, vec![Span { first: 2, count: 2 }, Span { first: 0, count: 1 }]);
    let order: Vec<u32> = std::iter::from_fn(|| bench.take_receive()).map(|(_, p)| p.0).collect();
    assert_eq!(order, [2, 3, 0], "and none for the piece that was refused");
}

#[test]
fn stop_waits_for_whatever_was_acknowledged() {
    let mut bench = Bench::new(1, false);
    bench.holder(7, span(0, 1));
    bench.ack(7, 0, span(0, 1));
    let (slow, _) = bench.take_receive().unwrap();
    bench.pass(Duration::from_secs(4));
    bench.holder(8, span(0, 1));
    bench.pass(Duration::from_secs(2));
    bench.take_request();
    assert_eq!(bench.take_request().unwrap().0, Rank(8), "the slow holder is not waited for");
    bench.ack(8, 1, span(0, 1));
    let (fast, _) = bench.take_receive().unwrap();
    bench.piece_comes(fast);
    bench.event(PeerEvent::Finished(EntryIndex(0), Ok(())));
    assert!(!bench.actions.contains(&PeerAction::Seal) && !bench.has_stopped());
    bench.event(PeerEvent::Received(slow, 0));
    assert!(bench.actions.contains(&PeerAction::Seal));
    bench.event(PeerEvent::Sealed(Ok(())));
    assert!(bench.has_stopped());
}

#[test]
fn a_late_acknowledgement_still_gets_its_receives() {
    let mut bench = Bench::new(2, false);
    bench.holder(7, span(0, 2));
    bench.holder(8, span(0, 2));
    bench.pass(Duration::from_secs(6));
    let cancelled = |action: &PeerAction| match action {
        PeerAction::Send { to, message: Message::Between(Between::Cancel(number)) } => {
            Some((*to, *number))
        }
        _ => None,
    };
    assert_eq!(bench.take(cancelled), Some((Rank(7), RequestNumber(0))));
    bench.ack(7, 0, span(0, 2));
    assert!(bench.take_receive().is_some() && bench.take_receive().is_some());
}

#[test]
fn numbers_that_nothing_has_are_ignored() {
    let mut bench = Bench::new(4, false);
    let beyond = || vec![Span { first: 4, count: 1 }, Span { first: u32::MAX, count: 9 }];
    bench.holder(7, beyond());
    bench.holder(100, span(0, 4));
    assert_eq!(bench.take_request(), None, "rank 100 of 100 is nobody, and rank 7 has nothing");
    bench.holder(7, span(0, 4));
    bench.ack(7, 9, span(0, 4));
    bench.ack(8, 0, span(0, 4));
    assert_eq!(bench.take_receive(), None, "only who was asked answers, to what was asked");
    bench.ack(7, 0, [span(0, 2), beyond(), span(1, 1)].concat());
    assert_eq!(std::iter::from_fn(|| bench.take_receive()).count(), 2);
    bench.from(9, Between::Cancel(RequestNumber(5)));
    bench.from(9, Between::AskHashes { entry: EntryIndex(3), range: 9 });
    let (entry, range) = (EntryIndex(3), layer(4).prove().range(0).cloned());
    bench.from(9, Between::Hashes { entry, index: 0, range });
    bench.from(9, Between::Request { number: RequestNumber(0), pieces: beyond(), gained: vec![] });
    let (_, ack) = bench.take_ack().unwrap();
    assert!(ack.follows.is_empty() && ack.refused.is_empty());
}

#[test]
fn no_more_is_acknowledged_than_leaves_soon() {
    // A quarter of 16 pieces may be acknowledged and not have left.
    let mut bench = Bench::opening(64, true, 16);
    bench.start(64, true);
    for rank in [5, 6, 7] {
        let (number, pieces) = (RequestNumber(0), span(rank * 4, 3));
        bench.from(rank, Between::Request { number, pieces, gained: vec![] });
    }
    let first = bench.sent();
    assert_eq!(first.iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [5, 5, 5, 6, 6, 6]);
    bench.event(PeerEvent::Sent(first[0].1.unwrap()));
    bench.event(PeerEvent::Sent(first[1].1.unwrap()));
    assert_eq!(bench.sent(), [], "four are on their way");
    bench.event(PeerEvent::Sent(first[2].1.unwrap()));
    assert_eq!(bench.sent().iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [7, 7, 7]);
}

#[test]
fn every_acknowledged_piece_is_answered_once_in_that_order() {
    let mut bench = Bench::new(64, true);
    bench
        .from(5, Between::Request { number: RequestNumber(0), pieces: span(0, 3), gained: vec![] });
    bench
        .from(5, Between::Request { number: RequestNumber(1), pieces: span(8, 2), gained: vec![] });
    let mut loads = Vec::new();
    while let Some(load) = bench.take(|action| match action {
        PeerAction::Load { transfer, pieces } => Some((*transfer, PieceId(pieces.first))),
        _ => None,
    }) {
        loads.push(load);
    }
    // They are read in any order, and one was withdrawn.
    bench.from(5, Between::Cancel(RequestNumber(0)));
    for &(transfer, _) in loads.iter().rev() {
        bench.event(PeerEvent::Loaded(transfer, Ok(())));
    }
    let piece_of = |transfer| loads.iter().find(|load| load.0 == transfer).map(|load| load.1.0);
    let sent: Vec<_> = bench.sent().iter().map(|(_, sent)| sent.and_then(piece_of)).collect();
    assert_eq!(sent, [None, None, None, Some(8), Some(9)]);
}

#[test]
fn a_rank_that_was_lost_before_start_came_is_sent_nothing() {
    let mut bench = Bench::opening(4, true, 64);
    bench
        .from(5, Between::Request { number: RequestNumber(0), pieces: span(0, 4), gained: vec![] });
    bench
        .from(6, Between::Request { number: RequestNumber(0), pieces: span(0, 4), gained: vec![] });
    bench.tracker(FromTracker::Lost(Rank(5)));
    bench.start(4, true);
    assert_eq!(bench.take_ack().unwrap().0, Rank(6));
    assert_eq!(bench.take_ack(), None);
}

#[test]
fn a_loss_that_finish_overtakes_does_not_hold_up_the_end() {
    let mut bench = Bench::new(4, true);
    bench
        .from(5, Between::Request { number: RequestNumber(0), pieces: span(0, 4), gained: vec![] });
    assert_eq!(bench.sent().len(), 4, "rank 5 sleeps, and they never leave");
    bench.tracker(FromTracker::Finish { outcome: Outcome::Degraded, lost: true });
    let closes = |action: &PeerAction| matches!(action, PeerAction::Close(_)).then_some(());
    assert_eq!(bench.take(closes), None);
    bench.tracker(FromTracker::Lost(Rank(5)));
    assert_eq!(bench.take(closes), Some(()));
}

#[test]
fn a_holder_whose_pieces_do_not_verify_is_given_up_after_three() {
    let mut bench = Bench::new(64, false);
    bench.holder(7, span(0, 64));
    let (_, _, pieces) = bench.take_request().unwrap();
    bench.ack(7, 0, pieces);
    for _ in 0..3 {
        let (transfer, _) = bench.take_receive().unwrap();
        bench.event(PeerEvent::Received(transfer, PIECE as u32));
        bench.stored(transfer, Stored::Corrupt);
    }
    let shunned = bench.take_said(|said| match said {
        ToTracker::Shun(rank) => Some(*rank),
        _ => None,
    });
    assert_eq!(shunned, Some(Rank(7)));
    bench.take_request();
    bench.holder(7, span(0, 64));
    assert_eq!(bench.take_request(), None, "whatever the tracker says");
}

#[test]
fn a_call_to_settle_is_answered_when_what_was_under_way_is_written() {
    let mut bench = Bench::new(64, false);
    bench.holder(7, span(0, 1));
    bench.ack(7, 0, span(0, 1));
    let (transfer, _) = bench.take_receive().unwrap();
    bench.tracker(FromTracker::Settle(4));
    let settled = |said: &ToTracker| match said {
        ToTracker::Settled(number) => Some(*number),
        _ => None,
    };
    bench.event(PeerEvent::Received(transfer, PIECE as u32));
    assert_eq!(bench.take_said(settled), None);
    bench.stored(transfer, Stored::Written);
    assert_eq!(bench.take_update().unwrap().pieces, span(0, 1), "and after the update");
    assert_eq!(bench.take_said(settled), Some(4));
}
