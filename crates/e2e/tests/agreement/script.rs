//! A case as a script of bash: it makes the trees, and it is what a person types to see a failure
//! again. Steps that cannot be done leave things as they are.

use crate::case::{CHECK, Case, Layout, Start, Stop, Victim};
use e2e::{Mpi, shoal};
use std::ops::Range;

/// What steps are written with: room for a name, and four other bytes under the old time.
const WORDS: &str = r#"new() { mkdir -p "$(dirname "$1")" && rm -rf "$1"; }
rot() { [ -f "$1" ] && s=$(mktemp) && touch -r "$1" $s && printf ROT. |
        dd of="$1" bs=1 seek=300 conv=notrunc status=none; touch -r $s "$1"; rm $s; }"#;
/// Long enough to be interrupted in its middle.
const LONG: &str = "new long && seq 7000000 7400000 | head -c 400000 > long";
const SLOW: &str = "--piece-length 16KiB --limit-upload 200KB";

impl Case {
    /// The command line, with paths below the directory of the case; a look has one more option.
    pub fn args(&self, look: Option<&'static str>) -> Vec<&'static str> {
        let share = ["run", "--share", "r{rank}/set", "--into", self.into];
        let mut args = match self.layout {
            Layout::From(_) => vec!["cast", "r{rank}/set", self.into],
            Layout::Seen => vec!["cast", "all/set", self.into],
            Layout::SharedFs => vec!["cast", "all/set", self.into, "--shared-fs"],
            Layout::Run => share.to_vec(),
            Layout::Twins => [&share[..], &["--tracker", "colocated"]].concat(),
            Layout::Gather => [&share[..], &["--prefix", "p{rank}/"]].concat(),
        };
        args.extend(&self.options);
        args.extend(self.want.iter().flat_map(|&want| ["--want", want]));
        args.extend(look);
        args
    }

    /// The ranks that are peers.
    pub fn peers(&self) -> Range<u32> {
        u32::from(matches!(self.layout, Layout::Run | Layout::Gather))..self.ranks
    }

    /// The trees that are shared, and by which rank.
    pub fn sources(&self) -> Vec<(u32, String)> {
        match self.layout {
            Layout::From(rank) => vec![(rank, format!("r{rank}/set"))],
            Layout::Seen | Layout::SharedFs => vec![(0, "all/set".to_owned())],
            Layout::Run => vec![(1, "r1/set".to_owned())],
            Layout::Twins | Layout::Gather => {
                vec![(1, "r1/set".to_owned()), (2, "r2/set".to_owned())]
            }
        }
    }

    /// What a rank puts before the names that it shares.
    pub fn prefix(&self, rank: u32) -> String {
        match self.layout {
            Layout::Gather => format!("p{rank}/"),
            Layout::Run | Layout::Twins => String::new(),
            _ => "set/".to_owned(),
        }
    }

    /// The destination of a rank.
    pub fn destination(&self, rank: u32) -> String {
        self.into.replace("{rank}", &rank.to_string())
    }

    /// The destinations of all ranks, each once.
    pub fn destinations(&self) -> Vec<String> {
        let mut all: Vec<String> = self.peers().map(|rank| self.destination(rank)).collect();
        all.dedup();
        all
    }

    /// Makes everything that is there before the command that is tried.
    pub fn preparation(&self) -> String {
        let sources = self.sources();
        let set = &sources[0].1;
        let mut lines = vec![
            format!("shoal='{}'", self.launch()),
            "mkdir outside && echo outside > outside/file".to_owned(),
            format!("mkdir -p {set}"),
            WORDS.to_owned(),
        ];
        lines.extend(within(set, self.source.iter().map(String::as_str)));
        lines.extend(self.twin());
        lines.extend(self.standing());
        let copies = self.copies();
        let trees = sources.iter().map(|(_, path)| path).chain(copies.iter());
        for (at, tree) in trees.enumerate() {
            let changes = self.changes.iter().filter(|(target, _)| *target == at);
            let changes = changes.map(|(_, step)| step.as_str());
            if self.layout == Layout::Twins && at == 1 {
                // Equal contents, or the job is refused.
                lines.extend(self.twin());
                let is_harmless = |step: &&str| ["chmod", "touch"].contains(&&step[..5]);
                lines.extend(within(tree, changes.filter(is_harmless)));
            } else {
                lines.extend(within(tree, changes));
            }
        }
        lines.join("\n")
    }

    /// All that a person has to type.
    pub fn script(&self) -> String {
        let mut lines = vec!["cd $(mktemp -d)".to_owned(), self.preparation()];
        let looks = self.look.into_iter().map(Some).chain([None, Some(CHECK)]);
        lines.extend(looks.map(|look| self.command(look)));
        lines.join("\n")
    }

    fn launch(&self) -> String {
        let mpi = Mpi::tested();
        let mut words = vec![mpi.launcher().display().to_string()];
        words.extend(mpi.flags());
        format!("{} -n {} {}", words.join(" "), self.ranks, shoal().display())
    }

    fn command(&self, look: Option<&'static str>) -> String {
        let quoted = |arg: &str| {
            if arg.contains('*') { format!("'{arg}'") } else { arg.to_owned() }
        };
        let words: Vec<String> = self.args(look).into_iter().map(quoted).collect();
        format!("$shoal {}", words.join(" "))
    }

    /// The second source, equal to the first.
    fn twin(&self) -> Vec<String> {
        if self.sources().len() < 2 {
            return Vec::new();
        }
        vec!["mkdir -p r2; rm -rf r2/set; cp -aT r1/set r2/set".to_owned()]
    }

    /// Where copies of the first source belong.
    fn copies(&self) -> Vec<String> {
        let prefix = self.prefix(self.sources()[0].0);
        let path = |into| format!("{into}/{prefix}").trim_end_matches('/').to_owned();
        self.destinations().into_iter().map(path).collect()
    }

    fn standing(&self) -> Vec<String> {
        let set = &self.sources()[0].1;
        let mut lines = Vec::new();
        match self.start {
            Start::Nothing => {}
            Start::Copies | Start::LinkedCopies => {
                for (at, copy) in self.copies().into_iter().enumerate() {
                    let parent = copy.rsplit_once('/').map_or("", |(parent, _)| parent);
                    lines.push(format!("mkdir -p {parent}"));
                    lines.push(if self.start == Start::Copies {
                        format!("cp -aT {set} {copy}")
                    } else {
                        format!("cp -aT {set} backup{at}; cp -alT backup{at} {copy}")
                    });
                }
            }
            Start::Job => lines.push(self.command(None)),
            Start::Interrupted(victim, stop) => lines = self.interrupted(victim, stop),
        }
        lines
    }

    /// A job that has begun to write when it ends.
    fn interrupted(&self, victim: Victim, stop: Stop) -> Vec<String> {
        let set = self.sources().swap_remove(0).1;
        let (tree, command) = match victim {
            Victim::Same => (set, self.command(None)),
            Victim::Other => {
                let other = |text: &str| text.replace("/set", "/old");
                (other(&set), other(&self.command(None)))
            }
        };
        // Its own pieces, where it has some, come last and count.
        let command = command.replace("--piece-length 16KiB", "").replace("--shared-fs", "");
        let kill = match stop {
            Stop::Killed => "pkill -KILL -P $job",
            Stop::Told => "kill -TERM $job",
        };
        let mut lines = within(&tree, [LONG]);
        lines.extend([
            format!("{command} {SLOW} & job=$!"),
            "for i in $(seq 200); do sleep 0.02; kill -0 $job || break".to_owned(),
            "    find d*/into/.shoal -type f -size +15k | grep -q . && break".to_owned(),
            format!("done; sleep 0.5; {kill}; wait $job"),
        ]);
        lines
    }
}

/// Lines in the directory of a tree.
fn within<'a>(tree: &str, steps: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = steps.into_iter().map(|step| format!("  {step}")).collect();
    if !lines.is_empty() {
        lines.insert(0, format!("(mkdir -p {tree}; cd {tree}"));
        lines.push(")".to_owned());
    }
    lines
}
