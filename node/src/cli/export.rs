//! `account export`: writes accounts with their hashes in the form that `account import` reads.

use super::accounts_file;
use super::arguments::FileFormat;
use super::exit::{Exit, Failure};
use super::import::about;
use super::run::unexpected;
use crate::admin::{AdminCommand, AdminReply, AliasItem, Client};
use model::limits::ALIASES_PER_IMPORTED_MAX;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Exports to a file or to standard output.
pub fn run(client: &mut Client, file: Option<&Path>, format: Option<FileFormat>, force: bool) -> Result<Exit, Failure> {
    let format = format.unwrap_or_else(|| accounts_file::format_of(file.unwrap_or(Path::new("")), b""));
    let mut aliases = aliases_by_target(client)?;
    match file {
        None => write(client, &mut aliases, &mut io::stdout().lock(), format)?,
        Some(path) => {
            let mut out = BufWriter::new(open(path, force).map_err(|error| about(path, &error))?);
            write(client, &mut aliases, &mut out, format)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
    }
    let left: usize = aliases.values().map(Vec::len).sum();
    if left > 0 {
        eprintln!(
            "mailnode: {left} aliases with other targets, or over the bound of an account, are not in the file; see: mailnode alias list"
        );
    }
    Ok(Exit::Done)
}

/// Readable for its owner only from the first byte on: it contains password hashes.
fn open(path: &Path, force: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let file = match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !force {
                return Err(io::Error::new(error.kind(), "exists already; --force replaces it"));
            }
            options.open(path)?
        }
        opened => return opened,
    };
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

/// All aliases by the account they lead to alone; those that no account takes along are under an empty name.
fn aliases_by_target(client: &mut Client) -> Result<HashMap<String, Vec<String>>, Failure> {
    let mut by_target: HashMap<String, Vec<String>> = HashMap::new();
    let mut after = None;
    loop {
        let AdminReply::Aliases(page) = client.call(AdminCommand::AliasExport { after })? else {
            return Err(unexpected());
        };
        let Some(last) = page.last() else { return Ok(by_target) };
        after = Some(last.address.clone());
        for AliasItem { address, targets } in page {
            by_target.entry(targets.into_iter().next().unwrap_or_default()).or_default().push(address);
        }
    }
}

/// Writes all accounts and takes their aliases out of `aliases`.
fn write(
    client: &mut Client,
    aliases: &mut HashMap<String, Vec<String>>,
    out: &mut impl Write,
    format: FileFormat,
) -> Result<(), Failure> {
    out.write_all(accounts_file::header(format).as_bytes())?;
    let (mut after, mut seen) = (0, HashSet::new());
    loop {
        let AdminReply::Exported { items, next } = client.call(AdminCommand::AccountExport { after })? else {
            return Err(unexpected());
        };
        for mut item in items {
            // An account that was removed and made again while pages were read comes once.
            if seen.insert(item.address.clone()) {
                item.aliases = aliases.remove(&item.address).unwrap_or_default();
                let over = item.aliases.split_off(item.aliases.len().min(ALIASES_PER_IMPORTED_MAX));
                aliases.entry(String::new()).or_default().extend(over);
                out.write_all(accounts_file::write(&item, format).as_bytes())?;
            }
        }
        match next {
            Some(next) => after = next,
            None => return Ok(out.flush()?),
        }
    }
}
