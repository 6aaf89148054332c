//! Why a job was refused, and what a user should know, in the words of this command line: what a
//! job is told has the name of its option here. All that names none has its sentence from below.

use shoal::Notice;
use swarm::reason::{below_no_directory, different_contents, listed};
use swarm::{Purpose, Reason};

/// How two things of one name are told apart.
const APART: &str = "share one of them only, or tell them apart with --prefix 'rank{rank}/'";

/// A reason as a sentence.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::NothingShared => "nothing is shared: give --share PATH on at least one peer (rank \
             0 is none, unless with --tracker colocated)"
            .to_owned(),
        Reason::DifferentContents { name, sides } => {
            format!("{}: {APART}", different_contents(name, sides))
        }
        Reason::DifferentPieceLengths { name, ranks: [first, second] } => format!(
            "ranks {first} and {second} share '{name}' with different --piece-length: give all \
             ranks the same"
        ),
        Reason::SourceFoundTwice { name, ranks: [first, second] } => format!(
            "ranks {first} and {second} both found a source '{name}', which --shared-fs reads \
             once: {APART}"
        ),
        Reason::BelowNoDirectory { above, below } => {
            format!("{}: tell them apart with --prefix", below_no_directory(above, below))
        }
        Reason::TooMany(content::CatalogueError::TooManyPieces) => {
            format!("{reason}; use a longer --piece-length")
        }
        Reason::MatchesNothing { rank, pattern, hint } => format!(
            "rank {rank} wants '{pattern}', which matches no name of the catalogue; {}",
            hint.told("give --want '' to want nothing")
        ),
        Reason::OtherPurpose { purpose, ranks } => format!(
            "the rank that tracks was told {}, and rank {} otherwise: give all ranks the same \
             options",
            option(*purpose),
            listed(ranks)
        ),
        Reason::TooLittleMemory { .. } => too_little_memory(reason),
        Reason::RemovesShare { share, nesting, into } => format!(
            "--delete would remove what rank {} shares: '{}' {} '{}', the destination of rank {}; \
             choose another destination, or leave --delete out",
            share.0,
            share.1,
            nesting.words(),
            into.1,
            into.0
        ),
        Reason::MightRemoveShare { share, into } => format!(
            "--delete might remove what rank {} shares: from here nobody can tell whether '{}' \
             lies in '{}', the destination of rank {}, for the two hosts mount them under \
             different names; mount both file systems alike, or leave --delete out",
            share.0, share.1, into.1, into.0
        ),
        Reason::NoDestination { rank } => {
            format!("rank {rank} cannot receive: it has no --into DIR")
        }
        Reason::NotUpToDate { ranks } => {
            let ranks =
                if *ranks == 1 { "1 rank is".to_owned() } else { format!("{ranks} ranks are") };
            let advice = "the same command without --check brings what can be into place";
            format!("{ranks} not up to date; {advice}")
        }
        Reason::JobRefused(why) => format!("the job was refused: {}", self::reason(why)),
        Reason::NoFileShared
        | Reason::ShareNowhere { .. }
        | Reason::TooMany(_)
        | Reason::InUse { .. }
        | Reason::DestinationInShare { .. }
        | Reason::Told(_) => reason.to_string(),
    }
}

fn too_little_memory(reason: &Reason) -> String {
    let Reason::TooLittleMemory { memory_kib, longest_kib, least_mib, fitting_kib } = reason else {
        return reason.to_string();
    };
    let shorter = fitting_kib.map_or_else(String::new, |kib| {
        format!(", or --piece-length {kib}KiB where the files are shared")
    });
    format!(
        "--memory of {memory_kib} KiB is too little for pieces of {longest_kib} KiB: give --memory \
         {least_mib}MiB at least{shorter}"
    )
}

fn option(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Transfer => "neither --check nor --dry-run",
        Purpose::Check => "--check",
        Purpose::DryRun => "--dry-run",
    }
}

/// A notice as a sentence.
pub fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Tracker(swarm::Notice::ShareMissing { path, ranks }) => {
            format!("--share '{path}' does not exist on rank {ranks}; it shares nothing there")
        }
        Notice::Tracker(swarm::Notice::MoreSharesMissing(more)) => {
            format!("{more} more paths of --share do not exist on their ranks")
        }
        Notice::BoundToOneCore { of } => format!(
            "rank 0 may use one core of {of}, and other ranks likely no more: add --bind-to none \
             to mpirun, or --cpu-bind=none to srun"
        ),
        Notice::TracksAlone { host } => format!(
            "rank 0 only tracks, and has host {host} to itself: with --tracker colocated it is a \
             peer too"
        ),
        Notice::LeftAlone { failures } => {
            format!("left alone by --delete: {}", failures.join("; "))
        }
        Notice::Tracker(swarm::Notice::Told(_)) | Notice::Told(_) => notice.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content::{CatalogueError, Name};
    use swarm::Rank;
    use swarm::reason::{Hint, Nesting, Side};

    /// One of each kind whose sentence names an option.
    fn reasons_with_options() -> Vec<(Reason, &'static str)> {
        let name = || Name::new("f").unwrap();
        let (rank, ranks) = (Rank(2), [Rank(1), Rank(2)]);
        let side = |rank| Side { rank, what: "a directory".to_owned() };
        let at = |rank, path: &str| (Rank(rank), path.to_owned());
        let memory = |fitting_kib| Reason::TooLittleMemory {
            memory_kib: 195,
            longest_kib: 16,
            least_mib: 1,
            fitting_kib,
        };
        let refused = |why| Reason::JobRefused(Box::new(why));
        let hint = Hint::Unknown(None);
        let (share, into) = (at(1, "/a"), at(2, "/b"));
        vec![
            (Reason::NothingShared, "give --share PATH on at least one peer"),
            (
                Reason::DifferentContents { name: name(), sides: Box::new(ranks.map(side)) },
                "(rank 1: a directory; rank 2: a directory): share one of them only, or tell them \
                 apart with --prefix 'rank{rank}/'",
            ),
            (Reason::DifferentPieceLengths { name: name(), ranks }, "different --piece-length:"),
            (Reason::SourceFoundTwice { name: name(), ranks }, "which --shared-fs reads once"),
            (
                Reason::BelowNoDirectory {
                    above: (Rank(1), name(), "file"),
                    below: (rank, Name::new("f/g").unwrap()),
                },
                "'f/g' below it: tell them apart with --prefix",
            ),
            (Reason::TooMany(CatalogueError::TooManyPieces), "; use a longer --piece-length"),
            (
                Reason::MatchesNothing { rank, pattern: "x".to_owned(), hint },
                "see what is shared, or give --want '' to want nothing",
            ),
            (
                Reason::OtherPurpose { purpose: Purpose::Check, ranks: ranks.to_vec() },
                "was told --check, and rank 1, 2 otherwise: give all ranks the same options",
            ),
            (memory(None), "give --memory 1MiB at least"),
            (memory(Some(8)), "at least, or --piece-length 8KiB where the files are shared"),
            (
                Reason::RemovesShare {
                    share: share.clone(),
                    nesting: Nesting::InCopy,
                    into: into.clone(),
                },
                "--delete would remove what rank 1 shares: '/a' lies in what this cast makes in \
                 '/b', the destination of rank 2;",
            ),
            (Reason::MightRemoveShare { share, into }, "--delete might remove what rank 1 shares"),
            (Reason::NoDestination { rank }, "it has no --into DIR"),
            (Reason::NotUpToDate { ranks: 1 }, "1 rank is not up to date; the same command"),
            (
                refused(Reason::NothingShared),
                "the job was refused: nothing is shared: give --share",
            ),
        ]
    }

    #[test]
    fn what_can_be_changed_is_named_by_its_option_here_and_by_none_below() {
        for (below, expected) in reasons_with_options() {
            let here = reason(&below);
            assert!(here.contains(expected), "'{expected}' is not in '{here}'");
            assert!(!below.to_string().contains("--"), "{below}");
        }
    }
}
