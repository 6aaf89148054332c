//! Why a pattern is refused that takes nothing of the catalogue, and which one was meant perhaps.
//! It only finds words.

use super::resolve::matching;
use crate::Rank;
use crate::want::Pattern;
use content::Catalogue;

/// The sentence for a rank's pattern.
pub(super) fn reason(rank: Rank, pattern: &str, catalogue: &Catalogue) -> String {
    match Pattern::new(pattern) {
        Err(error) => format!("rank {rank}: {error}"),
        Ok(_) => {
            let hint = hint(pattern, catalogue);
            format!("rank {rank} wants '{pattern}', which matches no name of the catalogue; {hint}")
        }
    }
}

fn hint(pattern: &str, catalogue: &Catalogue) -> String {
    let takes = |pattern: &str| !pattern.is_empty() && !matching(catalogue, pattern).is_empty();
    let literal = Pattern::literal(pattern);
    if literal != pattern && takes(&literal) {
        let why = "a '\\' before a special character makes it an ordinary one";
        return format!("{why}: did you mean '{literal}'?");
    }
    let relative = pattern.trim_start_matches("./").trim_start_matches('/');
    if relative != pattern && takes(relative) {
        return format!("names are relative to what is shared: did you mean '{relative}'?");
    }
    let trimmed = pattern.trim_end_matches('/');
    if trimmed != pattern && takes(trimmed) {
        return format!("a '/' at the end stands for a directory: did you mean '{trimmed}'?");
    }
    let see = "see what is shared, or give --want '' to want nothing";
    let is_wild = pattern.contains(['*', '?']);
    let deeper = format!("**/{pattern}");
    match (!trimmed.contains('/'), is_wild) {
        (true, true) if takes(&deeper) => {
            format!("'*' does not cross '/': did you mean '{deeper}'?")
        }
        (true, false) if takes(&deeper) => {
            format!("names begin at what is shared: did you mean '{deeper}'?")
        }
        (true, true) => {
            format!("'*' does not cross '/', but '{deeper}' matches none either: {see}")
        }
        _ => see.to_owned(),
    }
}
