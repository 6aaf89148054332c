//! Opens a libmpi that is there, and tells which ABI it has before anything of it is used.
//!
//! A soname tells nothing: a file of that name may be another MPI's, or have numbers that its ABI
//! does not have. It never closes what it has taken, and never calls what needs `MPI_Init`.
#![allow(unsafe_code, reason = "dlopen, dlsym, and calls of what they find")]

use crate::abi::{self, Abi};
use crate::find::{Candidate, Family, Place, Why};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// An MPI library that is loaded, of an ABI that is known.
#[derive(Debug)]
pub struct Library {
    handle: Handle,
    abi: &'static Abi,
    family: Family,
    version: String,
    path: PathBuf,
    place: Place,
    why: Why,
}

/// What `dlopen` gives.
#[derive(Debug)]
struct Handle {
    library: NonNull<c_void>,
    /// One thread owns MPI.
    not_send: PhantomData<*const ()>,
}

/// Why a library is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    NotLoaded(String),
    #[error("no function {0} in it")]
    Lacks(&'static str),
    #[error("{0}, whose ABI shoal does not know")]
    UnknownAbi(String),
    #[error(
        "HPE MPT ({0}) has an ABI of its own, which shoal does not know; load another MPI, such as HPE's HMPT"
    )]
    Mpt(String),
    #[error("the libmpi_abi of {0} has other numbers than MPI 5.0's ABI; its libmpi.so.12 works")]
    IntelAbi(String),
}

type GetLibraryVersion = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
type AbiGetVersion = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;

impl Library {
    /// Loads a library, for itself alone, and tells its ABI. One that is not fit is let go again.
    pub(crate) fn open(candidate: &Candidate) -> Result<Self, Unfit> {
        let handle = Handle::open(&candidate.place)?;
        match handle.examine() {
            Ok((version, abi)) => {
                let family = Family::of_version(&version, abi);
                let Candidate { place, why } = candidate.clone();
                let path = handle.path().unwrap_or_else(|| place.path().to_owned());
                Ok(Self { handle, abi, family, version, path, place, why })
            }
            Err(unfit) => {
                handle.close(&candidate.place);
                Err(unfit)
            }
        }
    }

    /// Lets what the library loads later, its own plugins above all, see its names.
    pub(crate) fn publish(&self) {
        // It is loaded: this only changes who sees it, and returns the same handle once more.
        dlopen(&self.place, libc::RTLD_LAZY | libc::RTLD_GLOBAL | libc::RTLD_NOLOAD);
    }

    /// Lets go a library that is not to be used.
    pub(crate) fn close(self) {
        self.handle.close(&self.place);
    }

    /// Its short name and version, as in `Open MPI 4.1.4`.
    pub fn name(&self) -> String {
        short_name(&self.version)
    }

    /// The file that was loaded.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the choice came from.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// Whose launchers can start it.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The ABI by which it is called, as in `MPICH's ABI`.
    pub fn abi_name(&self) -> &'static str {
        self.abi.name
    }

    pub(crate) fn abi(&self) -> &'static Abi {
        self.abi
    }

    /// Finds a function.
    ///
    /// # Safety
    ///
    /// `F` must be the type of a function pointer, and that of this function in the library's ABI.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &'static CStr) -> Result<F, Unfit> {
        let lacks = Unfit::Lacks(name.to_str().expect("names of functions are text"));
        // SAFETY: as this function's.
        unsafe { self.handle.function(name) }.ok_or(lacks)
    }

    /// Finds an object of the library, such as Open MPI's communicators.
    pub(crate) fn object(&self, name: &'static str) -> Result<*mut c_void, Unfit> {
        let c_name = CString::new(name).expect("names of objects hold no zero");
        Ok(self.handle.address(&c_name).ok_or(Unfit::Lacks(name))?.as_ptr())
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name(), self.path.display(), self.why)
    }
}

impl Handle {
    /// Loads a library for itself alone: until it is known to be the right one its names must not
    /// stand before those of another.
    fn open(place: &Place) -> Result<Self, Unfit> {
        let library = dlopen(place, libc::RTLD_LAZY | libc::RTLD_LOCAL);
        match NonNull::new(library) {
            Some(library) => Ok(Self { library, not_send: PhantomData }),
            None => Err(Unfit::NotLoaded(last_error())),
        }
    }

    fn close(self, place: &Place) {
        if !matches!(place, Place::Process) {
            // SAFETY: opened above; nothing that was found in it is kept.
            unsafe { libc::dlclose(self.library.as_ptr()) };
        }
    }

    /// What it says of itself, and its ABI.
    fn examine(&self) -> Result<(String, &'static Abi), Unfit> {
        // No MPI at all, or a tool that stands before one and has no more than the names.
        let is_mpi = self.address(c"PMPI_Init_thread");
        is_mpi.ok_or(Unfit::Lacks("PMPI_Init_thread"))?;
        let version = self.version()?;
        let abi = self.abi(&version)?;
        Ok((version, abi))
    }

    fn address(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is open, the name ends with a zero.
        NonNull::new(unsafe { libc::dlsym(self.library.as_ptr(), name.as_ptr()) })
    }

    /// # Safety
    ///
    /// As for [`Library::function`].
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        let address = self.address(name)?.as_ptr();
        assert_eq!(size_of::<F>(), size_of_val(&address), "a function pointer");
        // SAFETY: the caller says that `F` is this function's type; the size is a pointer's.
        Some(unsafe { std::mem::transmute_copy(&address) })
    }

    /// What the library says of itself; allowed before `MPI_Init` (MPI standard, section 9.1.1).
    fn version(&self) -> Result<String, Unfit> {
        let name = "MPI_Get_library_version";
        // SAFETY: in every ABI it takes a buffer and the address of an `int`.
        let get = unsafe { self.function::<GetLibraryVersion>(c"MPI_Get_library_version") };
        let get = get.ok_or(Unfit::Lacks(name))?;
        let mut text = vec![0u8; abi::STRING_MAX];
        let mut len = 0;
        // SAFETY: the buffer has room for the longest text of any ABI.
        let code = unsafe { get(text.as_mut_ptr().cast(), &raw mut len) };
        if code != abi::SUCCESS {
            return Err(Unfit::NotLoaded(format!("{name} failed with {code}")));
        }
        text.truncate(usize::try_from(len).unwrap_or(0));
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.trim_end_matches(['\0', '\n', ' ']).to_owned())
    }

    /// Tells the ABI: by what MPI 5.0 has for it, by objects that Open MPI alone has, by the name
    /// of a member of MPICH's ABI. The last is no proof, but there is no other sign of it.
    fn abi(&self, version: &str) -> Result<&'static Abi, Unfit> {
        if self.has_mpi_5_abi() {
            // Its `MPI_ERRORS_RETURN` is what the standard calls `MPI_ERRORS_ABORT` (2021.18).
            let is_intels = self.address(c"I_MPI_Check_image_status").is_some();
            if is_intels || version.starts_with("Intel") {
                return Err(Unfit::IntelAbi(short_name(version)));
            }
            return Ok(&abi::MPI_5);
        }
        if self.address(c"ompi_mpi_comm_world").is_some() {
            return Ok(&abi::OPEN_MPI);
        }
        abi_of_name(version)
    }

    fn has_mpi_5_abi(&self) -> bool {
        // SAFETY: MPI 5.0, section 20.3: it takes the addresses of two `int`.
        let get = unsafe { self.function::<AbiGetVersion>(c"MPI_Abi_get_version") };
        let Some(get) = get else { return false };
        let (mut major, mut minor) = (-1, -1);
        // SAFETY: both are live; it may be called before `MPI_Init`.
        let code = unsafe { get(&raw mut major, &raw mut minor) };
        code == abi::SUCCESS && major > 0
    }

    /// The file that `MPI_Init_thread` lies in.
    fn path(&self) -> Option<PathBuf> {
        let address = self.address(c"PMPI_Init_thread")?;
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: the address is one of a loaded library, `info` has room; all zero is a value.
        let info = unsafe {
            libc::dladdr(address.as_ptr(), info.as_mut_ptr());
            info.assume_init()
        };
        let name = NonNull::new(info.dli_fname.cast_mut())?;
        // SAFETY: the loader's own text, which stays while the library is loaded.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
    }
}

fn dlopen(place: &Place, flags: c_int) -> *mut c_void {
    let name = match place {
        Place::Process => None,
        Place::File(path) => Some(path.as_os_str().as_bytes()),
        Place::Name(name) => Some(name.as_bytes()),
    };
    // What holds a zero is no file's name.
    let Ok(name) = name.map(CString::new).transpose() else { return std::ptr::null_mut() };
    let name = name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
    // SAFETY: the name ends with a zero, or there is none: this process. Initializers of an MPI
    // library run; it is what the user's launcher would have had this program linked with.
    unsafe { libc::dlopen(name, flags) }
}

/// What the loader says of the call before.
fn last_error() -> String {
    // SAFETY: one thread loads; the text stays until the next call of the loader.
    let text = NonNull::new(unsafe { libc::dlerror() });
    // SAFETY: not null, and a text that ends with a zero.
    let text = text.map(|text| unsafe { CStr::from_ptr(text.as_ptr()) });
    text.map_or_else(|| "not loaded".into(), |text| text.to_string_lossy().into_owned())
}

/// The ABI of a library that has no sign of one but its name.
fn abi_of_name(version: &str) -> Result<&'static Abi, Unfit> {
    let text = version.to_uppercase();
    // HMPT is MPICH's; MPT is not.
    let is_mpt = text.contains("MPT") && !text.contains("HMPT") && !text.contains("MPICH");
    if is_mpt {
        return Err(Unfit::Mpt(short_name(version)));
    }
    let members = ["MPICH", "INTEL(R) MPI", "MVAPICH", "HMPT"];
    if members.iter().any(|member| text.contains(member)) {
        return Ok(&abi::MPICH);
    }
    Err(Unfit::UnknownAbi(short_name(version)))
}

/// Finds name and version in what `MPI_Get_library_version` says, which every library writes in its
/// own way.
pub(crate) fn short_name(version: &str) -> String {
    let first = version.lines().next().unwrap_or_default();
    let first = first.split(',').next().unwrap_or_default();
    if let Some(number) = first.strip_prefix("Open MPI v") {
        return format!("Open MPI {number}");
    }
    let labelled = first.split_once(':').and_then(|(label, number)| {
        let label = label.trim_end();
        let name = label.strip_suffix("Version").or_else(|| label.strip_suffix("VERSION"))?;
        Some((name.trim_end(), number.trim()))
    });
    match labelled {
        // Cray's.
        Some(("MPI", name)) => name.to_owned(),
        Some((name, number)) => format!("{name} {number}"),
        None => first.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_has_a_short_name() {
        let cases = [
            ("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4", "Open MPI 4.1.4"),
            ("Open MPI v5.0.11, package: Open MPI root@x Distribution", "Open MPI 5.0.11"),
            ("MPICH Version:      4.0.2\nMPICH Release date: Thu Apr  7", "MPICH 4.0.2"),
            ("MVAPICH2 Version      :\t2.3.7\n", "MVAPICH2 2.3.7"),
            (
                "Intel(R) MPI Library 2021.9 for Linux* OS\n",
                "Intel(R) MPI Library 2021.9 for Linux* OS",
            ),
            (
                "MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)\n",
                "CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)",
            ),
            ("", ""),
        ];
        for (version, name) in cases {
            assert_eq!(short_name(version), name);
        }
    }

    #[test]
    fn members_of_the_abi_of_mpich_are_known_by_name_and_mpt_is_refused_by_its_own() {
        let name = |version| abi_of_name(version).map(|abi| abi.name);
        for version in [
            "MPICH Version:      4.0.2\nMPICH Release date: x",
            "Intel(R) MPI Library 2021.9 for Linux* OS\n",
            "MVAPICH2 Version      :\t2.3.7\n",
            "MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)",
            "HPE HMPT 2.30  08/10/23 00:01:02",
        ] {
            assert_eq!(name(version).unwrap(), "MPICH's ABI", "{version}");
        }
        let mpt = "HPE MPT 2.25  08/26/21 02:54:48-root";
        assert_eq!(name(mpt), Err(Unfit::Mpt(mpt.to_owned())));
        assert_eq!(name("FooMPI 1"), Err(Unfit::UnknownAbi("FooMPI 1".to_owned())));
    }
}
