//! The binary interfaces of MPI as data: numbers, handles and the layout of a status.
//!
//! MPI's standard fixes names; only libraries that share an ABI share numbers. What stands here was
//! read in each `mpi.h`, and a test compares it with every header at hand. Nothing here calls
//! anything.

use std::ffi::c_int;

/// One ABI.
#[derive(Debug)]
pub(crate) struct Abi {
    pub(crate) name: &'static str,
    pub(crate) handles: Handles,
    pub(crate) status: StatusLayout,
    pub(crate) any_source: c_int,
    pub(crate) thread_funneled: c_int,
    pub(crate) classes: Classes,
}

/// The handles that Shoal uses, and where they come from.
#[derive(Debug)]
pub(crate) enum Handles {
    /// A handle is an `int`.
    Ints(Predefined<c_int>),
    /// A handle is the address of an object in the library: these are the objects' names.
    Symbols(Predefined<&'static str>),
    /// A handle is a pointer to nothing, with a value that is fixed.
    Addresses(Predefined<usize>),
}

/// The handles that exist without being made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predefined<H> {
    pub(crate) comm_world: H,
    pub(crate) comm_self: H,
    pub(crate) byte: H,
    pub(crate) errors_return: H,
    pub(crate) request_null: H,
}

/// An `MPI_Status`: its size, and at which byte each field begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusLayout {
    pub(crate) size: usize,
    pub(crate) source: usize,
    pub(crate) error: usize,
}

/// The error classes that are told apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classes {
    pub(crate) truncate: c_int,
    pub(crate) other: c_int,
    pub(crate) in_status: c_int,
    /// `MPI_ERR_PROC_ABORTED`. Classes from here on are younger than MPI 3; those of them that
    /// Shoal's calls can meet say that a rank has failed.
    pub(crate) proc_aborted: c_int,
}

/// `MPI_SUCCESS`, everywhere.
pub(crate) const SUCCESS: c_int = 0;
/// `MPI_UNDEFINED`, everywhere.
pub(crate) const UNDEFINED: c_int = -32766;
/// `MPI_MAX_ERROR_STRING` and `MPI_MAX_LIBRARY_VERSION_STRING` are nowhere more than this.
pub(crate) const STRING_MAX: usize = 8192;
/// No status is longer.
pub(crate) const STATUS_MAX: usize = 32;

/// MPICH, Intel MPI, MVAPICH, Cray MPICH: the common ABI of 2014.
pub(crate) const MPICH: Abi = Abi {
    name: "MPICH's ABI",
    handles: Handles::Ints(Predefined {
        comm_world: 0x4400_0000,
        comm_self: 0x4400_0001,
        byte: 0x4c00_010d,
        errors_return: 0x5400_0001,
        request_null: 0x2c00_0000,
    }),
    status: StatusLayout { size: 20, source: 8, error: 16 },
    any_source: -2,
    thread_funneled: 1,
    classes: Classes { truncate: 14, other: 15, in_status: 17, proc_aborted: 76 },
};

/// Open MPI from 3.0 on.
pub(crate) const OPEN_MPI: Abi = Abi {
    name: "Open MPI's ABI",
    handles: Handles::Symbols(Predefined {
        comm_world: "ompi_mpi_comm_world",
        comm_self: "ompi_mpi_comm_self",
        byte: "ompi_mpi_byte",
        errors_return: "ompi_mpi_errors_return",
        request_null: "ompi_request_null",
    }),
    status: StatusLayout { size: 24, source: 0, error: 8 },
    any_source: -1,
    thread_funneled: 1,
    classes: Classes { truncate: 15, other: 16, in_status: 18, proc_aborted: 74 },
};

/// MPI 5.0, chapter 20: `libmpi_abi`.
pub(crate) const MPI_5: Abi = Abi {
    name: "MPI 5.0's ABI",
    handles: Handles::Addresses(Predefined {
        comm_world: 0x101,
        comm_self: 0x102,
        byte: 0x247,
        errors_return: 0x143,
        request_null: 0x180,
    }),
    status: StatusLayout { size: 32, source: 0, error: 8 },
    any_source: -1,
    thread_funneled: 1024,
    classes: Classes { truncate: 15, other: 16, in_status: 19, proc_aborted: 58 },
};

impl<H: Copy> Predefined<H> {
    pub(crate) fn map<T>(&self, of: impl Fn(H) -> T) -> Predefined<T> {
        let made = self.try_map(|handle| Ok::<_, std::convert::Infallible>(of(handle)));
        made.unwrap_or_else(|never| match never {})
    }

    pub(crate) fn try_map<T, E>(&self, of: impl Fn(H) -> Result<T, E>) -> Result<Predefined<T>, E> {
        Ok(Predefined {
            comm_world: of(self.comm_world)?,
            comm_self: of(self.comm_self)?,
            byte: of(self.byte)?,
            errors_return: of(self.errors_return)?,
            request_null: of(self.request_null)?,
        })
    }
}

impl StatusLayout {
    /// Reads a field of the status at the beginning of these bytes.
    pub(crate) fn read(bytes: &[u8], field: usize) -> c_int {
        let field = bytes[field..].first_chunk().expect("a field lies inside of its status");
        c_int::from_ne_bytes(*field)
    }
}

impl Classes {
    /// Whether another rank's failure explains an error of this class. `MPI_ERR_OTHER` is what
    /// libraries say that have no word for it.
    pub(crate) fn tells_of_a_failure(&self, class: c_int) -> bool {
        class == self.other || class >= self.proc_aborted
    }
}
