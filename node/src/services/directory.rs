//! Where addresses lead and who lives here, answered from this node's own copy of the directory.
//! Normalises addresses, in this one place. Changes nothing: that is the admin service's duty.
//!
//! Answers are positive-cached: an address found is remembered until the directory changes; an unknown one is looked up
//! each time, so that an account is known from the moment it was made.

use crate::limits::{DIRECTORY_CATCH_UP_TIMEOUT, RESOLUTIONS_REMEMBERED_MAX};
use futures::FutureExt;
use futures::future::BoxFuture;
use model::directory::row::AccountRow;
use model::directory::view::{self, NoTarget, Target};
use model::limits::ADDRESS_BYTES_MAX;
use model::{AccountId, ReadError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Gives the rows of the directory group as this node has them.
pub trait DirectorySource: Send + Sync + 'static {
    /// The rows now. A read is a few microseconds: the directory's blocks stay in memory.
    ///
    /// # Errors
    /// When the group cannot be read on this node.
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError>;

    /// Waits until the rows here have everything that was acknowledged anywhere before the call. False when that cannot
    /// be known. A copy that nothing is ahead of needs no waiting.
    fn catch_up(&self) -> BoxFuture<'_, bool> {
        std::future::ready(true).boxed()
    }
}

/// The directory. Clones share the memory of answers.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    source: Box<dyn DirectorySource>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// Counts the changes, so that an answer read before a change is not kept after it.
    generation: u64,
    targets: HashMap<String, Arc<[Target]>>,
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// To these mailboxes and outside addresses: unique, sorted, at least one.
    Targets(Arc<[Target]>),
    /// Nowhere.
    Nowhere(NoTarget),
}

/// Why an address cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` with something on both sides.
    #[error("an address has the form name@domain")]
    Form,
    /// Longer than RFC 5321 section 4.5.3.1 allows.
    #[error("the address is too long")]
    Long,
    /// A domain that IDNA does not allow (RFC 5890).
    #[error("the domain name is not valid")]
    Domain,
}

impl Directory {
    /// A directory over `source`.
    pub fn new(source: impl DirectorySource) -> Directory {
        Directory { shared: Arc::new(Shared { source: Box::new(source), found: Mutex::default() }) }
    }

    /// Where mail for `address` (as it came, not yet normalised) goes. An impossible address is [`NoTarget::NotLocal`]
    /// or, under a local domain, [`NoTarget::Unknown`].
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn resolve(&self, address: &str) -> Result<Resolution, ReadError> {
        let Ok(address) = normalise_address(address) else { return Ok(Resolution::Nowhere(NoTarget::NotLocal)) };
        let generation = {
            let found = self.shared.found.lock();
            if let Some(targets) = found.targets.get(&address) {
                return Ok(Resolution::Targets(Arc::clone(targets)));
            }
            found.generation
        };
        match view::resolve(&*self.shared.source.rows()?, &address)? {
            Ok(targets) => {
                let targets: Arc<[Target]> = targets.into();
                self.remember(generation, address, &targets);
                Ok(Resolution::Targets(targets))
            }
            Err(reason) => Ok(Resolution::Nowhere(reason)),
        }
    }

    fn remember(&self, generation: u64, address: String, targets: &Arc<[Target]>) {
        let mut found = self.shared.found.lock();
        if found.generation == generation {
            if found.targets.len() >= RESOLUTIONS_REMEMBERED_MAX {
                found.targets.clear();
            }
            found.targets.insert(address, Arc::clone(targets));
        }
    }

    /// The account with exactly this address, normalised here; aliases and sub-addresses are not followed.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn account(&self, address: &str) -> Result<Option<(AccountId, AccountRow)>, ReadError> {
        let Ok(address) = normalise_address(address) else { return Ok(None) };
        view::account_by_address(&*self.shared.source.rows()?, &address)
    }

    /// An account by id.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn account_by_id(&self, account: AccountId) -> Result<Option<AccountRow>, ReadError> {
        view::account(&*self.shared.source.rows()?, account)
    }

    /// Whether mail for this domain is ours.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn is_local_domain(&self, domain: &str) -> Result<bool, ReadError> {
        let Ok(domain) = normalise_domain(domain) else { return Ok(false) };
        Ok(view::domain(&*self.shared.source.rows()?, &domain)?.is_some())
    }

    /// A cluster-wide setting.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<String>, ReadError> {
        view::setting(&*self.shared.source.rows()?, name)
    }

    /// To be asked before a "no" that cannot be taken back: this node's copy may be some milliseconds behind an account
    /// that was made on another node. False when nobody can tell, as in a minority (I10).
    pub async fn catch_up(&self) -> bool {
        let caught_up = tokio::time::timeout(DIRECTORY_CATCH_UP_TIMEOUT, self.shared.source.catch_up());
        caught_up.await.unwrap_or(false)
    }

    /// Reads more than these narrow questions allow; for the admin service. `read` must be quick.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn with_rows<T>(&self, read: impl FnOnce(&dyn model::Read) -> Result<T, ReadError>) -> Result<T, ReadError> {
        read(&*self.shared.source.rows()?)
    }

    /// To be called when the directory has changed.
    pub fn forget_answers(&self) {
        let mut found = self.shared.found.lock();
        found.generation += 1;
        found.targets.clear();
    }
}

/// An address as the directory keeps it: `local@domain`, the local part in lower case, the domain as
/// [`normalise_domain`] makes it.
///
/// # Errors
/// Says what is wrong with it.
pub fn normalise_address(address: &str) -> Result<String, AddressError> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(AddressError::Long);
    }
    let (local, domain) = address.rsplit_once('@').ok_or(AddressError::Form)?;
    if local.is_empty() || local.chars().any(char::is_control) {
        return Err(AddressError::Form);
    }
    let normalised = format!("{}@{}", local.to_lowercase(), normalise_domain(domain)?);
    if normalised.len() > ADDRESS_BYTES_MAX { Err(AddressError::Long) } else { Ok(normalised) }
}

/// A domain as the directory keeps it: lower case, A-labels turned into Unicode (RFC 5891), no dot at the end.
/// An address literal such as `[192.0.2.1]` stays as it is; it is never local.
///
/// # Errors
/// Says what is wrong with it.
pub fn normalise_domain(domain: &str) -> Result<String, AddressError> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_empty() {
        return Err(AddressError::Form);
    }
    if domain.starts_with('[') {
        return Ok(domain.to_ascii_lowercase());
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    // The usual case costs no table: plain letters without an A-label anywhere.
    if domain.bytes().all(plain) && !domain.contains("xn--") && domain.split('.').all(is_label) {
        return Ok(domain.to_owned());
    }
    let (unicode, result) = idna::domain_to_unicode(domain);
    if result.is_err() || !unicode.split('.').all(is_label) {
        return Err(AddressError::Domain);
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '/' | '\\' | ':' | '[' | ']');
    if unicode.contains(forbidden) { Err(AddressError::Domain) } else { Ok(unicode) }
}

/// RFC 1035 section 2.3.4: a label has 1 to 63 octets; more in Unicode form, where bytes are not octets of the wire.
fn is_label(label: &str) -> bool {
    !label.is_empty() && label.chars().count() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::row::{Credentials, ScramKeys};
    use model::directory::{DirectoryCommand, apply};
    use model::memory::MemoryTxn;
    use model::{GroupId, Outcome};

    struct Rows(Arc<Mutex<MemoryTxn>>);

    impl DirectorySource for Rows {
        fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
            Ok(Box::new(self.0.lock().clone()))
        }
    }

    fn change(rows: &Mutex<MemoryTxn>, command: DirectoryCommand) {
        apply(&mut *rows.lock(), 1, &command, &mut Outcome::default()).unwrap();
    }

    fn with_ann() -> (Arc<Mutex<MemoryTxn>>, Directory) {
        let rows = Arc::new(Mutex::new(MemoryTxn::new()));
        change(&rows, DirectoryCommand::AddDomain { name: "bücher.example".into() });
        let scram = ScramKeys { salt: vec![], iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
        let credentials = Credentials { argon2: String::new(), scram };
        let address = "ann@bücher.example".into();
        change(&rows, DirectoryCommand::AddAccount { address, shard: GroupId(1), credentials, admin: false });
        (Arc::clone(&rows), Directory::new(Rows(rows)))
    }

    #[test]
    fn addresses_are_found_in_any_case_and_any_form_of_the_domain() {
        let (_, directory) = with_ann();
        for address in ["ann@bücher.example", "Ann@BÜCHER.example.", "ANN@xn--bcher-kva.example"] {
            let (account, row) = directory.account(address).unwrap().unwrap();
            assert_eq!((account, row.address.as_str()), (AccountId(1), "ann@bücher.example"));
            assert!(matches!(directory.resolve(address).unwrap(), Resolution::Targets(_)), "{address}");
        }
        assert!(directory.is_local_domain("XN--BCHER-KVA.EXAMPLE").unwrap());
        assert_eq!(directory.resolve("bob@bücher.example").unwrap(), Resolution::Nowhere(NoTarget::Unknown));
        assert_eq!(directory.resolve("bob@example.net").unwrap(), Resolution::Nowhere(NoTarget::NotLocal));
    }

    #[test]
    fn answers_are_remembered_until_the_directory_changes() {
        let (rows, directory) = with_ann();
        assert!(matches!(directory.resolve("ann@bücher.example").unwrap(), Resolution::Targets(_)));
        change(&rows, DirectoryCommand::RemoveAccount { address: "ann@bücher.example".into() });
        assert!(matches!(directory.resolve("ann@bücher.example").unwrap(), Resolution::Targets(_)));
        directory.forget_answers();
        assert_eq!(directory.resolve("ann@bücher.example").unwrap(), Resolution::Nowhere(NoTarget::Unknown));
    }

    #[test]
    fn impossible_addresses_are_refused_with_the_reason() {
        let long = format!("{}@example.org", "a".repeat(400));
        for (address, reason) in [
            ("ann", AddressError::Form),
            ("@example.org", AddressError::Form),
            ("ann@", AddressError::Form),
            ("ann@exa mple.org", AddressError::Domain),
            ("ann@a..b", AddressError::Domain),
            (long.as_str(), AddressError::Long),
        ] {
            assert_eq!(normalise_address(address), Err(reason), "{address}");
        }
        assert_eq!(normalise_address("Ann@[192.0.2.1]").as_deref(), Ok("ann@[192.0.2.1]"));
    }
}
