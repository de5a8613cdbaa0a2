//! An allocator that ends the process, saying why, where more is asked for at once than tiny files can be worth: a size that a
//! file merely claims must not be believed.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::campaign::TRIED;

const MOST: usize = 2 << 30;

pub struct Bounded;

fn check(size: usize) {
    if size > MOST {
        let tried = TRIED.try_lock().map(|tried| tried.clone()).unwrap_or_default();
        eprintln!("{size} bytes are asked for at once: {tried}");
        std::process::abort();
    }
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: as the caller's.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}
