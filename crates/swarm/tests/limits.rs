//! What does not fit one message travels in parts, and what is too much is refused with a sentence:
//! nothing that a rank says makes another one panic or remember without end.

use content::{Catalogue, Entry, FileContent, Geometry, Hash, Kind, Metadata, Name, PieceLayer};
use content::{PieceLen, Span, Timestamp};
use std::time::Duration;
use swarm::message::{Between, Envelope, Epoch, FromTracker, Gains, Hello, HelloPart, Message};
use swarm::message::{RequestNumber, SharedFs, SharedPath, Start, Stop, ToTracker, WireOffer};
use swarm::peer::{Limits, Offered, Peer, PeerAction, PeerConfig, PeerEvent};
use swarm::tracker::{Spread, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Counters, Extra, Held, Instant, Location, Offer, Origin, Outcome, Purpose, Rank};

const PATIENCE: Duration = Duration::from_secs(30);

fn peer() -> Peer {
    let config = PeerConfig {
        rank: Rank(1),
        ranks: 4,
        tracker: Rank(0),
        batch: 10,
        window_bytes: 1 << 24,
        upload_window_bytes: 1 << 24,
        entry_bytes: 0,
        limits: Limits::default(),
        delete: false,
        purpose: Purpose::Transfer,
        patience: PATIENCE,
    };
    Peer::new(config, Instant::ZERO)
}

fn tracker() -> Tracker {
    tracker_of(2)
}

fn tracker_of(ranks: u32) -> Tracker {
    let rank = Rank::TRACKER;
    let config = TrackerConfig {
        rank,
        ranks,
        colocated: false,
        patience: PATIENCE,
        memory: None,
        sweep: None,
        purpose: Purpose::Transfer,
        spread: Spread::default(),
        seed: 1,
    };
    Tracker::new(config, Instant::ZERO)
}

fn there(path: String) -> SharedPath {
    SharedPath::at(path, vec![Location::on_device("0", "/data".into(), "k")])
}

fn hello(shares: Vec<SharedPath>, wants: Vec<String>) -> Box<Hello> {
    Box::new(Hello {
        host: "host".into(),
        rack: None,
        shares,
        waits_for_read: true,
        shared_fs: SharedFs::No,
        wants,
        wants_own: true,
        destination: None,
    })
}

/// The messages among a peer's actions, after a trip over the wire.
fn sent(actions: Vec<PeerAction>) -> Vec<Message> {
    let message = |action| match action {
        PeerAction::Send { message, .. } => Some(over_the_wire(message)),
        _ => None,
    };
    actions.into_iter().filter_map(message).collect()
}

fn over_the_wire(message: Message) -> Message {
    let channel = message.channel();
    let bytes = Envelope { epoch: Epoch::FIRST, message }.encode();
    Envelope::decode(channel, &bytes).expect("what is said arrives").message
}

fn to_peer(peer: &mut Peer, from: u32, message: Message) -> Vec<PeerAction> {
    let envelope = Envelope { epoch: Epoch::FIRST, message };
    let actions = peer.handle(Instant::ZERO, PeerEvent::Message { from: Rank(from), envelope });
    peer.check_invariants();
    actions
}

fn to_tracker(tracker: &mut Tracker, message: ToTracker) -> Vec<TrackerAction> {
    say(tracker, 1, message)
}

fn say(tracker: &mut Tracker, from: u32, message: ToTracker) -> Vec<TrackerAction> {
    let event = TrackerEvent::Message { from: Rank(from), message };
    let actions = tracker.handle(Instant::ZERO, event);
    tracker.check_invariants();
    actions
}

fn trouble(messages: &[Message]) -> &str {
    match messages {
        [Message::ToTracker(ToTracker::Trouble(sentence))] => sentence,
        other => panic!("{} messages", other.len()),
    }
}

/// The sentence with which the job was refused.
fn refusal(tracker: &mut Tracker) -> String {
    let actions = to_tracker(tracker, ToTracker::Counters(Counters::default()));
    let report = actions.into_iter().find_map(|action| match action {
        TrackerAction::Report(report) => Some(report),
        _ => None,
    });
    let report = report.expect("the job has ended");
    assert_eq!(report.outcome, Outcome::Refused);
    report.reasons.iter().map(ToString::to_string).collect()
}

fn file(name: &str, pieces: u64, root: Option<Hash>) -> Entry {
    let geometry = Geometry::new(pieces * 16 * 1024, PieceLen::MIN);
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    Entry {
        name: Name::new(name).unwrap(),
        kind: Kind::File(FileContent { root, ..FileContent::unhashed(geometry) }),
        metadata: Metadata::new(0o644, modified),
    }
}

/// A peer after START, in a job with one file that it shares.
fn started(pieces: u64) -> Peer {
    let mut peer = peer();
    let geometry = Geometry::new(pieces * 16 * 1024, PieceLen::MIN);
    let layer = PieceLayer::new(geometry, vec![Hash([7; 32]); pieces as usize]).unwrap();
    let entry = file("f", pieces, Some(layer.root()));
    let offer = Offer { entry: entry.clone(), held: Held::Whole, origin: Origin::Share(0) };
    let offered = Offered { offer, layer: Some(layer.prove().into()) };
    peer.handle(Instant::ZERO, PeerEvent::Offered(vec![offered]));
    for message in [
        FromTracker::Entries([entry].into()),
        FromTracker::Wanted(vec![]),
        FromTracker::Start(Start { entry_count: 1, admitted: true }),
    ] {
        to_peer(&mut peer, 0, Message::FromTracker(message));
    }
    peer
}

#[test]
fn a_hundred_thousand_shares_and_wants_are_told_and_chosen_in_parts() {
    // Every other one is there, so that the choice is as long as it can be.
    let path = |at: usize| {
        let path = format!("/data/a/path/of/some/length/{at}");
        if at.is_multiple_of(2) { there(path) } else { SharedPath::missing(path) }
    };
    let shares: Vec<_> = (0..100_000).map(path).collect();
    let wants: Vec<_> = (0..100_000).map(|at| format!("**/{at}")).collect();
    let mut peer = peer();
    let mut tracker = tracker();
    let told = sent(peer.handle(Instant::ZERO, PeerEvent::Hello(hello(shares, wants))));
    assert!(told.len() > 100);
    let mut answers = Vec::new();
    for message in told {
        let Message::ToTracker(message) = message else { panic!("a peer says INIT") };
        answers.extend(to_tracker(&mut tracker, message));
    }
    assert!(answers.len() > 5);
    let mut chosen = Vec::new();
    for answer in answers {
        let TrackerAction::Send { message, .. } = answer else { continue };
        let message = over_the_wire(Message::FromTracker(message));
        chosen.extend(to_peer(&mut peer, 0, message));
    }
    let even: Vec<u32> = (0..100_000).step_by(2).collect();
    assert_eq!(chosen, vec![PeerAction::Prepare(even)]);
}

#[test]
fn a_path_that_is_too_long_is_refused_with_its_beginning() {
    let long = vec![there("/x".repeat(20_000))];
    let told = sent(peer().handle(Instant::ZERO, PeerEvent::Hello(hello(long, vec![]))));
    let expected = "a path or pattern of 40000 bytes is longer than 16384: '/x/x";
    assert!(trouble(&told).starts_with(expected), "{}", trouble(&told));
}

#[test]
fn more_patterns_than_a_rank_may_name_are_refused_with_their_number() {
    let many = vec!["a".repeat(4000); 20_000];
    let told = sent(peer().handle(Instant::ZERO, PeerEvent::Hello(hello(vec![], many))));
    assert!(trouble(&told).starts_with("20000 paths and patterns are more than the 64 MiB"));
}

#[test]
fn long_texts_about_a_rank_are_cut() {
    let mut long = hello(vec![], vec![]);
    long.host = "h".repeat(100_000);
    long.destination = Some(Err("\u{e9}".repeat(100_000)));
    assert_eq!(sent(peer().handle(Instant::ZERO, PeerEvent::Hello(long))).len(), 1);
    let sentence = PeerEvent::Trouble("x".repeat(100_000));
    assert_eq!(trouble(&sent(peer().handle(Instant::ZERO, sentence))).len(), 4096);
}

#[test]
fn a_rank_that_names_paths_without_end_is_refused() {
    let mut tracker = tracker();
    let part = HelloPart { shares: vec![SharedPath::missing("x".repeat(8000)); 4], wants: vec![] };
    let before_refusal = (0..10_000)
        .take_while(|_| to_tracker(&mut tracker, ToTracker::HelloPart(part.clone())).is_empty())
        .count();
    assert!(before_refusal * 32_000 <= HelloPart::MAX_BYTES);
    assert_eq!(refusal(&mut tracker), "rank 1: it shares or wants more than one rank may name");
}

#[test]
fn a_file_without_a_root_is_not_taken_into_the_catalogue() {
    let mut tracker = tracker();
    let offer = WireOffer { entry: file("f", 1, None), pieces: None, origin: Origin::Share(0) };
    to_tracker(&mut tracker, ToTracker::Offers(vec![offer]));
    assert_eq!(refusal(&mut tracker), "rank 1: it offers 'f' without its root");
    let mut peer = peer();
    peer.handle(Instant::ZERO, PeerEvent::Offered(vec![]));
    to_peer(&mut peer, 0, Message::FromTracker(FromTracker::Entries([file("f", 1, None)].into())));
    let start = FromTracker::Start(Start { entry_count: 1, admitted: true });
    let told = sent(to_peer(&mut peer, 0, Message::FromTracker(start)));
    assert!(trouble(&told).starts_with("START did not arrive whole"));
}

#[test]
fn a_link_that_could_not_travel_on_is_no_entry() {
    for target in [vec![], vec![b'x'; 4096], b"a\0b".to_vec()] {
        let entry = Entry { kind: Kind::Symlink(target), ..file("l", 0, None) };
        let offers =
            ToTracker::Offers(vec![WireOffer { entry, pieces: None, origin: Origin::Share(0) }]);
        let message = Message::ToTracker(offers);
        let bytes = Envelope { epoch: Epoch::FIRST, message: message.clone() }.encode();
        assert!(Envelope::decode(message.channel(), &bytes).is_err());
    }
}

#[test]
fn what_ranks_claim_to_have_counted_never_overflows() {
    let mut tracker = tracker_of(3);
    let offer = WireOffer {
        entry: file("f", 1, Some(Hash([1; 32]))),
        pieces: None,
        origin: Origin::Share(0),
    };
    for rank in [1, 2] {
        say(&mut tracker, rank, ToTracker::Hello(hello(vec![there("f".into())], vec![])));
        say(&mut tracker, rank, ToTracker::Offers(vec![offer.clone()]));
        say(&mut tracker, rank, ToTracker::Introduced);
    }
    let counters = Counters {
        bytes_received: u64::MAX,
        bytes_sent: u64::MAX,
        bytes_reused: u64::MAX,
        bytes_delivered: u64::MAX,
        bytes_wasted: u64::MAX,
        pieces_corrupt: u64::MAX,
        entries_removed: u64::MAX,
    };
    for rank in [1, 2] {
        let gains = Gains { have_bytes: u64::MAX, ..Gains::default() };
        say(&mut tracker, rank, ToTracker::Update(gains));
        let stop = Stop { cannot_receive: None, counters, extra: Extra::default(), updates: 1 };
        say(&mut tracker, rank, ToTracker::Stop(stop));
    }
    assert_eq!(tracker.tally().bytes_have, 0, "they want nothing");
    let ended = [1, 2].map(|rank| say(&mut tracker, rank, ToTracker::Counters(counters))).concat();
    assert!(ended.iter().any(|action| matches!(action, TrackerAction::Report(report)
        if report.bytes_delivered == u64::MAX)));
}

#[test]
fn whoever_names_the_same_pieces_over_and_over_does_not_keep_a_rank_busy() {
    // Were each of the runs walked through, this would take hours.
    let all = vec![Span { first: 0, count: Catalogue::MAX_PIECES as u32 }; 8000];
    assert_eq!(Span::all_checked(&all, Catalogue::MAX_PIECES as u32).count(), 1);
    let mut peer = started(4096);
    let pieces = vec![Span { first: 0, count: 4096 }; 8000];
    let request = Between::Request { number: RequestNumber(0), pieces, gained: vec![] };
    let actions = to_peer(&mut peer, 2, over_the_wire(Message::Between(request)));
    let acknowledged = actions.iter().find_map(|action| match action {
        PeerAction::Send { message: Message::Between(Between::Ack(ack)), .. } => Some(ack),
        _ => None,
    });
    // A longer request than any peer of ours sends is cut, too.
    assert_eq!(acknowledged.unwrap().follows, [Span { first: 0, count: 2048 }]);
}

#[test]
fn a_flood_of_requests_is_refused_beyond_a_few() {
    let mut peer = started(64);
    // A slow asker: its lane is full, and nothing of it leaves.
    let request = |number| {
        let pieces = vec![Span { first: 0, count: 64 }];
        Message::Between(Between::Request { number: RequestNumber(number), pieces, gained: vec![] })
    };
    let answered: usize =
        (0..1000).map(|number| sent(to_peer(&mut peer, 2, request(number))).len()).sum();
    assert!(answered >= 990, "{answered} of 1000 requests were answered at once");
}

#[test]
fn ranks_that_are_none_are_neither_heard_nor_answered() {
    let mut peer = started(64);
    for from in [1, 4, u32::MAX] {
        let ask = Between::Request {
            number: RequestNumber(0),
            pieces: vec![Span { first: 0, count: 1 }],
            gained: vec![],
        };
        assert_eq!(to_peer(&mut peer, from, Message::Between(ask)), []);
        let lost = FromTracker::Lost(Rank(from));
        assert_eq!(to_peer(&mut peer, 0, Message::FromTracker(lost)), []);
    }
}
