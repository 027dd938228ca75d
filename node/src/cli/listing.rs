//! Listings: aligned columns for people, JSON for scripts.

use super::arguments::Listing;
use super::exit::{Exit, Failure};
use crate::admin::{AccountItem, AliasItem, DomainItem, QueueItem};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Local domains.
pub fn domains(items: &[DomainItem], how: Listing) -> Result<Exit, Failure> {
    let row = |item: &DomainItem| {
        vec![item.name.clone(), item.accounts.to_string(), item.catch_all.clone().unwrap_or_default()]
    };
    show(items, how, &["DOMAIN", "ACCOUNTS", "CATCH-ALL"], row)
}

/// Accounts.
pub fn accounts(items: &[AccountItem], how: Listing) -> Result<Exit, Failure> {
    let row = |item: &AccountItem| {
        let role = if item.admin { "admin" } else { "" };
        vec![item.address.clone(), item.shard.to_string(), item.created.clone(), role.to_owned()]
    };
    show(items, how, &["ADDRESS", "SHARD", "CREATED", "ROLE"], row)
}

/// Aliases.
pub fn aliases(items: &[AliasItem], how: Listing) -> Result<Exit, Failure> {
    show(items, how, &["ALIAS", "TARGETS"], |item| vec![item.address.clone(), item.targets.join(" ")])
}

/// Queued messages.
pub fn queue(items: &[QueueItem], how: Listing) -> Result<Exit, Failure> {
    let row = |item: &QueueItem| {
        let open: Vec<_> = item.recipients.iter().filter(|recipient| recipient.state == "pending").collect();
        let first = open.first().map_or("", |recipient| recipient.address.as_str());
        let more = if open.len() > 1 { format!(" and {} more", open.len() - 1) } else { String::new() };
        let sender = if item.sender.is_empty() { "<>" } else { &item.sender };
        let next = if item.trying { "now".to_owned() } else { item.next_attempt.clone() };
        let tries = item.attempts.to_string();
        vec![item.id.clone(), sender.to_owned(), format!("{first}{more}"), item.size.to_string(), tries, next]
    };
    show(items, how, &["ID", "FROM", "TO", "BYTES", "TRIES", "NEXT"], row)
}

/// One queued message with everything known about it.
pub fn queued_message(items: &[QueueItem], how: Listing) -> Result<Exit, Failure> {
    if how.json {
        return json(&items.first());
    }
    let mut text = String::new();
    for item in items {
        let sender = if item.sender.is_empty() { "<>" } else { &item.sender };
        let _ = writeln!(text, "id        {}\nfrom      {sender}\nbytes     {}", item.id, item.size);
        let _ = writeln!(text, "accepted  {}\nexpires   {}", item.accepted, item.expires);
        let next = if item.trying { "being tried now" } else { &item.next_attempt };
        let _ = writeln!(text, "next      {next}\ntries     {}", item.attempts);
        for recipient in &item.recipients {
            let _ = writeln!(text, "to        {} ({}) {}", recipient.address, recipient.state, recipient.said);
        }
    }
    print(&text)
}

/// Columns under titles, or JSON.
pub fn show<T: Serialize>(
    items: &[T],
    how: Listing,
    titles: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<Exit, Failure> {
    if how.json {
        return json(&items);
    }
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(items.iter().map(row)).collect();
    print(&table(&rows))
}

/// Rows in columns as wide as their widest cell; nothing behind the last.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Pretty JSON.
pub fn json(value: &impl Serialize) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    print(&(text + "\n"))
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<Exit, Failure> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let rows = [vec!["A".into(), "LONG".into()], vec!["wide".into(), "x".into()], vec!["é".into(), String::new()]];
        assert_eq!(table(&rows), "A     LONG\nwide  x\né\n");
    }
}
