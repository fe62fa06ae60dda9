//! Walks the cells of a kind of damage over all cores.

use std::{
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::scene::{Cell, Scene};

/// What the cells showed: those which are not opened are refused, and a broken one has panicked already.
pub struct Tally {
    cells: usize,
    opened: usize,
    seconds: u64,
}

impl Tally {
    /// Prints it; fewer cells than the floor are a failure, more ask to raise it.
    pub fn account(&self, damage: &str, floor: usize) {
        let Self { cells, opened, seconds } = self;
        let refused = cells - opened;
        let line =
            format!("{damage}: cells {cells}, opened {opened}, refused {refused}, broken 0, seconds {seconds}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        assert!(*cells >= floor, "{cells} cells were found, {floor} were known");
    }
}

/// The scene is made once.
pub fn scene() -> &'static Scene {
    static SCENE: LazyLock<Scene> = LazyLock::new(|| runtime().block_on(Scene::make()));
    &SCENE
}

/// Each in a place of its core's; `look` tells whether the state opened and panics where something is wrong.
pub fn run<C: Copy + Sync, M: Default>(cells: &[C], look: impl AsyncFn(C, &Cell, &mut M) -> bool + Sync) -> Tally {
    let began = Instant::now();
    let (next, opened) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let (runtime, place, mut memory) = (runtime(), Cell::new(&[], &[]), M::default());
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if runtime.block_on(look(*cell, &place, &mut memory)) {
                        opened.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    Tally { cells: cells.len(), opened: opened.into_inner(), seconds: began.elapsed().as_secs() }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
