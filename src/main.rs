//! The command line. Glue only: what is done stands in the modules.

use std::{
    fmt::Display,
    fs,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use futures_util::FutureExt;
use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::filter::LevelFilter;
use user_manager::{
    admin::{self, Asked, Told, Whom, backup},
    api,
    app::App,
    check,
    clock::Clock,
    config::{Config, Mistake, Resolved, supervisor::notify_socket},
    descriptors, health, logging,
    state::storage::{self, Judged},
    supervisor::{News, Supervisor},
};

/// Keeps a person's user and his identity in step, whatever fails on the way.
///
/// Without a command it serves. Settings are environment variables: docs/settings.md.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Kills the process where it passes this point for the nth time: `effect-done:3`.
    #[cfg(feature = "crash-points")]
    #[arg(long)]
    crash_at: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Answers requests until SIGTERM
    Serve,
    /// Prints every setting as it holds and where it came from, or every mistake
    CheckConfig {
        /// Asks each system whether it answers
        #[arg(long)]
        connect: bool,
    },
    /// Asks the server of these settings whether it is ready; exit status 1 when it is not
    Health,
    /// Prints what /documentation/json answers: every route, as OpenAPI 3.1
    Openapi,
    /// Writes a copy of the state to a file that is not there yet; also beside a running server
    Backup { file: PathBuf },
    /// Puts a copy in the place of the state; what was there stays beside it. No server may be running
    Restore { file: PathBuf },
    /// Looks whether the state, or a copy of one, is whole; also beside a running server
    Verify { file: Option<PathBuf> },
    /// What is not done over HTTP; also beside a running server
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Subcommand)]
enum Admin {
    /// Makes a further administrator
    Create {
        #[arg(long, required_unless_present = "username")]
        email: Option<String>,
        #[arg(long)]
        username: Option<String>,
        /// Only an identity, of which POST /users/with-id may make a user
        #[arg(long)]
        identity_only: bool,
        #[command(flatten)]
        password: Password,
    },
    /// Sets a password that is good only for changing it
    ResetPassword {
        /// The _id of the user
        #[arg(long)]
        user: String,
        #[command(flatten)]
        password: Password,
    },
    /// Gives permissions to one user, beside what his roles give
    Grant {
        /// The _id of the user
        #[arg(long, required_unless_present = "identity", conflicts_with = "identity")]
        user: Option<String>,
        /// The authUserId; somebody who has no user yet becomes one in the group administrators
        #[arg(long)]
        identity: Option<String>,
        /// Such as users:read; users:admin implies every other
        #[arg(long, required = true, num_args = 1..)]
        permission: Vec<String>,
    },
    /// Signs tokens with another key from now on; those that are out hold until they end
    RotateKeys,
}

/// Without any of these a password is generated.
#[derive(Args)]
#[group(multiple = false)]
struct Password {
    /// A file with the password; one closing newline is dropped
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Asks on the terminal
    #[arg(long)]
    prompt: bool,
}

/// Exit status of wrong settings.
const MISTAKES: u8 = 2;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    #[cfg(feature = "crash-points")]
    if let Some((point, nth)) = line.crash_at.as_deref().and_then(|at| at.split_once(':')) {
        user_manager::crash::arm(point, nth.parse().unwrap_or(1));
    }
    let resolved = match Config::from_environment() {
        Ok(resolved) => resolved,
        Err(mistakes) => return wrong(&mistakes),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("the threads cannot be started: {error}")),
    };
    let clock = Clock::system();
    let code = match line.command.unwrap_or(Command::Serve) {
        Command::Serve => runtime.block_on(serve(resolved, clock)),
        Command::CheckConfig { connect } => runtime.block_on(check_config(resolved, clock, connect)),
        Command::Health => runtime.block_on(ask_health(resolved, clock)),
        Command::Openapi => match api::openapi(&resolved.config) {
            Ok(document) => print(&format!("{document}\n")),
            Err(error) => failed(error),
        },
        Command::Backup { file } => runtime.block_on(keep(resolved, clock, Keep::BackUp(file))),
        Command::Restore { file } => runtime.block_on(keep(resolved, clock, Keep::Restore(file))),
        Command::Verify { file } => runtime.block_on(keep(resolved, clock, Keep::Verify(file))),
        Command::Admin(command) => runtime.block_on(administer(resolved, clock, command)),
    };
    // What still runs has had its time; the journal has the rest.
    runtime.shutdown_background();
    code
}

async fn serve(Resolved { config, notes, .. }: Resolved, clock: Clock) -> ExitCode {
    logging::start(&config.log, clock.clone());
    logging::notes(&notes);
    if let Judged::Warned(sentence) = storage::judge(&config.state_file, config.state_ephemeral) {
        tracing::warn!("{sentence}");
    }
    // A second listener has as many connections of its own.
    let listeners = if config.metrics_listen.is_some() { 2 } else { 1 };
    if let Some(sentence) = descriptors::allow(config.limits.max_connections.saturating_mul(listeners)) {
        tracing::warn!("{sentence}");
    }
    let mut asked_to_stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return failed(format!("signals cannot be received: {error}")),
    };
    let app = tokio::select! {
        opened = App::open(config.clone(), clock) => match opened {
            Ok(app) => app,
            Err(error) => return failed(error),
        },
        () = asked_to_stop.asked() => return ExitCode::SUCCESS,
    };
    let listener = match TcpListener::bind((config.http.host, config.http.port)).await {
        Ok(listener) => listener,
        Err(error) => {
            let address = format!("{}, port {}", config.http.host, config.http.port);
            return failed(format!("HTTP_HOST, HTTP_PORT: {address} cannot be listened on: {error}"));
        }
    };
    let metrics_listener = match config.metrics_listen {
        Some(address) => match listen_for_metrics(address).await {
            Ok(listener) => Some(listener),
            Err(error) => return failed(format!("METRICS_LISTEN: {address} cannot be listened on: {error}")),
        },
        None => None,
    };
    if let Err(mistake) = admin::first_administrator(&app).await {
        say(mistake);
        return ExitCode::from(MISTAKES);
    }
    if let Err(error) = admin::listen(&app) {
        tracing::warn!(%error, "`user-manager admin` cannot reach this process");
    }
    match listener.local_addr() {
        Ok(address) => {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
            greet(&config, address);
        }
        Err(error) => return failed(error),
    }
    let supervisor = Supervisor::at(notify_socket());
    supervisor.tell(News::Ready);

    let shutdown = async {
        asked_to_stop.asked().await;
        tracing::info!("stopping");
        supervisor.tell(News::Stopping);
        app.drain();
    };
    let shutdown = shutdown.shared();
    let metrics = async {
        if let Some(listener) = metrics_listener {
            api::server::serve_metrics(app.clone(), listener, shutdown.clone()).await;
        }
    };
    let served = async { tokio::join!(api::server::serve(app.clone(), listener, shutdown.clone()), metrics) };
    tokio::select! {
        ((), ()) = served => {
            app.stop().await;
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        why = app.fatal() => failed(why),
    }
}

async fn listen_for_metrics(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(metrics = %listener.local_addr()?, "the metrics are open to everybody");
    Ok(listener)
}

/// For a person: where it listens, where the state is, what to type next.
fn greet(config: &Config, address: impl Display) {
    let mut person = io::stdout();
    if !person.is_terminal() {
        return;
    }
    let (state, prefix) = (config.state_file.display(), &config.http.prefix);
    // Somebody who has closed his terminal misses nothing.
    let _ = writeln!(
        person,
        "\nuser-manager listens on http://{address}{prefix}\n\
         its state is {state}\n\
         next, in another terminal:\n  \
         curl http://{address}{prefix}/oauth/token --json '{{\"username\":\"admin\",\"password\":\"...\"}}'\n\
         Ctrl-C stops it\n"
    );
}

/// SIGTERM of a supervisor, SIGINT of a person.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn check_config(Resolved { config, notes, effective }: Resolved, clock: Clock, connect: bool) -> ExitCode {
    let mut text = check::settings(&effective);
    for note in notes {
        text += &format!("\n{}", note.sentence);
    }
    let mut code = ExitCode::SUCCESS;
    if connect {
        let (systems, all_answer) = check::systems(&config, &clock).await;
        text += &format!("\n{systems}");
        if !all_answer {
            code = ExitCode::FAILURE;
        }
    }
    if print(&text) == ExitCode::SUCCESS { code } else { ExitCode::FAILURE }
}

async fn ask_health(Resolved { config, .. }: Resolved, clock: Clock) -> ExitCode {
    match health::ask(&config, clock).await {
        Ok(sentence) => print(&format!("{sentence}\n")),
        Err(sentence) => failed(sentence),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is done with copies of the state.
enum Keep {
    BackUp(PathBuf),
    Restore(PathBuf),
    Verify(Option<PathBuf>),
}

async fn keep(Resolved { config, .. }: Resolved, clock: Clock, what: Keep) -> ExitCode {
    start_quietly(&config, &clock);
    let kept = match what {
        Keep::BackUp(file) => backup::back_up(&config, clock, file).await,
        Keep::Restore(file) => backup::restore(&config, clock, file).await,
        Keep::Verify(file) => {
            let file = file.unwrap_or_else(|| config.state_file.clone());
            let found = backup::verify(&config, clock, &file).await;
            found.map(|found| format!("{} is whole: {found}", file.display()))
        }
    };
    match kept {
        Ok(sentence) => print(&format!("{sentence}\n")),
        Err(error) => failed(error),
    }
}

fn start_quietly(config: &Config, clock: &Clock) {
    let mut log = config.log.clone();
    log.level = log.level.min(LevelFilter::WARN);
    logging::start(&log, clock.clone());
}

async fn administer(Resolved { config, .. }: Resolved, clock: Clock, command: Admin) -> ExitCode {
    start_quietly(&config, &clock);
    let asked = match asked(command) {
        Ok(asked) => asked,
        Err(error) => return failed(error),
    };
    match admin::ask(config.clone(), clock, asked).await {
        Ok(Told::Done { sentence, generated }) => tell(&config, &sentence, generated),
        Ok(Told::Refused { sentence }) => failed(sentence),
        Err(error) => failed(error),
    }
}

fn asked(command: Admin) -> io::Result<Asked> {
    Ok(match command {
        Admin::Create { email, username, identity_only, password } => {
            let password = password.given()?;
            if identity_only {
                Asked::CreateIdentity { email, username, password }
            } else {
                Asked::Create { email, username, password }
            }
        }
        Admin::ResetPassword { user, password } => Asked::ResetPassword { user, password: password.given()? },
        Admin::Grant { user, identity, permission } => {
            let to = identity.map_or_else(|| Whom::User(user.unwrap_or_default()), Whom::Identity);
            Asked::Grant { to, permissions: permission }
        }
        Admin::RotateKeys => Asked::RotateKeys,
    })
}

impl Password {
    fn given(self) -> io::Result<Option<SecretString>> {
        match self.password_file {
            Some(path) => {
                let mut text = fs::read_to_string(path)?;
                if text.ends_with('\n') {
                    text.pop();
                }
                Ok(Some(SecretString::from(text)))
            }
            None if self.prompt => admin::prompt().map(Some),
            None => Ok(None),
        }
    }
}

fn tell(config: &Config, sentence: &str, generated: Option<admin::Generated>) -> ExitCode {
    let mut lines = format!("{sentence}\n");
    if let Some(generated) = generated {
        match admin::hand_over(config, &generated) {
            Ok(Some(path)) => lines += &format!("name and password are in {}\n", path.display()),
            Ok(None) => {}
            Err(error) => return failed(format!("{sentence}, but the password cannot be told: {error}")),
        }
    }
    print(&lines)
}

fn wrong(mistakes: &[Mistake]) -> ExitCode {
    mistakes.iter().for_each(say);
    ExitCode::from(MISTAKES)
}

fn failed(why: impl Display) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

/// To the operator, in one line.
fn say(what: impl Display) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "user-manager: {what}");
}
