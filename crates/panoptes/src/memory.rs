//! How the system's allocator keeps what was freed.

/// Blocks from this size on are taken from the system one by one and go back to it when they are freed. glibc raises the
/// limit to the size of whatever was freed last (up to 32 MiB), and then frames, batches and the columns of a segment lie
/// between the small blocks of the state of detection, where nothing can be given back: a quarter of all memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_BLOCK_BYTES: libc::c_int = 256 << 10;
/// So much free memory is kept at the end of an arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 2 << 20;

/// Tells the allocator. To be called before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn set_up() {
    for (parameter, value) in [(libc::M_MMAP_THRESHOLD, OWN_BLOCK_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)] {
        #[expect(unsafe_code, reason = "the allocator has no other interface from within")]
        // SAFETY: `mallopt` takes two numbers and keeps them; no other thread runs yet.
        let is_done = unsafe { libc::mallopt(parameter, value) };
        debug_assert_eq!(is_done, 1, "a parameter of the allocator was refused");
    }
}

/// Other allocators have other habits.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_up() {}
