//! Flags and commands, with their help.

use crate::config::Settings;
use crate::limits::TOKEN_VALID_SECONDS_MAX;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  mailnode                                       start a node with everything in ./mailnode-data
  mailnode --hostname mail.example.org           the same, for example.org
  mailnode domain add example.net                make a second domain local
  mailnode account add ann@example.org           asks for the password
  mailnode account list --json                   for scripts
  mailnode status --watch                        how node and cluster stand
  mailnode token create                          invite a node; prints the command for it
  mailnode --join mail.example.org:7025 --token T     the second node

Exit codes:
  0 done   1 refused   2 wrong usage or configuration   3 no node runs there
  4 the node cannot do it now   5 the node could not start";

const IMPORT_HELP: &str = "\
CSV has a header line that names its columns, in any order: address, name, password or hash, aliases, admin.
JSON lines have the same names. Hashes are in Dovecot's notation, such as {SSHA512}... or {BLF-CRYPT}...;
aliases are separated by spaces or semicolons, in JSON they are an array.

Everything is checked before anything is written. Wrong lines are named and left out; accounts that exist are
left as they are, so the same command continues an import that was cut short.

Examples:
  mailnode account import accounts.csv --dry-run
  mailnode account import accounts.jsonl";

/// A whole replicated mail service in one binary. Without a command it runs a node; commands talk to a running one.
#[derive(Debug, Parser)]
#[command(name = "mailnode", version, after_help = AFTER_HELP, subcommand_help_heading = "Commands")]
#[command(disable_help_subcommand = true)]
pub struct Arguments {
    /// What belongs to this machine.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do with a running node.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Everything that is done to a running node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Domains whose mail is ours
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Mailboxes and their passwords
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses whose mail goes to other addresses
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Where mail to unknown addresses of a domain goes
    #[command(
        after_help = "Examples:\n  mailnode catch-all example.org ann@example.org\n  mailnode catch-all example.org --off"
    )]
    CatchAll {
        /// A local domain
        domain: String,
        /// An address, local or not
        #[arg(required_unless_present = "off")]
        target: Option<String>,
        /// Refuse such mail again
        #[arg(long, conflicts_with = "target")]
        off: bool,
    },
    /// How node and cluster stand, and what the cluster can lose
    Status {
        /// How it is shown
        #[command(flatten)]
        listing: Listing,
        /// Show it again every two seconds
        #[arg(long)]
        watch: bool,
    },
    /// Invitations for new nodes
    #[command(subcommand)]
    Token(TokenCommand),
    /// The nodes of the cluster
    #[command(subcommand)]
    Node(NodeCommand),
    /// Where shards are
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Mail on its way to elsewhere
    #[command(subcommand)]
    Queue(QueueCommand),
    /// When nothing else helps
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Write shell completions to standard output
    #[command(after_help = "Example:\n  mailnode completions bash > /etc/bash_completion.d/mailnode")]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// `domain …`
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Make a domain local
    Add {
        /// Its name, such as example.org
        name: String,
    },
    /// Show local domains
    List(Listing),
    /// A domain without accounts and aliases stops being local
    Remove {
        /// Its name
        name: String,
    },
}

/// `account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account
    #[command(
        after_help = "Examples:\n  mailnode account add ann@example.org\n  echo secret | mailnode account add ann@example.org --password-stdin"
    )]
    Add {
        /// Its address
        address: String,
        /// How its password is given
        #[command(flatten)]
        password: PasswordSource,
        /// May administer
        #[arg(long)]
        admin: bool,
    },
    /// Change a password
    Password {
        /// Whose
        address: String,
        /// How the new one is given
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Show accounts
    List(Listing),
    /// Remove an account and all its mail
    Remove {
        /// Whose
        address: String,
    },
    /// Make accounts from a file of another server
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// The file; - is standard input
        file: PathBuf,
        /// csv or jsonl; without it the name of the file or its first byte decides
        #[arg(long)]
        format: Option<FileFormat>,
        /// Check everything, write nothing
        #[arg(long)]
        dry_run: bool,
        /// How the report is shown
        #[command(flatten)]
        listing: Listing,
    },
    /// Write accounts with their password hashes to a file that `account import` reads
    #[command(after_help = "Example:\n  mailnode account export accounts.csv")]
    Export {
        /// The file, made readable for its owner only; without it standard output
        file: Option<PathBuf>,
        /// csv or jsonl; without it the name of the file decides
        #[arg(long)]
        format: Option<FileFormat>,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
}

/// The form of a file of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// Where a password comes from: standard input, a question on the terminal, or the node makes one and it is printed.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Let the node make a password and print it
    #[arg(long, conflicts_with = "password_stdin")]
    pub generate: bool,
}

/// `alias …`
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Make or replace an alias
    #[command(after_help = "Example:\n  mailnode alias add sales@example.org ann@example.org bob@example.net")]
    Add {
        /// Its address
        address: String,
        /// Where its mail goes
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Show aliases
    List(Listing),
    /// Remove an alias
    Remove {
        /// Its address
        address: String,
    },
}

/// `queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Show queued messages, oldest first
    List(Listing),
    /// Show one message with its recipients
    Show {
        /// Its id
        id: String,
        /// How it is shown
        #[command(flatten)]
        listing: Listing,
    },
    /// Try a message now
    Retry {
        /// Its id
        id: String,
    },
    /// Forget a message; nobody is told
    Remove {
        /// Its id
        id: String,
    },
}

/// `token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for one node; prints the command that joins it
    #[command(after_help = "Examples:\n  mailnode token create\n  mailnode token create --valid 1d --json")]
    Create {
        /// How long it is good, such as 30m, 1h or 2d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_validity)]
        valid: u64,
        /// How it is shown
        #[command(flatten)]
        listing: Listing,
    },
}

/// `node …`
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Show nodes
    List(Listing),
    /// Before a restart: leaders move away, sessions are told to reconnect, nothing is lost
    Drain {
        /// Its name
        name: String,
    },
    /// After a restart: it leads again
    Undrain {
        /// Its name
        name: String,
    },
    /// For good: its replicas move to other nodes, then it is refused
    Remove {
        /// Its name
        name: String,
    },
    /// For good: its replicas move to a node that has joined
    Replace {
        /// The node that goes
        old: String,
        /// The node that takes its place
        new: String,
    },
}

/// `shard …`
#[derive(Debug, Subcommand)]
pub enum ShardCommand {
    /// Show shards with leader and replicas
    List(Listing),
    /// Move a replica to another node
    Move {
        /// The shard's number
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(model::limits::SHARDS)))]
        shard: u32,
        /// The node that has it
        from: String,
        /// The node that gets it
        to: String,
    },
    /// Spread replicas evenly
    Rebalance {
        /// Only say what would move
        #[arg(long)]
        dry_run: bool,
        /// How it is shown
        #[command(flatten)]
        listing: Listing,
    },
}

/// `cluster …`
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make a stopped node a cluster of one, when too many others are lost for good
    #[command(
        after_help = "The node must not run. What may be lost is printed first.\nExample:\n  mailnode cluster recover --data /srv/mail"
    )]
    Recover {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

fn parse_validity(text: &str) -> Result<u64, String> {
    let expected =
        || format!("a time from 1m to {}d such as 30m, 1h or 2d is expected", TOKEN_VALID_SECONDS_MAX / 86_400);
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3_600),
        Some((at, 'd')) => (text.get(..at), 86_400),
        _ => (None, 0),
    };
    let seconds = number.and_then(|number| number.parse::<u64>().ok()).and_then(|number| number.checked_mul(unit));
    seconds.filter(|seconds| (60..=TOKEN_VALID_SECONDS_MAX).contains(seconds)).ok_or_else(expected)
}

/// How a listing is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Listing {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn data_may_stand_before_and_after_the_command() {
        for line in [["mailnode", "--data", "/d", "status"], ["mailnode", "status", "--data", "/d"]] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.settings.data.as_deref(), Some(std::path::Path::new("/d")));
            assert!(matches!(arguments.command, Some(Command::Status { .. })));
        }
    }

    #[test]
    fn tokens_are_good_for_a_time_with_a_unit() {
        let seconds = |text: &str| parse_validity(text).ok();
        assert_eq!(
            [seconds("90s"), seconds("30m"), seconds("1h"), seconds("2d")].map(Option::unwrap),
            [90, 1_800, 3_600, 172_800]
        );
        for text in ["", "h", "1", "1y", "59s", "31d", "-1h", "99999999999999999999d", "1ü"] {
            assert!(parse_validity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_lines_are_refused_with_the_nearest_word() {
        let error = Arguments::try_parse_from(["mailnode", "--hostnam", "x"]).unwrap_err().to_string();
        assert!(error.contains("--hostname"), "{error}");
        let error = Arguments::try_parse_from(["mailnode", "acount", "list"]).unwrap_err().to_string();
        assert!(error.contains("account"), "{error}");
        for line in [
            &["mailnode", "catch-all", "d"][..],
            &["mailnode", "alias", "add", "a@b"],
            &["mailnode", "--port-offset", "x"],
            &["mailnode", "shard", "move", "0", "a", "b"],
            &["mailnode", "token", "create", "--valid", "soon"],
        ] {
            assert_eq!(Arguments::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
