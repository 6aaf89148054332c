//! Shared files that are truncated, rewritten, replaced, deleted or corrupted while they are
//! served: no rank dies of it, and no wrong byte gets a final name.

use e2e::{Cluster, Finished, MIB, Running, assert_same_file, skip};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const RUN: [&str; 9] = [
    "run",
    "--share",
    "rank{rank}/share",
    "--into",
    "rank{rank}/into",
    "--piece-length",
    "256KiB",
    "--limit-upload",
    "20MB",
];
const NAME: &str = "large.bin";
const SIZE: u64 = 64 * MIB;

/// What happens to a file that is served.
type Disaster = fn(&Path);

fn truncate(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(SIZE / 64).unwrap();
}

fn rewrite(path: &Path) {
    let mut file = File::options().write(true).open(path).unwrap();
    let block = vec![0xA5; 1 << 20];
    (0..SIZE / MIB).for_each(|_| file.write_all(&block).unwrap());
}

fn change_the_second_half(path: &Path) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(SIZE / 2)).unwrap();
    let block = vec![0xA5; 1 << 20];
    (0..SIZE / MIB / 2).for_each(|_| file.write_all(&block).unwrap());
}

fn replace(path: &Path) {
    let other = path.with_extension("new");
    fs::write(&other, vec![0xA5; SIZE as usize]).unwrap();
    fs::rename(other, path).unwrap();
}

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

const DISASTERS: [(&str, Disaster); 5] = [
    ("truncated", truncate),
    ("rewritten", rewrite),
    ("changed in its second half", change_the_second_half),
    ("replaced", replace),
    ("deleted", delete),
];

/// Starts a job in which ranks 1 and 2 share and rank 3 wants, and lets something happen to rank
/// 1's file in mid-transfer, while rank 3 waits.
fn with_disaster(cluster: &Cluster, disaster: impl Fn(&Path)) -> Finished {
    let mut running = cluster.launch(4, RUN).start();
    in_mid_transfer(cluster, &mut running, || disaster(&cluster.path("rank1/share").join(NAME)));
    running.finish()
}

fn in_mid_transfer(cluster: &Cluster, running: &mut Running, act: impl FnOnce()) {
    running.wait_for_mid_transfer(cluster, &[3]);
    running.hang_rank(3);
    act();
    running.wake_rank(3);
}

/// A file that nobody touches, so that each job has something that must complete.
fn other(cluster: &Cluster) -> std::path::PathBuf {
    cluster.file("rank2/share/other.bin", 7, MIB)
}

#[test]
fn the_only_copy_of_a_shared_file_is_lost_while_it_is_served_and_it_is_named() {
    for (what, disaster) in DISASTERS {
        println!("the file is {what}");
        let cluster = Cluster::new();
        let original = cluster.file("original", 1, SIZE);
        fs::create_dir_all(cluster.path("rank1/share")).unwrap();
        fs::copy(&original, cluster.path("rank1/share").join(NAME)).unwrap();
        let other = other(&cluster);
        let finished = with_disaster(&cluster, disaster);
        let copy = cluster.destination(3).join(NAME);
        finished.lost(&[]);
        assert_same_file(&other, &cluster.destination(3).join("other.bin"));
        if finished.status == 0 && ["replaced", "deleted"].contains(&what) {
            // What has lost its name can be read on while it is open.
            assert_eq!(fs::read(&copy).unwrap(), fs::read(&original).unwrap());
            continue;
        }
        assert!(!copy.exists(), "the file is {what}\n{finished}");
        let report = finished.ended_as("failed");
        assert_eq!(report.missing, [NAME], "the file is {what}\n{finished}");
        finished.incomplete(&[3], &["no rank holds all its pieces"]);
        finished.says(&[NAME]);
    }
}

#[test]
fn another_copy_stands_in_for_a_shared_file_that_is_lost_while_it_is_served() {
    for (what, disaster) in DISASTERS {
        println!("the file is {what}");
        let cluster = Cluster::new();
        let source = cluster.file("rank2/share/large.bin", 1, SIZE);
        cluster.file("rank1/share/large.bin", 1, SIZE);
        let other = other(&cluster);
        let finished = with_disaster(&cluster, disaster);
        finished.complete();
        finished.complete_at(&cluster, &[3], &[(NAME, &source), ("other.bin", &other)]);
    }
}

/// Writes through a mapping that was made, and made dirty, before anybody looked at the file: no
/// time and no length betrays it. Waits for two lines on its standard input.
const SILENT_WRITER: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    bytes = mmap.mmap(file.fileno(), 0)
step = 4096
for page in range(0, len(bytes), step):
    bytes[page] = bytes[page]
print('mapped', flush=True)
sys.stdin.readline()
for page in range(0, len(bytes), step):
    bytes[page + 7] ^= 0xff
print('written', flush=True)
sys.stdin.readline()
";

/// The seed of a file that its owner may write to.
const WRITABLE: u64 = 5;

/// A process that spoils a file, silently, when told.
struct SilentWriter {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl SilentWriter {
    /// Maps the file; `None` where there is no Python.
    fn map(path: &Path) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", SILENT_WRITER]).arg(path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut says = BufReader::new(child.stdout.take().expect("it was piped"));
        says.read_line(&mut String::new()).ok()?;
        Some(Self { child, says })
    }

    /// Spoils every page, and returns when it has.
    fn spoil(&mut self) {
        self.child.stdin.as_mut().expect("it was piped").write_all(b"now\n").unwrap();
        self.says.read_line(&mut String::new()).unwrap();
    }
}

impl Drop for SilentWriter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a job whose rank 1 holds a file that is spoilt in mid-transfer; returns also whether the
/// file still looked as it did before.
fn with_spoilt_file(cluster: &Cluster, path: &Path) -> Option<(Finished, bool)> {
    let Some(mut writer) = SilentWriter::map(path) else {
        skip("this needs python3");
        return None;
    };
    let stamp = |path: &Path| {
        let stat = fs::metadata(path).unwrap();
        (stat.ctime(), stat.ctime_nsec(), stat.mtime(), stat.mtime_nsec(), stat.len())
    };
    let before = stamp(path);
    let mut running = cluster.launch(4, RUN).start();
    let writer = &mut writer;
    in_mid_transfer(cluster, &mut running, || writer.spoil());
    let finished = running.finish();
    let silently = stamp(path) == before;
    println!("no stamp betrays it: {silently}");
    Some((finished, silently))
}

#[test]
fn what_rots_at_the_only_holder_is_thrown_away_and_named() {
    let cluster = Cluster::new();
    let path = cluster.file("rank1/share/large.bin", WRITABLE, SIZE);
    let other = other(&cluster);
    let Some((finished, silently)) = with_spoilt_file(&cluster, &path) else { return };
    let report = finished.ended_as("failed");
    finished.lost(&[]);
    assert_eq!(report.missing, [NAME], "{finished}");
    assert!(!cluster.destination(3).join(NAME).exists(), "{finished}");
    assert_same_file(&other, &cluster.destination(3).join("other.bin"));
    if silently {
        assert!(report.peer(3).pieces_corrupt > 0, "{finished}");
        assert!(report.peer(3).bytes_wasted > 0, "{finished}");
        finished.incomplete(&[3], &["rank 1 sent others"]);
    }
}

#[test]
fn what_rots_at_one_holder_comes_from_another() {
    let cluster = Cluster::new();
    // Mode and time are those of the lowest rank, and writing changes the time.
    let source = cluster.file("rank1/share/large.bin", WRITABLE, SIZE);
    let path = cluster.file("rank2/share/large.bin", WRITABLE, SIZE);
    let other = other(&cluster);
    let Some((finished, silently)) = with_spoilt_file(&cluster, &path) else { return };
    let report = finished.complete();
    finished.complete_at(&cluster, &[3], &[(NAME, &source), ("other.bin", &other)]);
    if silently {
        assert!(report.peer(3).pieces_corrupt > 0, "{finished}");
        finished.says(&["rank 2 sent pieces that do not verify"]);
    }
}
