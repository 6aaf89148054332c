//! Large pages for the heap of a big simulation: this program starts itself over with the C
//! library told so. It decides whether, and changes nothing in this process.
//!
//! The state of thousands of peers is spread over a gigabyte, and each event comes to a peer that
//! was not looked at for long: with pages of 4 KiB most of its time goes into finding where they
//! lie. The allocator reads its settings when a process begins, so it is the only way that needs
//! neither another allocator, which ranks of a real job would have, too, nor `unsafe`.

use crate::env::Env;
use crate::launch::Launch;
use std::ffi::OsStr;

/// What the GNU C library's allocator is told by; another library takes no notice of it.
const VARIABLE: &str = "GLIBC_TUNABLES";
/// Large pages, where the kernel gives them to who asks (`madvise` is its usual setting).
const LARGE_PAGES: &str = "glibc.malloc.hugetlb=1";
/// From so many peers on: fewer fit into the caches, and are done before it matters.
const PEERS: u32 = 500;

/// This command again with large pages; none where they would not help, where it has them, or
/// where the user has told the allocator something.
pub(super) fn with_large_pages(peers: u32, env: &Env) -> Option<Launch> {
    let is_told = env.vars.contains_key(OsStr::new(VARIABLE));
    (peers >= PEERS && !is_told).then(|| Launch {
        program: env.exe.clone(),
        args: env.args.iter().skip(1).cloned().collect(),
        vars: vec![(VARIABLE, LARGE_PAGES)],
    })
}
