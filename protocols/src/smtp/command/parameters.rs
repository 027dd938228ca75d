//! Parameters of MAIL and RCPT: `keyword[=value]` words in, the typed wishes of the envelope out.

use super::super::envelope::{Body, Mail, Notify, OriginalRecipient, Return};
use super::super::reply::{EnhancedCode, Reply};
use super::super::xtext;
use crate::limits::smtp::{ENVELOPE_ID_BYTES_MAX, ORIGINAL_RECIPIENT_BYTES_MAX};

/// ```abnf
/// esmtp-param = esmtp-keyword ["=" esmtp-value]                  ; RFC 5321 section 4.1.2
/// ```
fn words(text: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
        None => (word.to_ascii_uppercase(), None),
    })
}

/// Fills in what the parameters of MAIL say.
pub(super) fn mail(text: &str, mut mail: Mail) -> Result<Mail, Reply> {
    let mut seen: Vec<String> = Vec::new();
    for (keyword, value) in words(text) {
        if seen.contains(&keyword) {
            return Err(bad("A parameter is given twice"));
        }
        match (keyword.as_str(), value) {
            ("SIZE", Some(digits)) => mail.size = Some(size(digits)?),
            ("BODY", Some(value)) => mail.body = body(value)?,
            ("SMTPUTF8", None) => mail.smtputf8 = true,
            ("RET", Some(value)) => mail.ret = Some(ret(value)?),
            ("ENVID", Some(value)) => mail.envelope_id = Some(envelope_id(value)?),
            // RFC 4954 section 5: what an unrelated relay says about the submitter is parsed and not believed.
            ("AUTH", Some(value)) => {
                xtext::decode(value).ok_or_else(|| bad("AUTH is not valid"))?;
            }
            ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(bad("A parameter needs a value or must have none"));
            }
            _ => return Err(unknown()),
        }
        seen.push(keyword);
    }
    Ok(mail)
}

/// Reads the parameters of RCPT.
pub(super) fn recipient(text: &str) -> Result<(Option<Notify>, Option<OriginalRecipient>), Reply> {
    let (mut wanted, mut original) = (None, None);
    for (keyword, value) in words(text) {
        match (keyword.as_str(), value) {
            ("NOTIFY", Some(value)) if wanted.is_none() => wanted = Some(notify(value)?),
            ("ORCPT", Some(value)) if original.is_none() => original = Some(original_recipient(value)?),
            ("NOTIFY" | "ORCPT", _) => {
                return Err(bad("A parameter is given twice or without value"));
            }
            _ => return Err(unknown()),
        }
    }
    Ok((wanted, original))
}

fn bad(text: &'static str) -> Reply {
    Reply::new(501, EnhancedCode::new(5, 5, 4), text)
}

/// RFC 5321 section 4.1.1.11.
fn unknown() -> Reply {
    Reply::new(555, EnhancedCode::new(5, 5, 4), "Unknown parameter")
}

/// `size-value = 1*20DIGIT` (RFC 1870 section 4); what does not fit 64 bits is over every bound anyway.
fn size(digits: &str) -> Result<u64, Reply> {
    if (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits.parse().unwrap_or(u64::MAX))
    } else {
        Err(bad("SIZE is not a number"))
    }
}

fn body(value: &str) -> Result<Body, Reply> {
    [Body::SevenBit, Body::EightBit, Body::Binary]
        .into_iter()
        .find(|body| body.keyword().eq_ignore_ascii_case(value))
        .ok_or_else(|| bad("BODY is 7BIT, 8BITMIME or BINARYMIME"))
}

fn ret(value: &str) -> Result<Return, Reply> {
    [Return::Full, Return::Headers]
        .into_iter()
        .find(|ret| ret.keyword().eq_ignore_ascii_case(value))
        .ok_or_else(|| bad("RET is FULL or HDRS"))
}

fn envelope_id(value: &str) -> Result<String, Reply> {
    if value.is_empty() || value.len() > ENVELOPE_ID_BYTES_MAX {
        return Err(bad("ENVID is empty or too long"));
    }
    // RFC 3461 section 4.4: decoded, it is printable ASCII.
    xtext::decode(value).filter(|id| id.is_ascii()).ok_or_else(|| bad("ENVID is not xtext"))
}

/// ```abnf
/// notify-esmtp-value = "NEVER" / 1#notify-list-element           ; RFC 3461 section 4.1
/// notify-list-element = "SUCCESS" / "FAILURE" / "DELAY"
/// ```
fn notify(value: &str) -> Result<Notify, Reply> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return Err(bad("NOTIFY is NEVER or some of SUCCESS,FAILURE,DELAY")),
        }
    }
    Ok(notify)
}

/// ```abnf
/// original-recipient-address = addr-type ";" xtext               ; RFC 3461 section 4.2
/// ```
/// With addr-type `utf-8` the address has the forms of RFC 6533 section 3.
fn original_recipient(value: &str) -> Result<OriginalRecipient, Reply> {
    let fault = || bad("ORCPT is not type;address");
    if value.len() > ORIGINAL_RECIPIENT_BYTES_MAX {
        return Err(bad("ORCPT is too long"));
    }
    let (address_type, encoded) = value.split_once(';').ok_or_else(fault)?;
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if address_type.is_empty() || !address_type.bytes().all(is_atom) {
        return Err(fault());
    }
    let address_type = address_type.to_ascii_lowercase();
    let address = if address_type == "utf-8" {
        xtext::decode_unicode(encoded).or_else(|| xtext::decode(encoded))
    } else {
        xtext::decode(encoded)
    };
    let address = address.filter(|address| !address.is_empty()).ok_or_else(fault)?;
    Ok(OriginalRecipient { address_type, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_typed() {
        let text = " SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=<>";
        let mail = mail(text, Mail::default()).unwrap();
        assert_eq!(mail.size, Some(1000));
        assert_eq!(mail.body, Body::EightBit);
        assert_eq!(mail.ret, Some(Return::Headers));
        assert_eq!(mail.envelope_id.as_deref(), Some("a+b"));
        assert!(mail.smtputf8);
        let (notify, original) = recipient(" NOTIFY=success,DELAY ORCPT=utf-8;j\\x{F6}rg@x.org").unwrap();
        assert_eq!(notify, Some(Notify { success: true, delay: true, failure: false }));
        let original = original.unwrap();
        assert_eq!((original.address_type.as_str(), original.address.as_str()), ("utf-8", "jörg@x.org"));
    }

    #[test]
    fn faults_are_501_and_unknown_keywords_555() {
        for (text, code) in [
            (" SIZE=", 501),
            (" SIZE", 501),
            (" SIZE=1 SIZE=2", 501),
            (" SMTPUTF8=1", 501),
            (" BODY=9BIT", 501),
            (" ENVID=a=b", 501),
            (" RET=SOME", 501),
            (" X=Y", 555),
        ] {
            assert_eq!(mail(text, Mail::default()).unwrap_err().code(), code, "{text}");
        }
        for (text, code) in [
            (" NOTIFY=NEVER,SUCCESS", 501),
            (" NOTIFY=", 501),
            (" ORCPT=rfc822", 501),
            (" ORCPT=rfc822;a+0Db", 501),
            (" SIZE=1", 555),
        ] {
            assert_eq!(recipient(text).unwrap_err().code(), code, "{text}");
        }
    }
}
