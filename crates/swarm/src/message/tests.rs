//! The wire form: what is said arrives, and nothing else gets through.

use super::*;
use content::{Bitfield, EntryIndex, Hash, HashRange, Span};
use proptest::prelude::*;

fn samples() -> Vec<Message> {
    vec![
        Message::ToTracker(ToTracker::Introduced),
        Message::ToTracker(ToTracker::Ask { question: 7, first: EntryIndex(0), count: 3 }),
        Message::ToTracker(ToTracker::Update(Gains {
            pieces: vec![Span { first: 0, count: 10 }],
            ..Gains::default()
        })),
        Message::ToTracker(ToTracker::Recall(Recall {
            told_to_read: true,
            pieces: vec![Span { first: 3, count: 4 }],
            ..Recall::default()
        })),
        Message::ToTracker(ToTracker::Rejoined(Box::default())),
        Message::ToTracker(ToTracker::Entries(vec![])),
        Message::FromTracker(FromTracker::Reign),
        Message::Between(Between::Succeed { epoch: Epoch(1), certain: true }),
        Message::Between(Between::Unseated),
        Message::FromTracker(FromTracker::Lost(Rank(4))),
        Message::FromTracker(FromTracker::Start(Start { entry_count: 3, admitted: true })),
        Message::Between(Between::Request {
            number: RequestNumber(9),
            pieces: vec![Span { first: 5, count: 10 }],
            gained: vec![],
        }),
        Message::Between(Between::Hashes {
            entry: EntryIndex(1),
            index: 0,
            range: Some(HashRange { index: 0, hashes: vec![Hash([9; 32]); 512], proof: vec![] }),
        }),
    ]
}

#[test]
fn what_is_said_arrives_on_its_channel_and_on_no_other() {
    for message in samples() {
        let envelope = Envelope { epoch: Epoch(3), message };
        let bytes = envelope.encode();
        for channel in Channel::CONTROL {
            let decoded = Envelope::decode(channel, &bytes);
            if channel == envelope.message.channel() {
                assert_eq!(decoded, Ok(envelope.clone()));
            } else {
                assert!(matches!(decoded, Err(DecodeError::Channel { .. })), "{channel}");
            }
        }
    }
}

#[test]
fn another_version_a_short_header_or_a_longer_body_is_refused() {
    let envelope = Envelope { epoch: Epoch(0), message: Message::ToTracker(ToTracker::Introduced) };
    let good = envelope.encode();
    let mut version = good.clone();
    version[0] = 2;
    assert_eq!(Envelope::decode(Channel::Init, &version), Err(DecodeError::Version(2)));
    assert_eq!(Envelope::decode(Channel::Init, &good[..5]), Err(DecodeError::Length(5)));
    let mut longer = good;
    longer.push(0);
    assert!(matches!(Envelope::decode(Channel::Init, &longer), Err(DecodeError::Body(_))));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        direction in 0u8..4,
    ) {
        for channel in Channel::CONTROL {
            let _ = Envelope::decode(channel, &bytes);
            let mut framed = vec![FORMAT_VERSION, direction, 0, 0, 0, 0];
            framed.extend(&bytes);
            let _ = Envelope::decode(channel, &framed);
        }
    }

    #[test]
    fn a_set_of_pieces_survives_the_trip_in_either_form(
        pieces in prop::collection::btree_set(0u32..900, 0..900), from in 0u32..900
    ) {
        let mut set = Bitfield::new(900);
        pieces.iter().for_each(|&piece| { set.insert(piece); });
        let wire = PieceSet::of(&set, from..900);
        let mut back = Bitfield::new(900);
        wire.ranges(900).into_iter().for_each(|range| back.insert_range(range));
        set.remove_range(0..from);
        prop_assert_eq!(back, set);
    }

    #[test]
    fn a_hostile_set_of_pieces_stays_below_the_limit(
        first in any::<u32>(),
        bytes in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let ranges = PieceSet::Bits { first, bytes }.ranges(100);
        prop_assert!(ranges.iter().all(|range| range.end <= 100));
    }
}

#[test]
fn a_long_list_is_cut_into_parts_that_fit() {
    let items: Vec<Vec<u8>> = (0..100).map(|i| vec![i; 1000]).collect();
    let cut = parts(items.clone());
    assert!(cut.len() > 1);
    assert!(cut.iter().all(|part| postcard::to_allocvec(part).unwrap().len() <= PART_BYTES + 8));
    assert_eq!(cut.concat(), items);
    assert_eq!(parts(Vec::<u8>::new()), vec![Vec::<u8>::new()]);
}
