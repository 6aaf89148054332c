//! Jobs of so many files that peers fetch the catalogue from each other: what the tracker sends
//! does not grow with it for every peer, and a rank that dies or lies meanwhile stops nobody.

use crate::support::*;
use node::Arrival;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use swarm::message::{Between, Envelope, Message};
use swarm::{Channel, Outcome, PeerState, Rank};

const FILES: usize = 4000;
/// What the catalogue takes at least: its names, most of which are as long as this.
const NAMES_BYTES: usize = FILES * 70;
/// What START takes besides, for one peer; and its answers, and the end.
const REST_BYTES: usize = 4096;

/// Many empty files, and one that is wanted.
fn source(world: &World) {
    let wanted = bytes(3 * PIECE, 1);
    world.file("source/wanted", &wanted);
    for at in 0..FILES {
        fs::write(world.path(&format!("source/{at:070}")), []).unwrap();
    }
}

/// A dedicated tracker, a seeder, and ranks that want one file.
fn jobs(world: &World, leechers: usize) -> Vec<node::Job> {
    let mut jobs = vec![idle(), seeder(world.path("source"))];
    let into = |at| world.path(&format!("into{at}"));
    jobs.extend((2..2 + leechers).map(|at| wanting("wanted", into(at), idle())));
    jobs
}

fn has_it(world: &World, rank: usize) {
    let came = tree(&world.path(&format!("into{rank}")));
    assert_eq!(came, one_file("wanted", &bytes(3 * PIECE, 1)));
}

/// The bytes of all messages that a rank gets from the tracker are counted.
fn count(sum: Arc<AtomicUsize>) -> Hook {
    Box::new(move |seen| {
        for arrival in seen.arrivals.iter() {
            if let Arrival::Message { from: Rank(0), bytes, .. } = arrival {
                sum.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        }
    })
}

/// What the tracker sends in a job of so many leechers.
fn sent_by_tracker(world: &World, leechers: usize) -> usize {
    let sum = Arc::new(AtomicUsize::new(0));
    let mut cluster = Cluster::new(jobs(world, leechers));
    for rank in 1..2 + leechers {
        cluster = cluster.hook(rank, count(Arc::clone(&sum)));
    }
    cluster.run().expect(Outcome::Complete);
    (2..2 + leechers).for_each(|rank| has_it(world, rank));
    (2..2 + leechers).for_each(|rank| {
        fs::remove_dir_all(world.path(&format!("into{rank}"))).unwrap();
    });
    sum.load(Ordering::Relaxed)
}

#[test]
fn the_tracker_sends_a_large_catalogue_once_however_many_peers_there_are() {
    let world = World::new();
    source(&world);
    let few = sent_by_tracker(&world, 2);
    let many = sent_by_tracker(&world, 10);
    assert!(few > NAMES_BYTES, "{few} bytes");
    assert!(few < 2 * NAMES_BYTES, "{few} bytes: once, with what is told of each beside its name");
    assert!(many < few + 8 * REST_BYTES, "{few} bytes to 3 peers, {many} to 11");
}

/// The rank dies at so many messages on a channel from a rank.
fn die_at_message(rank: u32, on: Channel, number: usize) -> Hook {
    let mut count = 0;
    Box::new(move |seen| {
        let comes = |arrival: &&Arrival| {
            matches!(arrival, Arrival::Message { from, channel, .. }
                if *from == Rank(rank) && *channel == on)
        };
        count += seen.arrivals.iter().filter(comes).count();
        if count >= number {
            die();
        }
    })
}

#[test]
fn where_a_rank_dies_that_others_fetch_the_catalogue_from_they_get_it_from_those_above() {
    let world = World::new();
    source(&world);
    // Ranks 4 and 5 ask rank 2, which asks the seeder.
    let told = Cluster::new(jobs(&world, 6)).hook(2, die_at_message(1, Channel::Ack, 3)).run();
    told.expect(Outcome::Degraded);
    assert_eq!(told.row(2).state, PeerState::Lost);
    (3..8).for_each(|rank| has_it(&world, rank));
}

#[test]
fn where_the_tracker_dies_while_the_catalogue_is_fetched_another_says_start_anew() {
    let world = World::new();
    source(&world);
    let told =
        Cluster::new(jobs(&world, 4)).hook(0, die_at_message(1, Channel::TrackerDth, 7)).run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(1));
    assert_eq!(told.row(0).state, PeerState::Lost);
    (2..6).for_each(|rank| has_it(&world, rank));
}

/// The entries of each part of the catalogue that comes from a rank change their places.
fn shuffle_parts(rank: u32) -> Hook {
    Box::new(move |seen| {
        for arrival in seen.arrivals.iter_mut() {
            let Arrival::Message { from, channel: Channel::Ack, bytes } = arrival else { continue };
            let envelope = Envelope::decode(Channel::Ack, bytes).unwrap();
            if let (true, Message::Between(Between::Part { hash, entries: Some(mut entries) })) =
                (*from == Rank(rank), envelope.message)
            {
                entries.reverse();
                let message = Message::Between(Between::Part { hash, entries: Some(entries) });
                *bytes = Envelope { epoch: envelope.epoch, message }.encode();
            }
        }
    })
}

#[test]
fn a_rank_that_hands_on_a_wrong_catalogue_is_found_out_and_left() {
    let world = World::new();
    source(&world);
    let told = Cluster::new(jobs(&world, 4)).hook(4, shuffle_parts(2)).run();
    told.expect(Outcome::Complete);
    (2..6).for_each(|rank| has_it(&world, rank));
    let notices = told.notices();
    let notice = "rank 2 sent a part of the catalogue that does not verify; rank 4 asks it no more";
    assert!(notices.contains(notice), "{notices}");
}
