//! The log of changes, and the database, cut off at every byte of their tails.

use std::collections::BTreeSet;

use super::{cells, scene::Seen};

const FLOOR_LOG: usize = 8_500;
const FLOOR_DATABASE: usize = 4_300;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;

#[test]
fn a_log_of_changes_cut_off_at_any_byte_is_a_true_beginning_and_settles() {
    let scene = cells::scene();
    let log = &scene.log;
    let (last_transaction, edges) = transactions(log);
    let mut lengths: BTreeSet<usize> = (0..=LOG_HEADER).collect();
    lengths.extend(edges.iter().flat_map(|edge| edge.saturating_sub(2)..=edge + 2));
    lengths.extend(last_transaction..=log.len());
    lengths.retain(|length| *length <= log.len());
    let lengths: Vec<usize> = lengths.into_iter().collect();

    let tally = cells::run(&lengths, async |length, cell, known: &mut BTreeSet<usize>| {
        cell.lay(&scene.database, &log[..length]);
        let seen = scene.look(cell).await;
        let Seen::Opened(write) = seen else { panic!("a log of {length} bytes is refused: {seen:?}") };
        // Recovery sees the journal alone: each journal is settled once, and every edge.
        if known.insert(write) || edges.contains(&length) {
            cell.lay(&scene.database, &log[..length]);
            scene.settles(cell).await;
        }
        true
    });
    tally.account("log of changes cut off", FLOOR_LOG);
}

#[test]
fn a_database_cut_off_at_any_byte_is_refused_or_says_what_it_said() {
    let scene = cells::scene();
    let file = &scene.folded;
    let mut lengths: BTreeSet<usize> = (0..=110).collect();
    lengths.extend((0..file.len() / PAGE).flat_map(|page| (page * PAGE).saturating_sub(2)..=page * PAGE + 2));
    lengths.extend(file.len() - PAGE..file.len());
    let lengths: Vec<usize> = lengths.into_iter().collect();

    let tally = cells::run(&lengths, async |length, cell, (): &mut ()| {
        cell.lay(&file[..length], &[]);
        matches!(scene.look(cell).await, Seen::Opened(_))
    });
    tally.account("database cut off", FLOOR_DATABASE);
}

/// Where the last transaction begins, and the ends of all frames (<https://www.sqlite.org/fileformat.html#the_write_ahead_log>).
fn transactions(log: &[u8]) -> (usize, BTreeSet<usize>) {
    let frame = FRAME_HEADER + PAGE;
    assert_eq!((log.len() - LOG_HEADER) % frame, 0, "whole frames");
    let starts: Vec<usize> = (LOG_HEADER..log.len()).step_by(frame).collect();
    let commits = |start: &&usize| log[**start + 4..**start + 8] != [0; 4];
    let before_the_last = starts[..starts.len() - 1].iter().rev().find(commits).unwrap();
    (before_the_last + frame, starts.iter().map(|start| start + frame).collect())
}
