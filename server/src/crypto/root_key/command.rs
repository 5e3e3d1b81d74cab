//! A root key that stays elsewhere: a command wraps and unwraps, the key never comes here.
//!
//! The command is started without a shell, with `wrap` or `unwrap` as its last argument. It gets base64 on its standard
//! input, and what it writes to its standard output, base64 as well, is the answer. Anything but a success in time means
//! that the key cannot be had at the moment. What it writes to its standard error goes to the log.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::RootKeyError;
use super::file::hex;

/// How long the command may take.
const TIME: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER: usize = 16 * 1024;
/// How much of what it complains about goes to the log, in bytes.
const COMPLAINT: u64 = 2048;
/// How many characters of a key in a row are too many for the log.
const PART: usize = 16;

/// A command that wraps and unwraps.
pub(super) struct Command {
    program: PathBuf,
    arguments: Vec<String>,
    time: Duration,
}

/// What it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Wrap,
    Unwrap,
}

impl Command {
    /// Splits at white space. There are no quotes: what needs them belongs into a script.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let program = words.next()?.into();
        Some(Self { program, arguments: words.map(str::to_owned).collect(), time: TIME })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Asks for an operation on `input`.
    pub(super) async fn run(&self, operation: Operation, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        let program = || self.program.display().to_string();
        let Ok(answered) = timeout(self.time, self.talk(operation, input)).await else {
            return Err(RootKeyError::CommandTime(program(), self.time.as_secs()));
        };
        let (mut answer, complaint, status) = answered.map_err(|error| RootKeyError::CommandStart(program(), error))?;
        let is_bounded = answer.len() <= ANSWER;
        // Many tools break base64 into lines.
        answer.retain(|it| !it.is_ascii_whitespace());
        let decoded = STANDARD.decode(&*answer).ok().map(Zeroizing::new);
        if !complaint.trim_ascii().is_empty() {
            let key = if operation == Operation::Wrap { Some(input) } else { decoded.as_deref().map(Vec::as_slice) };
            let said = without(&String::from_utf8_lossy(&complaint), key.unwrap_or(&answer));
            // Escaped, so that it cannot pass for lines of the log.
            tracing::warn!(program = program(), operation = operation.name(), said = ?said, "the root key command");
        }
        if !status.success() {
            return Err(RootKeyError::CommandFailed(program(), operation.name(), status.to_string()));
        }
        decoded
            .filter(|it| is_bounded && !it.is_empty())
            .ok_or_else(|| RootKeyError::CommandAnswer(program(), operation.name()))
    }

    async fn talk(
        &self,
        operation: Operation,
        input: &[u8],
    ) -> std::io::Result<(Zeroizing<Vec<u8>>, Vec<u8>, ExitStatus)> {
        let mut child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .arg(operation.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let text = Zeroizing::new(STANDARD.encode(input));
        let ask = async {
            let Some(mut stdin) = stdin else { return };
            // A command that ends without listening says by its status why.
            drop(stdin.write_all(text.as_bytes()).await);
            drop(stdin.write_all(b"\n").await);
        };
        let answer = async {
            // As large as it gets, so that it never grows and leaves a copy behind.
            let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER + 64));
            if let Some(stdout) = stdout {
                let mut stdout = stdout.take(u64::try_from(ANSWER + 1).unwrap_or(u64::MAX));
                stdout.read_to_end(&mut answer).await?;
            }
            Ok::<_, std::io::Error>(answer)
        };
        let complaint = async {
            let mut complaint = Vec::new();
            if let Some(mut stderr) = stderr {
                (&mut stderr).take(COMPLAINT).read_to_end(&mut complaint).await?;
                // The rest is read as well: the command would wait for a reader.
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
            }
            Ok::<_, std::io::Error>(complaint)
        };
        let ((), answer, complaint) = tokio::join!(ask, answer, complaint);
        Ok((answer?, complaint?, child.wait().await?))
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
        }
    }
}

/// The text, unless it repeats a key or a part of one: then nothing of it.
fn without(text: &str, key: &[u8]) -> String {
    let folded = Zeroizing::new(text.chars().filter(|it| !it.is_whitespace()).collect::<String>());
    let lower = Zeroizing::new(folded.to_ascii_lowercase());
    let forms = [STANDARD_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode(key), String::from_utf8_lossy(key).into_owned()];
    let (forms, hexed) = (forms.map(Zeroizing::new), Zeroizing::new(hex(key)));
    if forms.iter().any(|it| repeats(&folded, it)) || repeats(&lower, &hexed) {
        return "(withheld: it repeats the key)".to_owned();
    }
    text.trim().to_owned()
}

/// Whether some of `form` stands in the text. What is cut off in the middle of a key has a part of it.
fn repeats(text: &str, form: &str) -> bool {
    let form: Vec<char> = form.chars().collect();
    let part = PART.min(form.len());
    part > 0 && form.windows(part).any(|it| text.contains(&*Zeroizing::new(it.iter().collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_white_space() {
        let command = Command::parse("  /usr/bin/kms  --key id ").unwrap();
        assert_eq!(
            (command.program(), &command.arguments[..]),
            (Path::new("/usr/bin/kms"), &["--key".to_owned(), "id".to_owned()][..])
        );
        assert!(Command::parse("  ").is_none());
    }

    async fn answer(script: &str, time: Duration) -> Result<Vec<u8>, RootKeyError> {
        let arguments = vec!["-c".to_owned(), script.to_owned(), "sh".to_owned()];
        let command = Command { program: "/bin/sh".into(), arguments, time };
        command.run(Operation::Unwrap, b"wrapped").await.map(|it| it.to_vec())
    }

    #[tokio::test]
    async fn a_command_gets_base64_and_answers_base64() {
        assert_eq!(answer(r#"[ "$1" = unwrap ] && cat"#, TIME).await.unwrap(), b"wrapped");
        assert_eq!(answer("cat >&2; printf 'a2\\nV5\\n'", TIME).await.unwrap(), b"key");
        // One that knows the answer without listening.
        assert_eq!(answer("echo a2V5", TIME).await.unwrap(), b"key");
    }

    #[tokio::test]
    async fn what_a_command_does_wrong_means_that_the_key_is_not_there() {
        let hour = answer("exec sleep 3600", Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(hour, RootKeyError::CommandTime(..)) && hour.is_absence());
        let failed = answer("cat; exit 3", TIME).await.unwrap_err();
        assert!(failed.to_string().contains("/bin/sh unwrap failed (exit status: 3)"), "{failed}");
        assert!(failed.is_absence());
        for other in ["echo '*'", "true", "head -c 20000 /dev/zero | base64 -w 0", "cat /dev/zero | tr '\\0' 'A'"] {
            let answered = answer(other, TIME).await.unwrap_err();
            let is_right = matches!(answered, RootKeyError::CommandAnswer(..) | RootKeyError::CommandFailed(..));
            assert!(is_right && answered.is_absence(), "{other}: {answered}");
        }
        // More than is read does not make it wait.
        assert_eq!(answer("cat; head -c 1000000 /dev/zero >&2", TIME).await.unwrap(), b"wrapped");
        let missing = Command::parse("/nowhere/kms").unwrap().run(Operation::Wrap, b"key").await.unwrap_err();
        assert!(matches!(missing, RootKeyError::CommandStart(..)) && missing.is_absence());
    }

    #[test]
    fn a_complaint_that_repeats_the_key_is_withheld() {
        let key: [u8; 32] = core::array::from_fn(|i| u8::try_from(250 - i).unwrap());
        let (base64, hexed) = (STANDARD.encode(key), hex(&key));
        let broken = format!("{}\n{}", &base64[..20], &base64[20..]);
        let cut = base64[..PART].to_owned();
        for text in [&base64, &cut, &hexed, &hexed.to_uppercase(), &URL_SAFE_NO_PAD.encode(key), &broken] {
            assert_eq!(without(&format!("+ echo {text} |"), &key), "(withheld: it repeats the key)", "{text}");
        }
        assert_eq!(without("no network\n", &key), "no network");
        assert_eq!(without("no network\n", &[]), "no network");
    }
}
