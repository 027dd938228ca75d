//! neomutt: sends over smtps in batch, then reads, flags, copies and expunges over imaps, driven by pushed keys.

use super::world::{PASSWORD, USER, World, listing};
use std::fs;

fn configure(world: &World) {
    let (imaps, submissions) = (world.port("imaps"), world.port("submissions"));
    let (certificate, user) = (world.certificate(), USER.replace('@', "%40"));
    let certificate = certificate.display();
    let configuration = format!(
        "set folder=imaps://{user}@localhost:{imaps}/\nset spoolfile=+INBOX\nset imap_user={USER}\n\
         set imap_pass=\"{PASSWORD}\"\nset smtp_url=smtps://{user}@localhost:{submissions}/\n\
         set smtp_pass=\"{PASSWORD}\"\nset certificate_file={certificate}\n\
         set from={USER}\nset realname=Ann\nset copy=no\nset header_cache=\"\"\nset tmpdir=.\n\
         set quit=yes\nset move=no\nset confirmappend=no\nset delete=yes\nset resolve=no\nset sort=mailbox-order\n\
         set pipe_split=yes\nset pipe_decode=no\nset wait_key=no\nset index_format=\"%s\"\n"
    );
    world.write("neomuttrc", configuration);
}

/// Sends in batch: no terminal needed.
fn send(world: &World, subject: &str, text: &str) {
    let attachment = world.write("attached.txt", "attached text\n");
    let options = ["-n", "-F", "neomuttrc", "-d", "2", "-l", "send.log", "-s", subject, "-a"];
    let sent = world.program("neomutt").args(options).args([attachment]).args(["--", USER]).input(text).run();
    assert!(!sent.stderr.contains("rror"), "{sent:?}");
    sent.ok();
}

/// Opens INBOX on a terminal that `script` lends and presses these keys, of which the last must leave.
fn press(world: &World, keys: &str) -> String {
    world.write("keys", format!("push \"{keys}\"\n"));
    let run = "exec neomutt -n -F neomuttrc -e 'source keys' -d 2 -l read.log -f +INBOX";
    world.program("script").args(["-qec", run, "/dev/null"]).run().ok()
}

fn read(world: &World, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(world.home().join(file)).unwrap()).into_owned()
}

#[test]
fn neomutt_sends_reads_and_changes() {
    let Some(world) = World::start(&["neomutt", "script"]) else { return };
    configure(&world);
    for subject in ["first", "second", "third"] {
        send(&world, subject, &format!("Hello {subject}\n.dot\nGrüße\n"));
    }
    let sending = read(&world, "send.log0");
    assert!(sending.contains("235 2.7.0"), "{sending}");

    let screen = press(&world, "<tag-pattern>~A<enter><tag-prefix><pipe-message>cat >>piped<enter><exit>");
    for subject in ["first", "second", "third"] {
        assert!(screen.contains(subject), "{screen}");
    }
    let piped = read(&world, "piped");
    for text in ["Hello first\n.dot\n", "Hello second\n.dot\n", "Hello third\n.dot\n", "attached text"] {
        assert!(piped.contains(text), "{text} is not in {piped}");
    }
    press(
        &world,
        "<first-entry><flag-message><toggle-new><copy-message>=Archive<enter><last-entry><delete-message><sync-mailbox><exit>",
    );
    let account = world.finish();
    assert_eq!(listing(&account, "INBOX"), ["first FS", "second "]);
    assert_eq!(listing(&account, "Archive"), ["first FS"]);
}
