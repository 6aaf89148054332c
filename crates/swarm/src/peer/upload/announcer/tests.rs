//! Who is told what, and when.

use super::*;
use crate::schedule::sent_once::MAX_RETURNS;

fn told(announcer: &mut Announcer, has: impl Fn(Rank, u32) -> bool) -> Vec<(u32, Vec<Span>)> {
    let mut actions = Vec::new();
    if announcer.is_due() {
        announcer.push(0, has, &mut actions);
    }
    let gained = actions.into_iter().map(|action| match action {
        PeerAction::Send { to, message: Message::Between(Between::Gained { pieces, .. }) } => {
            (to.0, pieces)
        }
        other => panic!("{other:?}"),
    });
    gained.collect()
}

fn announcer(held: u32) -> Announcer {
    let mut serving = Bitfield::new(20);
    serving.insert_range(0..held);
    let neighbours = [2, 3].map(Rank);
    Announcer::new(&serving, &neighbours, Arc::default())
}

/// A common piece that this rank owns.
fn gain(piece: u32) -> Gain {
    Gain { piece, is_rare: false, is_brought: true, is_owned: true }
}

fn span(first: u32, count: u32) -> Vec<Span> {
    vec![Span { first, count }]
}

#[test]
fn neighbours_hear_of_common_pieces_four_at_a_time_and_of_rare_ones_at_once() {
    let mut announcer = announcer(0);
    (0..3).for_each(|piece| announcer.gained(gain(piece)));
    assert_eq!(told(&mut announcer, |_, _| false), []);
    announcer.gained(gain(3));
    assert_eq!(told(&mut announcer, |_, _| false), [(2, span(0, 4)), (3, span(0, 4))]);
    announcer.gained(Gain { is_rare: true, ..gain(9) });
    assert_eq!(told(&mut announcer, |_, _| false), [(2, span(9, 1)), (3, span(9, 1))]);
}

#[test]
fn the_more_neighbours_there_are_the_more_pieces_they_hear_of_at_once() {
    let at_once = |neighbours: u32| {
        let neighbours: Vec<Rank> = (1..=neighbours).map(Rank).collect();
        let mut announcer = Announcer::new(&Bitfield::new(20), &neighbours, Arc::default());
        let mut told_after = |piece| {
            announcer.gained(gain(piece));
            !told(&mut announcer, |_, _| false).is_empty()
        };
        (0..20).map_while(|piece| (!told_after(piece)).then_some(())).count() + 1
    };
    assert_eq!([2, 12, 20, 22, 28, 40].map(at_once), [4, 4, 4, 6, 12, 12]);
}

#[test]
fn nobody_is_told_twice_or_of_what_it_has() {
    let mut announcer = announcer(0);
    (0..4).for_each(|piece| announcer.gained(gain(piece)));
    assert_eq!(announcer.news_for(Rank(2)), span(0, 4), "with an acknowledgement");
    assert_eq!(told(&mut announcer, |_, piece| piece == 0), [(3, span(1, 3))]);
    assert_eq!(announcer.news_for(Rank(3)), []);
}

#[test]
fn a_piece_that_went_to_another_is_early_until_the_asker_knows_or_each_went_out() {
    let mut announcer = announcer(2);
    announcer.gained(gain(7));
    announcer.goes(Rank(4), 0);
    assert!(announcer.is_early(Rank(5), 0));
    assert!(!announcer.is_early(Rank(5), 1), "nobody was sent it");
    assert!(!announcer.is_early(Rank(5), 7), "what was gained is for everyone");
    assert_eq!(announcer.sent_news_for(Rank(5), &[]), span(0, 1));
    assert!(!announcer.is_early(Rank(5), 0), "it asks knowing that, so it has nobody else to ask");
    assert!(announcer.is_early(Rank(6), 0));
    announcer.goes(Rank(4), 1);
    assert!(!announcer.is_early(Rank(6), 0));
}

#[test]
fn a_piece_leaves_a_rack_once_unless_a_rank_of_another_asks_a_third_time() {
    let rack = Some(span(1, 4));
    let mut serving = Bitfield::new(20);
    serving.insert_range(0..2);
    let place = Arc::new(Topology { rack, ..Topology::default() });
    let mut announcer = Announcer::new(&serving, &[], place);
    let (mate, far, other) = (Rank(2), Rank(5), Rank(6));
    announcer.gained(gain(7));
    announcer.gained(Gain { is_owned: false, ..gain(8) });
    assert!(![0, 1, 7].iter().any(|&piece| announcer.is_early(far, piece)));
    assert!(announcer.is_early(far, 8), "it is of another one's share");
    assert!(!announcer.is_early(mate, 8), "which does not matter within the rack");
    announcer.goes(mate, 0);
    announcer.goes(far, 7);
    for _ in 0..MAX_RETURNS {
        assert!([0, 7, 8].iter().all(|&piece| announcer.is_early(other, piece)));
        let told = announcer.sent_news_for(other, &[0, 7, 8]);
        assert_eq!(told, [span(0, 1), span(7, 2)].concat(), "it hears so each time");
    }
    assert!(![0, 7, 8].iter().any(|&piece| announcer.is_early(other, piece)));
    assert!(announcer.is_early(far, 0), "each is counted alone");
}

#[test]
fn once_racks_are_learned_other_racks_hear_of_the_own_share_and_get_each_of_it_once() {
    let mut announcer = announcer(0);
    let mut serving = Bitfield::new(20);
    for piece in 4..8 {
        serving.insert(piece);
        announcer.gained(gain(piece));
    }
    assert_eq!(told(&mut announcer, |_, _| false).len(), 2, "there is one rack so far");
    let place = Arc::new(Topology { rack: Some(span(0, 3)), ..Topology::default() });
    let mut actions = Vec::new();
    let neighbours = [Rank(2), Rank(9)];
    announcer.move_to(place, &neighbours, &serving, |piece| piece < 6, &mut actions);
    assert_eq!(actions, [], "what came since START is told as ever");
    assert_eq!(told(&mut announcer, |_, _| false), []);
    assert_eq!(announcer.news_for(Rank(2)), [], "it knows");
    assert_eq!(announcer.news_for(Rank(9)), span(4, 2), "what this rank hands on to other racks");
    assert!(!announcer.is_early(Rank(9), 5) && announcer.is_early(Rank(9), 7));
    announcer.goes(Rank(9), 5);
    assert!(announcer.is_early(Rank(12), 5), "it left the rack");
}
