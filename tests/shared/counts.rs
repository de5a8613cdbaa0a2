//! What the emulated GPU (tests/cuda) was asked for. A real one does not count.

use std::fmt;

/// Names of the counters, in the order of `EmulatedCounts` (tests/cuda/driver.h).
const NAMES: [&str; 10] = [
    "kernels",
    "products",
    "fills",
    "uploads",
    "downloads",
    "moves",
    "allocations",
    "waits",
    "bytes up",
    "bytes down",
];

/// How often, or how many bytes, of [`NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts([u64; 10]);

impl Counts {
    /// Since the process began; nothing on a real GPU.
    pub fn now() -> Option<Counts> {
        // SAFETY: the name ends with 0, and the function, if there is one, is that of the emulated driver.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"emulated_counts".as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: as above; it writes as many numbers as there are counters.
        let read: extern "C" fn(*mut u64) = unsafe { std::mem::transmute(found) };
        let mut counts = Counts::default();
        read(counts.0.as_mut_ptr());
        Some(counts)
    }

    /// What came after `earlier`.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts(std::array::from_fn(|i| self.0[i] - earlier.0[i]))
    }

    /// By name.
    pub fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let all: Vec<String> = self.named().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&all.join(", "))
    }
}
