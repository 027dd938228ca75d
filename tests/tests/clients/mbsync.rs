//! mbsync: a Maildir kept in step with the account both ways; a run that finds nothing to do changes nothing.

use super::world::{PASSWORD, USER, World, listing};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tests::programs::missing;

/// Writes the configuration and makes the local Maildir.
fn configure(world: &World) -> PathBuf {
    let tree = world.home().join("mail");
    let (port, certificate) = (world.port("imaps"), world.certificate());
    let (tree_text, certificate) = (tree.display(), certificate.display());
    let configuration = format!(
        "IMAPAccount node\nHost localhost\nPort {port}\nUser {USER}\nPass \"{PASSWORD}\"\nSSLType IMAPS\n\
         CertificateFile {certificate}\nAuthMechs SCRAM-SHA-256 LOGIN\nTimeout 60\n\n\
         IMAPStore remote\nAccount node\n\n\
         MaildirStore local\nInbox {tree_text}\nSubFolders Maildir++\n\n\
         Channel all\nFar :remote:\nNear :local:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSyncState *\n"
    );
    world.write("mbsyncrc", configuration);
    tree
}

fn synchronise(world: &World) -> String {
    world.program("mbsync").args(["-V", "-c", "mbsyncrc", "-a"]).run().ok()
}

/// The one file of a folder whose text holds this.
fn file_with(folder: &Path, text: &str) -> PathBuf {
    let files = ["cur", "new"].map(|name| fs::read_dir(folder.join(name)).unwrap());
    let paths = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| fs::read_to_string(path).unwrap().contains(text)).collect();
    assert_eq!(found.len(), 1, "{text} in {found:?}");
    found.remove(0)
}

/// As a mail program on the Maildir would: moves a message to `cur` with these flags.
fn set_flags(folder: &Path, text: &str, flags: &str) {
    let from = file_with(folder, text);
    let name = from.file_name().unwrap().to_str().unwrap().split(":2,").next().unwrap().to_owned();
    fs::rename(&from, folder.join("cur").join(format!("{name}:2,{flags}"))).unwrap();
}

/// Without the hash of the exact bytes: line ends differ between the two sides.
fn comparable(mut account: Value) -> Value {
    for folder in account.as_object_mut().unwrap().values_mut() {
        let messages = folder.as_array_mut().unwrap();
        messages.iter_mut().for_each(|message| drop(message.as_object_mut().unwrap().remove("bytes")));
        messages.sort_by_key(Value::to_string);
    }
    account
}

fn assert_in_step(world: &World, tree: &Path) -> Value {
    let (here, there) = (world.by_maildir(tree, "utf7"), world.by_imap());
    let (here, there) = (comparable(here), comparable(there));
    assert_eq!(here, there, "local (left), node (right)");
    there
}

/// What a run with nothing to do may not change: names of all files here, change counters of all folders there.
fn fingerprint(world: &World, tree: &Path) -> String {
    let listed = world.program("find").args([tree]).args(["-type", "f", "-path", "*/[cn]*/*"]).run().ok();
    let mut files: Vec<_> = listed.lines().collect();
    files.sort_unstable();
    files.join("\n") + &world.ask(&["LIST \"\" * RETURN (STATUS (MESSAGES UIDNEXT HIGHESTMODSEQ))"])
}

#[test]
fn mbsync_keeps_a_maildir_in_step_both_ways() {
    let Some(world) = World::start(&["mbsync"]) else { return };
    let tree = configure(&world);
    let mut imap = world.imap();
    let message = |subject: &str| format!("From: <{USER}>\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n");
    for (subject, flags) in [("alpha", ""), ("beta", "\\Seen"), ("gamma", "\\Flagged \\Answered"), ("delta", "")] {
        imap.append("INBOX", flags, message(subject).as_bytes()).unwrap();
    }
    imap.ok("CREATE \"Arbeit/Gr&APYA3w-e\"").unwrap();
    imap.append("\"Arbeit/Gr&APYA3w-e\"", "\\Draft", message("nested").as_bytes()).unwrap();
    let said = synchronise(&world);
    if !said.contains("mechanism SCRAM-SHA-256") {
        missing("libsasl2-modules (mbsync's SCRAM-SHA-256; it used LOGIN)");
    }
    let account = assert_in_step(&world, &tree);
    assert_eq!(listing(&account, "INBOX"), ["alpha ", "beta S", "delta ", "gamma FR"]);
    assert_eq!(listing(&account, "Arbeit/Größe"), ["nested D"]);

    // Both sides change, each something else.
    fs::write(tree.join("new/1.1.host"), message("from here").replace("\r\n", "\n")).unwrap();
    set_flags(&tree, "Subject: alpha", "FPS");
    set_flags(&tree, "Subject: beta", "ST");
    fs::create_dir_all(tree.join(".Made here/cur")).unwrap();
    ["new", "tmp"].iter().for_each(|name| fs::create_dir(tree.join(".Made here").join(name)).unwrap());
    fs::write(tree.join(".Made here/cur/1.2.host:2,S"), message("in a new folder").replace("\r\n", "\n")).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 3 -FLAGS (\\Flagged)").unwrap();
    imap.ok("STORE 4 +FLAGS (\\Deleted)").unwrap();
    imap.ok("EXPUNGE").unwrap();
    imap.append("INBOX", "", message("from there").as_bytes()).unwrap();
    imap.ok("CREATE \"Made there\"").unwrap();
    synchronise(&world);
    let account = assert_in_step(&world, &tree);
    assert_eq!(listing(&account, "INBOX"), ["alpha FS", "from here ", "from there ", "gamma R"]);
    assert_eq!(listing(&account, "Made here"), ["in a new folder S"]);
    assert!(listing(&account, "Made there").is_empty());
    let flags = world.ask(&["SELECT INBOX", "FETCH 1 (FLAGS)"]);
    assert!(flags.to_lowercase().contains("$forwarded"), "Maildir's P is this keyword: {flags}");

    let before = fingerprint(&world, &tree);
    synchronise(&world);
    assert_eq!(fingerprint(&world, &tree), before, "a run with nothing to do");
    world.finish();
}
