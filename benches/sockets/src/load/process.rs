//! What Linux tells of a process in `/proc`.

use std::fs;
use std::io::{Error, Result};
use std::ops::Sub;

/// Seconds on a processor.
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, earlier: Cpu) -> Cpu {
        Cpu { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

pub struct Process {
    path: String,
}

impl Process {
    pub fn new(id: u32) -> Process {
        Process { path: format!("/proc/{id}") }
    }

    /// The time that all threads have spent on a processor, in user code and in the kernel. Linux tells it in
    /// hundredths of a second.
    pub fn cpu(&self) -> Result<Cpu> {
        let text = fs::read_to_string(format!("{}/stat", self.path))?;
        // The name of the program, in parentheses, may contain spaces. `utime` and `stime` are fields 14 and 15.
        let mut fields =
            text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(11);
        let mut seconds = || {
            let ticks = fields.next().and_then(|field| field.parse::<u32>().ok());
            ticks
                .map(|ticks| f64::from(ticks) / 100.0)
                .ok_or_else(|| Error::other("no time in stat"))
        };
        Ok(Cpu { user: seconds()?, system: seconds()? })
    }

    pub fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    pub fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("{}/status", self.path))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| Error::other(format!("no {name} in status")))
    }
}
