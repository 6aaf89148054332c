//! A case as a value: trees, what stands at the destinations, the options of a command. Drawn by
//! proptest, which also makes a case smaller. It touches no disk.

use proptest::prelude::*;
use proptest::sample::select;

/// Names, as words of bash: few, so that steps meet, and some that a shell, a glob or a table gets
/// wrong.
const NAMES: [&str; 12] = [
    "a",
    "b",
    "c.h5",
    "d",
    "d/a",
    "d/e",
    "d/e/b",
    "d/x.h5",
    ".h",
    "long",
    "$'new\\nline \\xff'",
    "'[x] {rank} \\'",
];
/// A tree has so many steps behind it, and so many have happened since.
const STEPS_MAX: usize = 14;
/// None, a byte, a piece of 16 KiB and its neighbours, more.
const LENGTHS: [u32; 7] = [0, 1, 700, 16_383, 16_384, 16_385, 70_000];
const MODES: [&str; 8] = ["0644", "0600", "0755", "0444", "0555", "4711", "2775", "1777"];
/// Before 1970, its first second, now, after what 32 bits hold, and each with its nanoseconds.
const TIMES: [&str; 7] = [
    "-86400.5",
    "-0.000000001",
    "0",
    "1000000000.123456789",
    "1000000000",
    "2147483648.999999999",
    "10000000000.0000001",
];
/// All of them lead to places in the directory of the case.
const TARGETS: [&str; 6] = ["a", "d", ".", "..", "nowhere", "../../outside"];
/// No pattern names a directory that something is in.
const WANTS: [&str; 4] = ["**/a", "**/d/**", "**/*.h5", "nothing-like-this"];

/// Who shares the tree, and by which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `cast` of what only this rank has.
    From(u32),
    /// `cast` of what each rank sees.
    Seen,
    /// The same with `--shared-fs`.
    SharedFs,
    /// `run` of what rank 1 shares.
    Run,
    /// `run` where ranks 1 and 2 share equal contents.
    Twins,
    /// `run` where ranks 1 and 2 share different trees with `--prefix`.
    Gather,
}

impl Layout {
    /// Whether it is a `cast`.
    pub fn is_cast(self) -> bool {
        matches!(self, Self::From(_) | Self::Seen | Self::SharedFs)
    }
}

/// What put there what stands at the destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Nothing,
    Copies,
    /// Copies whose files are names of a backup's.
    LinkedCopies,
    Job,
    /// A job that ended in mid-transfer.
    Interrupted(Victim, Stop),
}

/// Which job was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Same,
    Other,
}

/// How a job was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGKILL to the ranks: nothing is tidied.
    Killed,
    /// SIGTERM to the launcher.
    Told,
}

/// Options of which one excludes the other, ...
pub const DELETE: &str = "--delete";
pub const FOLLOW_LINKS: &str = "--follow-links";
/// ... and those for a look.
pub const CHECK: &str = "--check";
pub const DRY_RUN: &str = "--dry-run";

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    pub layout: Layout,
    pub ranks: u32,
    /// Each rank's own destination, or one for all.
    pub into: &'static str,
    pub options: Vec<&'static str>,
    /// Of a `run`; all where nothing is said.
    pub want: Option<&'static str>,
    /// Lines of bash that made the tree, ...
    pub source: Vec<String>,
    pub start: Start,
    /// ... and what was done since, to which of the trees.
    pub changes: Vec<(usize, String)>,
    /// What is asked before the run.
    pub look: Option<&'static str>,
}

/// All cases.
pub fn cases() -> impl Strategy<Value = Case> {
    let steps = prop::collection::vec(step(), 0..STEPS_MAX);
    let changes = prop::collection::vec((0..5_usize, step()), 0..STEPS_MAX);
    let want = prop_oneof![3 => Just(None), 1 => select(&WANTS).prop_map(Some)];
    let look = prop_oneof![3 => Just(None), 2 => Just(Some(DRY_RUN)), 1 => Just(Some(CHECK))];
    let into = prop_oneof![4 => Just("d{rank}/into"), 1 => Just("d/into")];
    let manner = prop_oneof![
        4 => Just(vec![]), 4 => Just(vec![DELETE]), 2 => Just(vec![FOLLOW_LINKS])
    ];
    let pieces = prop_oneof![Just(vec![]), Just(vec!["--piece-length", "16KiB"])];
    let options = (manner, pieces).prop_map(|(manner, pieces)| [manner, pieces].concat());
    (layout(), (into, options, want, look), steps, start(), changes).prop_map(
        |((layout, ranks), (into, options, want, look), source, start, changes)| {
            let want = want.filter(|_| !layout.is_cast());
            Case { layout, ranks, into, options, want, source, start, changes, look }
        },
    )
}

fn layout() -> impl Strategy<Value = (Layout, u32)> {
    prop_oneof![
        4 => Just((Layout::From(0), 2)),
        1 => Just((Layout::From(1), 3)),
        2 => Just((Layout::Seen, 2)),
        2 => Just((Layout::SharedFs, 2)),
        3 => Just((Layout::Run, 3)),
        1 => Just((Layout::Twins, 3)),
        2 => Just((Layout::Gather, 3)),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    let interrupted =
        (select(&[Victim::Same, Victim::Other][..]), select(&[Stop::Killed, Stop::Told][..]));
    prop_oneof![
        2 => Just(Start::Nothing),
        4 => Just(Start::Copies),
        3 => Just(Start::LinkedCopies),
        2 => Just(Start::Job),
        4 => interrupted.prop_map(|(victim, stop)| Start::Interrupted(victim, stop)),
    ]
}

/// A line of bash in a tree's directory. What is not `chmod` or `touch` may change content.
fn step() -> impl Strategy<Value = String> {
    let name = || select(&NAMES);
    let text = || {
        let numbers = |(content, len): (u32, u32)| {
            format!("seq {content} {} | head -c {len} >", content + len)
        };
        (select(&[0_u32, 1_000_000, 2_000_000][..]), select(&LENGTHS)).prop_map(numbers)
    };
    prop_oneof![
        6 => (name(), text()).prop_map(|(name, text)| format!("new {name} && {text} {name}")),
        // In place, whatever links lead to it; a pipe would wait for a reader.
        1 => (name(), text()).prop_map(|(name, text)| format!("[ -f {name} ] && {text} {name}")),
        1 => name().prop_map(|name| format!("rot {name}")),
        1 => (name(), select(&LENGTHS))
            .prop_map(|(name, len)| format!("truncate -s +{len} {name}")),
        2 => name().prop_map(|name| format!("new {name} && mkdir {name}")),
        2 => (name(), select(&TARGETS))
            .prop_map(|(name, target)| format!("new {name} && ln -sT {target} {name}")),
        3 => (name(), name()).prop_map(|(name, to)| format!("ln -fT {to} {name}")),
        2 => (name(), name())
            .prop_map(|(name, of)| format!("cp -aT --remove-destination {of} {name}")),
        1 => name().prop_map(|name| format!("new {name} && mkfifo {name}")),
        3 => (name(), select(&MODES)).prop_map(|(name, mode)| format!("chmod {mode} {name}")),
        3 => (name(), select(&TIMES)).prop_map(|(name, time)| format!("touch -h -d @{time} {name}")),
        2 => name().prop_map(|name| format!("rm -rf {name}")),
    ]
}
