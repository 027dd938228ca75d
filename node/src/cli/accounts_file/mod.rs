//! Files of accounts: one account per line, as CSV with a header line or as JSON objects. Reads and writes lines; what an
//! address or hash must be is checked elsewhere.
//!
//! Each line is parsed alone, so a wrong line spoils no other. No field may contain a line break.

mod csv;
mod jsonl;

use super::arguments::FileFormat;
use crate::admin::ImportItem;
use crate::limits::IMPORT_LINE_BYTES_MAX;
use std::path::Path;

/// A line that holds an account, or should.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Counted from 1, header and empty lines included.
    pub number: usize,
    /// The account, or what is wrong with the line. Says nothing of passwords and hashes.
    pub item: Result<ImportItem, Wrong>,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq)]
pub struct Wrong {
    /// The address, if the line gives one.
    pub address: String,
    /// Why.
    pub reason: String,
}

impl Wrong {
    fn new(reason: impl Into<String>) -> Wrong {
        Wrong { address: String::new(), reason: reason.into() }
    }
}

/// The form of a file, by the end of its name, else by its first byte: a JSON object begins with a brace.
pub fn format_of(path: &Path, bytes: &[u8]) -> FileFormat {
    let json = match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => false,
        Some("jsonl" | "ndjson" | "json") => true,
        _ => without_mark(bytes).trim_ascii_start().starts_with(b"{"),
    };
    if json { FileFormat::Jsonl } else { FileFormat::Csv }
}

/// All lines with an account.
///
/// # Errors
/// When the header of a CSV file is missing or names an unknown column: then no line can be read.
pub fn parse(bytes: &[u8], format: FileFormat) -> Result<Vec<Line>, String> {
    let lines = without_mark(bytes).split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = (1..).zip(lines).filter(|(_, line)| !line.trim_ascii().is_empty());
    let line = |number, line: &[u8], item: &dyn Fn(&str) -> Result<ImportItem, Wrong>| Line {
        number,
        item: text(line).and_then(item),
    };
    match format {
        FileFormat::Jsonl => Ok(lines.map(|(number, bytes)| line(number, bytes, &jsonl::parse)).collect()),
        FileFormat::Csv => {
            let Some((number, header)) = lines.next() else { return Ok(Vec::new()) };
            let columns = text(header).map_err(|wrong| wrong.reason).and_then(csv::columns);
            let columns = columns.map_err(|reason| format!("line {number}: {reason}"))?;
            Ok(lines.map(|(number, bytes)| line(number, bytes, &|text| csv::parse(&columns, text))).collect())
        }
    }
}

/// What a file of this form begins with.
pub fn header(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => csv::HEADER,
        FileFormat::Jsonl => "",
    }
}

/// The line of an account, with its end.
pub fn write(item: &ImportItem, format: FileFormat) -> String {
    match format {
        FileFormat::Csv => csv::write(item),
        FileFormat::Jsonl => jsonl::write(item),
    }
}

/// Without the byte order mark that some programs put before UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn text(line: &[u8]) -> Result<&str, Wrong> {
    if line.len() > IMPORT_LINE_BYTES_MAX {
        return Err(Wrong::new(format!("the line is longer than {IMPORT_LINE_BYTES_MAX} bytes")));
    }
    std::str::from_utf8(line).map_err(|_| Wrong::new("the line is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(address: &str) -> ImportItem {
        ImportItem { address: address.into(), hash: Some("{SSHA}x".into()), ..ImportItem::default() }
    }

    #[test]
    fn the_form_is_known_by_name_or_first_byte() {
        let format = |name: &str, bytes: &[u8]| format_of(Path::new(name), bytes);
        assert_eq!(format("a.csv", b"{"), FileFormat::Csv);
        assert_eq!(format("a.NDJSON", b"address"), FileFormat::Jsonl);
        assert_eq!(format("-", b"\xef\xbb\xbf {"), FileFormat::Jsonl);
        assert_eq!(format("-", b"address"), FileFormat::Csv);
    }

    #[test]
    fn marks_line_ends_and_empty_lines_do_not_matter() {
        let bytes = b"\xef\xbb\xbfaddress,hash\r\nann@example.org,{SSHA}x\r\n\r\n\nbob@example.org,{SSHA}x";
        let lines = parse(bytes, FileFormat::Csv).unwrap();
        let expected = [(2, "ann@example.org"), (5, "bob@example.org")];
        assert_eq!(lines, expected.map(|(number, address)| Line { number, item: Ok(item(address)) }));
        let bytes = b"\xef\xbb\xbf{\"address\":\"ann@example.org\",\"hash\":\"{SSHA}x\"}\r\n\r\n";
        let lines = parse(bytes, FileFormat::Jsonl).unwrap();
        assert_eq!(lines, [Line { number: 1, item: Ok(item("ann@example.org")) }]);
        assert_eq!(parse(b"", FileFormat::Csv), Ok(Vec::new()));
    }

    #[test]
    fn a_wrong_line_spoils_no_other() {
        let long = "x".repeat(IMPORT_LINE_BYTES_MAX);
        let file = format!("address,hash\n\"ann,x\nann@example.org,a,b\n{long},y\nbob@example.org,{{SSHA}}x\n");
        let mut bytes = file.into_bytes();
        bytes.extend(b"\xff\xff,x\n");
        let lines = parse(&bytes, FileFormat::Csv).unwrap();
        let right: Vec<_> = lines.iter().map(|line| (line.number, line.item.is_ok())).collect();
        assert_eq!(right, [(2, false), (3, false), (4, false), (5, true), (6, false)]);
        assert!(parse(b"address,colour\n", FileFormat::Csv).unwrap_err().contains("colour"));
    }

    fn any_item() -> impl Strategy<Value = ImportItem> {
        let text = "[^\\p{Cc};]{0,20}";
        (
            text,
            text,
            prop::option::of("[^\\p{Cc}]{1,20}"),
            prop::collection::vec("[^\\p{Cc}\\s;]{1,9}", 0..4),
            any::<bool>(),
        )
            .prop_map(|(address, name, hash, aliases, admin)| {
                let address = format!("a{address}");
                ImportItem { address, name, password: None, hash, aliases, admin }
            })
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, FileFormat::Csv);
            let _ = parse(&[&b"address,name,hash,aliases,admin\n"[..], &bytes].concat(), FileFormat::Csv);
            let _ = parse(&bytes, FileFormat::Jsonl);
        }

        #[test]
        fn what_is_written_is_read_again(items in prop::collection::vec(any_item(), 1..5)) {
            for format in [FileFormat::Csv, FileFormat::Jsonl] {
                let lines: String = items.iter().map(|item| write(item, format)).collect();
                let file = format!("{}{lines}", header(format));
                let read: Vec<_> = parse(file.as_bytes(), format).unwrap().into_iter().map(|line| line.item.unwrap()).collect();
                prop_assert_eq!(&read, &items);
            }
        }
    }
}
