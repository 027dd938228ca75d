//! Lines of comma-separated values (RFC 4180):
//!
//! ```text
//! record = field *("," field)
//! field  = *TEXTDATA / DQUOTE *(TEXTDATA / "," / 2DQUOTE) DQUOTE
//! ```
//!
//! Quoted line breaks are refused: an unclosed quote then spoils its own line only.

use super::Wrong;
use crate::admin::ImportItem;

/// The header of a file that is written here.
pub const HEADER: &str = "address,name,hash,aliases,admin\n";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Address,
    Name,
    Password,
    Hash,
    Aliases,
    Admin,
}

/// The columns of a header line.
pub fn columns(header: &str) -> Result<Vec<Column>, String> {
    let column = |name: &String| match name.trim().to_ascii_lowercase().as_str() {
        "address" => Ok(Column::Address),
        "name" => Ok(Column::Name),
        "password" => Ok(Column::Password),
        "hash" => Ok(Column::Hash),
        "aliases" => Ok(Column::Aliases),
        "admin" => Ok(Column::Admin),
        _ => Err(format!("unknown column {name:?}; known are address, name, password, hash, aliases, admin")),
    };
    let columns: Vec<Column> = fields(header)?.iter().map(column).collect::<Result<_, _>>()?;
    let count = |wanted: Column| columns.iter().filter(|column| **column == wanted).count();
    if columns.iter().any(|column| count(*column) > 1) {
        return Err("a column is named twice".to_owned());
    }
    if count(Column::Address) == 0 {
        return Err("the header line has no column address".to_owned());
    }
    Ok(columns)
}

/// The account of a line.
pub fn parse(columns: &[Column], line: &str) -> Result<ImportItem, Wrong> {
    let fields = fields(line).map_err(Wrong::new)?;
    let mut item = ImportItem::default();
    if fields.len() != columns.len() {
        return Err(Wrong::new(format!("{} fields where the header has {}", fields.len(), columns.len())));
    }
    let mut wrong = None;
    for (column, field) in columns.iter().zip(fields) {
        match column {
            Column::Address => item.address = field,
            Column::Name => item.name = field,
            Column::Password => item.password = Some(field).filter(|field| !field.is_empty()),
            Column::Hash => item.hash = Some(field).filter(|field| !field.is_empty()),
            Column::Aliases => {
                let aliases = field.split(|c: char| c == ';' || c.is_whitespace());
                item.aliases = aliases.filter(|alias| !alias.is_empty()).map(str::to_owned).collect();
            }
            Column::Admin => match flag(&field) {
                Some(flag) => item.admin = flag,
                None => wrong = Some("the column admin holds neither true nor false"),
            },
        }
    }
    match wrong {
        Some(reason) => Err(Wrong { address: item.address, reason: reason.to_owned() }),
        None => Ok(item),
    }
}

fn flag(field: &str) -> Option<bool> {
    match field.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// The line of an account.
pub fn write(item: &ImportItem) -> String {
    let hash = item.hash.as_deref().unwrap_or_default();
    let admin = if item.admin { "true" } else { "" };
    let fields = [&item.address, &item.name, hash, &item.aliases.join(" "), admin].map(quoted);
    format!("{}\n", fields.join(","))
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// The fields of a record.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (field, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if field.contains('"') {
                    return Err("a quote in a field that is not quoted".to_owned());
                }
                (field.to_owned(), behind)
            }
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Ok(fields),
            None => return Err("characters behind a quoted field".to_owned()),
        }
    }
}

/// A field whose opening quote was read, and what is behind its closing one.
fn unquote(mut rest: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    loop {
        let Some((part, behind)) = rest.split_once('"') else {
            return Err("a quoted field is not closed on its line".to_owned());
        };
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_be_quoted() {
        let read = |line: &str| fields(line);
        assert_eq!(read("a,,\"b,c\",\"d \"\"e\"\"\",").unwrap(), ["a", "", "b,c", "d \"e\"", ""]);
        for line in ["\"a", "\"a\"b", "a\"b", "\"a\" ,b", "a,\""] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn columns_come_in_any_order_and_only_known_ones() {
        assert_eq!(columns("Hash, address").unwrap(), [Column::Hash, Column::Address]);
        assert!(columns("address,uid").unwrap_err().contains("uid"));
        assert!(columns("hash").is_err() && columns("address,address").is_err());
    }

    #[test]
    fn a_line_is_an_account() {
        let columns = columns("address,name,password,aliases,admin").unwrap();
        let item = parse(&columns, "ann@example.org,\"Ann, B.\",secret,a@example.org; b@example.org,yes").unwrap();
        assert_eq!((item.name.as_str(), item.password.as_deref(), item.admin), ("Ann, B.", Some("secret"), true));
        assert_eq!(item.aliases, ["a@example.org", "b@example.org"]);
        let wrong = parse(&columns, "ann@example.org,,secret,,perhaps").unwrap_err();
        assert_eq!(wrong.address, "ann@example.org");
        assert!(parse(&columns, "ann@example.org").is_err());
    }
}
