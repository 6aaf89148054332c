//! Plays a story: hands its events to a machine and writes down what the machine wants done.

mod peer;
mod tracker;
mod words;

use peer::PeerBench;
use tracker::TrackerBench;

/// The machine that a story is about; its first event says which.
enum Bench {
    None,
    Peer(Box<PeerBench>),
    Tracker(Box<TrackerBench>),
}

/// The story with the actions that its events lead to now.
pub fn play(name: &str, story: &str) -> String {
    let mut bench = Bench::None;
    let mut text = String::new();
    for (at, line) in story.lines().enumerate() {
        if line.starts_with("< ") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        let Some(event) = line.strip_prefix("> ") else { continue };
        let done = match &mut bench {
            Bench::None => {
                bench = begin(event);
                Some(Vec::new())
            }
            Bench::Peer(peer) => peer.event(event),
            Bench::Tracker(tracker) => tracker.event(event),
        };
        let done = done.unwrap_or_else(|| {
            let begin = text.lines().rev().take(12).collect::<Vec<_>>();
            let begin = begin.into_iter().rev().collect::<Vec<_>>().join("\n");
            panic!("{name}, line {}: no such event, or nothing of that name:\n{begin}", at + 1)
        });
        done.into_iter().for_each(|action| text.push_str(&format!("< {action}\n")));
    }
    text
}

fn begin(event: &str) -> Bench {
    match event.split_once(' ') {
        Some(("peer", rest)) => Bench::Peer(Box::new(PeerBench::new(rest))),
        Some(("tracker", rest)) => Bench::Tracker(Box::new(TrackerBench::new(rest))),
        _ => panic!("a story begins with 'peer ...' or 'tracker ...', not '{event}'"),
    }
}
