//! The prefetch hint: asks the CPU for a cache line, promises nothing, never faults.

/// Hints that `target` will be read soon. Nothing happens on CPUs we do not know.
#[inline(always)]
pub fn prefetch_read<T: ?Sized>(target: &T) {
    prefetch_address(std::ptr::from_ref(target).cast::<u8>());
}

/// The hint for an address that need not be valid.
#[inline(always)]
pub(crate) fn prefetch_address(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing architecturally; the instruction is defined for every address, mapped or not, and
    // SSE is part of every x86_64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: `prfm` is a hint that cannot fault for any address; it changes no register, flag or memory.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
