//! An allocator that knows how much it has given out: for benchmarks of memory.
//!
//! Counted is what glibc takes for each piece, its rounding and its header included, so that the sum is
//! near to what the process grows by. What malloc keeps for itself is not in it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that malloc puts before each piece.
const HEADER: usize = size_of::<usize>();

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub(crate) struct Counting;

// SAFETY: everything is the system's allocator; only sizes are added up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        let piece = unsafe { System.alloc(layout) };
        HELD.fetch_add(taken(piece), Ordering::Relaxed);
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        HELD.fetch_sub(taken(piece), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(piece, layout) }
    }
}

fn taken(piece: *mut u8) -> usize {
    if piece.is_null() {
        return 0;
    }
    // SAFETY: the piece is malloc's and has not been freed. (Rust's `System` is malloc on Linux.)
    HEADER + unsafe { libc::malloc_usable_size(piece.cast()) }
}

/// Bytes on the heap now.
pub(crate) fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}
