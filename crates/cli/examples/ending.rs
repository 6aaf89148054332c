//! Ends a job in one of the ways in which jobs end, so that launchers can be watched at it:
//! `mpirun -n 4 target/debug/examples/ending well 0`, `hang 2`, `kill 2`, `panic 2`,
//! `'die first' 2`, `'sleep first' 2`.
//!
//! The number is the exit status for `well`, and the rank that fails for the others.

use cli::process;
use mpi::Ending;
use shoal::{Arrival, Pool, Ticket, Transport};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::{Channel, Rank};

/// Longer than any MPI here needs to notice a death; then this program gives up with status 4.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than `MPI_Init` takes here.
const JOINING: Duration = Duration::from_secs(8);

fn main() {
    let mut words = std::env::args().skip(1);
    let how = words.next().expect("a way to end");
    let number: u32 = words.next().and_then(|word| word.parse().ok()).expect("a number");
    let me = rank_by_launcher();
    match how.as_str() {
        "die first" if me == Some(number) => kill_this_process(),
        "sleep first" if me == Some(number) => std::thread::sleep(PATIENCE),
        _ => {}
    }
    let give_up = move || println!("{me:?} gives up");
    let library = mpi::choose().unwrap_or_else(|why| panic!("{why}"));
    let mut joined =
        process::join(&library, JOINING, give_up, || ()).unwrap_or_else(|why| panic!("{why}"));
    let transport: &mut dyn Transport = &mut joined;
    let ending = match how.as_str() {
        "die first" | "sleep first" => end(transport, 0, false),
        "well" => end(transport, u8::try_from(number).expect("a status"), false),
        "hang" => hang(transport, Rank(number)),
        "kill" => kill(transport, Rank(number)),
        "panic" => panic_on_a_thread(transport, Rank(number)),
        other => panic!("{other}: no such way to end"),
    };
    process::leave(joined, ending)
}

/// The rank of this process, which MPI knows only later.
fn rank_by_launcher() -> Option<u32> {
    let names = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
    names.into_iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

fn kill_this_process() {
    let id = std::process::id().to_string();
    std::process::Command::new("kill").args(["-KILL", &id]).status().expect("kill runs");
    std::thread::sleep(PATIENCE);
}

fn end(transport: &dyn Transport, status: u8, lost: bool) -> Ending {
    let is_tracker = transport.rank() == Rank::TRACKER;
    if is_tracker {
        println!("the table: status {status}");
    }
    Ending { status, lost, is_tracker }
}

/// One rank sleeps and never polls; the others have all kinds of transfers open with it when they
/// end.
fn hang(transport: &mut dyn Transport, victim: Rank) -> Ending {
    if transport.rank() == victim {
        std::thread::sleep(PATIENCE);
        return end(transport, 4, true);
    }
    open_transfers(transport, victim);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        transport.poll(&mut Vec::new());
    }
    assert!(!transport.is_drained(), "a rank that sleeps took it all");
    end(transport, 3, true)
}

/// One rank dies in the middle; the others, where their MPI lets them, hear of it and go on among
/// themselves.
fn kill(transport: &mut dyn Transport, victim: Rank) -> Ending {
    let start = Instant::now();
    if transport.rank() == victim {
        kill_this_process();
    }
    open_transfers(transport, victim);
    let mut lost = Vec::new();
    let mut sent = 0;
    let mut heard = BTreeSet::new();
    let live = |me: Rank, rank: &Rank| *rank != me && *rank != victim;
    let me = transport.rank();
    let others: BTreeSet<Rank> =
        (0..transport.size()).map(Rank).filter(|rank| live(me, rank)).collect();
    let mut has_told = false;
    while heard != others || !has_told || !transport.is_drained() {
        if start.elapsed() > PATIENCE {
            println!("rank {me}: lost {lost:?}, heard {heard:?}, {sent} pieces sent");
            return end(transport, 4, true);
        }
        if !lost.is_empty() && !std::mem::replace(&mut has_told, true) {
            println!("rank {me}: rank {victim} is lost after {} ms", start.elapsed().as_millis());
            tell_all(transport, &others);
            open_transfers(transport, victim);
        }
        let mut arrivals = Vec::new();
        transport.poll(&mut arrivals);
        for arrival in arrivals {
            match arrival {
                Arrival::Lost { rank } => lost.push(rank),
                Arrival::PieceSent { .. } => sent += 1,
                Arrival::PieceReceived { buffer, .. } => assert_eq!(buffer.len(), 1 << 20),
                Arrival::Message { from, .. } => assert!(heard.insert(from), "{from} again"),
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(lost, [victim]);
    // Two to the victim before it was lost, two after that, and one to each other.
    assert_eq!(sent, 4 + others.len());
    println!("rank {me}: went on without rank {victim}");
    end(transport, 3, true)
}

fn tell_all(transport: &mut dyn Transport, others: &BTreeSet<Rank>) {
    let pool = Pool::default();
    for &to in others {
        transport.send(to, Channel::Update, vec![1; 40_000]);
        let ticket = Ticket(1000 + u64::from(to.0));
        transport.receive_piece(to, ticket, pool.take(1 << 20));
        transport.send_piece(to, ticket, Some(Arc::new(pool.take(1 << 20))));
    }
}

/// Two pieces to a rank, a receive from it, and messages that fit into no eager buffer.
fn open_transfers(transport: &mut dyn Transport, rank: Rank) {
    let pool = Pool::default();
    for number in 0..2 {
        transport.send(rank, Channel::Init, vec![0; 60_000]);
        let ticket = Ticket(number);
        transport.send_piece(rank, ticket, Some(Arc::new(pool.take(4 << 20))));
    }
    transport.receive_piece(rank, Ticket(2), pool.take(1 << 20));
}

fn panic_on_a_thread(transport: &mut dyn Transport, victim: Rank) -> Ending {
    let start = Instant::now();
    if transport.rank() == victim {
        std::thread::spawn(|| panic!("as asked"));
    }
    let mut arrivals = Vec::new();
    while start.elapsed() < PATIENCE && arrivals.is_empty() {
        transport.poll(&mut arrivals);
        std::thread::sleep(Duration::from_millis(1));
    }
    let has_heard = matches!(arrivals[..], [Arrival::Lost { rank }] if rank == victim);
    end(transport, if has_heard { 3 } else { 4 }, true)
}
