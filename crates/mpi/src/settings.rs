//! What is set of MPI before it begins, where its user has not set it: only what pays in Shoal.

use std::ffi::OsString;

/// A message over Open MPI's TCP leaves at once where it is no longer than this: the piece of a
/// file of up to 1 GiB, 1 MiB, and its header. By default (64 KiB) its sender asks first and waits
/// for the answer, and on a link that is full each of the two waits behind what is on its way: of
/// eight hosts on links of 200 Mbit/s that cost an eighth of the time. The receive is posted by
/// then (pieces are acknowledged before they come), so little is stored twice.
const TCP_EAGER_BYTES: &str = "1056768";

/// The variables through which Open MPI 4 and 5 take it; the other two may not be less.
const SETTINGS: [(&str, &str); 3] = [
    ("OMPI_MCA_btl_tcp_eager_limit", TCP_EAGER_BYTES),
    ("OMPI_MCA_btl_tcp_rndv_eager_limit", TCP_EAGER_BYTES),
    ("OMPI_MCA_btl_tcp_max_send_size", TCP_EAGER_BYTES),
];

/// A job on one host needs no network card that matches messages itself (Open MPI's `cm`), and to
/// look for one takes `MPI_Init` 0.2 s, twice as long as all the rest of it.
const ON_ONE_HOST: (&str, &str) = ("OMPI_MCA_pml", "^cm");
/// Who sets this wants such a card.
const CARD: &str = "OMPI_MCA_mtl";

/// What Open MPI's launcher tells each rank: how many there are, and how many on its host.
const RANKS: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"];

/// Sets the environment of this process for MPI's start.
#[allow(unsafe_code, reason = "Open MPI takes its parameters from the environment")]
pub(crate) fn apply() {
    for (name, value) in chosen(|name| std::env::var_os(name)) {
        // SAFETY: no other thread looks at the environment: those that wait for signals and for
        // `MPI_Init` do nothing else, and no others were started yet.
        unsafe { std::env::set_var(name, value) };
    }
}

/// What is to be set in such an environment. `mpirun --mca` and `-x` come as variables too, and are
/// left as they are.
fn chosen(var: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, &'static str)> {
    let mut chosen = Vec::new();
    if SETTINGS.iter().all(|(name, _)| var(name).is_none()) {
        chosen.extend(SETTINGS);
    }
    let [all, here] = RANKS.map(&var);
    let on_one_host = all.is_some() && all == here;
    if on_one_host && [ON_ONE_HOST.0, CARD].iter().all(|name| var(name).is_none()) {
        chosen.push(ON_ONE_HOST);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(vars: &[(&str, &str)]) -> Vec<&'static str> {
        let var = |wanted: &str| {
            vars.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
        };
        chosen(var).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_the_user_set_is_left_as_it_is() {
        let all = SETTINGS.map(|(name, _)| name);
        assert_eq!(names(&[]), all);
        assert_eq!(names(&[("OMPI_MCA_btl_tcp_eager_limit", "1")]), [""; 0]);
    }

    #[test]
    fn no_card_is_looked_for_where_all_ranks_are_on_one_host_and_the_user_asks_for_none() {
        let ranks = |here| [("OMPI_COMM_WORLD_SIZE", "8"), ("OMPI_COMM_WORLD_LOCAL_SIZE", here)];
        assert!(names(&ranks("8")).contains(&"OMPI_MCA_pml"));
        assert!(!names(&ranks("4")).contains(&"OMPI_MCA_pml"));
        for told in ["OMPI_MCA_pml", "OMPI_MCA_mtl"] {
            let [all, here] = ranks("8");
            assert!(!names(&[all, here, (told, "cm")]).contains(&"OMPI_MCA_pml"), "{told}");
        }
    }
}
