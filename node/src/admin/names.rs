//! Domains, catch-all addresses and aliases.

use super::protocol::{AdminError, AdminReply, AliasItem, DomainItem, Page};
use super::service::{AdminService, about, address, domain, unreadable};
use crate::limits::ADMIN_PAGE_ITEMS_MAX;
use model::Read;
use model::directory::{DirectoryCommand, domain_of, view};
use std::collections::HashMap;

pub(super) async fn add_domain(admin: &AdminService, name: &str) -> Result<AdminReply, AdminError> {
    let command = DirectoryCommand::AddDomain { name: domain(name)? };
    admin.change_directory(command).await.map_err(about(name))?;
    Ok(AdminReply::Done)
}

pub(super) async fn remove_domain(admin: &AdminService, name: &str) -> Result<AdminReply, AdminError> {
    let command = DirectoryCommand::RemoveDomain { name: domain(name)? };
    admin.change_directory(command).await.map_err(about(name))?;
    Ok(AdminReply::Done)
}

pub(super) fn list_domains(admin: &AdminService, page: &Page) -> Result<AdminReply, AdminError> {
    let directory = &admin.services.directory;
    let (domains, accounts) =
        directory.with_rows(|rows| Ok((view::domains(rows)?, view::accounts(rows)?))).map_err(unreadable)?;
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for (_, row) in &accounts {
        *counts.entry(domain_of(&row.address)).or_default() += 1;
    }
    let items = domains.into_iter().map(|(name, row)| {
        let accounts = counts.get(name.as_str()).copied().unwrap_or(0);
        DomainItem { name, catch_all: row.catch_all, accounts }
    });
    Ok(AdminReply::Domains(page_of(items.collect(), page, |item| &item.name)))
}

pub(super) async fn set_catch_all(
    admin: &AdminService,
    name: &str,
    target: Option<&str>,
) -> Result<AdminReply, AdminError> {
    let target = target.map(address).transpose()?;
    let command = DirectoryCommand::SetCatchAll { domain: domain(name)?, target };
    admin.change_directory(command).await.map_err(about(name))?;
    Ok(AdminReply::Done)
}

pub(super) async fn add_alias(admin: &AdminService, alias: &str, targets: &[String]) -> Result<AdminReply, AdminError> {
    let targets = targets.iter().map(|target| address(target)).collect::<Result<_, _>>()?;
    let command = DirectoryCommand::SetAlias { address: address(alias)?, targets };
    admin.change_directory(command).await.map_err(about(alias))?;
    Ok(AdminReply::Done)
}

pub(super) async fn remove_alias(admin: &AdminService, alias: &str) -> Result<AdminReply, AdminError> {
    let command = DirectoryCommand::RemoveAlias { address: address(alias)? };
    admin.change_directory(command).await.map_err(about(alias))?;
    Ok(AdminReply::Done)
}

pub(super) fn list_aliases(admin: &AdminService, page: &Page) -> Result<AdminReply, AdminError> {
    let look = |rows: &dyn Read| view::aliases_after(rows, page.after.as_deref(), ADMIN_PAGE_ITEMS_MAX);
    let aliases = admin.services.directory.with_rows(look).map_err(unreadable)?;
    let items = aliases.into_iter().map(|(address, row)| AliasItem { address, targets: row.targets });
    Ok(AdminReply::Aliases(items.collect()))
}

/// The items after the page's mark, sorted by name, up to the bound.
pub(super) fn page_of<T>(mut items: Vec<T>, page: &Page, name: impl Fn(&T) -> &str) -> Vec<T> {
    if let Some(after) = &page.after {
        items.retain(|item| name(item) > after.as_str());
    }
    items.sort_by(|left, right| name(left).cmp(name(right)));
    items.truncate(ADMIN_PAGE_ITEMS_MAX);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_without_gap_or_repeat() {
        let all: Vec<String> = (0..2_500).map(|number| format!("{number:05}")).collect();
        let (mut seen, mut page) = (Vec::new(), Page::default());
        loop {
            let items = page_of(all.iter().rev().cloned().collect(), &page, |item| item);
            let Some(last) = items.last() else { break };
            page.after = Some(last.clone());
            seen.extend(items);
        }
        assert_eq!(seen, all);
    }
}
