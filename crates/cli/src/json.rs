//! The report as JSON, a line of text. It writes no file.

use crate::words;
use shoal::Document;
use swarm::Report;

/// The report as one line of JSON.
pub fn text(report: &Report) -> String {
    let document = Document::worded(report, words::reason);
    let mut text = serde_json::to_string(&document).expect("a tree of numbers and strings");
    text.push('\n');
    text
}
