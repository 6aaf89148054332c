//! Why a job was refused, why a rank cannot do its part, and what a user should know, in the words
//! of this command line: what a job is told has the name of its option here. All that names none
//! has its sentence from below.

use content::name::escape;
use shoal::{MetadataError, Notice, ShareError, ShareNotice, SourceError, Trouble, WriteError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
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
        Notice::Share(ShareNotice::LinksLeadOut(links)) => {
            let sentence = links.sentence(
                "link leads out of what is shared, and arrives as a link; --follow-links shares \
                 what it leads to",
                "links lead out of what is shared, and arrive as links; --follow-links shares \
                 what they lead to",
            );
            sentence.unwrap_or_default()
        }
        Notice::Share(ShareNotice::OwnersNotKept(names)) => {
            let sentence = names.sentence(
                "name shared here belongs to another user; owners are kept with --owner alone",
                "names shared here belong to other users; owners are kept with --owner alone",
            );
            sentence.unwrap_or_default()
        }
        Notice::Tracker(swarm::Notice::Told(_))
        | Notice::Share(ShareNotice::Told(_))
        | Notice::Told(_) => notice.to_string(),
    }
}

/// Why this rank cannot do what it was told, as a sentence.
pub fn trouble(trouble: &Trouble<'_>) -> String {
    match trouble {
        Trouble::Share(error) => share_error(error),
        Trouble::Write(error) => write_error(error),
        Trouble::Source(SourceError::Unwritten(error)) => write_error(error),
        Trouble::Source(SourceError::Changed { place }) => format!(
            "'{place}' is not the file that was found when the job began: it changed, or the ranks \
             do not see the same; start again once it is left alone, or leave --shared-fs out"
        ),
        Trouble::NoDestination => "there is no --into DIR to put it in".to_owned(),
        Trouble::OwnersNeedRoot => {
            "owners can be given by root alone: start the job as root, or leave --owner out"
                .to_owned()
        }
        Trouble::NoXattrs { into } => format!(
            "'{into}' lies on a file system that keeps no extended attributes; choose another \
             destination, or leave --xattrs out"
        ),
        Trouble::RemovesRoot => {
            "--delete with '/' as the destination: choose another one".to_owned()
        }
        Trouble::RemovesShare { path } => format!(
            "--delete would remove what is shared: '{path}' lies in the destination under another \
             name; choose another destination, or leave --delete out"
        ),
        Trouble::Source(_) => trouble.to_string(),
    }
}

fn share_error(error: &ShareError) -> String {
    let shown = |path: &Path| escape(path.as_os_str().as_bytes());
    match error {
        ShareError::Missing { path } => format!(
            "'{}' cannot be shared because it does not exist; check --share on this rank",
            shown(path)
        ),
        ShareError::Unreadable { path, source } => format!(
            "'{}' cannot be shared because it cannot be read: {}; make it readable, or leave it out",
            shown(path),
            system_error(source)
        ),
        ShareError::BadName { path, source } => format!(
            "'{}' cannot be shared: {source}; rename it, or choose another --prefix",
            shown(path)
        ),
        ShareError::Duplicate { name, first, second } => format!(
            "'{}' and '{}' would both be called '{name}'; share one of them under another --prefix",
            shown(first),
            shown(second)
        ),
        ShareError::TooManyEntries { .. } => format!(
            "{error} (with --follow-links, links may lead to the same directories many times)"
        ),
        ShareError::TooManyPieces { path } => format!(
            "'{}' has too many pieces to be shared; use a longer --piece-length",
            shown(path)
        ),
        ShareError::Nameless { .. }
        | ShareError::OnlyDestination { .. }
        | ShareError::Untrue { .. } => error.to_string(),
    }
}

fn write_error(error: &WriteError) -> String {
    match error {
        WriteError::FullDirectory { path, wanted } => format!(
            "'{}' is a directory with content where {wanted} must go; move it away, or give \
             --delete to have it replaced",
            escape(path.as_os_str().as_bytes())
        ),
        WriteError::Io { path, source } => format!(
            "cannot write '{}': {}; mend that or choose another destination, and run again to \
             resume",
            escape(path.as_os_str().as_bytes()),
            system_error(source)
        ),
        _ => error.to_string(),
    }
}

/// What the system said, or what of the metadata cannot be kept.
fn system_error(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(MetadataError::Owner { source }) => {
            format!("its owner cannot be kept here ({source}); leave --owner out")
        }
        Some(MetadataError::TooManyXattrs { kib }) => {
            format!("it has more than {kib} KiB of extended attributes; leave --xattrs out")
        }
        Some(MetadataError::Xattr { name, source }) => format!(
            "its extended attribute '{name}' cannot be kept here ({source}); leave --xattrs out"
        ),
        None => error.to_string(),
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

    #[test]
    fn what_this_rank_cannot_do_names_the_option_that_would_help() {
        let path = || Path::new("/d/f").to_owned();
        let errno = || io::Error::from_raw_os_error(1);
        let unreadable =
            |why| ShareError::Unreadable { path: path(), source: io::Error::other(why) };
        let unwritten = |why| WriteError::Io { path: path(), source: io::Error::other(why) };
        let owner = || MetadataError::Owner { source: errno() };
        let shares = [
            (ShareError::Missing { path: path() }, "; check --share on this rank"),
            (ShareError::TooManyEntries { path: path() }, "(with --follow-links, links may lead"),
            (ShareError::TooManyPieces { path: path() }, "use a longer --piece-length"),
            (
                unreadable(MetadataError::TooManyXattrs { kib: 64 }),
                "cannot be read: it has more than 64 KiB of extended attributes; leave --xattrs \
                 out; make it readable, or leave it out",
            ),
        ];
        for (error, expected) in &shares {
            let (here, below) = (trouble(&Trouble::Share(error)), error.to_string());
            assert!(here.contains(expected), "'{expected}' is not in '{here}'");
            assert!(!below.contains("--"), "{below}");
        }
        let writes = [
            (unwritten(owner()), "(Operation not permitted (os error 1)); leave --owner out; mend"),
            (WriteError::FullDirectory { path: path(), wanted: "a file" }, "or give --delete to"),
        ];
        for (error, expected) in &writes {
            let (here, below) = (trouble(&Trouble::Write(error)), error.to_string());
            assert!(here.contains(expected), "'{expected}' is not in '{here}'");
            assert!(!below.contains("--"), "{below}");
        }
        let into = "/d".to_owned();
        assert!(trouble(&Trouble::NoXattrs { into }).ends_with("or leave --xattrs out"));
        assert_eq!(trouble(&Trouble::NoDestination), "there is no --into DIR to put it in");
    }
}
