//! The real program on a disk that fails: a library that is loaded before the C library makes it fail at every fsync and
//! every write in turn. A failed fsync ends the program and is never repeated; on a full disk it goes on, refuses what it
//! cannot write, and settles what it had to leave when there is room again.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command_line::program::{Program, State, Stopped},
    matrix::memory,
    worlds::snapshot,
};

const FSYNCS: usize = 13;
const WRITES: usize = 65;
const ROOT: [(&str, &str); 2] = [("ADMIN_EMAIL", "root@example.org"), ("ADMIN_PASSWORD", "correct horse battery")];
const ADA: &str = "ada@example.org";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_ends_the_program_and_is_never_repeated() {
    let template = Template::make().await;
    let mut cells = 0;
    for nth in 1.. {
        let cell = template.cell(&format!("fsync:{nth}"));
        let made = match cell.start() {
            Err(stopped) => {
                assert_told(&stopped);
                None
            }
            Ok(program) => {
                let answer = program.try_ask(Method::POST, "/users/", &template.token, Some(ada())).await;
                if cell.failed().is_none() || cell.overlooks() {
                    program.stop();
                    if cell.failed().is_none() {
                        break;
                    }
                } else {
                    assert_told(&program.ends());
                }
                answer.map(|(status, _)| status == 200)
            }
        };
        cells += 1;
        let after = cell.failed().unwrap_or_else(|| panic!("it ended without a failed fsync {nth}"));
        assert!(after.is_empty() || cell.overlooks(), "fsync {nth} failed, and then: {after:?}");
        cell.is_whole(cell.well(), &template.token, made == Some(true), &format!("fsync {nth}")).await;
    }
    account("fsync fails", cells, FSYNCS);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_program_goes_on_and_settles_what_it_left_when_there_is_room() {
    let template = Template::make().await;
    let mut cells = 0;
    for nth in 1.. {
        let cell = template.cell(&format!("full:{nth}"));
        let (program, made) = match cell.start() {
            Err(stopped) => {
                assert_told(&stopped);
                (cell.well(), false)
            }
            Ok(program) => {
                let (status, answer) = program.post("/users/", &template.token, ada()).await;
                if cell.failed().is_none() {
                    program.stop();
                    break;
                }
                assert!(matches!(status, 200 | 500 | 503), "write {nth}: {status} {answer}");
                assert_eq!(program.get("/-/healthz", &template.token).await.0, 200);
                assert_eq!(program.get("/operations/", &template.token).await.0, 200, "reading goes on");
                cell.free();
                for operation in cell.unsettled() {
                    let (status, answer) = program.retry(&operation, &template.token).await;
                    assert!(matches!(status, 202 | 409), "write {nth}: {status} {answer}");
                }
                (program, status == 200)
            }
        };
        cells += 1;
        cell.is_whole(program, &template.token, made, &format!("write {nth}")).await;
    }
    account("disk is full", cells, WRITES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_can_only_be_read_is_refused_with_a_sentence() {
    let template = Template::make().await;
    for of in ["", "/user-manager.db"] {
        let cell = template.cell("read-only");
        let directory = format!("{}{of}", cell.state.path().display());
        let stopped = cell.start_with(&directory).err().expect("it must not start");
        assert_told(&stopped);
        cell.is_whole(cell.well(), &template.token, false, of).await;
    }
}

/// A state with an administrator, whom the token is of.
struct Template {
    state: State,
    token: String,
}

/// A copy of it on a disk that fails.
struct Cell {
    state: State,
    fault: String,
    log: TempDir,
}

impl Template {
    async fn make() -> Self {
        let state = State::new();
        let program = Program::start(&state, &ROOT);
        let token = program.log_in(ROOT[0].1, ROOT[1].1).await.unwrap();
        program.stop();
        Self { state, token }
    }

    fn cell(&self, fault: &str) -> Cell {
        let state = State::new();
        let database = "user-manager.db";
        fs::copy(self.state.path().join(database), state.path().join(database)).unwrap();
        Cell { state, fault: fault.to_owned(), log: tempfile::tempdir_in(memory()).unwrap() }
    }
}

impl Cell {
    fn start(&self) -> Result<Program, Stopped> {
        self.start_with(&self.state.path().display().to_string())
    }

    /// The files whose paths begin so are on the disk that fails.
    fn start_with(&self, of: &str) -> Result<Program, Stopped> {
        let (library, log) = (LIBRARY.display().to_string(), self.log().display().to_string());
        let disk = [("LD_PRELOAD", library.as_str()), ("DISK_OF", of), ("DISK_FAULT", &self.fault), ("DISK_LOG", &log)];
        Program::try_start(&self.state, &[], &disk)
    }

    fn log(&self) -> PathBuf {
        self.log.path().join("log")
    }

    /// SQLite overlooks it when it cannot make a name durable. That is harmless where we have done so before. Nor does it
    /// matter to the state when the file of a mail is not durable, which is written whenever it is its turn.
    fn overlooks(&self) -> bool {
        let directory = self.state.path().file_name().unwrap().to_str().unwrap();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let of_a_mail = |name: &str| !name.starts_with("user-manager.db") && name != directory;
        let mut failed = log.lines().filter_map(|line| line.strip_prefix("fsync ")?.strip_suffix(" failed"));
        if failed.any(of_a_mail) {
            return true;
        }
        let of_names = log.lines().filter(|line| *line == format!("fsync {directory} done")).count();
        of_names > 0 && log.contains(&format!("fsync {directory} failed"))
    }

    /// What was done to the state after it failed, if it did: fsyncs and writes.
    fn failed(&self) -> Option<Vec<String>> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let mut lines = log.lines().map(str::to_owned).skip_while(|line| !line.ends_with(" failed"));
        lines.next()?;
        Some(lines.filter(|line| line.contains("user-manager.db")).collect())
    }

    /// There is room again.
    fn free(&self) {
        fs::write(format!("{}.freed", self.state.path().display()), "").unwrap();
    }

    fn unsettled(&self) -> Vec<String> {
        let operations = snapshot::State::of(self.state.path()).operations().into_iter();
        operations.filter(|(_, state)| !["done", "undone"].contains(&state.as_str())).map(|(id, _)| id).collect()
    }

    /// Waits until nothing is left to do.
    fn settled(&self) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let left = snapshot::State::of(self.state.path()).leftovers();
            if left.is_empty() {
                return;
            }
            assert!(std::time::Instant::now() < until, "{left:?}");
            std::thread::yield_now();
        }
    }

    /// The next life, on a disk that is well.
    fn well(&self) -> Program {
        Program::start(&self.state, &[])
    }

    /// Ada is there on both sides, or on neither and can be made. `made`: she must be there.
    async fn is_whole(&self, program: Program, token: &str, made: bool, name: &str) {
        self.settled();
        let state = snapshot::State::of(self.state.path());
        let who = |collection: &str| -> Vec<(String, Value)> {
            let documents = state.documents(collection).into_iter();
            documents.filter(|(_, document)| document["email"] == ADA).collect()
        };
        let (users, identities) = (who("users"), who("identities"));
        match (users.as_slice(), identities.as_slice()) {
            ([], []) => assert!(!made, "{name}: she was made and is not there"),
            ([(_, user)], [(id, _)]) => assert_eq!(user["authUserId"], *id, "{name}"),
            half => panic!("{name}: {half:?}"),
        }
        let (status, answer) = program.post("/users/", token, ada()).await;
        assert_eq!(status, if users.is_empty() { 200 } else { 409 }, "{name}: {answer}");
        assert_eq!(program.stop().code, 0);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = fs::remove_file(format!("{}.freed", self.state.path().display()));
    }
}

fn ada() -> Value {
    json!({ "email": ADA, "userGroup": "users" })
}

/// It ended as failed, and said why to the operator; what was under way may have logged more after that.
fn assert_told(stopped: &Stopped) {
    let told = stopped.err.iter().any(|line| line.starts_with("user-manager: STATE: "));
    assert!(stopped.code == 1 && told, "{stopped:?}");
}

fn account(fault: &str, cells: usize, floor: usize) {
    std::io::stdout().write_all(format!("{fault}: cells {cells}, broken 0\n").as_bytes()).unwrap();
    assert!(cells >= floor, "{cells} cells were found, {floor} were known");
}

/// What makes the disk fail, made of `disk.c` once.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/damage/disk.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk.so");
    let unborn = library.with_extension(std::process::id().to_string());
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&unborn).arg(source).arg("-ldl").status();
    assert!(made.unwrap().success(), "cc, which makes SQLite too, cannot make it");
    fs::rename(&unborn, &library).unwrap();
    library
});
