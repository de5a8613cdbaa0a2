//! Reused, cache-line aligned buffers. A fresh 30 MB allocation costs a page fault per 4 KB, a reused one nothing.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Lets the allocator keep what is freed, for programs that train: a step frees and takes the same 100 MB over and over,
/// and giving them back to the system in between costs a tenth of its time. Call it first; it does nothing where the
/// allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
    }
}

/// Gives freed memory back to the system, buffers that wait for their next use among it: after a training, whose steps it was
/// kept for.
pub fn give_back_freed_memory() {
    FREE.lock().expect("no user of the pool panics while it holds the lock").clear();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only returns pages that nothing holds.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// At most this many buffers wait for their next use.
const KEPT: usize = 96;

static FREE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// Up to an eighth more, so that batches whose sizes vary a little ask for the same.
fn rounded(lines: usize) -> usize {
    lines.next_multiple_of((lines.next_power_of_two() / 16).max(1))
}

/// A buffer of `len` floats that goes back to the pool when dropped.
pub struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    /// A buffer whose contents are whatever its last user left.
    pub fn dirty(len: usize) -> Self {
        let needed = rounded(len.div_ceil(16).max(1));
        let mut free = FREE.lock().expect("no user of the pool panics while it holds the lock");
        let fits = |v: &Vec<Line>| v.len() >= needed && v.len() <= 2 * needed + 64;
        let best = (0..free.len()).filter(|&i| fits(&free[i])).min_by_key(|&i| free[i].len());
        let lines = match best {
            Some(i) => free.swap_remove(i),
            None => {
                // Batches vary in size: one that was large enough until now makes room, or all sizes so far would wait.
                let small = |v: &Vec<Line>| v.len() < needed && needed <= 2 * v.len() + 64;
                let outgrown = (0..free.len()).filter(|&i| small(&free[i])).max_by_key(|&i| free[i].len());
                outgrown.map(|i| free.swap_remove(i));
                drop(free);
                vec![Line([0.0; 16]); needed]
            }
        };
        Scratch { lines, len }
    }

    /// A buffer of `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut s = Self::dirty(len);
        s.fill(0.0);
        s
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a Line is 16 floats without padding and `len` was rounded up to whole lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above; the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut free = FREE.lock().expect("no user of the pool panics while it holds the lock");
        if free.len() >= KEPT {
            // The smallest is the cheapest to make again.
            let smallest = (0..free.len()).min_by_key(|&i| free[i].len()).expect("the pool is full");
            free.swap_remove(smallest);
        }
        free.push(std::mem::take(&mut self.lines));
    }
}
