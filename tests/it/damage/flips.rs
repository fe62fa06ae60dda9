//! Single bits turned over, anywhere.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{
    cells,
    scene::{Cell, Scene, Seen},
};

const FLOOR_DATABASE: usize = 10_500;
const FLOOR_LOG: usize = 2_000;
const PAGE: usize = 4096;
/// Where the journal lies.
const JOURNAL: &str = "'chain', 'operation', 'step', 'hold', 'checkpoint', 'operation_unsettled', 'hold_operation', \
                       'idempotency_key', 'idempotency_key_operation', 'event', 'event_operation'";

#[test]
fn a_bit_turned_over_in_the_database_is_refused_or_changes_nothing_in_the_journal() {
    let scene = cells::scene();
    let places = places(scene);
    let tally = cells::run(&places, async |(at, bit), cell, file: &mut Vec<u8>| {
        file.clone_from(&scene.folded);
        file[at] ^= 1 << bit;
        cell.lay(file, &[]);
        match scene.look(cell).await {
            Seen::Opened(write) => {
                assert_eq!(write, scene.history.len() - 1, "bit {bit} of byte {at} takes something back");
                true
            }
            Seen::Refused(_) => false,
        }
    });
    tally.account("bits of the database turned over", FLOOR_DATABASE);
}

#[test]
fn a_bit_turned_over_in_the_log_of_changes_leaves_a_true_beginning() {
    let scene = cells::scene();
    let mut random = Random(20_261_121);
    let mut places: BTreeSet<usize> = (0..56).collect();
    places.extend((0..2000).map(|_| random.below(scene.log.len())));
    let places: Vec<(usize, u32)> = places.into_iter().map(|at| (at, random.bit())).collect();
    let tally = cells::run(&places, async |(at, bit), cell, log: &mut Vec<u8>| {
        log.clone_from(&scene.log);
        log[at] ^= 1 << bit;
        cell.lay(&scene.database, log);
        matches!(scene.look(cell).await, Seen::Opened(_))
    });
    tally.account("bits of the log of changes turned over", FLOOR_LOG);
}

/// One bit of every third byte that the journal has written, and of a sample of all others.
fn places(scene: &Scene) -> Vec<(usize, u32)> {
    let cell = Cell::new(&scene.folded, &[]);
    let db = Connection::open(cell.database()).unwrap();
    let mut pages = db.prepare(&format!("SELECT pageno FROM dbstat WHERE name IN ({JOURNAL})")).unwrap();
    let pages: Vec<u32> = pages.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut random = Random(20_261_121);
    let pages = pages.into_iter().map(|page| usize::try_from(page).unwrap());
    let journal = pages.flat_map(|page| (page - 1) * PAGE..page * PAGE);
    let written = journal.filter(|at| scene.folded[*at] != 0);
    let mut places: BTreeSet<usize> = written.filter(|_| random.below(3) == 0).collect();
    places.extend((0..100).chain((0..3000).map(|_| random.below(scene.folded.len()))));
    places.into_iter().map(|at| (at, random.bit())).collect()
}

/// The same numbers in every run (<https://prng.di.unimi.it/splitmix64.c>).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn bit(&mut self) -> u32 {
        u32::try_from(self.next() % 8).unwrap()
    }
}
