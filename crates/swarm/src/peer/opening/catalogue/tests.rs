//! Whom a peer asks for the parts of its catalogue, and when it asks somebody else.

use super::*;
use content::{Kind, Metadata, Name, Timestamp};

const PATIENCE: Duration = Duration::from_secs(32);

fn part(at: usize) -> Vec<Entry> {
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    let metadata = Metadata::new(0o755, modified);
    let name = Name::new(format!("d{at:03}")).unwrap();
    vec![Entry { name, kind: Kind::Directory, metadata }]
}

fn hash(at: usize) -> Hash {
    digest(&part(at))
}

fn second(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// A catalogue of so many parts, to be asked of these ranks.
fn fetch(parts: usize, sources: &[u32]) -> Fetch {
    let mut fetch = Fetch::default();
    fetch.add_parts((0..parts).map(hash).collect());
    fetch.add_sources(sources.iter().copied().map(Rank).collect());
    fetch.begin(Instant::ZERO, |_| true);
    fetch
}

/// What was asked since the last look.
fn asked(fetch: &mut Fetch) -> Vec<(Option<Rank>, usize)> {
    let questions = std::mem::take(&mut fetch.questions);
    let number = |asked| (0..1000).find(|&at| hash(at) == asked).unwrap();
    questions.into_iter().map(|(source, asked)| (source, number(asked))).collect()
}

fn of(source: Option<u32>, parts: std::ops::Range<usize>) -> Vec<(Option<Rank>, usize)> {
    parts.map(|at| (source.map(Rank), at)).collect()
}

fn comes(fetch: &mut Fetch, at: usize, from: Option<u32>) -> Vec<Rank> {
    let came = fetch.on_part(second(1), from.map(Rank), hash(at), Some(part(at)));
    came.ok().expect("it verifies")
}

#[test]
fn a_few_parts_are_asked_ahead_and_the_next_when_one_comes() {
    let mut fetch = fetch(10, &[2, 3]);
    assert_eq!(asked(&mut fetch), of(Some(2), 0..AHEAD));
    comes(&mut fetch, 1, Some(2));
    assert_eq!(asked(&mut fetch), of(Some(2), AHEAD..AHEAD + 1));
    (0..10).filter(|&at| at != 1).for_each(|at| {
        assert!(!fetch.is_whole());
        comes(&mut fetch, at, Some(2));
    });
    assert!(fetch.is_whole());
    let (entries, shelf) = fetch.take().unwrap();
    assert_eq!(entries, (0..10).flat_map(part).collect::<Vec<_>>());
    let catalogue = Catalogue::new(entries).unwrap();
    assert_eq!(shelf.part(&catalogue, hash(7)), Some(part(7)));
}

#[test]
fn whoever_asks_has_a_part_as_soon_as_it_comes() {
    let mut fetch = fetch(10, &[2]);
    assert_eq!(fetch.on_ask(Rank(5), hash(1)), None);
    assert_eq!(fetch.on_ask(Rank(6), hash(1)), None);
    assert_eq!(fetch.on_ask(Rank(5), hash(2)), None);
    assert_eq!(comes(&mut fetch, 1, Some(2)), [Rank(5), Rank(6)]);
    let answer = Between::Part { hash: hash(1), entries: Some(part(1)) };
    assert_eq!(fetch.on_ask(Rank(7), hash(1)), Some(answer));
}

#[test]
fn whoever_asks_again_hears_that_this_rank_lives() {
    let mut fetch = Fetch::default();
    assert_eq!(fetch.on_ask(Rank(5), hash(1)), None, "START may come yet");
    let not_yet = Between::Part { hash: hash(1), entries: None };
    assert_eq!(fetch.on_ask(Rank(5), hash(1)), Some(not_yet));
}

#[test]
fn a_rank_that_is_lost_is_left_for_the_next_and_at_last_for_the_tracker() {
    let mut fetch = fetch(2, &[2, 3]);
    asked(&mut fetch);
    fetch.lose(second(1), Rank(2));
    assert_eq!(asked(&mut fetch), of(Some(3), 0..2));
    fetch.lose(second(1), Rank(9));
    assert_eq!(asked(&mut fetch), []);
    fetch.lose(second(1), Rank(3));
    assert_eq!(asked(&mut fetch), of(None, 0..2));
}

#[test]
fn a_silent_rank_is_asked_again_and_then_left() {
    let mut fetch = fetch(2, &[2]);
    asked(&mut fetch);
    fetch.tick(second(4), PATIENCE);
    assert_eq!(asked(&mut fetch), []);
    fetch.tick(second(5), PATIENCE);
    assert_eq!(asked(&mut fetch), of(Some(2), 0..2));
    fetch.tick(second(9), PATIENCE);
    assert_eq!(asked(&mut fetch), of(None, 0..2));
    fetch.tick(second(100), PATIENCE);
    assert_eq!(asked(&mut fetch), [], "the tracker is not asked twice");
}

#[test]
fn a_rank_that_waits_itself_is_waited_for_but_not_for_ever() {
    let mut fetch = fetch(2, &[2]);
    asked(&mut fetch);
    for at in 1..=32 {
        assert!(fetch.on_part(second(at), Some(Rank(2)), hash(0), None).is_ok());
        fetch.tick(second(at), PATIENCE);
    }
    assert!(asked(&mut fetch).iter().all(|(source, _)| *source == Some(Rank(2))));
    fetch.tick(second(33), PATIENCE);
    assert_eq!(asked(&mut fetch), of(None, 0..2));
}

#[test]
fn a_part_that_does_not_verify_is_dropped_and_its_sender_left() {
    let mut fetch = fetch(3, &[2, 3]);
    asked(&mut fetch);
    assert!(fetch.on_part(second(1), Some(Rank(2)), hash(1), Some(part(2))).is_err());
    assert_eq!(asked(&mut fetch), of(Some(3), 0..3));
    assert!(fetch.liars.contains(&Rank(2)));
    (0..3).for_each(|at| assert!(comes(&mut fetch, at, Some(3)).is_empty()));
    assert!(fetch.is_whole());
}

#[test]
fn what_was_not_asked_for_is_not_kept() {
    let mut fetch = fetch(10, &[2]);
    assert!(comes(&mut fetch, 9, Some(2)).is_empty());
    assert!(comes(&mut fetch, 77, Some(2)).is_empty());
    assert_eq!(fetch.have.len(), 0);
}

#[test]
fn another_trackers_start_counts_and_what_is_here_is_not_fetched_again() {
    let mut fetch = fetch(3, &[2]);
    asked(&mut fetch);
    (0..2).for_each(|at| drop(comes(&mut fetch, at, Some(2))));
    fetch.again();
    comes(&mut fetch, 2, Some(2));
    assert!(!fetch.is_whole(), "nobody asks for it now");
    fetch.add_parts(vec![hash(1), hash(4)]);
    fetch.begin(second(2), |_| true);
    assert_eq!(asked(&mut fetch), of(None, 4..5));
    comes(&mut fetch, 4, None);
    assert!(fetch.is_whole());
    assert_eq!(fetch.take().unwrap().0, [part(1), part(4)].concat());
}

#[test]
fn whom_to_ask_is_said_before_it_asks_and_not_after() {
    let mut fetch = fetch(4, &[2]);
    fetch.add_sources(vec![Rank(3)]);
    fetch.lose(second(1), Rank(2));
    assert_eq!(asked(&mut fetch).pop(), Some((None, 3)), "only the tracker is left");
}
