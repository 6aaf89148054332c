//! What the tracker knows of one rank.

use crate::message::{
    Hello, HelloPart, PieceSet, PiecesRead, SharedFs, Stop, ToTracker, WireOffer,
};
use crate::{Counters, Destination, Differences, Instant, LeftOut, Origin, Rank};
use content::{Bitfield, Catalogue, Entry, FileContent, Kind, Name, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most bytes of all sets of pieces that one rank tells at INIT: a bit a piece, and some for
/// each of as many entries as there may be.
const MAX_SET_BYTES: usize = 1 << 28;

/// Whether a rank takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The dedicated tracker's own rank.
    NoPeer,
    Live,
    Lost {
        at: Instant,
        why: String,
    },
}

/// One rank as the tracker sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) standing: Standing,
    pub(super) last_heard: Instant,
    pub(super) hello: Option<Hello>,
    /// Parts of its lists that came before its hello, and the bytes of all of them.
    listed: HelloPart,
    listed_bytes: usize,
    /// What it offers, until START turns it into holdings.
    pub(super) offers: BTreeMap<Name, Offered>,
    /// Files that it shares and that kept changing while they were hashed; nobody can have them.
    pub(super) unsteady: BTreeMap<Name, Entry>,
    /// What lies below its shares and is not shared.
    pub(super) left_out: Vec<LeftOut>,
    /// The bytes of all sets of pieces that it told.
    offered_bytes: usize,
    pub(super) introduced: bool,
    /// What it told of a source that all ranks see before all had spoken, and the bytes of that.
    pub(super) told: Vec<Vec<PiecesRead>>,
    told_bytes: usize,
    /// Whether this tracker knows what the rank has to tell: from the beginning under the first
    /// one, else once it has said INIT again.
    pub(super) joined: bool,
    /// What it said again that only the catalogue makes sense of, and what it said meanwhile.
    pub(super) recalled: Vec<ToTracker>,
    pub(super) waiting: Vec<ToTracker>,
    /// The positions of the shares that it was told to read, where it was.
    pub(super) read: Option<Vec<Span>>,
    /// Entries that it shares itself, by its own account.
    pub(super) own: Bitfield,
    /// Whether it was told FINISH by an earlier tracker.
    pub(super) finished: bool,
    /// Whether it waits for an admission that an earlier tracker did not give.
    pub(super) awaits_admission: bool,
    /// The same number for ranks of one host; set at START.
    pub(super) host: u32,
    /// The same number for ranks of one rack, likewise.
    pub(super) rack: u32,
    /// Pieces that it has and serves; over the catalogue's pieces from START on.
    pub(super) holdings: Bitfield,
    /// Entries that it wants; over the catalogue's entries from START on.
    pub(super) wanted: Bitfield,
    /// Of those, the ones that it is to write; others write the rest into the same destination.
    pub(super) assigned: Bitfield,
    /// Entries that it has completed.
    pub(super) complete: Bitfield,
    /// Entries that are otherwise than the catalogue has them, by what differs.
    pub(super) differing: BTreeMap<Differences, Bitfield>,
    /// Bytes of the assigned entries.
    pub(super) wanted_bytes: u64,
    /// Of those, bytes that it has.
    pub(super) have_bytes: u64,
    /// What its survey found missing.
    pub(super) need_bytes: Option<u64>,
    /// Updates that came.
    pub(super) updates: u32,
    /// How often it was named to somebody who asked for holders.
    pub(super) named: u32,
    /// Ranks that it asks no more, for what they send does not verify.
    pub(super) shunned: BTreeSet<Rank>,
    /// The last call to settle that it answered.
    pub(super) settled: u32,
    pub(super) stop: Option<(Instant, Stop)>,
    /// Whether the user was told why it receives nothing more.
    pub(super) told_why: bool,
    pub(super) counters: Option<Counters>,
    /// What told it to stop before it had all.
    pub(super) interrupted: Option<String>,
}

/// How much of an entry a member offers.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) entry: Entry,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Sets of pieces; none for the whole.
    pub(super) pieces: Option<Vec<PieceSet>>,
    /// Where it has not the whole after all, but read pieces of it: sets of them.
    pub(super) read: Option<Vec<PieceSet>>,
}

impl Offered {
    /// Whether it read pieces of a source that all ranks see.
    pub(super) fn has_read(&self) -> bool {
        self.read.as_ref().is_some_and(|sets| !sets.is_empty())
    }
}

impl Member {
    pub(super) fn new(is_peer: bool, now: Instant) -> Self {
        Self {
            standing: if is_peer { Standing::Live } else { Standing::NoPeer },
            last_heard: now,
            hello: None,
            listed: HelloPart::default(),
            listed_bytes: 0,
            offers: BTreeMap::new(),
            unsteady: BTreeMap::new(),
            left_out: Vec::new(),
            offered_bytes: 0,
            introduced: false,
            told: Vec::new(),
            told_bytes: 0,
            joined: true,
            recalled: Vec::new(),
            waiting: Vec::new(),
            read: None,
            own: Bitfield::default(),
            finished: false,
            awaits_admission: false,
            host: 0,
            rack: 0,
            holdings: Bitfield::default(),
            wanted: Bitfield::default(),
            assigned: Bitfield::default(),
            complete: Bitfield::default(),
            differing: BTreeMap::new(),
            wanted_bytes: 0,
            have_bytes: 0,
            need_bytes: None,
            updates: 0,
            named: 0,
            shunned: BTreeSet::new(),
            settled: 0,
            stop: None,
            told_why: false,
            counters: None,
            interrupted: None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }

    /// Whether it is to write anything, and has not stopped.
    pub(super) fn fetches(&self) -> bool {
        !self.assigned.is_empty() && self.stop.is_none()
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.standing, Standing::Lost { .. })
    }

    pub(super) fn is_silent(&self, now: Instant, patience: Duration) -> bool {
        self.is_live() && now.since(self.last_heard) > patience
    }

    /// Whether it has said STOP, and everything that it said before has come.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|(_, stop)| self.updates >= stop.updates)
    }

    /// Its destination, where it can receive.
    pub(super) fn destination(&self) -> Option<&Destination> {
        self.hello.as_ref()?.destination.as_ref()?.as_ref().ok()
    }

    /// Why it cannot receive, as far as it knew at INIT.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.hello.as_ref()?.destination.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Takes some of what it shares and wants.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn take_part(&mut self, part: HelloPart) -> Result<(), String> {
        if self.hello.is_some() || self.introduced {
            return Ok(());
        }
        self.listed_bytes += part.bytes();
        if self.listed_bytes > HelloPart::MAX_BYTES {
            return Err("it shares or wants more than one rank may name".into());
        }
        self.listed.append(part);
        Ok(())
    }

    /// Takes who it is, once; a second time is out of turn and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::take_part`].
    pub(super) fn take_hello(&mut self, mut hello: Hello) -> Result<(), String> {
        if self.hello.is_some() || self.introduced {
            return Ok(());
        }
        self.take_part(hello.take_lists())?;
        let lists = std::mem::take(&mut self.listed);
        (hello.shares, hello.wants) = (lists.shares, lists.wants);
        self.hello = Some(hello);
        Ok(())
    }

    /// Takes what it says it offers. Offers after START are out of turn and change nothing.
    ///
    /// # Errors
    ///
    /// Says what is no offer, or that they are too many.
    pub(super) fn take_offers(&mut self, offers: Vec<WireOffer>) -> Result<(), String> {
        if self.introduced {
            return Ok(());
        }
        for offer in offers {
            self.check_offer(&offer)?;
            self.offered_bytes += offer.pieces.as_ref().map_or(0, PieceSet::bytes);
            if self.offers.len() >= Catalogue::MAX_ENTRIES || self.offered_bytes > MAX_SET_BYTES {
                return Err("it offers more files than one job may have".into());
            }
            let name = offer.entry.name.clone();
            let fresh = Offered {
                entry: offer.entry,
                origin: offer.origin,
                pieces: offer.pieces.as_ref().map(|_| Vec::new()),
                read: None,
            };
            let offered = self.offers.entry(name).or_insert(fresh);
            match (&mut offered.pieces, offer.pieces) {
                (Some(sets), Some(set)) => sets.push(set),
                (slot, None) => {
                    *slot = None;
                    offered.origin = offer.origin;
                }
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Takes the files that it shares and that kept changing while they were hashed. Nothing is
    /// taken once it is introduced.
    ///
    /// # Errors
    ///
    /// Names an entry that has no content; says that they are too many.
    pub(super) fn take_unsteady(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        if self.introduced {
            return Ok(());
        }
        entries.into_iter().try_for_each(|entry| self.cannot_offer(entry))
    }

    /// Takes what lies below its shares and is not shared. Nothing is taken once it is introduced.
    ///
    /// # Errors
    ///
    /// Says that it is too much.
    pub(super) fn take_left_out(&mut self, left: Vec<LeftOut>) -> Result<(), String> {
        if self.introduced {
            return Ok(());
        }
        if self.left_out.len() + left.len() > Catalogue::MAX_ENTRIES {
            return Err("it leaves out more names than one job may have".into());
        }
        self.left_out.extend(left);
        Ok(())
    }

    /// Takes one of them, in place of an offer of the same name.
    fn cannot_offer(&mut self, mut entry: Entry) -> Result<(), String> {
        let name = entry.name.clone();
        let geometry = entry.file().map(|content| content.geometry);
        let Some(geometry) = geometry.filter(|geometry| !geometry.is_empty()) else {
            return Err(format!("it says that '{name}' changes, which has no content"));
        };
        if self.unsteady.len() >= Catalogue::MAX_ENTRIES {
            return Err("it shares more files than one job may have".into());
        }
        entry.kind = Kind::File(FileContent::unobtainable(&name, geometry));
        self.offers.remove(&name);
        self.unsteady.insert(name, entry);
        Ok(())
    }

    /// What is offered must be something that a peer can fetch; or read, where it may see the same
    /// source.
    fn check_offer(&self, offer: &WireOffer) -> Result<(), String> {
        let shares = self.hello.as_ref().map(|hello| hello.shared_fs);
        let is_walked =
            offer.pieces.is_none() && shares.is_some_and(|shares| shares != SharedFs::No);
        match offer.entry.file() {
            Some(content)
                if content.root.is_none() && !content.geometry.is_empty() && !is_walked =>
            {
                Err(format!("it offers '{}' without its root", offer.entry.name))
            }
            _ => Ok(()),
        }
    }

    /// Keeps what it tells of the source until all have spoken.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn keep_told(&mut self, read: Vec<PiecesRead>) -> Result<(), String> {
        let bytes = |read: &PiecesRead| 64 + read.hashes.len() * size_of::<content::Hash>();
        self.told_bytes += read.iter().map(bytes).sum::<usize>();
        if self.told_bytes > MAX_SET_BYTES {
            return Err("it tells of more pieces than one job may have".into());
        }
        self.told.push(read);
        Ok(())
    }

    /// Makes room for the catalogue.
    pub(super) fn begin(&mut self, catalogue: &Catalogue) {
        self.holdings = Bitfield::new(catalogue.piece_count());
        self.own = Bitfield::new(catalogue.entry_count());
        self.wanted = Bitfield::new(catalogue.entry_count());
        self.assigned = Bitfield::new(catalogue.entry_count());
        self.complete = Bitfield::new(catalogue.entry_count());
    }
}

/// Who is still waited for. What a phase waits for, once done, stays done, so the call goes on
/// where it stopped and costs nothing a message.
#[derive(Debug, Default)]
pub(super) struct RollCall {
    next: usize,
}

impl RollCall {
    /// Whether all live members have done something.
    pub(super) fn all(&mut self, members: &[Member], done: impl Fn(&Member) -> bool) -> bool {
        let rest = members[self.next..].iter();
        self.next += rest.take_while(|member| !member.is_live() || done(member)).count();
        self.next == members.len()
    }
}
