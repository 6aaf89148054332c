//! Plans of whole jobs, drawn at random: who brings and wants what, and what goes wrong.

use crate::world::orders::{Refuses, Standing, directory, link};
use crate::world::{Fault, Orders, Settings, Trigger, World, file, version};
use content::Entry;
use std::collections::BTreeSet;
use std::time::Duration;
use swarm::tracker::Spread;
use swarm::{Channel, Rank};

/// A source of choices.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in so many times.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// A number below `bound`, small ones as likely as great ones.
    fn any_scale(&mut self, bound: u64) -> u64 {
        let bits = self.below(u64::from(bound.ilog2()) + 1);
        self.below(1 << bits.max(1)).min(bound - 1)
    }

    fn pieces(&mut self, entry: &Entry) -> Vec<u32> {
        let count = entry.file().unwrap().geometry.piece_count();
        let share = 1 + self.below(4);
        let start = self.below(u64::from(count) + 1) as u32;
        match self.below(3) {
            0 => (0..start).collect(),
            1 => (start..count).collect(),
            _ => (0..count).filter(|_| self.below(4) < share).collect(),
        }
    }
}

/// A job and what goes wrong with it.
pub struct Plan {
    pub settings: Settings,
    pub orders: Vec<Orders>,
    pub faults: Vec<(Trigger, Fault)>,
}

const WANTS: [&[&str]; 6] = [&["**"], &["**"], &["**"], &["a/**"], &["{a,b}/*", "c"], &[]];

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let cast = dice.one_in(4);
        // More holders than a peer's table takes, now and then.
        let many = dice.one_in(200);
        let ranks = if many { 70 } else { 2 + dice.any_scale(11) as usize };
        let settings = draw_settings(dice, seed, cast);
        let files = draw_files(dice, many);
        let mut orders: Vec<Orders> = (0..ranks).map(|_| draw_orders(dice, cast)).collect();
        deal(dice, &mut orders, &files, cast, settings.colocated);
        let troubled = dice.one_in(2);
        for (rank, orders) in orders.iter_mut().enumerate() {
            orders.file_system = 100 + rank as u64;
            draw_past(dice, orders, &files, cast);
            if troubled {
                draw_trouble(dice, orders, &files);
            }
        }
        let count = if dice.one_in(2) { 0 } else { 1 + dice.below(2) };
        let faults = (0..count).map(|_| draw_fault(dice, &orders, settings.patience));
        let mut faults: Vec<_> = faults.collect();
        if dice.one_in(3) {
            faults.extend(draw_losses_of_trackers(dice, &orders, settings.patience));
        }
        Self { settings, orders, faults }
    }

    pub fn world(&self) -> World {
        World::with(self.settings.clone(), self.orders.clone(), self.faults.clone())
    }

    /// The virtual time that is enough for every plan.
    pub fn limit(&self) -> Duration {
        // A window of one piece and messages that come late: one piece takes four of them.
        let shared = self.orders.iter().flat_map(|orders| &orders.shares);
        let pieces: u64 = shared.map(|entry| entry.len() / (16 << 10) + 1).sum();
        self.settings.patience * 40 + self.settings.delay * 8 * pieces as u32
    }
}

fn draw_settings(dice: &mut Dice, seed: u64, cast: bool) -> Settings {
    let mut settings = Settings::new(seed, cast || dice.one_in(4));
    settings.patience = Duration::from_secs(4);
    settings.idle = Duration::from_millis(50);
    settings.rendezvous = dice.one_in(2);
    settings.batch = dice.of(&[1, 3, 10, 10, 10, 64]);
    settings.window_pieces = dice.of(&[1, 4, 20, 64, 64]);
    settings.late_one_in = dice.of(&[0, 0, 2, 10, 100]);
    settings.delay = Duration::from_millis(dice.of(&[5, 50, 400]));
    if dice.one_in(2) {
        // From a part an entry to all in one.
        settings.spread = Spread { inline_bytes: 0, part_bytes: dice.of(&[1, 100, 200, 1000]) };
    }
    settings
}

/// Files of equal content, some of which are further names of the first.
fn draw_twins(dice: &mut Dice) -> Vec<Entry> {
    let pieces = dice.of(&[0, 1, 3, 20, 100]);
    let first = file("a/t=k", pieces);
    let mut twins = vec![first.clone()];
    for name in ["a/u=k", "b/t=k", "t=k", "u=k"].into_iter().take(1 + dice.below(4) as usize) {
        twins.push(if dice.one_in(2) { link(name, &first) } else { file(name, pieces) });
    }
    twins
}

fn draw_files(dice: &mut Dice, small: bool) -> Vec<Entry> {
    let count = 1 + dice.any_scale(8);
    let mut files = Vec::new();
    for at in 0..count {
        let pieces = match dice.below(12) {
            0 => 0,
            1 => 1,
            2..5 if small => dice.below(24),
            2 if at == 0 && dice.one_in(3) => 513 + dice.below(600),
            3 | 4 => dice.below(300),
            _ => dice.below(24),
        };
        let name = format!("{}{at}", dice.of(&["a/", "b/", ""]));
        files.push(file(&name, pieces));
    }
    if dice.one_in(3) {
        files.push(file("c", 2));
    }
    if dice.one_in(3) {
        // They travel together, sixteen at a time.
        files.extend((0..dice.below(50)).map(|at| file(&format!("s/{at:02}"), 1)));
    }
    if dice.one_in(3) {
        files.extend(draw_twins(dice));
    }
    if dice.one_in(4) {
        files.push(file("sparse", dice.below(40)));
    }
    if dice.one_in(3) {
        files.push(directory("d"));
    }
    files
}

fn draw_orders(dice: &mut Dice, cast: bool) -> Orders {
    let wants = if cast { vec!["**"] } else { dice.of(&WANTS).to_vec() };
    Orders { wants, cast, ..Orders::default() }
}

/// Gives every file to a rank, or to several.
fn deal(dice: &mut Dice, orders: &mut [Orders], files: &[Entry], cast: bool, colocated: bool) {
    let first = u64::from(!colocated);
    let peers = orders.len() as u64 - first;
    let mut any = || (first + dice.below(peers)) as usize;
    if cast {
        for at in [any(), any()] {
            orders[at].shares = files.to_vec();
        }
        return;
    }
    let only = any();
    let spread = any() % 2 == 0;
    for entry in files {
        let holders = if spread { [any(), any(), any()] } else { [only; 3] };
        let holders: BTreeSet<usize> = holders.into_iter().collect();
        for at in holders {
            orders[at].shares.push(entry.clone());
        }
    }
}

/// What lies at a rank's destination already.
fn draw_past(dice: &mut Dice, orders: &mut Orders, files: &[Entry], cast: bool) {
    if dice.one_in(4) {
        orders.destination = Some(1000 + u128::from(dice.below(2)));
    }
    for entry in files.iter().filter(|entry| entry.file().is_some()) {
        let shared = orders.shares.contains(entry);
        if shared && !cast {
            continue;
        }
        let name = entry.name.to_string();
        match dice.below(12) {
            0 => {
                let whole = [Standing::Complete, Standing::Complete, Standing::CompleteUnproven];
                // From what nobody can verify its twins may be made so late that others, which
                // miss them, have given them up. That is known, and left to the next run.
                let standing = if name.contains('=') { &whole[..1] } else { &whole[..] };
                orders.standing.push((name, dice.of(standing)));
            }
            1 => {
                let pieces = dice.pieces(entry).into_iter().collect();
                orders.standing.push((name, Standing::Candidate(pieces)));
            }
            2 | 3 if orders.destination.is_none() && !entry.is_empty() => {
                let pieces = dice.pieces(entry);
                orders.partials.push((entry.clone(), pieces));
            }
            4 if orders.destination.is_none() && !entry.is_empty() => {
                let pieces = u64::from(entry.file().unwrap().geometry.piece_count());
                let other = version(&name, pieces, 2);
                let held = dice.pieces(&other);
                orders.partials.push((other, held));
            }
            _ => {}
        }
    }
    orders.rotten_partials = dice.one_in(8);
}

/// What is wrong with a rank's disk.
fn draw_trouble(dice: &mut Dice, orders: &mut Orders, files: &[Entry]) {
    match dice.below(15) {
        0 => orders.cannot_receive = Some("permission denied"),
        1 => orders.disk_pieces = Some(dice.any_scale(300) as u32),
        2 => {
            let refuses = [
                Refuses::Survey,
                Refuses::SurveyOfDisk,
                Refuses::Write,
                Refuses::Finish,
                Refuses::Record,
            ];
            orders.bad_entry = Some((dice.of(files).name.to_string(), dice.of(&refuses)));
        }
        3 => orders.corrupts = true,
        4 => orders.good_reads = Some(dice.any_scale(300) as u32),
        8 if dice.one_in(6) => orders.trouble = Some("the plan has no such rank"),
        5 => orders.slow_close = Duration::from_millis(3_800),
        6 | 7 => {
            orders.file_system = dice.below(2);
            orders.free_bytes = Some(dice.any_scale(300 << 14));
        }
        _ => {}
    }
}

fn draw_fault(dice: &mut Dice, orders: &[Orders], patience: Duration) -> (Trigger, Fault) {
    let ranks = orders.len() as u64;
    let trigger = if dice.one_in(2) {
        Trigger::Event(dice.any_scale(1 << 14))
    } else {
        let channel = dice.of(&Channel::CONTROL);
        Trigger::Message(channel, 1 + dice.any_scale(ranks * 3) as u32)
    };
    let sharers = (1..ranks as usize).filter(|&at| !orders[at].shares.is_empty());
    let mut sharers: Vec<usize> = sharers.collect();
    sharers.push(1 + dice.below(ranks - 1) as usize);
    let rank = Rank(dice.of(&sharers) as u32);
    (trigger, draw_blow(dice, rank, patience))
}

/// The tracker is lost, and now and then those that take over as well.
fn draw_losses_of_trackers(
    dice: &mut Dice,
    orders: &[Orders],
    patience: Duration,
) -> Vec<(Trigger, Fault)> {
    let ranks = orders.len() as u64;
    let count = if dice.one_in(3) { 1 + dice.below(ranks.min(3)) } else { 1 };
    let losses = (0..count as u32).map(|rank| {
        let (trigger, _) = draw_fault(dice, orders, patience);
        (trigger, draw_blow(dice, Rank(rank), patience))
    });
    losses.collect()
}

fn draw_blow(dice: &mut Dice, rank: Rank, patience: Duration) -> Fault {
    if dice.one_in(2) {
        Fault::Kill { rank, told: dice.one_in(2) }
    } else {
        let time = patience * dice.of(&[1, 2, 4, 8, 12, 24]) / 8;
        Fault::Sleep { rank, time }
    }
}
