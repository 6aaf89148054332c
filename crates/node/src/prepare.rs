//! What a peer does before INIT, on a thread of its own: it opens its destination, and looks
//! through and hashes what it offers, while the loop gives signs of life.

mod local;
mod opening;
mod source;

pub(crate) use local::LocalSource;
use local::is_on_network;

use crate::Share;
use crate::budget::Budget;
use crate::job::{Command, Job};
use crate::notice::Notice;
use crate::trouble::Trouble;
use content::Name;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;
use store::{
    Destination, EarlyPartials, Look, Mounts, Partial, ShareOptions, Shared, SharedEntry, exists,
    look_through, real_path, share,
};
use swarm::message::{Hello, PiecesRead, ReadOrder, SharedPath, Unread};
use swarm::peer::Offered;
use swarm::{Held, LeftOut, Lock, Offer, Origin, Purpose};

/// How long a job that comes to nothing waits for a destination that is being opened, or looked
/// through.
const OPENING: Duration = Duration::from_secs(5);

/// What the preparation says, in this order.
pub(crate) enum Prepared {
    /// Something for the user; may come before the rest.
    Notice(Notice),
    /// Who this peer is.
    Hello(Box<Hello>),
    /// What it offers, and what the store will need.
    Offered(Box<Inventory>),
    /// Pieces of a source that all ranks see were read.
    PiecesRead(Vec<PiecesRead>),
    /// Pieces of it were not.
    Unread(Unread),
    /// The orders cannot be carried out.
    Trouble(String),
    /// The destination was left as it was found; may come at any time after it was asked for.
    Abandoned,
}

/// What was found.
pub(crate) struct Inventory {
    pub(crate) offered: Vec<Offered>,
    pub(crate) shared: Vec<SharedEntry>,
    pub(crate) partials: Vec<Partial>,
    /// Sources that are here, and read elsewhere: the names that they would have, and where they
    /// are.
    pub(crate) local_sources: Vec<LocalSource>,
    /// The source, where all ranks see it.
    pub(crate) source: Arc<[LocalSource]>,
    /// What lies below the shares, in the destination.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) notices: Vec<Notice>,
}

/// The thread, and what was asked of it.
pub(crate) struct Preparation {
    orders: Sender<Order>,
    growing: Arc<EarlyPartials>,
    say: Sender<thread::Result<Prepared>>,
    said: Receiver<thread::Result<Prepared>>,
    destination: Receiver<Option<Place>>,
}

/// What the tracker wants done before START.
pub(crate) enum Order {
    /// Read and hash these shares, by position.
    Read(Vec<u32>),
    /// Look through these.
    Walk(Vec<u32>),
    /// Read these pieces of what all ranks see.
    Pieces(Vec<ReadOrder>),
}

/// The directory that what is wanted goes into.
pub(crate) enum Place {
    /// Made, and locked for this job or by another rank of it.
    Claimed(Destination),
    /// Only looked at.
    Seen(Look),
}

impl Place {
    fn facts(&self) -> swarm::Destination {
        match self {
            Self::Claimed(destination) => destination.facts(),
            Self::Seen(look) => look.facts(),
        }
    }
}

impl Preparation {
    /// Begins at once.
    pub(crate) fn start(job: Job) -> Self {
        let (orders, ordered) = unbounded();
        let growing = Arc::new(EarlyPartials::default());
        let (say, said) = unbounded();
        let (give, destination) = unbounded();
        let (own, grows) = (Sender::clone(&say), Arc::clone(&growing));
        begin_thread("preparation", move || {
            let (told, grows) = (Told { say: &say, give: &give }, grows.as_ref());
            let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&job, &ordered, &told, grows)));
            if let Err(panic) = prepared {
                let _ = say.send(Err(panic));
            }
        });
        Self { orders, growing, say: own, said, destination }
    }

    /// The tracker has decided what is to be read.
    pub(crate) fn order(&self, order: Order) {
        // A preparation that has failed has said so.
        let _ = self.orders.send(order);
    }

    /// START: nothing is written here any more of what all ranks see.
    pub(crate) fn end_reading(&self) {
        self.growing.end();
    }

    /// What it said next, if anything.
    ///
    /// # Panics
    ///
    /// Goes on with a panic of the preparation: everybody would wait for it for ever.
    pub(crate) fn next(&self) -> Option<Prepared> {
        let said = self.said.try_recv().ok()?;
        Some(said.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// The destination, where there is one; known once all that is offered is. Given once.
    pub(crate) fn destination(&self) -> Option<Place> {
        self.destination.try_recv().ok().flatten()
    }

    /// There is no job: leaves the destination as it was found. Waits a moment, on a thread of its
    /// own, where it is still being opened; ends with [`Prepared::Abandoned`].
    pub(crate) fn abandon(&self) {
        let (destination, say) = (self.destination.clone(), self.say.clone());
        let growing = Arc::clone(&self.growing);
        begin_thread("abandoning", move || {
            growing.abandon();
            if let Ok(Some(Place::Claimed(destination))) = destination.recv_timeout(OPENING) {
                destination.abandon();
            }
            let _ = say.send(Ok(Prepared::Abandoned));
        });
    }
}

fn begin_thread(name: &str, body: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.expect("the system gives a thread");
}

/// Where the thread tells what it found.
struct Told<'a> {
    say: &'a Sender<thread::Result<Prepared>>,
    give: &'a Sender<Option<Place>>,
}

fn prepare(job: &Job, ordered: &Receiver<Order>, told: &Told<'_>, growing: &EarlyPartials) {
    // Nobody hears of it where the loop has ended.
    let tell = |prepared| drop(told.say.send(Ok(prepared)));
    let destination = opening::open(job, &|notice| tell(Prepared::Notice(Notice::Told(notice))));
    let present: Vec<bool> = job.shares.iter().map(|share| exists(&share.path)).collect();
    tell(Prepared::Hello(Box::new(hello(job, &destination, &present))));
    let nested = || cast_into_itself(job, &present).or_else(|| deletion_problem(job));
    let problem = job.problem.clone().or_else(|| owner_problem(job)).or_else(nested);
    let give = |destination: Option<Result<Place, String>>| {
        let _ = told.give.send(destination.and_then(Result::ok));
    };
    if let Some(problem) = problem {
        // So that it is left as it was found.
        give(destination);
        return tell(Prepared::Trouble(problem));
    }
    let budget = Budget::of(job.memory);
    let threads = budget.hashers(job.threads, job.piece_len);
    let matters = |name: &Name| job.may_share(name);
    let partials = match &destination {
        // Whoever shares the destination with the lock's holder leaves what lies there to it.
        Some(Ok(Place::Claimed(destination)))
            if matches!(destination.facts().lock, Lock::Held { .. }) =>
        {
            destination.partials(&matters, threads, &AtomicU64::new(0))
        }
        Some(Ok(Place::Seen(look))) if job.purpose == Purpose::DryRun => {
            look.partials(&matters, threads)
        }
        _ => Vec::new(),
    };
    if let Some(Ok(Place::Claimed(place))) = &destination
        && let Err(error) = growing.settle(place)
    {
        give(destination);
        return tell(Prepared::Trouble(format!("the destination cannot be opened: {error}")));
    }
    give(destination);
    let all = || (0..job.shares.len() as u32).filter(|at| present[*at as usize]);
    let order = match waits(job) {
        false => Order::Read(all().collect()),
        true => match ordered.recv() {
            Ok(order) => order,
            Err(_) => return,
        },
    };
    let (positions, is_walk) = match order {
        Order::Read(positions) => (positions, false),
        Order::Walk(positions) => (positions, true),
        Order::Pieces(_) => unreachable!("pieces are dealt once the source is known"),
    };
    let to_read: Vec<usize> = positions.into_iter().map(|at| at as usize).collect();
    let shares: Vec<_> = to_read.iter().filter_map(|&at| job.shares.get(at)).cloned().collect();
    let options = ShareOptions {
        piece_len: job.piece_len,
        threads: budget.hashers(job.hashers, job.piece_len),
        // What one run puts there is nothing that the next one offers.
        except: job.into.clone(),
        cache: cache_directory(),
    };
    let sources: Arc<[LocalSource]> =
        all().filter_map(|at| LocalSource::at(&job.shares[at as usize])).collect();
    let shared = match is_walk {
        true => look_through(&shares, &options),
        false => share(&shares, &options, &AtomicU64::new(0)),
    };
    match shared {
        Err(error) => return tell(Prepared::Trouble(job.words.of(&Trouble::Share(&error)))),
        Ok(mut shared) => {
            for entry in &mut shared.entries {
                entry.share = to_read[entry.share as usize] as u32;
            }
            let others = (0..job.shares.len()).filter(|at| present[*at] && !to_read.contains(at));
            let others = others.filter(|_| !is_walk);
            let local_sources = others.filter_map(|at| LocalSource::new(&job.shares[at])).collect();
            let source = if is_walk { Arc::clone(&sources) } else { Arc::default() };
            let inventory = Inventory::new(shared, partials, (local_sources, source));
            tell(Prepared::Offered(Box::new(inventory)));
        }
    }
    while let Ok(order) = ordered.recv() {
        let Order::Pieces(orders) = order else { continue };
        source::read(&orders, &sources, growing, (threads, job.words), &|told| match told {
            source::Told::Read(read) => tell(Prepared::PiecesRead(read)),
            source::Told::Unread(unread) => tell(Prepared::Unread(unread)),
        });
    }
}

/// Whether the tracker says what is to be read.
fn waits(job: &Job) -> bool {
    job.command == Command::Cast || job.shared_fs
}

fn cache_directory() -> Option<PathBuf> {
    let absolute =
        |path: std::ffi::OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let cache = std::env::var_os("XDG_CACHE_HOME").and_then(absolute);
    let home = || Some(std::env::var_os("HOME").and_then(absolute)?.join(".cache"));
    Some(cache.or_else(home)?.join("shoal"))
}

/// Why a source that is here may not be cast: its copy would lie in itself.
fn cast_into_itself(job: &Job, present: &[bool]) -> Option<String> {
    let into = job.into.as_ref().filter(|_| job.command == Command::Cast)?.canonicalize().ok()?;
    let sources = job.shares.iter().zip(present).filter(|(_, there)| **there);
    sources.into_iter().find_map(|(share, _)| {
        let place = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
        (share.path.is_dir() && place(&share.path) == place(&into)).then(|| {
            format!(
                "'{}' would be cast into itself, for it is the destination too; name the directory \
                 that it lies in as the destination, or another one",
                shown(&share.path)
            )
        })
    })
}

/// Why owners cannot be kept where this rank receives.
fn owner_problem(job: &Job) -> Option<String> {
    let may = rustix::process::geteuid().is_root();
    let troubled = job.keeps.owner && !may && !job.wants.is_empty();
    troubled.then(|| job.words.of(&Trouble::OwnersNeedRoot))
}

/// Why what the catalogue lacks may not be removed at this rank's destination, as far as its own
/// orders tell; what other ranks share, the tracker compares.
fn deletion_problem(job: &Job) -> Option<String> {
    let into = real_path(job.into.as_ref().filter(|_| job.delete && !job.wants.is_empty())?);
    if into.parent().is_none() {
        return Some(job.words.of(&Trouble::RemovesRoot));
    }
    let tops = job.shares.iter().filter_map(|share| Some(into.join(share.path.file_name()?)));
    let tops: Vec<PathBuf> = tops.collect();
    job.shares.iter().find_map(|share| {
        let path = real_path(&share.path);
        let inside = match job.command {
            Command::Cast => tops.iter().any(|top| path.starts_with(top) && path != *top),
            Command::Run => path == into && !share.prefix.is_empty(),
        };
        inside.then(|| job.words.of(&Trouble::RemovesShare { path: shown(&path) }))
    })
}

fn hello(job: &Job, destination: &Option<Result<Place, String>>, present: &[bool]) -> Hello {
    let mounts = Mounts::read();
    let shared = |(share, there): (&Share, &bool)| {
        let path = shown(&share.path);
        let told = match there {
            true => SharedPath::at(path, mounts.locate_all(&share.path)),
            false => SharedPath::missing(path),
        };
        told.known_as(share.id())
    };
    Hello {
        host: job.host.clone(),
        rack: job.rack.clone(),
        shares: job.shares.iter().zip(present).map(shared).collect(),
        waits_for_read: waits(job),
        shared_fs: source::shared_fs(job, present),
        wants: job.wants.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        wants_own: waits(job),
        destination: destination.as_ref().map(|opened| match opened {
            Ok(destination) => Ok(destination.facts()),
            Err(why) => Err(why.clone()),
        }),
    }
}

fn shown(path: &Path) -> String {
    content::name::escape(path.as_os_str().as_bytes())
}

impl Inventory {
    fn new(
        mut shared: Shared,
        partials: Vec<Partial>,
        (local_sources, source): (Vec<LocalSource>, Arc<[LocalSource]>),
    ) -> Self {
        let whole = shared.entries.iter_mut().map(|shared| Offered {
            offer: Offer {
                entry: shared.entry.clone(),
                held: if shared.is_unsteady() { Held::Nothing } else { Held::Whole },
                origin: Origin::Share(shared.share),
            },
            layer: shared.layer.take(),
        });
        let mut offered: Vec<Offered> = whole.collect();
        shared.entries.retain(|shared| !shared.is_unsteady());
        let shares = |name: &Name| {
            let found = shared.entries.binary_search_by(|shared| shared.entry.name.cmp(name));
            found.is_ok_and(|at| shared.entries[at].is_known())
        };
        // What is shared whole is not offered in parts, too.
        let parts = partials.iter().filter(|partial| !shares(&partial.entry.name));
        let parts = parts.map(|partial| Offered {
            offer: Offer {
                entry: partial.entry.clone(),
                held: Held::Pieces(partial.held.clone()),
                origin: Origin::Earlier { share: partial.share, is_stale: partial.is_stale },
            },
            layer: Some(Box::new(partial.layer.clone())),
        });
        offered.extend(parts);
        let Shared { entries: shared, left_out, notices } = shared;
        let notices = notices.into_iter().map(Notice::Share).collect();
        Self { offered, partials, local_sources, source, shared, left_out, notices }
    }
}

impl Inventory {
    /// START: of what all ranks see this one has these pieces, and nothing else.
    pub(crate) fn keep(&mut self, kept: Vec<Offered>) {
        for Offered { offer, layer } in kept {
            let Some(layer) = layer else { continue };
            match offer.held {
                Held::Pieces(held) => {
                    self.partials.retain(|partial| partial.entry.name != offer.entry.name);
                    self.partials.push(Partial {
                        entry: offer.entry,
                        held,
                        layer: *layer,
                        share: None,
                        is_stale: false,
                    });
                }
                Held::Whole => {
                    let name = &offer.entry.name;
                    let found = self.shared.binary_search_by(|it| it.entry.name.cmp(name));
                    if let (Ok(at), Some(content)) = (found, offer.entry.file()) {
                        self.shared[at].prove(*content, layer);
                    }
                }
                Held::Nothing => {}
            }
        }
        self.shared.retain(SharedEntry::is_known);
    }
}
