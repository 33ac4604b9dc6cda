//! The command line as a user has it: a process, its exit code, and what it printed.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::node::{ADMIN, Node, eventually};

/// Longest run of a command.
const PATIENCE: Duration = Duration::from_secs(120);

/// One command line.
#[must_use]
pub struct Bookholder {
    command: Command,
    line: String,
    input: Vec<u8>,
}

/// The output of a command.
#[derive(Debug)]
#[must_use]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    #[allow(dead_code, reason = "a failed test shows it")]
    line: String,
}

/// The program, with nothing of it in the environment; started by a shell where a script is given.
pub fn program(shell: Option<&str>) -> Command {
    // Another build of it, such as a release, where the environment names one.
    let path = std::env::var_os("TORTURE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_bookholder").into());
    let mut command = Command::new(if shell.is_some() { OsStr::new("sh") } else { &path });
    if let Some(script) = shell {
        command.args(["-c", script, "sh"]).arg(&path);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKHOLDER_")) {
        command.env_remove(name);
    }
    // Neither the contexts nor the time zone of the person who runs the tests.
    command.env("XDG_CONFIG_HOME", "/nonexistent/config").env("TZ", "UTC").env("PAGER", "cat");
    command.current_dir(std::env::temp_dir());
    command
}

/// Whether the program `script` is here, which gives a command a terminal.
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
pub fn has_terminal() -> bool {
    let found = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: there is no program `script` to make a terminal with");
    }
    found
}

/// A command line of the program.
pub fn bookholder<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Bookholder {
    let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let line = arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut command = program(None);
    command.args(arguments);
    Bookholder { command, line, input: Vec::new() }
}

impl Bookholder {
    /// Speaks to this node, as its admin where it has one.
    pub fn server(self, node: &Node) -> Self {
        let asking = self.env("BOOKHOLDER_SERVER", node.url());
        if node.has_admin() { asking.env("BOOKHOLDER_TOKEN", ADMIN) } else { asking }
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    /// With more arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With a standard input.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it on a terminal with scripted answers; the last line is `exit` and its exit code.
    pub fn on_terminal(self, answer: &str) -> Said {
        let word = |word: &OsStr| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args()).map(word);
        let script = words.collect::<Vec<_>>().join(" ") + "; echo exit $?";
        let mut command = Command::new("script");
        command.args(["-qc", &script, "/dev/null"]).current_dir(std::env::temp_dir());
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { command, ..self }.input(answer).ok()
    }

    /// Runs it; it must exit with 0.
    pub fn ok(self) -> Said {
        self.exits(0)
    }

    /// Runs it; it must exit with this code and an error on standard error.
    pub fn fails(self, code: i32) -> Said {
        let said = self.exits(code);
        assert!(said.stderr.contains("error: "), "{said:#?}");
        said
    }

    /// Runs it with `--json`; it must exit with this code and a JSON error on standard error.
    pub fn fails_as_json(self, code: i32) -> Value {
        let said = self.exits(code);
        serde_json::from_str(&said.stderr).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
    }

    /// Runs it; it must exit with this code.
    pub fn exits(self, code: i32) -> Said {
        let (found, said) = self.run();
        assert_eq!(found, Some(code), "{said:#?}");
        said
    }

    /// Runs it: its exit code, and its output.
    pub fn run(mut self) -> (Option<i32>, Said) {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect(&self.line);
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input may have exited already.
            let _unread = stdin.write_all(&self.input);
        }
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let status = end(&mut child, PATIENCE, &self.line);
        let text = |reader: JoinHandle<Vec<u8>>| String::from_utf8(reader.join().expect("a reader")).expect("UTF-8");
        let said = Said { stdout: text(stdout), stderr: text(stderr), line: self.line };
        assert!(!said.stderr.contains("panicked"), "{said:#?}");
        (status.code(), said)
    }
}

impl Said {
    /// The whole output contains this.
    pub fn says(self, part: &str) -> Self {
        assert!(self.stdout.contains(part) || self.stderr.contains(part), "`{part}` is missing in {self:#?}");
        self
    }

    /// The standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Waits for a process to end; kills it when that takes too long.
pub fn end(child: &mut Child, patience: Duration, what: &str) -> ExitStatus {
    eventually(patience, || child.try_wait().expect("a child")).unwrap_or_else(|| {
        let _gone = child.kill();
        panic!("`{what}` did not end in {patience:?}");
    })
}

fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.expect("a pipe").read_to_end(&mut bytes).expect("readable");
        bytes
    })
}
