//! Sharing: names, kinds, digests, the cache, and what is refused.

use super::*;
use crate::stamp::Stamp;
use content::merkle::piece_hash;
use content::{Geometry, PieceLayer};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

fn expected_layer(content: &[u8]) -> PieceLayer {
    let geometry = Geometry::new(content.len() as u64, PieceLen::MIN);
    let hashes = content.chunks(PIECE).map(|piece| piece_hash(geometry, piece)).collect();
    PieceLayer::new(geometry, hashes).unwrap()
}

fn refusal(path: &Path) -> String {
    let refused = share(&[whole(path, Naming::WithOwnName)], &options(), &AtomicU64::new(0));
    refused.unwrap_err().to_string()
}

#[test]
fn a_tree_is_shared_with_everything_in_it() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path().join("top");
    fs::create_dir_all(top.join("a/empty")).unwrap();
    fs::create_dir_all(top.join("a/.shoal")).unwrap();
    fs::write(top.join("a/.shoal/id"), "x").unwrap();
    fs::write(top.join("a/file"), "hello").unwrap();
    fs::write(top.join("none"), "").unwrap();
    symlink("/nowhere/at all", top.join("link")).unwrap();
    symlink(".", top.join("loop")).unwrap();
    let odd = OsStr::from_bytes(b"odd\xff\xfe");
    fs::write(top.join(odd), "odd").unwrap();
    set_mode(&top.join("a/file"), 0o640);
    set_time(&top.join("a/file"), -5, 123_456_789);

    let shared = share_inside(&top);
    let expected = ["a", "a/empty", "a/file", "link", "loop", "none", "odd\\xff\\xfe"];
    assert_eq!(names(&shared), expected);
    let told = "1 link leads out of what is shared, and arrives as a link";
    assert!(matches!(&shared.notices[..], [one] if one.to_string().starts_with(told)));
    let [_, empty, file, link, _, none, odd] = &shared.entries[..] else { panic!() };
    assert_eq!(empty.entry.kind, Kind::Directory);
    assert_eq!(link.entry.kind, Kind::Symlink(b"/nowhere/at all".to_vec()));
    let content = none.entry.file().unwrap();
    assert_eq!((content.root, none.layer.is_none()), (Some(Hash::ZERO), true));
    let root = expected_layer(b"hello").root();
    assert_eq!(file.entry.file().unwrap().root, Some(root));
    assert_eq!(file.entry.metadata.mode, 0o640);
    let before_1970 = Timestamp { seconds: -5, nanoseconds: 123_456_789 };
    assert_eq!(file.entry.metadata.modified, before_1970);
    assert!(odd.source.place().ends_with(r"/odd\xff\xfe"), "{}", odd.source.place());
}

#[test]
fn sizes_around_leaves_and_pieces_have_the_root_that_bep_52_says() {
    let home = tempfile::tempdir().unwrap();
    let sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 1300 * PIECE + 7];
    for (seed, &size) in sizes.iter().enumerate() {
        fs::write(home.path().join(format!("{seed}")), bytes(size, seed as u64)).unwrap();
    }
    let progress = AtomicU64::new(0);
    let shares = [whole(home.path(), Naming::Inside)];
    let shared = share(&shares, &options(), &progress).unwrap();
    for (seed, (shared, &size)) in shared.entries.iter().zip(&sizes).enumerate() {
        let expected = expected_layer(&bytes(size, seed as u64));
        assert_eq!(shared.entry.file().unwrap().root, Some(expected.root()), "{size} bytes");
        let several = expected.hashes().len() > 1;
        assert_eq!(shared.layer, several.then(|| expected.prove().into()), "{size} bytes");
    }
    assert_eq!(progress.load(Ordering::Relaxed), sizes.iter().sum::<usize>() as u64);
}

#[test]
fn a_shared_path_may_end_in_slashes_be_a_link_or_be_the_current_directory() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path().join("top");
    fs::create_dir(&top).unwrap();
    fs::write(top.join("file"), "x").unwrap();
    symlink("top", home.path().join("link")).unwrap();
    symlink("top/file", home.path().join("file link")).unwrap();
    let named = |path: &str, naming| {
        let shares = [whole(&home.path().join(path), naming)];
        names(&share(&shares, &options(), &AtomicU64::new(0)).unwrap())
    };
    assert_eq!(named("top//", Naming::Inside), ["file"]);
    assert_eq!(named("top/", Naming::WithOwnName), ["top", "top/file"]);
    assert_eq!(named("top/.", Naming::WithOwnName), ["top", "top/file"]);
    assert_eq!(named("top/../top/..//top/", Naming::WithOwnName), ["top", "top/file"]);
    assert_eq!(named("link/", Naming::WithOwnName), ["link", "link/file"]);
    assert_eq!(named("link", Naming::Inside), ["file"]);
    assert_eq!(named("file link", Naming::Inside), ["file link"]);
    assert_eq!(named("top/file/", Naming::WithOwnName), ["file"]);
    let parent = home.path().join("top/..");
    let own = home.path().file_name().unwrap().to_str().unwrap().to_owned();
    let shares = [whole(&parent, Naming::WithOwnName)];
    let shared = share(&shares, &options(), &AtomicU64::new(0)).unwrap();
    assert_eq!(names(&shared)[0], content::name::escape(own.as_bytes()));
    assert!(refusal(Path::new("/")).contains("no name of its own"));
    assert!(exists(&home.path().join("file link/")) && !exists(&home.path().join("none")));
}

#[test]
fn a_prefix_stands_before_every_name_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "x").unwrap();
    let share_as = |prefix: &[u8]| {
        let mut told = whole(home.path(), Naming::Inside);
        told.prefix = prefix.to_vec();
        share(&[told], &options(), &AtomicU64::new(0))
    };
    assert_eq!(names(&share_as(b"rank3/").unwrap()), ["rank3/file"]);
    assert_eq!(names(&share_as(b"a-").unwrap()), ["a-file"]);
    let refused = share_as(b"../").unwrap_err();
    assert!(matches!(refused, ShareError::BadName { .. }), "{refused}");
}

#[test]
fn what_is_no_file_directory_or_link_is_counted_in_one_notice() {
    let home = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let kind = rustix::fs::FileType::Fifo;
        let path = home.path().join(format!("pipe{number}"));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, kind, mode, 0).unwrap();
    }
    fs::write(home.path().join("file"), "x").unwrap();
    let shared = share_inside(home.path());
    assert_eq!(names(&shared), ["file"]);
    assert_eq!(shared.notices.len(), 1);
    assert!(shared.notices[0].to_string().starts_with("5 special files are not shared"));
    assert!(shared.notices[0].to_string().ends_with("and 2 more"), "{}", shared.notices[0]);
}

#[test]
fn what_belongs_to_others_is_counted_for_its_owner_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let path = home.path().join(format!("file{number}"));
        fs::write(&path, "x").unwrap();
        if number > 0 && std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            return println!("SKIPPED: only root may give files away");
        }
    }
    let notices = share_inside(home.path()).notices;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].to_string().starts_with("4 names shared here belong to other users"),
        "{notices:?}"
    );
    assert!(notices[0].to_string().ends_with("and 1 more"), "{notices:?}");
}

#[test]
fn two_shares_may_have_directories_in_common_but_no_other_names() {
    let home = tempfile::tempdir().unwrap();
    let make = |side: &str, file: &str| {
        fs::create_dir_all(home.path().join(side).join("sub")).unwrap();
        fs::write(home.path().join(side).join("sub").join(file), "x").unwrap();
        whole(&home.path().join(side), Naming::Inside)
    };
    let shares = [make("a", "one"), make("b", "two")];
    let shared = share(&shares, &options(), &AtomicU64::new(0)).unwrap();
    assert_eq!(names(&shared), ["sub", "sub/one", "sub/two"]);
    let twice = [shares[0].clone(), shares[0].clone()];
    assert!(share(&twice, &options(), &AtomicU64::new(0)).is_ok());
    make("b", "one");
    let refused = share(&shares, &options(), &AtomicU64::new(0)).unwrap_err().to_string();
    let [a, b] = ["a", "b"].map(|side| home.path().join(side).join("sub/one"));
    let start = format!("'{}' and '{}' would both be called 'sub/one'", a.display(), b.display());
    assert!(refused.starts_with(&start), "{refused}");
}

#[test]
fn what_is_missing_or_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let missing = refusal(&home.path().join("missing"));
    assert!(missing.contains("missing' cannot be shared because it does not exist"), "{missing}");
    fs::write(home.path().join("secret"), "x").unwrap();
    set_mode(&home.path().join("secret"), 0o000);
    if !is_root() {
        let refused = refusal(home.path());
        assert!(refused.contains("secret' cannot be shared because it cannot be read"));
    }
}

fn cached(home: &Path, progress: &AtomicU64) -> Shared {
    let cache = Some(home.join("cache"));
    let shares = [whole(&home.join("from"), Naming::Inside)];
    share(&shares, &ShareOptions { cache, ..options() }, progress).unwrap()
}

#[test]
fn digests_of_large_files_are_kept_until_the_file_changes() {
    const LEN: usize = 8 << 20;
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("from")).unwrap();
    let file = home.path().join("from/large");
    fs::write(&file, bytes(LEN, 1)).unwrap();
    set_time(&file, 1000, 5);
    let progress = AtomicU64::new(0);
    let first = cached(home.path(), &progress);
    assert!(!home.path().join("cache").exists(), "a file that just changed is not trusted");
    // Its change time cannot be set back, so the test must wait for it to grow old.
    std::thread::sleep(Duration::from_millis(3100));
    cached(home.path(), &progress);
    assert_eq!(progress.load(Ordering::Relaxed), 2 * LEN as u64);
    let hit = cached(home.path(), &progress);
    assert_eq!(progress.load(Ordering::Relaxed), 2 * LEN as u64, "found in the cache");
    assert_eq!(hit.entries[0].layer, first.entries[0].layer);
    assert_eq!(hit.entries[0].entry, first.entries[0].entry);

    let kept: Vec<PathBuf> =
        fs::read_dir(home.path().join("cache")).unwrap().map(|item| item.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    let mut damaged = fs::read(&kept[0]).unwrap();
    damaged[100] ^= 1;
    fs::write(&kept[0], damaged).unwrap();
    cached(home.path(), &progress);
    assert_eq!(progress.load(Ordering::Relaxed), 3 * LEN as u64, "damage is found out");

    fs::write(&file, bytes(LEN, 2)).unwrap();
    set_time(&file, 1000, 5);
    let changed = cached(home.path(), &progress);
    assert_ne!(changed.entries[0].layer, first.entries[0].layer);
}

#[test]
fn a_cache_that_cannot_be_used_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("from")).unwrap();
    fs::write(home.path().join("from/large"), bytes(8 << 20, 1)).unwrap();
    fs::write(home.path().join("cache"), "a file").unwrap();
    assert_eq!(names(&cached(home.path(), &AtomicU64::new(0))), ["large"]);
}

#[test]
fn a_stamp_is_racy_for_two_seconds() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let stamp = Stamp::of(&file.path().metadata().unwrap());
    let now = SystemTime::now();
    assert!(stamp.is_racy(now));
    assert!(stamp.is_racy(now - Duration::from_secs(3600)), "from the future");
    assert!(!stamp.is_racy(now + Duration::from_secs(4)));
}

#[test]
fn nobody_can_have_a_file_that_keeps_changing_and_one_that_changed_once_is_hashed_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, bytes(3 * PIECE, 1)).unwrap();
    let old = Stamp::of(&path.metadata().unwrap());
    let geometry = Geometry::new(3 * PIECE as u64, PieceLen::MIN);
    fs::write(&path, bytes(200 * PIECE, 2)).unwrap();
    let source = &FileSource::found(path.clone(), old);
    let source = digest::Unhashed { source, geometry };
    let digests = digest::digest(&[source], 2, &AtomicU64::new(0)).unwrap();
    assert_eq!(digests, [digest::Digest::Changed]);

    let stop = std::sync::atomic::AtomicBool::new(false);
    let changing = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                std::io::Write::write_all(&mut &file, b"more").unwrap();
            }
        });
        let begun = std::time::Instant::now();
        let attempts = std::iter::from_fn(|| (begun.elapsed().as_secs() < 20).then_some(()));
        let found = attempts.into_iter().find_map(|()| {
            let shared = share_inside(home.path());
            shared.entries[0].is_unsteady().then_some(shared)
        });
        stop.store(true, Ordering::Relaxed);
        found.expect("it changed each time")
    });
    assert!(!changing.entries[0].is_known() && changing.entries[0].layer.is_none());
    let start = "1 file kept changing while it was hashed, so nobody gets it";
    assert!(changing.notices[0].to_string().starts_with(start), "{:?}", changing.notices);
    let shared = share_inside(home.path());
    assert_eq!((names(&shared), shared.entries[0].is_unsteady()), (vec!["file".into()], false));
}

/// Walks, lets something happen, and hashes what was found.
fn share_while(top: &Path, happens: impl FnOnce()) -> Shared {
    let walked = walk::walk(&[whole(top, Naming::Inside)], None).unwrap();
    happens();
    crate::share::hash(walked, &options(), &AtomicU64::new(0)).unwrap()
}

#[test]
fn what_vanishes_before_it_is_hashed_is_left_out_and_counted() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path();
    fs::create_dir_all(top.join("gone/below")).unwrap();
    fs::write(top.join("gone/below/file"), "x").unwrap();
    fs::write(top.join("large"), bytes(30 * PIECE, 1)).unwrap();
    for name in ["empty", "kept", "small", "becomes a directory", "becomes a socket", "replaced"] {
        let content = if name == "empty" { "" } else { name };
        fs::write(top.join(name), content).unwrap();
    }
    let shared = share_while(top, || {
        fs::remove_dir_all(top.join("gone")).unwrap();
        for name in ["large", "empty", "small", "becomes a directory", "becomes a socket"] {
            fs::remove_file(top.join(name)).unwrap();
        }
        fs::create_dir(top.join("becomes a directory")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(top.join("becomes a socket")).unwrap());
        fs::write(top.join("new"), "another file").unwrap();
        fs::rename(top.join("new"), top.join("replaced")).unwrap();
    });
    // The directories were there when they were looked into.
    assert_eq!(names(&shared), ["gone", "gone/below", "kept", "replaced"]);
    assert_eq!(shared.notices.len(), 1, "{:?}", shared.notices);
    let notice = shared.notices[0].to_string();
    assert!(notice.starts_with("6 names vanished while they were being shared"), "{notice}");
    let root = expected_layer(b"another file").root();
    assert_eq!(shared.entries[3].entry.file().unwrap().root, Some(root));
}

#[test]
fn a_file_whose_first_name_vanishes_is_shared_under_its_others() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path();
    let content = bytes(3 * PIECE, 1);
    fs::write(top.join("a"), &content).unwrap();
    ["b", "c"].iter().for_each(|name| fs::hard_link(top.join("a"), top.join(name)).unwrap());
    let shared = share_while(top, || fs::remove_file(top.join("a")).unwrap());
    assert_eq!(names(&shared), ["b", "c"]);
    let root = Some(expected_layer(&content).root());
    let [b, c] = &shared.entries[..] else { panic!() };
    assert!(matches!(b.entry.kind, Kind::File(content) if content.root == root));
    let Kind::HardLink { to, content } = &c.entry.kind else { panic!() };
    assert_eq!((to, content.root), (&name("b"), root));
}

#[test]
fn a_first_name_that_leads_to_another_file_takes_no_other_name_with_it() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path();
    let content = bytes(3 * PIECE, 1);
    fs::write(top.join("a"), &content).unwrap();
    fs::hard_link(top.join("a"), top.join("b")).unwrap();
    let shared = share_while(top, || {
        fs::write(top.join("new"), "another file").unwrap();
        fs::rename(top.join("new"), top.join("a")).unwrap();
    });
    assert_eq!(names(&shared), ["a", "b"]);
    let roots =
        [&b"another file"[..], &content].map(|content| Some(expected_layer(content).root()));
    let found = [0, 1].map(|at| match shared.entries[at].entry.kind {
        Kind::File(content) => content.root,
        _ => panic!("a link"),
    });
    assert_eq!(found, roots);
}

#[test]
fn a_tree_that_is_torn_down_meanwhile_is_shared_as_far_as_it_is_there() {
    let home = tempfile::tempdir().unwrap();
    let top = home.path();
    fs::write(top.join("kept"), "kept").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u32.. {
                let below = top.join(format!("d{}", round % 7)).join("e");
                fs::create_dir_all(&below).unwrap();
                (0..5).for_each(|at| fs::write(below.join(format!("{at}")), "x").unwrap());
                symlink("nowhere", below.join("link")).unwrap();
                fs::remove_dir_all(below.parent().unwrap()).unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..200 {
            let shared = share_inside(top);
            assert!(names(&shared).contains(&"kept".to_owned()));
            let is_below = |shared: &SharedEntry| shared.entry.name.as_bytes().contains(&b'/');
            for shared in shared.entries.iter().filter(|shared| is_below(shared)) {
                assert!(shared.is_known() || shared.is_unsteady(), "{:?}", shared.entry);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
