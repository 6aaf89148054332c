//! What is simulated: the ranks, what they hold, their links, what goes wrong. A scenario says
//! everything; two runs of one scenario are equal to the letter.

use crate::estimate::{EVENTS_MOST, Estimate};
use crate::fault::{Fault, FaultKind};
use crate::link::{EQUAL_MILLI, Link};
use crate::random::Random;
use std::fmt;
use swarm::message::PART_BYTES;

/// A simulated job. Links are one-port and full-duplex: a host sends one piece at a time and
/// receives one piece at a time, each in one *round*, the unit of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The seed of everything that is left to chance.
    pub seed: u64,
    /// Ranks that hold or fetch the files, numbered from 1; rank 0 only tracks.
    pub peers: u32,
    /// Pieces of all files together.
    pub pieces: u32,
    /// Files, of equal numbers of pieces as nearly as possible.
    pub files: u32,
    /// The ranks 1 to this hold all files from the beginning; the others fetch them.
    pub seeders: u32,
    /// Hosts; ranks follow each other from host to host, and those of one host share its link.
    pub hosts: u32,
    /// Racks; hosts fill one rack after the other.
    pub racks: u32,
    /// What crosses a rack's uplink each way in a round, in pieces.
    pub uplink: u32,
    /// The ranks are not told of the racks, as where neither a plan nor a launcher names any.
    pub racks_untold: bool,
    /// Links that are not like the others; where several speak of a rank the last one counts.
    pub links: Vec<Link>,
    /// The time of a piece on a link, in microseconds: one round.
    pub round_us: u64,
    /// The time of a message, and of a piece's first byte, from rank to rank, in microseconds.
    pub latency_us: u64,
    /// The time from a piece's arrival until it is verified and written, in microseconds.
    pub disk_us: u64,
    /// Pieces asked from one holder at once.
    pub batch: u32,
    /// Pieces that a peer may have asked for and not yet written.
    pub window: u32,
    /// Pieces that a peer may be sending.
    pub upload_window: u32,
    /// A rank silent for so long is lost, in seconds.
    pub patience_s: u64,
    /// The catalogue is fetched from peers, in parts of so many bytes; 0: as a real one is, by its
    /// length.
    pub catalogue_part: u32,
    /// What goes wrong, as planned.
    pub faults: Vec<Fault>,
    /// What goes wrong besides: so many faults drawn from the seed.
    pub random_faults: u32,
    /// The machines' own invariants are checked after every so many events; 0 is never.
    pub check_every: u32,
}

/// Why a scenario cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// A number below or above what makes sense.
    #[error("--{option} {given}: it is a whole number from {least} to {most}")]
    Range {
        /// The option.
        option: &'static str,
        /// What was given.
        given: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// More than can be simulated.
    #[error(
        "this job takes {rounds} rounds and {events} events at least; more than {most} events would \
         take many hours and are not simulated: choose fewer peers or pieces, or less of --round, \
         --patience, --slow-factor and what --fault and --link say"
    )]
    TooLong {
        /// The rounds.
        rounds: u64,
        /// The events.
        events: u64,
        /// The most.
        most: u64,
    },
    /// A rank so slow that its times are no numbers any more.
    #[error("--fault {0}: a piece would take longer than 100 days; choose a smaller factor")]
    TooSlow(Fault),
    /// A fault of a rank that is not there.
    #[error("--fault {0}: the ranks are 0, which tracks, to {1}")]
    NoSuchRank(Fault, u32),
    /// A fault of a file that is not there.
    #[error("--fault {0}: the files are 1 to {1}")]
    NoSuchFile(Fault, u32),
    /// A link of ranks that are not there.
    #[error("--link {0}: the ranks are 1 to {1}")]
    NoSuchLink(Link, u32),
}

/// Bytes of a simulated piece: those of the shortest that a real job has by default, so that
/// windows which follow the link do here what they do there.
pub(crate) const PIECE_BYTES: u64 = 256 * 1024;

/// With at most so many peers times pieces every event is followed by a look at the invariants.
const SMALL: u64 = 20_000;
/// In bigger runs a look comes now and then.
const LARGE_CHECK_EVERY: u32 = 10_007;

impl Scenario {
    /// The default model, without faults: each rank on a host of its own, one rack, a round of
    /// 10 ms, a latency of 0.1 ms, 0.5 ms to verify and write a piece; batches of 10 pieces, and
    /// windows so short that they cannot follow the link: as many pieces as a real rank has with
    /// pieces of 4 MiB. With 320 and 128 they do what those of a real rank do with 256 KiB.
    pub fn new(peers: u32, pieces: u32) -> Self {
        Self {
            seed: 1,
            peers,
            pieces,
            files: 1,
            seeders: 1,
            hosts: peers,
            racks: 1,
            uplink: peers,
            racks_untold: false,
            links: Vec::new(),
            round_us: 10_000,
            latency_us: 100,
            disk_us: 500,
            batch: 10,
            window: 20,
            upload_window: 8,
            patience_s: 30,
            catalogue_part: 0,
            faults: Vec::new(),
            random_faults: 0,
            check_every: Self::default_check(peers, pieces),
        }
    }

    /// How often invariants are checked unless told otherwise.
    pub fn default_check(peers: u32, pieces: u32) -> u32 {
        if u64::from(peers) * u64::from(pieces) <= SMALL { 1 } else { LARGE_CHECK_EVERY }
    }

    /// What crosses a rack's uplink unless told otherwise: as much as its hosts can send.
    pub fn default_uplink(hosts: u32, racks: u32) -> u32 {
        hosts.div_ceil(racks.max(1))
    }

    /// Checks that the numbers make a job.
    ///
    /// # Errors
    ///
    /// Names the first option that does not fit, and its limits.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let peers = u64::from(self.peers);
        let limits = [
            ("peers", peers, 2, 1_000_000),
            ("pieces", u64::from(self.pieces), 1, 1_000_000),
            ("files", u64::from(self.files), 1, u64::from(self.pieces)),
            ("seeders", u64::from(self.seeders), 1, peers - u64::from(peers > 1)),
            ("hosts", u64::from(self.hosts), 1, peers),
            ("racks", u64::from(self.racks), 1, u64::from(self.hosts)),
            ("uplink", u64::from(self.uplink), 1, u64::from(u32::MAX)),
            ("round", self.round_us, 1, 1_000_000_000),
            ("latency", self.latency_us, 0, 1_000_000_000),
            ("disk", self.disk_us, 0, 1_000_000_000),
            ("batch", u64::from(self.batch), 1, 4096),
            ("window", u64::from(self.window), 1, 16_384),
            ("upload-window", u64::from(self.upload_window), 1, 16_384),
            ("patience", self.patience_s, 1, 1_000_000),
            ("catalogue-part", u64::from(self.catalogue_part), 0, PART_BYTES as u64),
            ("faults", u64::from(self.random_faults), 0, 10_000),
        ];
        for (option, given, least, most) in limits {
            if !(least..=most).contains(&given) {
                return Err(ScenarioError::Range { option, given, least, most });
            }
        }
        self.check_places()?;
        let Estimate { rounds, events } = Estimate::of(self);
        if events > EVENTS_MOST {
            return Err(ScenarioError::TooLong { rounds, events, most: EVENTS_MOST });
        }
        self.check_times()
    }

    /// Checks that a piece takes a time, at whatever rank.
    fn check_times(&self) -> Result<(), ScenarioError> {
        const LONGEST_US: u64 = 100 * 86_400 * 1_000_000;
        let slowest = self.links.iter().map(|link| link.up_milli.min(link.down_milli)).min();
        let slowest = u64::from(slowest.unwrap_or(EQUAL_MILLI).min(EQUAL_MILLI));
        let piece = (self.round_us * u64::from(EQUAL_MILLI) / slowest).max(self.disk_us);
        let is_too_slow = |fault: &&Fault| match fault.kind {
            FaultKind::Slow(factor) => piece.saturating_mul(factor) > LONGEST_US,
            _ => false,
        };
        match self.faults.iter().find(is_too_slow) {
            Some(&fault) => Err(ScenarioError::TooSlow(fault)),
            None => Ok(()),
        }
    }

    /// Checks that ranks and files that are spoken of are there.
    fn check_places(&self) -> Result<(), ScenarioError> {
        let (ranks, files) = (0..=self.peers, 1..=u64::from(self.files));
        for &fault in &self.faults {
            if !ranks.contains(&fault.rank) {
                return Err(ScenarioError::NoSuchRank(fault, self.peers));
            }
            if matches!(fault.kind, FaultKind::LoseFile(file) if !files.contains(&file)) {
                return Err(ScenarioError::NoSuchFile(fault, self.files));
            }
        }
        match self.links.iter().find(|link| link.first == 0 || link.last > self.peers) {
            Some(&link) => Err(ScenarioError::NoSuchLink(link, self.peers)),
            None => Ok(()),
        }
    }

    /// The faults that are planned and those that are drawn.
    pub fn all_faults(&self) -> Vec<Fault> {
        let mut random = Random::new(self.seed ^ 0xFA17);
        let plain = Self { random_faults: 0, faults: Vec::new(), ..self.clone() };
        let drawn = (0..self.random_faults).map(|_| Fault::random(&mut random, &plain));
        self.faults.iter().copied().chain(drawn).collect()
    }

    pub(crate) fn patience_rounds(&self) -> u64 {
        (self.patience_s * 1_000_000 / self.round_us).max(2)
    }

    pub(crate) fn host_of(&self, rank: u32) -> u32 {
        (rank - 1) % self.hosts
    }

    pub(crate) fn rack_of(&self, rank: u32) -> u32 {
        self.host_of(rank) / Self::default_uplink(self.hosts, self.racks)
    }

    /// By rank, how fast its link sends and receives, in thousandths of an equal one.
    pub(crate) fn links_of_ranks(&self) -> Vec<(u32, u32)> {
        let mut links = vec![(EQUAL_MILLI, EQUAL_MILLI); self.peers as usize + 1];
        for link in &self.links {
            links[link.first as usize..=link.last as usize].fill((link.up_milli, link.down_milli));
        }
        links
    }

    /// How many pieces a file has.
    pub(crate) fn pieces_of_file(&self, file: u32) -> u32 {
        self.pieces / self.files + u32::from(file < self.pieces % self.files)
    }
}

impl fmt::Display for Scenario {
    /// The command that runs it: what differs from the default model.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shoal simulate --peers {} --pieces {}", self.peers, self.pieces)?;
        let plain = Self::new(self.peers, self.pieces);
        let uplink = Self::default_uplink(self.hosts, self.racks);
        let told = [
            ("files", u64::from(self.files), u64::from(plain.files)),
            ("seeders", u64::from(self.seeders), u64::from(plain.seeders)),
            ("hosts", u64::from(self.hosts), u64::from(plain.hosts)),
            ("racks", u64::from(self.racks), u64::from(plain.racks)),
            ("uplink", u64::from(self.uplink), u64::from(uplink)),
            ("round", self.round_us, plain.round_us),
            ("latency", self.latency_us, plain.latency_us),
            ("disk", self.disk_us, plain.disk_us),
            ("batch", u64::from(self.batch), u64::from(plain.batch)),
            ("window", u64::from(self.window), u64::from(plain.window)),
            ("upload-window", u64::from(self.upload_window), u64::from(plain.upload_window)),
            ("patience", self.patience_s, plain.patience_s),
            ("catalogue-part", u64::from(self.catalogue_part), 0),
            ("faults", u64::from(self.random_faults), 0),
            ("check-every", u64::from(self.check_every), u64::from(plain.check_every)),
        ];
        for (option, value, _) in told.into_iter().filter(|(_, value, plain)| value != plain) {
            write!(f, " --{option} {value}")?;
        }
        if self.racks_untold {
            write!(f, " --racks-untold")?;
        }
        self.links.iter().try_for_each(|link| write!(f, " --link {link}"))?;
        self.faults.iter().try_for_each(|fault| write!(f, " --fault {fault}"))?;
        write!(f, " --seed {}", self.seed)
    }
}
