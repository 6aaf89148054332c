//! Why a pattern is refused that takes nothing of the catalogue, and which one was meant perhaps.
//! It only finds words.

use super::resolve::matching;
use crate::reason::Hint;
use crate::want::Pattern;
use crate::{Rank, Reason};
use content::Catalogue;

/// The sentence for a rank's pattern.
pub(super) fn reason(rank: Rank, pattern: &str, catalogue: &Catalogue) -> Reason {
    match Pattern::new(pattern) {
        Err(error) => Reason::Told(format!("rank {rank}: {error}")),
        Ok(_) => {
            let hint = hint(pattern, catalogue);
            Reason::MatchesNothing { rank, pattern: pattern.to_owned(), hint }
        }
    }
}

fn hint(pattern: &str, catalogue: &Catalogue) -> Hint {
    let takes = |pattern: &str| !pattern.is_empty() && !matching(catalogue, pattern).is_empty();
    let literal = Pattern::literal(pattern);
    if literal != pattern && takes(&literal) {
        let why = "a '\\' before a special character makes it an ordinary one";
        return Hint::Meant(format!("{why}: did you mean '{literal}'?"));
    }
    let relative = pattern.trim_start_matches("./").trim_start_matches('/');
    if relative != pattern && takes(relative) {
        let why = "names are relative to what is shared";
        return Hint::Meant(format!("{why}: did you mean '{relative}'?"));
    }
    let trimmed = pattern.trim_end_matches('/');
    if trimmed != pattern && takes(trimmed) {
        let why = "a '/' at the end stands for a directory";
        return Hint::Meant(format!("{why}: did you mean '{trimmed}'?"));
    }
    let is_wild = pattern.contains(['*', '?']);
    let deeper = format!("**/{pattern}");
    match (!trimmed.contains('/'), is_wild) {
        (true, true) if takes(&deeper) => {
            Hint::Meant(format!("'*' does not cross '/': did you mean '{deeper}'?"))
        }
        (true, false) if takes(&deeper) => {
            Hint::Meant(format!("names begin at what is shared: did you mean '{deeper}'?"))
        }
        (true, true) => {
            let tried = format!("'*' does not cross '/', but '{deeper}' matches none either");
            Hint::Unknown(Some(tried))
        }
        _ => Hint::Unknown(None),
    }
}
