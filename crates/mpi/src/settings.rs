//! What is set of MPI before it begins, where its user has not set it: only what pays in Shoal.

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

/// Sets the environment of this process for MPI's start. `mpirun --mca` and `-x` come as variables
/// too, and are left as they are.
#[allow(unsafe_code, reason = "Open MPI takes its parameters from the environment")]
pub(crate) fn apply() {
    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    for (name, value) in SETTINGS {
        // SAFETY: no other thread looks at the environment: those that wait for signals and for
        // `MPI_Init` do nothing else, and no others were started yet.
        unsafe { std::env::set_var(name, value) };
    }
}
