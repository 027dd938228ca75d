//! What a new cluster starts with: a domain, an administrator, a secret for made-up SCRAM salts. Every step may be
//! repeated, so a start that was cut short is finished by the next.

use crate::admin::generated_password;
use crate::context::Services;
use crate::ids;
use crate::limits::{ADMIN_PROPOSE_TIMEOUT, DIRECTORY_WAIT};
use crate::services::directory::Directory;
use crate::services::passwords::{FAKE_SALT_SETTING, Passwords};
use crate::services::propose::propose_until;
use cluster::{Clock, Cluster};
use model::directory::DirectoryCommand;
use model::mailbox::MailboxCommand;
use model::{Command, GroupId, Refusal, Reply};

/// The setting that says the first domain and account were made, so that an operator may remove them for good.
const DONE_SETTING: &str = "first-start-done";

/// The administrator made at the first start.
pub struct FirstAccount {
    /// Its address.
    pub address: String,
    /// Its password: shown once, kept nowhere.
    pub password: String,
}

/// Makes domain and administrator in a new cluster.
pub async fn prepare(services: &Services, domain: &str) -> Result<Option<FirstAccount>, String> {
    let done = services.directory.setting(DONE_SETTING).map_err(|error| error.to_string())?;
    if done.is_some() {
        return Ok(None);
    }
    let name = domain.to_owned();
    match change(services, DirectoryCommand::AddDomain { name }).await? {
        Reply::Done | Reply::Refused(Refusal::Exists) => {}
        reply => return Err(format!("the domain {domain} cannot be made: {reply:?}")),
    }
    let first = add_administrator(services, format!("admin@{domain}")).await?;
    change(services, DirectoryCommand::SetSetting { name: DONE_SETTING.to_owned(), value: Some("1".to_owned()) })
        .await?;
    services.directory.forget_answers();
    Ok(Some(first))
}

/// The cluster's secret for made-up SCRAM salts, made once. A node that has just joined waits here until it has its
/// copy of the directory; one that has a copy serves with it, whoever else is up.
pub async fn fake_salt_key(cluster: &Cluster, clock: &dyn Clock, directory: &Directory) -> Result<[u8; 32], String> {
    let read = || directory.setting(FAKE_SALT_SETTING).ok().flatten().as_deref().and_then(from_hex);
    if let Some(key) = read() {
        return Ok(key);
    }
    while !directory.catch_up().await {
        tracing::info!("waiting for the directory of the cluster");
        tokio::time::sleep(DIRECTORY_WAIT).await;
    }
    if let Some(key) = read() {
        return Ok(key);
    }
    let key: [u8; 32] = ids::random();
    let value = Some(key.iter().map(|byte| format!("{byte:02x}")).collect());
    let command = DirectoryCommand::SetSetting { name: FAKE_SALT_SETTING.to_owned(), value };
    propose(cluster, clock, GroupId::DIRECTORY, Command::Directory(command)).await?;
    Ok(key)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut key = [0; 32];
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Makes the account, or gives one that a start cut short had made a new password: nobody has seen the old one.
async fn add_administrator(services: &Services, address: String) -> Result<FirstAccount, String> {
    let password = generated_password();
    let (secret, shard) = (password.clone(), GroupId(1));
    let derived = tokio::task::spawn_blocking(move || Passwords::derive(&secret)).await;
    let credentials = derived.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let add = DirectoryCommand::AddAccount { address: address.clone(), shard, credentials, admin: true };
    let account = match change(services, add.clone()).await? {
        Reply::Account(account) => account,
        Reply::Refused(Refusal::Exists) => {
            let DirectoryCommand::AddAccount { address, credentials, .. } = add else { return Err(String::new()) };
            change(services, DirectoryCommand::SetCredentials { address: address.clone(), credentials }).await?;
            let found = services.directory.account(&address).map_err(|error| error.to_string())?;
            found.map(|(account, _)| account).ok_or("the administrator's address is taken")?
        }
        reply => return Err(format!("{address} cannot be made: {reply:?}")),
    };
    let create = MailboxCommand::CreateAccount { account, address: address.clone() };
    propose(&services.cluster, &*services.clock, shard, Command::Mailbox(create)).await?;
    Ok(FirstAccount { address, password })
}

/// Proposes to the directory until the outcome is known; a refusal is a reply.
async fn change(services: &Services, command: DirectoryCommand) -> Result<Reply, String> {
    propose(&services.cluster, &*services.clock, GroupId::DIRECTORY, Command::Directory(command)).await
}

async fn propose(cluster: &Cluster, clock: &dyn Clock, group: GroupId, command: Command) -> Result<Reply, String> {
    let operation = ids::operation(clock.now());
    let reply = propose_until(cluster, group, operation, command, ADMIN_PROPOSE_TIMEOUT).await;
    reply.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_nothing_else_passes() {
        let text: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(from_hex(&text).map(|key| key[31]), Some(31));
        assert_eq!(from_hex("00"), None);
        assert_eq!(from_hex(&"zz".repeat(32)), None);
    }
}
