//! The command line: arguments, output for people and for programs, exit codes.
//!
//! It decides nothing that the gateway decides: commands ask a gateway through gateway-client, or on the
//! server's own machine call the functions of gateway-app and gateway-server, and show what they answer. Start reading at [`arguments`] for what can be typed, then
//! at the command's own module under `commands`; [`failure`] is what becomes of anything that goes wrong.

pub(crate) mod arguments;
mod commands;
mod declared;
pub(crate) mod environment;
pub(crate) mod failure;
mod lines;
mod local;
mod operator;
mod output;
mod program_log;
mod racks;
mod remote;
mod skew;
mod stop;
mod table;
mod terminal;
mod witness;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use gateway_client::SecondFactor;

use crate::arguments::{Arguments, Command};
use crate::environment::ClientEnvironment;
use crate::failure::{Exit, Failure, Problem};
use crate::output::Output;
use crate::terminal::Terminal;

/// How long work that cannot be interrupted may hold up the end of the program.
const LAST_WORK_LIMIT: Duration = Duration::from_secs(2);

/// What every command is told beside its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// `--config`.
    pub(crate) config: Option<std::path::PathBuf>,
    /// Where answers go.
    pub(crate) output: Output,
    /// `--rack`.
    pub(crate) rack: Option<String>,
    /// `--code`.
    pub(crate) code: Option<SecondFactor>,
    /// What the environment says to commands that ask a gateway.
    pub(crate) environment: ClientEnvironment,
    /// Who can be asked.
    pub(crate) terminal: Terminal,
    /// How often a rack is looked at that is busy.
    pub(crate) pace: commands::native::Pace,
}

/// Runs the program on the arguments of this process.
pub fn main() -> ExitCode {
    commands::completion::answer_shell();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output::of_process(arguments.json);
    let context = Context {
        config: arguments.config,
        output,
        rack: arguments.rack,
        code: arguments.code,
        environment: ClientEnvironment::of_process(),
        terminal: Terminal::of_process(),
        pace: commands::native::Pace::USUAL,
    };
    match dispatch(&context, arguments.command) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            failure.exit().code()
        }
    }
}

/// Help and version are answers; everything else that clap says is a fault in how it was called.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody may be there to read it; the exit code still tells.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.code() } else { ExitCode::SUCCESS }
}

fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    if !matches!(command, Command::Serve(_) | Command::Demo(_)) {
        program_log::start_quiet();
    }
    match command {
        Command::Serve(arguments) => block_on(commands::serve::run(context, arguments)),
        Command::Drain(arguments) => block_on(commands::drain::run(context, arguments)),
        Command::Mode(arguments) => block_on(commands::mode::run(context, arguments)),
        Command::Demo(arguments) => block_on(commands::demo::run(context, arguments)),
        Command::Config(arguments) => commands::config::run(context, arguments),
        Command::Migrate(arguments) => block_on(commands::migrate::run(context, arguments)),
        Command::Backup(arguments) => block_on(commands::backup::back_up(context, arguments)),
        Command::Restore(arguments) => block_on(commands::backup::restore(context, arguments)),
        Command::Import(arguments) => block_on(commands::import::run(context, arguments)),
        Command::RotateKey(arguments) => block_on(commands::rotate_key::run(context, arguments)),
        Command::RotateLogKey(arguments) => block_on(commands::rotate_log_key::run(context, arguments)),
        Command::Tokens(arguments) => block_on(commands::tokens::run(context, arguments)),
        Command::Ci(arguments) => block_on(commands::ci::run(context, arguments)),
        Command::RackCredential(arguments) => block_on(commands::rack_credential::run(context, arguments)),
        Command::Zone(arguments) => block_on(commands::zone::run(context, arguments)),
        Command::ProbeAgent(arguments) => block_on(commands::probe_agent::run(context, arguments)),
        Command::Sidecar(arguments) => block_on(commands::sidecar::run(context, arguments)),
        Command::Breakglass(arguments) => block_on(commands::breakglass::run(context, arguments)),
        Command::Audit(arguments) => block_on(commands::audit::run(context, arguments)),
        Command::Why(arguments) => block_on(commands::why::run(context, arguments)),
        Command::Can(arguments) => block_on(commands::can::run(context, arguments)),
        Command::WhoCan(arguments) => block_on(commands::who_can::run(context, arguments)),
        Command::Exec(arguments) => block_on(commands::exec::exec(context, arguments)),
        Command::Run(arguments) => block_on(commands::exec::run_process(context, *arguments)),
        Command::Console(arguments) => block_on(commands::exec::console(context, arguments)),
        Command::Shell(arguments) => block_on(commands::exec::shell(context, arguments)),
        Command::Convox(arguments) => commands::convox::run(context, arguments),
        Command::Login(arguments) => block_on(commands::login::run(context, arguments)),
        Command::Logout(arguments) => block_on(commands::logout::run(context, arguments)),
        Command::Whoami => block_on(commands::whoami::run(context)),
        Command::Native(command) => block_on(commands::native::run(context, command)),
        Command::Rack(arguments) => block_on(commands::racks::current(context, arguments)),
        Command::Racks => commands::racks::list(context),
        Command::Switch(arguments) => commands::racks::switch(context, &arguments),
        Command::Web(arguments) => commands::web::run(context, &arguments),
        Command::StepUp(arguments) => block_on(commands::step_up::run(context, arguments)),
        Command::Users(arguments) => block_on(commands::users::run(context, arguments)),
        Command::Roles => block_on(commands::roles::run(context)),
        Command::Groups(arguments) => block_on(commands::groups::run(context, arguments)),
        Command::Grants(arguments) => block_on(commands::grants::run(context, arguments)),
        Command::Elevate(arguments) => block_on(commands::elevate::run(context, arguments)),
        Command::Approvals(arguments) => block_on(commands::approvals::run(context, arguments)),
        Command::Env(arguments) => block_on(commands::env::run(context, arguments)),
        Command::Reveal(arguments) => block_on(commands::reveal::run(context, arguments)),
        Command::Access(arguments) => block_on(commands::access::run(context, arguments)),
        Command::Factors(arguments) => block_on(commands::factors::run(context, arguments)),
        Command::Sessions(arguments) => block_on(commands::sessions::run(context, arguments)),
        Command::Recordings(arguments) => block_on(commands::recordings::run(context, arguments)),
        Command::Apply(arguments) => block_on(commands::configuration::apply(context, arguments)),
        Command::Diff(arguments) => block_on(commands::configuration::diff(context, arguments)),
        Command::Export(arguments) => block_on(commands::configuration::export(context, arguments)),
        Command::Integrations(arguments) => block_on(commands::integrations::run(context, arguments)),
        Command::Jobs(arguments) => block_on(commands::jobs::run(context, arguments)),
        Command::Top(arguments) => block_on(commands::top::run(context, arguments)),
        Command::SupportBundle(arguments) => block_on(commands::support_bundle::run(context, arguments)),
        Command::Settings(arguments) => block_on(commands::settings::run(context, arguments)),
        Command::Services(arguments) => block_on(commands::services::run(context, arguments)),
        Command::Policy(arguments) => block_on(commands::policy::run(context, arguments)),
        Command::Tunnel(arguments) => block_on(commands::tunnel::run(context, arguments)),
        Command::Selfcheck(arguments) => block_on(commands::selfcheck::run(context, arguments)),
        Command::Completion(arguments) => commands::completion::run(context, &arguments),
        Command::Man(arguments) => commands::man::run(context, &arguments),
    }
}

fn block_on<F>(work: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    drive(Box::pin(work))
}

/// Behind a box, so that the program holds each command once and not once for each way a runtime can drive it.
fn drive(work: Pin<Box<dyn Future<Output = Result<ExitCode, Failure>> + '_>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .problem("the program's threads cannot be started")?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK_LIMIT);
    result
}

impl Context {
    /// A context for what is done while nobody waits for an answer: nobody is asked, and no flag was given.
    pub(crate) fn quiet() -> Self {
        Self {
            config: None,
            output: Output::of_process(false),
            rack: None,
            code: None,
            environment: ClientEnvironment::of_process(),
            terminal: Terminal { is_there: false, ask: |_| Ok(None) },
            pace: commands::native::Pace::USUAL,
        }
    }
}

#[cfg(test)]
impl Context {
    /// A context that answers to nobody, knows no gateway and touches no file of the person's own.
    fn for_tests() -> Self {
        Self {
            config: None,
            output: Output { format: output::Format::Text, looks: table::Looks::Plain, write: |_| Ok(()) },
            rack: None,
            code: None,
            environment: ClientEnvironment::default(),
            terminal: Terminal { is_there: false, ask: |_| Ok(None) },
            pace: commands::native::Pace::QUICK,
        }
    }
}
