//! What the disk alone can do: one page written and told to be kept, then the next.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

/// As large as a page of the state.
const PAGE: [u8; 4096] = [7; 4096];
/// Of a file that has all its blocks already, as a log that is written anew has.
const PAGES: u64 = 1024;

pub struct Disk {
    file: File,
    next: u64,
}

impl Disk {
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("pages");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        std::fs::remove_file(path)?;
        for page in 0..PAGES {
            file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
        }
        file.sync_all()?;
        Ok(Self { file, next: 0 })
    }

    pub fn sync(&mut self) -> io::Result<()> {
        self.file.write_all_at(&PAGE, self.next * PAGE.len() as u64)?;
        self.next = (self.next + 1) % PAGES;
        self.file.sync_data()
    }

    pub fn syncs_per_second(&mut self, slot: Duration) -> io::Result<f64> {
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < slot {
            self.sync()?;
            done += 1;
        }
        Ok(f64::from(done) / began.elapsed().as_secs_f64())
    }
}
