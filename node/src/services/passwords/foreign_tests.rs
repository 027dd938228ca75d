//! Hashes made by Dovecot's `doveadm pw`, `openssl passwd` and Python's hashlib, checked here.

use super::checks::fits;
use super::foreign::{ForeignError, Given, given, parse};
use model::limits::PASSWORD_HASH_BYTES_MAX;
use proptest::prelude::*;

const SECRET: &str = "Geheim-ä 1";

/// `doveadm pw -s SCHEME -p 'Geheim-ä 1'` of Dovecot 2.3.19, except where a comment says otherwise.
const HASHES: &[&str] = &[
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$1Hf7ylWJJ6PqCR/kWT2A/A$WPaKYZOcZshPQK+D4hp1VKdbhao4DwefjWebkrH8KWM",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$j3vF3KeN2wTYPGgX7iWM5A$TSXUpZ3GwAdrU/gKBmc+ZcTPi/UXmupSzdzYB3/RTew",
    "{SSHA512}WEmVvK9b6fqoGwdn7nAaurm9iQp3EcX+/GpsvW3myXGeuWVRxQq4kmQn0cl37FaUiechPFXB8TUoynsFriCbR185ol8=",
    "{SSHA256}+JBYd8ojyy2jRAjZQ9exp/inPKkINnCE5vf6gEOIHFK7MV3i",
    "{SSHA}1XLy9pJZ6jlWxSsFNi4DjewXw0Pq7gZ1",
    "{SHA512}NvkvVx6fWxsi0kS4TNaJx+Mmq8i2AVoU+S4cWrHEIvSzgCTE1BYNbJoP/GE9SJhfDS6uHh45e4s55nR/iB8Ffw==",
    "{SHA256}7yeQFGihyeX44CFr3BArIGLnvWmR5+LeI/8okabftRI=",
    "{SHA}e1ngQPDAX4W0oWbI71Kv0XoFUeQ=",
    "{SHA512-CRYPT}$6$cSc9j9sc0P.fg00p$saYUg0TSOMBZCTSAUOrUIFyFrphcipq.EGtwlqddp1KiC50ggOrson1q.NCPUfTFRreZWUgE7A0E1dFjLJL8W0",
    "{SHA512-CRYPT}$6$rounds=1000$VhYT/7LMOEnRbRfs$EYKeipIvzSbb2IhnjVkNDhoGjj3aWK/JwxOBYC6ueMrAjA13aPYJJ0jvl211vAUBV8fSw7H6Y5tykS17qu2sb0",
    "{SHA256-CRYPT}$5$ak.ToVjenExk/0YZ$/465XYfW9F3ETh3EhJalSoa4PtqxRcIf/bvDCqaYmK5",
    "{BLF-CRYPT}$2y$05$LJYSzzKAAdsWYytR3BZpbuzBuKdoT07coOovctAdwdCx8EqEO0SDi",
    "{PBKDF2}$1$LhBjJ1utleR7nOeO$5000$b430a23b6a64c6980d73dd8b209347b942c3d403",
    "{CRYPT}$2y$05$HvQ7IFXfoaC6l5WEykBl6.eKWdnP4DGO39TZbuRtvfMBZZIi0R9X6",
    "{SSHA512.HEX}b0aac1c69f094f51f358cd5dae49bf437cdd39a3dcacb3cab96d9cc5988a0ee21020faed4d9fe5449a95ec097e42ed0550ea2692db63053b72e6bc91bcc6210da9263268",
    "{SSHA512.b64}PsqNyf6gakwORt3tuiODOteFRtjsSBZO1fBOgGvOzKwdoTWmcGdgRSXUuLKvunNWRLD8Fq2xHyS+yjPG6fk+4FmKT68=",
    "{SHA512.HEX}36f92f571e9f5b1b22d244b84cd689c7e326abc8b6015a14f92e1c5ab1c422f4b38024c4d4160d6c9a0ffc613d48985f0d2eae1e1e397b8b39e6747f881f057f",
    "{ssha.hex}b51998cefba542bbf54cd404117e275003b68a0a80cfbd50",
    "{SHA512-CRYPT.B64}JDYkd05rWlFvRGNLQzlPTFYxcSRpWHNoL1hPRURmaVBkOWpLd3lyRnZDa1pxVFljeXdpVFVjZTlmS3V2a3JFdjRoSjJTamlEVGlzLnFvWTlNL1FEcy54Rm0vWHI1eWhZbjFXU0E4c0xQLg==",
    // The value of {SHA256.HEX}: without an encoding its length tells.
    "{SHA256}ef27901468a1c9e5f8e0216bdc102b2062e7bd6991e7e2de23ff2891a6dfb512",
    // openssl passwd -6 and -5, with and without a scheme.
    "{CRYPT}$6$abcdefgh$1D2K1n4ylBBvub.nwWG183qFb/RdhVRTmroqJg30L9MZ5q9wMcq7/kGxVm4VqSbCOWiXAjgjNv9xFmWwl8u3u0",
    "$6$abcdefgh$1D2K1n4ylBBvub.nwWG183qFb/RdhVRTmroqJg30L9MZ5q9wMcq7/kGxVm4VqSbCOWiXAjgjNv9xFmWwl8u3u0",
    "$5$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2",
    "$2y$04$Fk9njYiJceSHgH9iBuuI5.Uees2UOXOoUgQHuiALQOp4Ix7DCtJ3W",
    "$argon2id$v=19$m=65536,t=3,p=1$1Hf7ylWJJ6PqCR/kWT2A/A$WPaKYZOcZshPQK+D4hp1VKdbhao4DwefjWebkrH8KWM",
    // hashlib.pbkdf2_hmac("sha1", secret, b"saltsalt", 1000)
    "{PBKDF2}$1$saltsalt$1000$d7316807a85769b5f0889813763436d2e05bf2cb",
];

#[test]
fn each_notation_fits_its_password_and_no_other() {
    for hash in HASHES {
        let Ok(Given::Hash(stored)) = given(hash) else { panic!("{hash} is refused") };
        assert!(stored.starts_with('{'), "{hash}");
        assert!(fits(SECRET.as_bytes(), &stored), "{hash}");
        assert!(!fits(b"Geheim-a 1", &stored), "{hash}");
        assert!(!fits(b"", &stored), "{hash}");
    }
}

#[test]
fn plain_passwords_are_given_out_for_hashing_and_never_parsed_as_hashes() {
    for plain in [
        "{PLAIN}Geheim-ä 1",
        "{cleartext}Geheim-ä 1",
        "{PLAIN.B64}R2VoZWltLcOkIDE=",
        "{PLAIN.HEX}47656865696d2dc3a42031",
    ] {
        assert!(given(plain) == Ok(Given::Plain(SECRET.to_owned())), "{plain}");
        assert!(parse(plain).is_err());
        assert!(!fits(SECRET.as_bytes(), plain));
    }
}

#[test]
fn what_cannot_be_checked_is_refused_with_its_reason() {
    let reason = |text: &str| given(text).err().map(|error| error.to_string()).unwrap_or_else(|| panic!("{text}"));
    for text in ["", "secret", "{", "{}x", "{SSHA", "$1$XXrVcyCN$vgoO7Nb4Qgxik11JucTx60", "{a b}x"] {
        assert_eq!(given(text).err(), Some(ForeignError::NoScheme), "{text}");
    }
    for scheme in ["MD5-CRYPT", "SCRAM-SHA-256", "DIGEST-MD5", "SSHA512.ROT13", "NTLM"] {
        let text = format!("{{{}}}x", scheme.to_ascii_lowercase());
        assert_eq!(given(&text).err(), Some(ForeignError::Scheme(scheme.to_owned())), "{text}");
    }
    for text in [
        "{SSHA512}",
        "{SSHA512}###",
        "{SSHA}e1ngQPDAX4W0oWbI71Kv0XoFUeQ=",
        "{SHA}1XLy9pJZ6jlWxSsFNi4DjewXw0Pq7gZ1",
        "{SHA256}7yeQ",
        "{SHA256.HEX}xy",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$1Hf7ylWJJ6PqCR/kWT2A/A",
        "{ARGON2ID}$argon2i$v=19$m=32768,t=4,p=1$j3vF3KeN2wTYPGgX7iWM5A$TSXUpZ3GwAdrU/gKBmc+ZcTPi/UXmupSzdzYB3/RTew",
        "{BLF-CRYPT}$2y$05$short",
        "{BLF-CRYPT}$6$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2",
        "{SHA512-CRYPT}$6$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2",
        "{SHA256-CRYPT}$5$rounds=999$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2",
        "{SHA256-CRYPT}$5$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2$",
        "{PBKDF2}$1$saltsalt$0$d7316807a85769b5f0889813763436d2e05bf2cb",
        "{PBKDF2}$1$saltsalt$1000$d731",
        "{CRYPT}$1$XXrVcyCN$vgoO7Nb4Qgxik11JucTx60",
        "{CRYPT}rl0uE4gvNRQ0Q",
        "{PLAIN.HEX}4",
    ] {
        assert!(matches!(given(text), Err(ForeignError::Value(_))), "{text}: {}", reason(text));
    }
    assert_eq!(given(&format!("{{SSHA}}{}", "A".repeat(PASSWORD_HASH_BYTES_MAX))).err(), Some(ForeignError::Long));
}

#[test]
fn hashes_that_would_hold_a_processor_are_refused() {
    for text in [
        "{ARGON2ID}$argon2id$v=19$m=262145,t=3,p=1$1Hf7ylWJJ6PqCR/kWT2A/A$WPaKYZOcZshPQK+D4hp1VKdbhao4DwefjWebkrH8KWM",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=11,p=1$1Hf7ylWJJ6PqCR/kWT2A/A$WPaKYZOcZshPQK+D4hp1VKdbhao4DwefjWebkrH8KWM",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=17$1Hf7ylWJJ6PqCR/kWT2A/A$WPaKYZOcZshPQK+D4hp1VKdbhao4DwefjWebkrH8KWM",
        "{BLF-CRYPT}$2y$16$LJYSzzKAAdsWYytR3BZpbuzBuKdoT07coOovctAdwdCx8EqEO0SDi",
        "{SHA256-CRYPT}$5$rounds=1000001$abcdefgh$hW3lRBfgEjzLfI.Z9N/Tj6oH4VE6Dpv7V7RHdEgx6j2",
        "{PBKDF2}$1$saltsalt$1000001$d7316807a85769b5f0889813763436d2e05bf2cb",
    ] {
        assert!(matches!(given(text), Err(ForeignError::Cost(_))), "{text}");
        assert!(!fits(SECRET.as_bytes(), text), "not even when it is stored");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_parsed_or_refused(text in ".{0,80}", scheme in prop::sample::select(HASHES), cut in 0usize..140) {
        let _ = given(&text);
        let _ = given(&format!("{{SSHA256}}{text}"));
        let _ = given(&format!("{{PBKDF2}}$1${text}"));
        let cut = scheme.chars().take(cut).collect::<String>();
        let _ = given(&cut);
        let _ = given(&format!("{cut}{text}"));
    }
}
