//! Whether io_uring works here, and how a ring is set up.
//!
//! `try_ring` does what a queue will do (a no-op, a durable write, a read) on a file of the directory itself, so a kernel that
//! lacks one of them is found out at open and not at the first request. Flags: COOP_TASKRUN and SINGLE_ISSUER where the kernel
//! has them (5.19, 6.0). Never DEFER_TASKRUN: with it, completions do not wake an epoll that holds the descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use crate::Buffer;
use crate::probe::{PROBE_BYTE, PROBE_BYTES};

/// Why there is no ring, in words for an operator.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: io::ErrorKind,
    pub(crate) reason: String,
    pub(crate) cure: String,
}

impl Refusal {
    /// `step` is what failed; `disabled` is what `kernel.io_uring_disabled` says, if it can be read.
    pub(crate) fn new(step: &str, error: &io::Error, disabled: Option<&str>) -> Refusal {
        let code = error.raw_os_error();
        let disabled = disabled.filter(|&value| code == Some(libc::EPERM) && value != "0");
        let what = error.to_string();
        let what = what.split(" (os error").next().unwrap_or_default();
        let reason = match disabled {
            Some(value) => format!("{step}: {what} (kernel.io_uring_disabled={value})"),
            None => format!("{step}: {what}"),
        };
        let cure = match (code, disabled) {
            (Some(libc::EPERM), Some(_)) => "run `sysctl kernel.io_uring_disabled=0`",
            (Some(libc::EPERM | libc::EACCES), None) => {
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile"
            }
            (Some(libc::ENOSYS), _) => {
                "run a Linux kernel of 5.6 or later, built with CONFIG_IO_URING, and allow its system calls in the sandbox"
            }
            (Some(libc::ENOMEM), _) => "raise the limit of locked memory (`ulimit -l`, LimitMEMLOCK)",
            (Some(libc::EMFILE | libc::ENFILE), _) => "raise the limit of open files (`ulimit -n`, LimitNOFILE)",
            _ => "use a newer kernel, or choose the pool",
        };
        Refusal { kind: error.kind(), reason, cure: cure.to_owned() }
    }
}

/// A ring of this depth with the best flags the kernel takes, and their names.
pub(crate) fn build_ring(entries: u32) -> io::Result<(IoUring, &'static str)> {
    let mut builder = IoUring::builder();
    builder.setup_coop_taskrun().setup_taskrun_flag().setup_single_issuer();
    match builder.build(entries) {
        Ok(ring) => return Ok((ring, "ring flags: COOP_TASKRUN, SINGLE_ISSUER")),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        Err(error) => return Err(error),
    }
    let mut builder = IoUring::builder();
    builder.setup_coop_taskrun().setup_taskrun_flag();
    match builder.build(entries) {
        Ok(ring) => {
            return Ok((ring, "ring flags: COOP_TASKRUN (SINGLE_ISSUER needs Linux 6.0)"));
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        Err(error) => return Err(error),
    }
    Ok((IoUring::new(entries)?, "ring flags: none (COOP_TASKRUN needs Linux 5.19, SINGLE_ISSUER 6.0)"))
}

/// Tries all that a queue does on the probe's file. Answers with a note about the ring.
pub(crate) fn try_ring(file: &File) -> Result<String, Refusal> {
    let refusal = |step: &'static str| {
        move |error: io::Error| {
            let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
            Refusal::new(step, &error, disabled.as_deref().map(str::trim))
        }
    };
    let (mut ring, note) = build_ring(4).map_err(refusal("io_uring_setup"))?;
    run(&mut ring, opcode::Nop::new().build()).map_err(refusal("io_uring no-op"))?;
    let fd = types::Fd(file.as_raw_fd());
    let mut buffer = Buffer::new(PROBE_BYTES);
    buffer.fill(PROBE_BYTE);
    let write = opcode::Write::new(fd, buffer.start().as_ptr(), PROBE_BYTES as u32).rw_flags(libc::RWF_DSYNC).build();
    run(&mut ring, write).map_err(refusal("io_uring durable write"))?;
    buffer.fill(0);
    let read = opcode::Read::new(fd, buffer.start().as_ptr(), PROBE_BYTES as u32).build();
    run(&mut ring, read).map_err(refusal("io_uring read"))?;
    if buffer.iter().any(|&byte| byte != PROBE_BYTE) {
        return Err(refusal("io_uring read")(io::Error::other("it returned other bytes than were written")));
    }
    Ok(note.to_owned())
}

/// Runs one entry to its end. `entry` may point only to memory that outlives this call.
fn run(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<()> {
    // SAFETY: what the entry points to lives in the caller's frame, and this function does not return before the completion
    // is there: an interrupted wait is repeated, and any other error of `io_uring_enter` means that nothing was submitted.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(completion) = ring.completion().next() {
            return match completion.result() {
                error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
                _ => Ok(()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_cure() {
        let refusal = |code, disabled| Refusal::new("io_uring_setup", &io::Error::from_raw_os_error(code), disabled);
        let by_sysctl = refusal(libc::EPERM, Some("2"));
        assert_eq!(by_sysctl.reason, "io_uring_setup: Operation not permitted (kernel.io_uring_disabled=2)");
        assert!(by_sysctl.cure.contains("kernel.io_uring_disabled=0"));
        let by_seccomp = refusal(libc::EPERM, Some("0"));
        assert_eq!(by_seccomp.reason, "io_uring_setup: Operation not permitted");
        assert!(by_seccomp.cure.contains("seccomp"));
        assert!(refusal(libc::ENOSYS, None).cure.contains("kernel"));
        assert!(refusal(libc::ENOMEM, None).cure.contains("locked memory"));
        assert!(refusal(libc::EMFILE, None).cure.contains("open files"));
    }
}
