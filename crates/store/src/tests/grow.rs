//! Writing: what arrives has the content, the mode and the time that was shared, and appears all at
//! once.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

#[test]
fn files_of_all_sizes_arrive_whole_with_mode_and_time() {
    let sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 7 * PIECE, 600 * PIECE + 5];
    let job = Job::new(|from| {
        fs::create_dir(from.join("sub")).unwrap();
        for (seed, &size) in sizes.iter().enumerate() {
            let path = from.join(format!("sub/{seed}"));
            fs::write(&path, bytes(size, seed as u64)).unwrap();
            set_mode(&path, [0o600, 0o755, 0o444, 0o2711, 0o640, 0o4755, 0o664][seed]);
            set_time(&path, 1_000_000_000 * seed as i64 - 2_000_000_000, 999_999_999 - seed as u32);
        }
        fs::write(from.join(OsStr::from_bytes(b"odd\xff\n")), "odd").unwrap();
        set_time(&from.join("sub"), -1, 1);
    });
    let (fetched, _) = job.run(&job.receiver());
    assert_eq!(fetched, job.catalogue.piece_count());
    job.assert_same();
    assert_eq!(mode_and_time(&job.target().join("sub/1")), (0o755, -1_000_000_000, 999_999_998));
}

#[test]
fn nothing_stands_under_the_name_before_it_is_whole() {
    let content = bytes(2 * PIECE, 1);
    let job = Job::of_file(&content);
    let store = job.receiver();
    fs::write(job.target().join("file"), "older").unwrap();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    store.write(PieceId(0), &content[..PIECE]).unwrap();
    store.write(PieceId(1), &content[PIECE..]).unwrap();
    assert_eq!(fs::read(job.target().join("file")).unwrap(), b"older");
    assert_eq!(mode_and_time(&job.part_path("file", Part::Data)).0, 0o600, "nobody else looks in");
    store.finish(EntryIndex(0)).unwrap();
    assert!(fs::read(job.target().join("file")).unwrap() == content);
    assert_eq!(job.store_files(), ["id", "lock"]);
    store.finish(EntryIndex(0)).unwrap();
}

#[test]
fn an_empty_file_arrives_and_is_found_complete_the_next_time() {
    let job = Job::of_file(b"");
    set_mode(&job.source().join("file"), 0o601);
    let job = Job::again(job.home);
    job.run(&job.receiver());
    job.assert_same();
    assert!(matches!(job.receiver().survey(EntryIndex(0)).unwrap(), Survey::Complete(_)));
}

#[test]
fn many_threads_write_pieces_of_one_file_at_once() {
    let content = bytes(200 * PIECE + 1, 1);
    let job = Job::of_file(&content);
    let store = job.receiver();
    store.survey(EntryIndex(0)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (job, store) = (&job, &store);
            scope.spawn(move || {
                for piece in (0..201).filter(|piece| piece % 4 == thread) {
                    store.write(PieceId(piece), &job.piece(PieceId(piece))).unwrap();
                }
            });
        }
    });
    store.finish(EntryIndex(0)).unwrap();
    store.close();
    assert!(fs::read(job.target().join("file")).unwrap() == content);
}

#[test]
fn five_thousand_small_files_arrive_with_few_open_files() {
    let job = Job::new(|from| {
        for directory in 0..50 {
            let directory = from.join(format!("{directory:02}"));
            fs::create_dir(&directory).unwrap();
            for file in 0..100 {
                fs::write(directory.join(format!("{file}")), bytes(file * 37, file as u64))
                    .unwrap();
            }
        }
    });
    let store = job.receiver();
    let files: Vec<EntryIndex> = job.files().collect();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for chunk in files.chunks(1250) {
            let (job, store) = (&job, &store);
            scope.spawn(move || {
                for &entry in chunk {
                    job.fetch(store, entry);
                }
            });
        }
    });
    store.seal().unwrap();
    store.close();
    println!("5,000 files in {:?}", begun.elapsed());
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() < 900);
    job.assert_same();
}

#[test]
fn holes_survive() {
    const LEN: u64 = 4 << 20;
    let job = Job::new(|from| {
        let file = File::create(from.join("file")).unwrap();
        file.set_len(LEN).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", LEN / 2).unwrap();
    });
    // A piece must be as long as what becomes a hole.
    let options = ShareOptions { piece_len: None, ..options() };
    let shares = [whole(&job.source(), Naming::Inside)];
    let shared = share(&shares, &options, &AtomicU64::new(0)).unwrap();
    let catalogue = Catalogue::new(vec![shared.entries[0].entry.clone()]).unwrap();
    let job = Job { catalogue: Arc::new(catalogue), ..job };
    let store = job.receiver();
    store.survey(EntryIndex(0)).unwrap();
    let content = fs::read(job.source().join("file")).unwrap();
    for (piece, part) in content.chunks(256 << 10).enumerate() {
        store.write(PieceId(piece as u32), part).unwrap();
    }
    store.finish(EntryIndex(0)).unwrap();
    store.close();
    job.assert_same();
    let blocks = |path: PathBuf| path.metadata().unwrap().blocks() * 512;
    if blocks(job.source().join("file")) < LEN / 2 {
        assert!(blocks(job.target().join("file")) <= 128 << 10);
    }
}

#[test]
fn a_full_disk_and_missing_permission_are_told_apart() {
    let job = Job::of_file(b"content");
    let store = job.receiver();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = SparseWriter::default().write(&full, b"content", 0).unwrap_err();
    let told = store.write_error(EntryIndex(0), error);
    assert!(matches!(&told, WriteError::NoSpace { path } if *path == job.target().join("file")));
    if !is_root() {
        set_mode(&job.target().join(".shoal"), 0o555);
        let told = store.write(PieceId(0), b"content").unwrap_err();
        assert!(matches!(told, WriteError::Denied { .. }), "{told}");
        set_mode(&job.target().join(".shoal"), 0o755);
    }
}

#[test]
fn a_file_that_may_not_be_read_is_replaced() {
    let job = Job::of_file(b"content");
    let store = job.receiver();
    fs::write(job.target().join("file"), "older").unwrap();
    set_mode(&job.target().join("file"), 0o000);
    job.run(&store);
    job.assert_same();
}
