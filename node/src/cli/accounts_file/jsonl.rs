//! Lines of JSON (RFC 8259), an object each. Errors name fields and never show values.

use super::Wrong;
use crate::admin::ImportItem;
use serde_json::{Map, Value, json};

/// The account of a line.
pub fn parse(line: &str) -> Result<ImportItem, Wrong> {
    let object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        Wrong::new(if error.is_data() {
            "not a JSON object".to_owned()
        } else {
            format!("no JSON at column {}", error.column())
        })
    })?;
    let mut item = ImportItem::default();
    if let Some(Value::String(address)) = object.get("address") {
        item.address.clone_from(address);
    }
    match fill(&mut item, object) {
        Ok(()) => Ok(item),
        Err(reason) => Err(Wrong { address: item.address, reason }),
    }
}

fn fill(item: &mut ImportItem, object: Map<String, Value>) -> Result<(), String> {
    for (name, value) in object {
        match (name.as_str(), value) {
            ("address", Value::String(address)) => item.address = address,
            ("name", Value::String(name)) => item.name = name,
            ("password", Value::String(password)) => item.password = Some(password),
            ("hash", Value::String(hash)) => item.hash = Some(hash),
            ("admin", Value::Bool(admin)) => item.admin = admin,
            ("aliases", Value::Array(aliases)) => {
                let alias = |alias| if let Value::String(alias) = alias { Some(alias) } else { None };
                let aliases: Option<Vec<String>> = aliases.into_iter().map(alias).collect();
                item.aliases = aliases.ok_or("the field aliases is no array of strings")?;
            }
            ("name" | "password" | "hash" | "admin" | "aliases", Value::Null) => {}
            ("address" | "name" | "password" | "hash", _) => return Err(format!("the field {name} is no string")),
            ("admin", _) => return Err("the field admin is neither true nor false".to_owned()),
            ("aliases", _) => return Err("the field aliases is no array of strings".to_owned()),
            _ => return Err(format!("unknown field {:?}", name.chars().take(40).collect::<String>())),
        }
    }
    Ok(())
}

/// The line of an account.
pub fn write(item: &ImportItem) -> String {
    let ImportItem { address, name, hash, aliases, admin, .. } = item;
    format!("{}\n", json!({ "address": address, "name": name, "hash": hash, "aliases": aliases, "admin": admin }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_account() {
        let line = r#"{"hash":"{SSHA}x","address":"ann@example.org","aliases":["a@b"],"admin":true,"name":null}"#;
        let item = parse(line).unwrap();
        assert_eq!(
            (item.address.as_str(), item.hash.as_deref(), item.admin),
            ("ann@example.org", Some("{SSHA}x"), true)
        );
        assert_eq!(item.aliases, ["a@b"]);
    }

    #[test]
    fn wrong_lines_are_named_without_their_values() {
        for line in [
            r#"{"address":"ann@example.org","password":7}"#,
            r#"{"address":"ann@example.org","password":"secret-word","uid":7}"#,
            r#"{"address":"ann@example.org","aliases":"secret-word"}"#,
            r#"{"address":"ann@example.org","aliases":[1]}"#,
            r#"{"address":"ann@example.org","admin":"secret-word"}"#,
            r#"["secret-word"]"#,
            r#"{"address":"secret-word"#,
            "",
        ] {
            let wrong = parse(line).unwrap_err();
            assert!(!wrong.reason.contains("secret-word"), "{wrong:?}");
            assert!(wrong.address == "ann@example.org" || !line.contains("ann@"), "{wrong:?}");
        }
    }
}
