//! `account import`: reads and checks a whole file, has the node check it, then has the good lines made, batch by batch.
//! Reports by line; the same command continues an import that was cut short.

use super::accounts_file::{self, Line, Wrong};
use super::arguments::{FileFormat, Listing};
use super::exit::{Exit, Failure};
use super::run::unexpected;
use crate::admin::{AdminCommand, AdminReply, Client, ImportItem, ImportOutcome, check_alone};
use crate::limits::{
    IMPORT_BATCH_ACCOUNTS_MAX, IMPORT_BATCH_BYTES_MAX, IMPORT_BATCH_PASSWORDS_MAX, IMPORT_FILE_BYTES_MAX,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A line that is right as far as is known.
struct Entry {
    line: usize,
    item: ImportItem,
    has_password: bool,
}

/// What became of the file.
#[derive(Default, Serialize)]
struct Report {
    made: usize,
    already_there: usize,
    wrong: Vec<WrongLine>,
}

/// A line that was left out.
#[derive(Serialize)]
struct WrongLine {
    line: usize,
    address: String,
    reason: String,
}

/// Imports a file into the node of `data`.
pub fn run(data: &Path, file: &Path, format: Option<FileFormat>, dry_run: bool, how: Listing) -> Result<Exit, Failure> {
    let bytes = read(file)?;
    let format = format.unwrap_or_else(|| accounts_file::format_of(file, &bytes));
    let lines =
        accounts_file::parse(&bytes, format).map_err(|reason| invalid(&format!("{}: {reason}", file.display())))?;
    let mut report = Report::default();
    let entries = check_here(lines, &mut report);
    let mut client = Client::connect(data)?;

    let mut fresh = Vec::new();
    in_batches(&mut client, entries, "checking", AdminCommand::check, |entry, outcome| match outcome {
        ImportOutcome::Made => fresh.push(entry),
        other => report.add(entry, other),
    })?;
    let wrong_at_check = report.name_wrong_lines(file, 0)?;
    if dry_run {
        report.made = fresh.len();
        return report.show(how, "would be made");
    }
    let total = fresh.len();
    let written =
        in_batches(&mut client, fresh, "importing", AdminCommand::import, |entry, outcome| report.add(entry, outcome));
    report.name_wrong_lines(file, wrong_at_check)?;
    if let Err(failure) = written {
        eprintln!("mailnode: stopped after {} of {total} accounts; the same command continues", report.made);
        return Err(failure);
    }
    report.show(how, "made")
}

impl AdminCommand {
    fn check(accounts: Vec<ImportItem>) -> AdminCommand {
        AdminCommand::AccountCheck { accounts }
    }

    fn import(accounts: Vec<ImportItem>) -> AdminCommand {
        AdminCommand::AccountImport { accounts }
    }
}

impl Report {
    fn add(&mut self, entry: Entry, outcome: ImportOutcome) {
        match outcome {
            ImportOutcome::Made => self.made += 1,
            ImportOutcome::AlreadyThere => self.already_there += 1,
            ImportOutcome::Wrong(reason) => self.wrong(entry.line, entry.item.address, reason),
        }
    }

    fn wrong(&mut self, line: usize, address: String, reason: String) {
        self.wrong.push(WrongLine { line, address, reason });
    }

    /// Names wrong lines from the `from`th on, and says how many there are by now.
    fn name_wrong_lines(&mut self, file: &Path, from: usize) -> io::Result<usize> {
        let mut out = io::stderr().lock();
        let new = self.wrong.get_mut(from..).unwrap_or_default();
        new.sort_by_key(|wrong| wrong.line);
        for WrongLine { line, address, reason } in new {
            let address = if address.is_empty() { String::new() } else { format!(" {address}:") };
            writeln!(out, "{}:{line}:{address} {reason}", file.display())?;
        }
        Ok(self.wrong.len())
    }

    fn show(&self, how: Listing, made: &str) -> Result<Exit, Failure> {
        let mut out = io::stdout().lock();
        if how.json {
            writeln!(out, "{}", serde_json::to_string_pretty(self).map_err(io::Error::from)?)?;
        } else {
            writeln!(out, "{} {made}, {} already there, {} wrong", self.made, self.already_there, self.wrong.len())?;
        }
        Ok(if self.wrong.is_empty() { Exit::Done } else { Exit::Refused })
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(IMPORT_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        let opened = File::open(file).map_err(|error| about(file, &error))?;
        opened.take(IMPORT_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    let length = read.map_err(|error| about(file, &error))?;
    if length as u64 > IMPORT_FILE_BYTES_MAX {
        return Err(invalid(&format!("{}: larger than {IMPORT_FILE_BYTES_MAX} bytes", file.display())));
    }
    Ok(bytes)
}

pub(super) fn about(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// What can be found wrong without the node: the form of each line, and addresses that come twice.
fn check_here(lines: Vec<Line>, report: &mut Report) -> Vec<Entry> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut entries = Vec::new();
    for Line { number: line, item } in lines {
        let item = match item {
            Ok(item) => item,
            Err(Wrong { address, reason }) => {
                report.wrong(line, address, reason);
                continue;
            }
        };
        let checked = match check_alone(&item) {
            Ok(checked) => checked,
            Err(reason) => {
                report.wrong(line, item.address, reason);
                continue;
            }
        };
        let mut addresses = std::iter::once(checked.address()).chain(checked.aliases().iter().map(String::as_str));
        let earlier = addresses.find_map(|address| seen.get(address).map(|line| (address.to_owned(), *line)));
        if let Some((address, earlier)) = earlier {
            report.wrong(line, item.address, format!("{address} is in line {earlier} already"));
            continue;
        }
        seen.insert(checked.address().to_owned(), line);
        seen.extend(checked.aliases().iter().map(|alias| (alias.clone(), line)));
        entries.push(Entry { line, has_password: checked.has_password(), item });
    }
    entries
}

/// Sends accounts batch by batch and hands on what became of each.
fn in_batches(
    client: &mut Client,
    entries: Vec<Entry>,
    doing: &'static str,
    command: fn(Vec<ImportItem>) -> AdminCommand,
    mut done: impl FnMut(Entry, ImportOutcome),
) -> Result<(), Failure> {
    let bar = progress_bar(entries.len(), doing);
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        let batch = next_batch(&mut entries);
        let accounts = batch.iter().map(|entry| entry.item.clone()).collect();
        let AdminReply::Imported(outcomes) = client.call(command(accounts))? else { return Err(unexpected()) };
        if outcomes.len() != batch.len() {
            return Err(unexpected());
        }
        bar.inc(batch.len() as u64);
        batch.into_iter().zip(outcomes).for_each(|(entry, outcome)| done(entry, outcome));
    }
    bar.finish_and_clear();
    Ok(())
}

/// As many accounts as fit into one request, at least one.
fn next_batch(entries: &mut std::iter::Peekable<impl Iterator<Item = Entry>>) -> Vec<Entry> {
    let (mut batch, mut bytes, mut passwords) = (Vec::new(), 0, 0);
    while let Some(next) = entries.peek() {
        bytes += next.item.bytes();
        passwords += usize::from(next.has_password);
        let full = batch.len() == IMPORT_BATCH_ACCOUNTS_MAX
            || bytes > IMPORT_BATCH_BYTES_MAX
            || passwords > IMPORT_BATCH_PASSWORDS_MAX;
        if full && !batch.is_empty() {
            break;
        }
        batch.extend(entries.next());
    }
    batch
}

/// On a terminal only.
fn progress_bar(of: usize, doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(of as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:9} [{bar:32}] {pos} of {len}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("##-")).with_message(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(file: &str) -> (Vec<Entry>, Report) {
        let mut report = Report::default();
        let lines = accounts_file::parse(file.as_bytes(), FileFormat::Csv).unwrap();
        (check_here(lines, &mut report), report)
    }

    #[test]
    fn an_address_that_comes_twice_is_wrong_the_second_time() {
        let (entries, report) = entries(
            "address,password,aliases\n\
             ann@example.org,secret,a@example.org\n\
             ANN@example.org,secret,\n\
             a@example.org,secret,\n\
             bob@example.org,secret,A@example.org\n\
             cy@example.org,secret,c@example.org\n",
        );
        assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [2, 6]);
        let wrong: Vec<_> = report.wrong.iter().map(|wrong| (wrong.line, wrong.reason.as_str())).collect();
        let (ann, alias) = ("ann@example.org is in line 2 already", "a@example.org is in line 2 already");
        assert_eq!(wrong, [(3, ann), (4, alias), (5, alias)]);
    }

    #[test]
    fn batches_are_bounded_by_accounts_bytes_and_passwords() {
        let sizes = |entries: Vec<Entry>| {
            let mut entries = entries.into_iter().peekable();
            let mut sizes = Vec::new();
            while entries.peek().is_some() {
                sizes.push(next_batch(&mut entries).len());
            }
            sizes
        };
        let entry = |bytes: usize, has_password| {
            let item = ImportItem { address: "a".repeat(bytes), ..ImportItem::default() };
            Entry { line: 1, item, has_password }
        };
        let many = |count, bytes, has_password| (0..count).map(|_| entry(bytes, has_password)).collect::<Vec<_>>();
        assert_eq!(sizes(many(IMPORT_BATCH_ACCOUNTS_MAX + 1, 1, false)), [IMPORT_BATCH_ACCOUNTS_MAX, 1]);
        assert_eq!(sizes(many(IMPORT_BATCH_PASSWORDS_MAX + 1, 1, true)), [IMPORT_BATCH_PASSWORDS_MAX, 1]);
        assert_eq!(sizes(many(3, IMPORT_BATCH_BYTES_MAX / 2, false)), [2, 1]);
        assert_eq!(sizes(many(2, IMPORT_BATCH_BYTES_MAX * 2, false)), [1, 1]);
    }
}
