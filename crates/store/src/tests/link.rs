//! Hard links, and files of equal content: made here from what is here, and verified as always.

use super::*;

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

/// `a` and two further names of it, one in a directory; and `plain`, of the same content.
fn linked() -> Job {
    Job::new(|from| {
        fs::write(from.join("a"), bytes(3 * PIECE + 5, 1)).unwrap();
        set_mode(&from.join("a"), 0o640);
        set_time(&from.join("a"), 1_000_000_000, 5);
        fs::hard_link(from.join("a"), from.join("b")).unwrap();
        fs::create_dir(from.join("d")).unwrap();
        fs::hard_link(from.join("a"), from.join("d/c")).unwrap();
        fs::copy(from.join("a"), from.join("plain")).unwrap();
    })
}

#[test]
fn a_look_through_a_source_finds_the_same_names_of_a_file_and_reads_only_empty_ones() {
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("from");
    fs::create_dir_all(from.join("d")).unwrap();
    fs::write(from.join("a"), bytes(PIECE, 1)).unwrap();
    fs::hard_link(from.join("a"), from.join("d/b")).unwrap();
    fs::write(from.join("empty"), "").unwrap();
    fs::hard_link(from.join("empty"), from.join("nothing")).unwrap();
    let shares = [whole(&from, Naming::Inside)];
    let looked = crate::look_through(&shares, &options()).unwrap();
    let shared = share_inside(&from);
    assert_eq!(looked.notices, shared.notices);
    let link = |entry: &Entry| match &entry.kind {
        Kind::HardLink { to, .. } => Some(to.to_string()),
        _ => None,
    };
    let links =
        |shared: &Shared| shared.entries.iter().map(|it| link(&it.entry)).collect::<Vec<_>>();
    let some = |to: &str| Some(to.to_owned());
    assert_eq!(links(&looked), [None, None, some("a"), None, some("empty")]);
    assert_eq!(links(&looked), links(&shared));
    let known: Vec<bool> = looked.entries.iter().map(SharedEntry::is_known).collect();
    assert_eq!(known, [false, true, false, true, true], "a directory, and nothing, twice");
}

#[test]
fn the_first_name_of_a_file_is_a_file_and_the_others_are_links_to_it() {
    let job = linked();
    let shown: Vec<String> = job
        .catalogue
        .entries()
        .iter()
        .map(|entry| match &entry.kind {
            Kind::HardLink { to, .. } => format!("{} is {to}", entry.name),
            kind => format!("{} is a {}", entry.name, kind.word()),
        })
        .collect();
    assert_eq!(shown, ["a is a file", "b is a", "d is a directory", "d/c is a", "plain is a file"]);
    let contents: Vec<_> =
        job.catalogue.entries().iter().filter_map(|entry| entry.file()).collect();
    assert!(contents.windows(2).all(|pair| pair[0] == pair[1]), "a link has the content, too");
}

#[test]
fn a_file_with_a_name_that_is_not_shared_is_a_file() {
    let job = linked();
    let shared = share_inside(&job.source().join("d"));
    assert!(matches!(shared.entries[0].entry.kind, Kind::File(_)));
}

#[test]
fn links_are_made_and_copies_are_taken_from_what_is_here() {
    let job = linked();
    let store = job.receiver();
    assert_eq!(job.run(&store), (4, 4), "one of each piece is fetched, and one copied");
    job.assert_same();
    let [a, b, c, plain] = ["a", "b", "d/c", "plain"].map(|name| inode(&job.target().join(name)));
    assert!(a == b && b == c && c != plain);
    assert_eq!(mode_and_time(&job.target().join("d/c")), (0o640, 1_000_000_000, 5));
    assert_eq!(store.unkept(), Vec::<String>::new());
    // What came is served under each of its names.
    let mut buffer = vec![0; PIECE];
    let last = job.catalogue.piece_id(number(&job.catalogue, "d/c"), content::PieceIndex(2));
    store.read(last, &mut buffer).unwrap();
    assert!(buffer == job.piece(last));
    let again = job.receiver();
    assert!(job.files().all(|file| matches!(again.survey(file).unwrap(), Survey::Complete(_))));
}

#[test]
fn what_stood_there_as_a_file_of_its_own_or_a_symbolic_link_becomes_the_link() {
    let job = linked();
    fs::create_dir_all(job.target()).unwrap();
    fs::copy(job.source().join("a"), job.target().join("b")).unwrap();
    fs::create_dir(job.target().join("d")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", job.target().join("d/c")).unwrap();
    job.run(&job.receiver());
    job.assert_same();
    assert_eq!(inode(&job.target().join("a")), inode(&job.target().join("d/c")));
}

#[test]
fn a_link_to_what_was_replaced_meanwhile_becomes_a_file_of_its_own_and_is_named() {
    let job = linked();
    let store = job.receiver();
    assert_eq!(job.fetch(&store, number(&job.catalogue, "a")), (4, 0));
    fs::remove_file(job.target().join("a")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", job.target().join("a")).unwrap();
    let b = number(&job.catalogue, "b");
    assert_eq!(store.survey(b).unwrap(), Survey::Nothing);
    assert_eq!(job.fetch(&store, b), (0, 4), "from the very file, which is still open");
    assert!(fs::read(job.target().join("b")).unwrap() == bytes(3 * PIECE + 5, 1));
    let sentences = store.unkept();
    let expected = "1 hard link is a file of its own here";
    assert!(sentences[0].starts_with(expected) && sentences[0].contains("'b'"), "{sentences:?}");
}

#[test]
fn a_link_without_its_file_is_fetched() {
    let job = linked();
    let destination = Destination::open(&job.target(), "the test").unwrap();
    let mut wanted = Bitfield::new(job.catalogue.entry_count());
    let links = ["b", "d/c"].map(|name| number(&job.catalogue, name));
    links.iter().for_each(|link| assert!(wanted.insert(link.0)));
    let catalogue = job.catalogue.clone();
    let store = Store::new(catalogue, wanted, vec![], vec![], vec![], Some(destination));
    assert_eq!(links.map(|link| job.fetch(&store, link)), [(4, 0), (0, 0)]);
    assert_eq!(inode(&job.target().join("b")), inode(&job.target().join("d/c")));
}

#[test]
fn a_directory_with_content_in_the_place_of_a_link_is_not_removed() {
    let job = linked();
    let store = job.receiver();
    job.fetch(&store, number(&job.catalogue, "a"));
    fs::create_dir_all(job.target().join("b/full")).unwrap();
    let refused = store.survey(number(&job.catalogue, "b"));
    assert!(matches!(refused, Err(WriteError::FullDirectory { .. })), "{refused:?}");
    assert_eq!(job.store_files(), ["id", "lock"], "nothing of the attempt is left");
}

#[test]
fn a_look_sees_whether_names_are_of_one_file() {
    let job = linked();
    job.run(&job.receiver());
    let found =
        |name: &str| job.comparison().inspect(number(&job.catalogue, name)).differences.words();
    assert_eq!(["a", "b", "d/c", "plain"].map(found), [""; 4]);
    fs::remove_file(job.target().join("b")).unwrap();
    fs::copy(job.target().join("a"), job.target().join("b")).unwrap();
    set_time(&job.target().join("b"), 1_000_000_000, 5);
    assert_eq!(["a", "b", "d/c"].map(found), ["", "link", ""]);
}

#[test]
fn an_empty_file_is_linked_too() {
    let job = Job::new(|from| {
        fs::write(from.join("a"), "").unwrap();
        fs::hard_link(from.join("a"), from.join("b")).unwrap();
    });
    job.run(&job.receiver());
    assert_eq!(inode(&job.target().join("a")), inode(&job.target().join("b")));
}
