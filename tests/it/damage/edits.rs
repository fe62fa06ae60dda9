//! Rows changed, taken away and slipped in by SQL behind our back.

use rusqlite::Connection;

use super::{
    cells,
    scene::{Cell, Scene, Seen},
};

const FLOOR: usize = 600;
/// The tables of the journal, and which of their rows a start looks at: those of operations that were not settled when the
/// process before began, and later ones.
const TABLES: [(&str, &str); 6] = [
    ("operation", "first_write > (SELECT seq FROM checkpoint)"),
    ("step", "operation IN (SELECT id FROM operation WHERE first_write > (SELECT seq FROM checkpoint))"),
    ("hold", "TRUE"),
    ("idempotency_key", "operation IN (SELECT id FROM operation WHERE first_write > (SELECT seq FROM checkpoint))"),
    ("event", "operation IN (SELECT id FROM operation WHERE first_write > (SELECT seq FROM checkpoint))"),
    ("chain", "seq > (SELECT seq FROM checkpoint)"),
];
const SLIPPED_IN: [&str; 6] = [
    "INSERT INTO operation SELECT 'x', kind, state, fence, first_write, origin, actor, request_id, subject, began_ms, \
     settled_ms, quiet_until_ms, attention, error FROM operation WHERE state = 'running'",
    "INSERT INTO step SELECT operation, seq + 1, promise, name, body, happened, output, settled, failures, error, \
     began_ms, ended_ms FROM step WHERE seq = 2 AND operation IN (SELECT id FROM operation WHERE state = 'running')",
    "INSERT INTO event SELECT 'f', began_ms, kind, 'done', origin, actor, subject, id FROM operation \
     WHERE state = 'running'",
    "INSERT INTO hold VALUES ('email:somebody@x.org', 'x')",
    "INSERT INTO hold SELECT 'email:somebody@x.org', id FROM operation WHERE state = 'running'",
    "INSERT INTO chain SELECT seq + 1, fence, at_ms, operation, words, digest FROM chain ORDER BY seq DESC LIMIT 1",
];
/// Not of the journal's rows, but it does not stand without them.
const AROUND: [&str; 5] = [
    "UPDATE key SET value = zeroblob(32) WHERE name = 'journal-chain-key'",
    "DELETE FROM key WHERE name = 'journal-chain-key'",
    "UPDATE checkpoint SET seq = seq - 1",
    "UPDATE checkpoint SET seq = (SELECT max(seq) FROM chain)",
    "UPDATE checkpoint SET digest = zeroblob(32)",
];

#[test]
fn a_journal_that_was_edited_is_refused() {
    let scene = cells::scene();
    let mut edits = edits(scene);
    edits.extend(SLIPPED_IN.into_iter().chain(AROUND).map(str::to_owned));
    let edits: Vec<&str> = edits.iter().map(String::as_str).collect();
    let tally = cells::run(&edits, async |edit, cell, (): &mut ()| {
        cell.lay(&scene.folded, &[]);
        let changed = Connection::open(cell.database()).unwrap().execute(edit, []);
        assert_eq!(changed, Ok(1), "{edit}");
        match scene.look(cell).await {
            Seen::Opened(_) => panic!("nobody noticed: {edit}"),
            Seen::Refused(_) => false,
        }
    });
    tally.account("journal edited", FLOOR);
}

#[test]
fn a_journal_without_a_checkpoint_is_read_from_its_beginning() {
    let scene = cells::scene();
    let cell = Cell::new(&scene.folded, &[]);
    Connection::open(cell.database()).unwrap().execute("DELETE FROM checkpoint", []).unwrap();
    let seen = cells::runtime().block_on(scene.look(&cell));
    assert_eq!(seen, Seen::Opened(scene.history.len() - 1));
}

/// Every row of the journal taken away, and every value of it another.
fn edits(scene: &Scene) -> Vec<String> {
    let cell = Cell::new(&scene.folded, &[]);
    let db = Connection::open(cell.database()).unwrap();
    let mut edits = Vec::new();
    for (table, looked_at) in TABLES {
        let columns = columns(&db, table);
        let key = columns.iter().filter(|column| column.key);
        let key: Vec<String> = key.map(|column| format!("'{0} = ' || quote({0})", column.name)).collect();
        let rows = format!("SELECT {} FROM {table} WHERE {looked_at}", key.join(" || ' AND ' || "));
        let mut rows = db.prepare(&rows).unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for row in rows.map(Result::unwrap) {
            edits.push(format!("DELETE FROM {table} WHERE {row}"));
            edits.extend(columns.iter().map(|column| {
                let (name, other) = (&column.name, &column.other);
                if ["promise", "settled"].contains(&name.as_str()) {
                    return format!("UPDATE {table} SET {name} = 1 - {name} WHERE {row}");
                }
                format!(
                    "UPDATE {table} SET {name} = CASE typeof({name}) WHEN 'null' THEN {other} \
                     WHEN 'integer' THEN {name} + 1000 WHEN 'text' THEN {name} || 'x' \
                     ELSE CAST({name} || x'00' AS BLOB) END WHERE {row}"
                )
            }));
        }
    }
    edits
}

struct Column {
    name: String,
    key: bool,
    /// In place of nothing.
    other: &'static str,
}

fn columns(db: &Connection, table: &str) -> Vec<Column> {
    let mut columns = db.prepare(&format!("SELECT name, type, pk FROM pragma_table_info('{table}')")).unwrap();
    let columns = columns.query_map([], |row| {
        let kind: String = row.get(1)?;
        let other = if kind == "INTEGER" { "1" } else { "'x'" };
        Ok(Column { name: row.get(0)?, key: row.get::<_, u32>(2)? > 0, other })
    });
    columns.unwrap().map(Result::unwrap).collect()
}
