//! Every target on its corpus and on mutations of it: on any toolchain, in bounded time.

use fuzz::memory::{Counting, peak_of};
use fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long each target is given for mutations, and how many at most.
const BUDGET: Duration = Duration::from_secs(5);
const MUTATIONS: u64 = 20_000;

/// What a decoder may hold beside a multiple of its input: serde's caution takes up to 1 MiB for
/// each list that is being read, and lists lie in lists; and what a target itself needs.
const ALLOWED_BYTES: usize = 6 << 20;
/// Bytes in memory for a byte of input: the smallest entry takes six bytes on the wire.
const ALLOWED_RATIO: usize = 64;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = std::fs::read_dir(&directory).expect("every target has a corpus");
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "the corpus of {target} is too small");
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Some bytes changed, cut out, doubled, or put together with another input's.
fn mutate(inputs: &[(PathBuf, Vec<u8>)], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut below = |bound: usize| (next(&mut state) % bound.max(1) as u64) as usize;
    let mut bytes = inputs[below(inputs.len())].1.clone();
    for _ in 0..1 + below(4) {
        let at = below(bytes.len());
        match below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            1 if !bytes.is_empty() => bytes[at] = below(256) as u8,
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 127, 128, 254, 255][below(6)],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, below(256) as u8),
            _ => {
                let other = &inputs[below(inputs.len())].1;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[below(other.len())..]);
            }
        }
    }
    bytes.truncate(1 << 16);
    bytes
}

fn run(name: &str, target: Target, what: &dyn std::fmt::Display, bytes: &[u8]) {
    let mut held = 0;
    let ran = catch_unwind(AssertUnwindSafe(|| held = peak_of(|| target(bytes))));
    let allowed = ALLOWED_BYTES + ALLOWED_RATIO * bytes.len();
    if ran.is_err() || held > allowed {
        let kept = std::env::temp_dir().join(format!("shoal-fuzz-{name}"));
        std::fs::write(&kept, bytes).unwrap();
        let how = if ran.is_err() { "panicked".into() } else { format!("held {held} bytes") };
        panic!("{name} {how} on {what}; the input is kept as {}", kept.display());
    }
}

/// # Panics
///
/// Panics where the target does, or holds more than its input is worth.
fn drive(name: &str) {
    let &(_, target) = TARGETS.iter().find(|(it, _)| *it == name).expect("there is such a one");
    let inputs = corpus(name);
    for (path, bytes) in &inputs {
        run(name, target, &path.display(), bytes);
    }
    let begun = Instant::now();
    for seed in 0..MUTATIONS {
        if begun.elapsed() > BUDGET {
            break;
        }
        run(name, target, &format_args!("mutation {seed}"), &mutate(&inputs, seed));
    }
}

#[test]
fn messages_of_any_bytes_are_decoded_or_refused() {
    drive("message");
}

#[test]
fn hashes_of_any_bytes_are_proven_or_refused() {
    drive("hashes");
}

#[test]
fn sidecars_of_any_bytes_are_taken_up_or_left_alone() {
    drive("sidecar");
}

#[cfg(feature = "text")]
#[test]
fn what_a_user_writes_is_understood_or_refused() {
    drive("text");
}

#[test]
fn a_peer_takes_any_messages_in_any_order() {
    drive("peer");
}

#[test]
fn a_tracker_takes_any_messages_in_any_order() {
    drive("tracker");
}

#[test]
fn the_allocator_counts() {
    let held = peak_of(|| drop(std::hint::black_box(vec![1u8; 3 << 20])));
    assert!(held >= 3 << 20, "{held}");
    let wide = peak_of(|| drop(std::hint::black_box(vec![0u8; 5 << 20])));
    assert!(wide >= 5 << 20, "{wide}");
}
