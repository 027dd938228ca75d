//! Carries out a command against a running node and shows what came back.

use super::arguments::{AccountCommand, AliasCommand, Command, DomainCommand, Listing, PasswordSource, QueueCommand};
use super::exit::{Exit, Failure};
use super::{export, import, listing, members, password, status};
use crate::admin::{AdminCommand, AdminReply, Client, ClientError};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

/// How often `status --watch` asks.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Runs one command against the node of `data`.
pub fn run(data: &Path, command: Command) -> Result<Exit, Failure> {
    match command {
        // Files are read before the node is asked: it does not wait long for a silent client.
        Command::Account(AccountCommand::Import { file, format, dry_run, listing }) => {
            return import::run(data, &file, format, dry_run, listing);
        }
        Command::Account(AccountCommand::Export { file, format, force }) => {
            return export::run(&mut Client::connect(data)?, file.as_deref(), format, force);
        }
        _ => {}
    }
    let mut client = Client::connect(data)?;
    match command {
        Command::Domain(command) => domain(&mut client, command),
        Command::Account(command) => account(&mut client, command),
        Command::Alias(command) => alias(&mut client, command),
        Command::CatchAll { domain, target, off: _ } => done(&mut client, AdminCommand::CatchAll { domain, target }),
        Command::Status { listing: how, watch: false } => status(&mut client, how),
        Command::Status { listing: how, watch: true } => watch(data, how),
        Command::Token(command) => members::token(&mut client, command),
        Command::Node(command) => members::node(&mut client, command),
        Command::Shard(command) => members::shard(&mut client, command),
        Command::Queue(command) => queue(&mut client, command),
        // These need no running node and are done before one is looked for.
        Command::Completions { .. } | Command::Cluster(_) => Ok(Exit::Done),
    }
}

fn status(client: &mut Client, how: Listing) -> Result<Exit, Failure> {
    match client.call(AdminCommand::Status)? {
        AdminReply::Status(report) => status::show(&report, how),
        _ => Err(unexpected()),
    }
}

/// Shows it for ever: a node that does not answer is told and asked again.
#[expect(clippy::disallowed_methods, reason = "an interval that a person asked for, on a thread of its own")]
fn watch(data: &Path, how: Listing) -> Result<Exit, Failure> {
    loop {
        if !how.json && io::stdout().is_terminal() {
            // Erases the screen and goes to its upper left corner (ECMA-48).
            listing::print("\x1b[2J\x1b[H")?;
        }
        let shown = Client::connect(data).map_err(Failure::from).and_then(|mut client| status(&mut client, how));
        match shown {
            Ok(_) => {}
            Err(Failure::Local(error)) => return Err(Failure::Local(error)),
            Err(failure) => drop(failure.tell()),
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn domain(client: &mut Client, command: DomainCommand) -> Result<Exit, Failure> {
    match command {
        DomainCommand::Add { name } => done(client, AdminCommand::DomainAdd { name }),
        DomainCommand::Remove { name } => done(client, AdminCommand::DomainRemove { name }),
        DomainCommand::List(how) => {
            let take = |reply| if let AdminReply::Domains(items) = reply { Some(items) } else { None };
            let items = client.list(AdminCommand::DomainList, take, |item| item.name.clone())?;
            listing::domains(&items, how)
        }
    }
}

fn account(client: &mut Client, command: AccountCommand) -> Result<Exit, Failure> {
    match command {
        AccountCommand::Add { address, password, admin } => {
            let password = given(&address, &password)?;
            with_password(client, AdminCommand::AccountAdd { address, password, admin })
        }
        AccountCommand::Password { address, password } => {
            let password = given(&address, &password)?;
            with_password(client, AdminCommand::AccountPassword { address, password })
        }
        // They are carried out before this is called.
        AccountCommand::Import { .. } | AccountCommand::Export { .. } => Ok(Exit::Done),
        AccountCommand::Remove { address } => done(client, AdminCommand::AccountRemove { address }),
        AccountCommand::List(how) => {
            let take = |reply| if let AdminReply::Accounts(items) = reply { Some(items) } else { None };
            let items = client.list(AdminCommand::AccountList, take, |item| item.address.clone())?;
            listing::accounts(&items, how)
        }
    }
}

fn alias(client: &mut Client, command: AliasCommand) -> Result<Exit, Failure> {
    match command {
        AliasCommand::Add { address, targets } => done(client, AdminCommand::AliasAdd { address, targets }),
        AliasCommand::Remove { address } => done(client, AdminCommand::AliasRemove { address }),
        AliasCommand::List(how) => {
            let take = |reply| if let AdminReply::Aliases(items) = reply { Some(items) } else { None };
            let items = client.list(AdminCommand::AliasList, take, |item| item.address.clone())?;
            listing::aliases(&items, how)
        }
    }
}

fn queue(client: &mut Client, command: QueueCommand) -> Result<Exit, Failure> {
    match command {
        QueueCommand::Retry { id } => done(client, AdminCommand::QueueRetry { id }),
        QueueCommand::Remove { id } => done(client, AdminCommand::QueueRemove { id }),
        QueueCommand::List(how) => {
            let take = |reply| if let AdminReply::Queue(items) = reply { Some(items) } else { None };
            let items = client.list(AdminCommand::QueueList, take, |item| item.id.clone())?;
            listing::queue(&items, how)
        }
        QueueCommand::Show { id, listing: how } => match client.call(AdminCommand::QueueShow { id })? {
            AdminReply::Queue(items) => listing::queued_message(&items, how),
            _ => Err(unexpected()),
        },
    }
}

pub(super) fn done(client: &mut Client, command: AdminCommand) -> Result<Exit, Failure> {
    client.call(command)?;
    Ok(Exit::Done)
}

fn with_password(client: &mut Client, command: AdminCommand) -> Result<Exit, Failure> {
    if let AdminReply::Password(password) = client.call(command)? {
        println!("password: {password}");
    }
    Ok(Exit::Done)
}

/// The password that was given; `None` lets the node make one.
fn given(address: &str, source: &PasswordSource) -> io::Result<Option<String>> {
    if source.generate {
        Ok(None)
    } else if source.password_stdin {
        password::from_standard_input().map(Some)
    } else {
        password::from_terminal(address)
    }
}

pub(super) fn unexpected() -> Failure {
    Failure::Client(ClientError::Broken(io::Error::other("an unexpected reply")))
}
