//! Symbolic links in what is shared: which of them are followed, and what is told of the others.
//! Opens no file.

use super::file_source::names_nothing;
use super::tally::Tally;
use super::walk::{Found, FoundKind};
use content::Name;
use content::name::escape;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The directories that a walk went through to where it is, the innermost first.
#[derive(Clone, Default)]
pub(super) struct Way(Option<Rc<Step>>);

struct Step {
    place: (u64, u64),
    above: Way,
}

impl Way {
    /// The same, and into a directory.
    pub(super) fn through(&self, directory: &Metadata) -> Self {
        let place = (directory.dev(), directory.ino());
        Self(Some(Rc::new(Step { place, above: self.clone() })))
    }

    fn has(&self, directory: &Metadata) -> bool {
        let mut step = &self.0;
        while let Some(Step { place, above }) = step.as_deref() {
            if *place == (directory.dev(), directory.ino()) {
                return true;
            }
            step = &above.0;
        }
        false
    }
}

/// Links that were met, and followed or not.
#[derive(Default)]
pub(super) struct LinksMet {
    dangling: Tally,
    loops: Tally,
    /// Those that were followed to another file system.
    far: Tally,
}

impl LinksMet {
    /// What a link leads to, with its own path; none where it is shared as a link all the same.
    ///
    /// # Errors
    ///
    /// Gives the system's error where the end of the link may not be looked at.
    pub(super) fn follow(
        &mut self,
        link: &Path,
        device: u64,
        way: &Way,
    ) -> io::Result<Option<(PathBuf, Metadata)>> {
        let shown = || escape(link.as_os_str().as_encoded_bytes());
        let (end, found) = match link.canonicalize().and_then(|end| Ok((end.metadata()?, end))) {
            Ok((found, end)) => (end, found),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                self.loops.add(shown);
                return Ok(None);
            }
            Err(error) if names_nothing(&error) => {
                self.dangling.add(shown);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if found.is_dir() && way.has(&found) {
            self.loops.add(shown);
            return Ok(None);
        }
        if found.dev() != device && (found.is_file() || found.is_dir()) {
            self.far
                .add(|| format!("{}' -> '{}", shown(), escape(end.as_os_str().as_encoded_bytes())));
        }
        Ok(Some((end, found)))
    }

    /// Sentences about links that were followed, or were to be.
    pub(super) fn notices(&self) -> impl Iterator<Item = String> {
        let dangling = self.dangling.sentence(
            "link leads nowhere, and is shared as a link",
            "links lead nowhere, and are shared as links",
        );
        let loops = self.loops.sentence(
            "link leads back to itself or to a directory that it lies in, and is shared as a link",
            "links lead back to themselves or to directories that they lie in, and are shared as \
             links",
        );
        let far = self.far.sentence(
            "link leads to another file system; what it leads to is shared",
            "links lead to another file system; what they lead to is shared",
        );
        dangling.into_iter().chain(loops).chain(far)
    }
}

/// The links that were not followed and lead out of what is shared.
pub(super) fn leading_out(found: &BTreeMap<Name, Found>) -> Tally {
    let tops: BTreeSet<&[u8]> = found.keys().filter_map(|name| name.components().next()).collect();
    let mut out = Tally::default();
    for (name, found) in found {
        let FoundKind::Symlink(target) = &found.kind else { continue };
        if leads_out(name, target, &tops) {
            let shown = escape(found.path.as_os_str().as_encoded_bytes());
            out.add(|| format!("{shown}' -> '{}", escape(target)));
        }
    }
    out
}

/// Whether a link's target is none of the names that begin with these, by its words alone.
fn leads_out(name: &Name, target: &[u8], tops: &BTreeSet<&[u8]>) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut place: Vec<&[u8]> = name.components().collect();
    place.pop();
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if place.pop().is_none() {
                    return true;
                }
            }
            other => place.push(other),
        }
    }
    place.first().is_some_and(|top| !tops.contains(top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_by_the_words_of_its_target() {
        let tops = BTreeSet::from([&b"rev"[..], b"other"]);
        let out =
            |target: &str| leads_out(&Name::new("rev/sub/link").unwrap(), target.as_bytes(), &tops);
        for target in ["/usr/bin/python3", "../../../x", "../../blobs/x", "../../../rev/x"] {
            assert!(out(target), "{target}");
        }
        for target in ["x", "../x", "./../sub//y", "../../other/z", "../..", "..", "nothing/here"] {
            assert!(!out(target), "{target}");
        }
    }
}
