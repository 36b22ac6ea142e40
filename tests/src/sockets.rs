//! The options of another process's connections, asked of the kernel: what no message tells and
//! no program of ours prints.

use std::{fs, io, os::fd::RawFd};

use anyhow::{Context as _, Result};
use rustix::{
    io::Errno,
    net::{getpeername, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// Of each TCP connection that a process holds, whether it sends small messages at once; `None`
/// where the system lets nobody look.
///
/// # Errors
/// When there is no such process.
pub fn send_at_once(pid: u32) -> Result<Option<Vec<bool>>> {
    let number =
        i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process has this id")?;
    let process = pidfd_open(number, PidfdFlags::empty())?;
    let mut connections = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Some(file) = number_of(&entry?) else { continue };
        let held = match pidfd_getfd(&process, file, PidfdGetfdFlags::empty()) {
            Ok(held) => held,
            Err(Errno::PERM) => return Ok(None),
            // Closed meanwhile.
            Err(_) => continue,
        };
        // Others are no sockets, none of TCP, or have nobody at their end.
        if let (Ok(at_once), Ok(_)) = (sockopt::tcp_nodelay(&held), getpeername(&held)) {
            connections.push(at_once);
        }
    }
    Ok(Some(connections))
}

fn number_of(entry: &fs::DirEntry) -> Option<RawFd> {
    let is_socket = |path: io::Result<std::path::PathBuf>| {
        path.is_ok_and(|path| path.to_string_lossy().starts_with("socket:"))
    };
    let number = entry.file_name().to_str()?.parse().ok()?;
    is_socket(fs::read_link(entry.path())).then_some(number)
}
