//! Python's smtplib and imaplib: the whole of a mail program's day, told in `session.py`.

use super::world::{World, listing};

#[test]
fn python_sends_reads_and_changes() {
    let Some(world) = World::start(&[]) else { return };
    let said = world.python("session.py").run().ok();
    assert!(said.ends_with("done\n"), "{said}");
    let account = world.finish();
    assert_eq!(listing(&account, "INBOX"), ["Grüße aus Köln S", "implicit FS", "large "]);
    assert_eq!(listing(&account, "Sent"), ["appended DRS"]);
    assert_eq!(listing(&account, "Archive"), ["while idle "]);
    assert_eq!(listing(&account, "Arbeit/Größe & Maß"), ["implicit FS", "starttls T"]);
}
