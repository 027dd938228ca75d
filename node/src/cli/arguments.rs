//! Flags and commands, with their help.

use crate::config::Settings;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  mailnode                                       start a node with everything in ./mailnode-data
  mailnode --hostname mail.example.org           the same, for example.org
  mailnode domain add example.net                make a second domain local
  mailnode account add ann@example.org           asks for the password
  mailnode account list --json                   for scripts
  mailnode status                                how the node stands

Exit codes:
  0 done   1 refused   2 wrong usage or configuration   3 no node runs there
  4 the node cannot do it now   5 the node could not start";

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
    /// How the node stands
    Status(Listing),
    /// Mail on its way to elsewhere
    #[command(subcommand)]
    Queue(QueueCommand),
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
            assert!(matches!(arguments.command, Some(Command::Status(_))));
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
        ] {
            assert_eq!(Arguments::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
