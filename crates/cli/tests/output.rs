//! What the observer prints: the table, the JSON, progress and notices.

mod support;

use cli::Terminal;
use cli::{json, report, target};
use content::Name;
use shoal::{Notice, Observer, Phase, Progress};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Sink, World, golden};
use swarm::{
    Counters, Differences, LeftAlone, Outcome, PeerRow, PeerState, Purpose, Rank, Report, Unequal,
};

const MIB: u64 = 1 << 20;

fn row(rank: u32, state: PeerState) -> PeerRow {
    let complete = state == PeerState::Complete;
    PeerRow {
        rank: Rank(rank),
        host: format!("node{:02}", rank / 2),
        state,
        reason: (!complete).then(|| format!("reason of {rank}").into()),
        files_wanted: 3,
        files_complete: if complete { 3 } else { 1 },
        files_to_write: 0,
        counters: Counters {
            bytes_received: 1000 * MIB,
            bytes_sent: u64::from(rank) * 100 * MIB,
            bytes_reused: 24 * MIB,
            bytes_delivered: 999 * MIB,
            bytes_wasted: MIB,
            pieces_corrupt: 1,
            entries_removed: 0,
        },
        elapsed: Duration::from_millis(u64::from(1200 + rank * 7 % 100)),
    }
}

fn sample(outcome: Outcome, peers: Vec<PeerRow>) -> Report {
    Report {
        purpose: Purpose::Transfer,
        outcome,
        reasons: Vec::new(),
        elapsed: Duration::from_nanos(1_234_567_891),
        startup: Duration::from_millis(250),
        bytes_wanted: 3 * 1024 * MIB,
        bytes_delivered: 3 * 999 * MIB,
        peers,
        missing: Vec::new(),
        unequal: Vec::new(),
        source: None,
        left_alone: LeftAlone::default(),
        tracker: Rank(0),
        tracker_messages: 42,
    }
}

fn complete() -> Report {
    sample(Outcome::Complete, (1..4).map(|rank| row(rank, PeerState::Complete)).collect())
}

fn failed() -> Report {
    let mut lost = row(3, PeerState::Lost);
    lost.host = String::new();
    lost.reason = None;
    let mut peers = vec![row(1, PeerState::Complete), row(2, PeerState::Incomplete), lost];
    peers[1].reason = Some("no space left on /scratch\x1b[31m".into());
    let missing = (0..12)
        .map(|n| Name::new(format!("dir/file{n}\t").into_bytes()).unwrap())
        .chain([Name::new(b"odd\xff".to_vec()).unwrap()])
        .collect();
    let reasons = vec!["dir/file0 has no holder left".into()];
    let names = vec![Name::new("old/ckpt").unwrap(), Name::new("old/more").unwrap()];
    let left_alone = LeftAlone { count: 2, ranks: 3, names };
    Report { missing, reasons, left_alone, ..sample(Outcome::Failed, peers) }
}

/// A terminal, and what it has written to standard output and error.
fn terminal(args: &str, change: impl FnOnce(&mut World)) -> (Terminal, Sink, Sink) {
    let mut world = World::new(args).rank(0, 4);
    change(&mut world);
    let orders = world.orders();
    let (stdout, stderr) = (world.stdout.clone(), world.stderr.clone());
    (Terminal::new(&orders, Rank(0), world.env()), stdout, stderr)
}

#[test]
fn a_table_has_a_row_a_rank_and_the_totals_last() {
    golden("table-complete.txt", &report::table(&complete()));
}

#[test]
fn reasons_and_missing_files_stand_under_the_table() {
    golden("table-failed.txt", &report::table(&failed()));
}

/// A look that found so many ranks with the same to show, and one of its own.
fn compared(alike: u32) -> Report {
    let states = (1..=alike + 2).map(|rank| match rank {
        1 => PeerState::Complete,
        _ => PeerState::Incomplete,
    });
    let name = |text: &str| Name::new(text).unwrap();
    let both = Differences::CONTENT.and(Differences::TIME);
    let list = |ranks: std::ops::Range<u32>, what, more| Unequal {
        ranks: ranks.map(Rank).collect(),
        reason: "12 missing, 1 different".to_owned(),
        names: vec![(name("a/missing"), Differences::MISSING), (name("b"), what)],
        extra: vec!["c/old".to_owned()],
        more,
    };
    let peers = states.zip(1..).map(|(state, rank)| {
        let reason = (rank > 1).then(|| "12 missing, 1 different".into());
        let counters = Counters { bytes_reused: 24 * MIB, ..Counters::default() };
        PeerRow { reason, counters, ..row(rank, state) }
    });
    Report {
        purpose: Purpose::Check,
        bytes_delivered: 0,
        missing: vec![name("a/missing"), name("b")],
        unequal: vec![
            list(2..alike + 2, both, 11),
            list(alike + 2..alike + 3, Differences::MODE, 0),
        ],
        ..sample(Outcome::Failed, peers.collect())
    }
}

#[test]
fn what_differs_is_listed_once_for_all_ranks_that_have_the_same_to_show() {
    golden("table-check.txt", &report::table(&compared(2)));
    let many = report::table(&compared(998));
    assert!(many.contains("\nrank 2-999: incomplete: 12 missing"), "{many}");
    assert!(many.lines().count() < 20, "{many}");
}

#[test]
fn a_dry_run_says_what_each_rank_would_receive_and_that_nothing_was_written() {
    let peers = (1..4).map(|rank| PeerRow {
        files_to_write: u64::from(rank) - 1,
        ..row(rank, PeerState::Complete)
    });
    let report = sample(Outcome::Complete, peers.collect());
    golden("table-dry-run.txt", &report::table(&Report { purpose: Purpose::DryRun, ..report }));
}

#[test]
fn of_many_different_lists_only_the_first_are_shown() {
    let mut report = compared(1);
    report.unequal = (0..100)
        .map(|rank| Unequal { ranks: vec![Rank(rank)], ..report.unequal[0].clone() })
        .collect();
    let table = report::table(&report);
    assert!(table.contains("\nand 84 ranks more with other lists\n"), "{table}");
}

#[test]
fn of_a_rank_that_was_lost_before_it_told_nothing_is_claimed() {
    let lost = PeerRow { counters: Counters::default(), ..row(3, PeerState::Lost) };
    let table = report::table(&sample(Outcome::Degraded, vec![lost]));
    let line = table.lines().nth(1).unwrap();
    assert_eq!(line.matches(" ?").count(), 3, "{table}");
}

#[test]
fn a_long_job_shows_totals_what_is_unfinished_and_the_slowest() {
    let state = |rank| match rank {
        17 => PeerState::Lost,
        40 => PeerState::Incomplete,
        _ => PeerState::Complete,
    };
    let peers = (0..80).map(|rank| row(rank, state(rank))).collect();
    let table = report::table(&sample(Outcome::Degraded, peers));
    assert!(table.lines().count() < 20, "{table}");
    golden("table-long.txt", &table);
}

#[test]
fn sixty_four_ranks_are_shown_in_full_and_one_more_is_not() {
    let table = |count| {
        let peers = (0..count).map(|rank| row(rank, PeerState::Complete)).collect();
        report::table(&sample(Outcome::Complete, peers))
    };
    assert_eq!(table(64).lines().count(), 64 + 2);
    assert!(table(65).lines().count() < 15);
}

#[test]
fn a_job_without_peers_still_has_its_last_line() {
    let report = Report { bytes_delivered: 0, ..sample(Outcome::Complete, Vec::new()) };
    assert_eq!(report::table(&report), "complete: 0 ranks, 0 B delivered in 1.235 s\n");
}

#[test]
fn the_json_has_the_contracts_keys_in_its_order() {
    golden("report-complete.json", &json::text(&complete()));
    golden("report-failed.json", &json::text(&failed()));
    let refused = sample(Outcome::Refused, Vec::new());
    golden("report-refused.json", &json::text(&refused));
}

#[test]
fn a_refused_job_prints_its_reasons_and_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let (mut terminal, stdout, stderr) =
        terminal("run --into x --json r.json", |world| world.dir = dir.path().into());
    let reasons = vec!["rank 1: nothing matches '*.h5'".into(), "and more".into()];
    terminal.report(&Report { reasons, ..sample(Outcome::Refused, Vec::new()) });
    assert_eq!(stdout.text(), "");
    assert_eq!(stderr.text(), "shoal: rank 1: nothing matches '*.h5'\nshoal: and more\n");
    let json = std::fs::read_to_string(dir.path().join("r.json")).unwrap();
    assert!(json.starts_with("{\"version\":1,\"outcome\":\"refused\","), "{json}");
}

#[test]
fn a_report_that_cannot_be_written_is_said_and_the_table_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("gone");
    std::fs::create_dir(&place).unwrap();
    let (mut terminal, stdout, stderr) =
        terminal("run --into x --json gone/r.json", |world| world.dir = dir.path().into());
    std::fs::remove_dir(&place).unwrap();
    terminal.report(&complete());
    assert_eq!(stdout.text(), report::table(&complete()));
    let expected = format!(
        "shoal: cannot write the report to {0}/r.json: there is no directory {0}; the files are complete, and status 3 is for the report\n",
        place.display()
    );
    assert_eq!(stderr.text(), expected);
}

#[test]
fn a_report_replaces_a_file_as_a_whole_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("r.json"), dir.path().join("link.json"));
    std::fs::write(&file, "x".repeat(100)).unwrap();
    std::os::unix::fs::symlink("r.json", &link).unwrap();
    target::write(&link, "new\n", &mut Vec::new()).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new\n");
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o600, 0o600);
}

#[test]
fn what_is_no_regular_file_is_written_to_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo);
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read_to_string(fifo).unwrap()
    });
    target::write(&fifo, "{}\n", &mut Vec::new()).unwrap();
    assert_eq!(reader.join().unwrap(), "{}\n");
    assert!(std::fs::metadata(&fifo).unwrap().file_type().is_fifo());
    target::write(Path::new("/dev/null"), "{}\n", &mut Vec::new()).unwrap();
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

#[test]
fn a_pipe_that_nobody_reads_is_given_up_soon() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo);
    target::check(&fifo).unwrap();
    let began = Instant::now();
    let why = format!("{:#}", target::write(&fifo, "{}\n", &mut Vec::new()).unwrap_err());
    assert!(why.ends_with("nobody reads this pipe"), "{why}");
    // Opened for both, it has a reader that reads nothing.
    let _reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let long = "x".repeat(1 << 20);
    let why = format!("{:#}", target::write(&fifo, &long, &mut Vec::new()).unwrap_err());
    assert!(why.ends_with("its reader does not read"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_target_that_cannot_be_written_is_found_out_before_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let here = |name: &str| dir.path().join(name);
    let why = |path: &Path| format!("{:#}", target::check(path).unwrap_err());
    assert!(why(&here("")).ends_with("it is a directory; name a file"));
    assert!(why(&here("no/r.json")).contains("there is no directory"));
    // Not even root makes files there.
    assert!(why(Path::new("/sys/r.json")).contains("no file can be made in /sys: "));
    let _listener = UnixListener::bind(here("socket")).unwrap();
    assert!(why(&here("socket")).ends_with("it is a socket; name a file"));
    std::fs::write(here("old.json"), "old").unwrap();
    std::os::unix::fs::symlink("nowhere", here("dangling")).unwrap();
    for fine in ["new.json", "old.json", "dangling"] {
        target::check(&here(fine)).unwrap();
    }
    for fine in ["/dev/stdout", "/dev/null", "/dev/fd/1", "/dev/shm/shoal-report.json"] {
        target::check(Path::new(fine)).unwrap();
    }
    assert_eq!(std::fs::read_to_string(here("old.json")).unwrap(), "old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing is left of the look");
}

#[test]
fn standard_output_as_a_target_comes_before_the_table() {
    for name in ["/dev/stdout", "-"] {
        let command = format!("run --into x --json {name}");
        let (mut terminal, stdout, stderr) = terminal(&command, |_| {});
        terminal.report(&complete());
        let expected = format!("{}{}", json::text(&complete()), report::table(&complete()));
        assert_eq!((stdout.text(), stderr.text()), (expected, String::new()), "{name}");
    }
}

#[test]
fn a_notice_names_its_rank_and_host() {
    let (mut terminal, stdout, stderr) = terminal("run --into x", |_| {});
    terminal.notice(&Notice::Told("/data is not there\n".to_owned()));
    let expected = "shoal: note: [rank 0 node07.cluster] /data is not there\\x0a\n";
    assert_eq!((stdout.text(), stderr.text().as_str()), (String::new(), expected));
}

fn progress(millis: u64, phase: Phase, have: u64) -> Progress {
    Progress {
        phase,
        bytes_wanted: if phase == Phase::Preparing { 0 } else { 1000 * MIB },
        bytes_have: have * MIB,
        peers: 3,
        peers_done: u32::from(have == 1000),
        elapsed: Duration::from_millis(millis),
    }
}

/// A job of half a minute, told ten times a second.
fn watch(terminal: &mut Terminal) {
    for tick in 0..300 {
        let millis = tick * 100;
        terminal.progress(&match millis {
            0..4000 => progress(millis, Phase::Preparing, 0),
            4000..24000 => progress(millis, Phase::Transferring, (millis - 4000) / 20),
            24000..28000 => progress(millis, Phase::Transferring, 999),
            _ => progress(millis, Phase::Finishing, 1000),
        });
    }
}

#[test]
fn a_launchers_pipe_gets_a_line_now_and_then_where_something_has_changed() {
    for args in ["run --into x", "run --into x --progress plain"] {
        let (mut terminal, stdout, stderr) = terminal(args, |_| {});
        watch(&mut terminal);
        assert_eq!(stdout.text(), "");
        golden("progress-plain.txt", &stderr.text());
    }
}

#[test]
fn a_short_job_gets_no_line() {
    let (mut terminal, _, stderr) = terminal("run --into x", |_| {});
    terminal.progress(&progress(100, Phase::Preparing, 0));
    terminal.progress(&progress(1900, Phase::Transferring, 1000));
    assert_eq!(stderr.text(), "");
}

#[test]
fn a_terminal_gets_a_bar_that_makes_room_for_what_is_said() {
    let (mut terminal, _, stderr) = terminal("run --into x", |world| world.is_terminal = true);
    terminal.progress(&progress(4000, Phase::Transferring, 0));
    terminal.progress(&progress(5000, Phase::Transferring, 250));
    terminal.notice(&Notice::Told("hello".to_owned()));
    terminal.progress(&progress(6000, Phase::Transferring, 500));
    terminal.report(&complete());
    golden("progress-bar.txt", &stderr.text().replace("\r\x1b[2K", "<clear>"));
    assert!(stderr.text().ends_with("\r\x1b[2K"), "the table begins on a clean line");
}

#[test]
fn no_progress_is_no_progress() {
    let (mut terminal, stdout, stderr) = terminal("run --into x --progress none", |_| {});
    watch(&mut terminal);
    assert_eq!((stdout.text(), stderr.text()), (String::new(), String::new()));
}
