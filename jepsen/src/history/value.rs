//! What operations carry: a small value that can be written as EDN and taken apart by checkers.

use std::collections::BTreeMap;
use std::fmt;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Some values in order.
    List(Vec<Value>),
    /// Named values.
    Map(BTreeMap<&'static str, Value>),
}

impl Value {
    /// Named values.
    pub fn map<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
        Value::Map(fields.into())
    }

    /// Numbers in order.
    pub fn ints(numbers: impl IntoIterator<Item = i64>) -> Value {
        Value::List(numbers.into_iter().map(Value::Int).collect())
    }

    /// A named part; nothing when there is none.
    pub fn get(&self, name: &str) -> &Value {
        match self {
            Value::Map(fields) => fields.get(name).unwrap_or(&Value::Nil),
            _ => &Value::Nil,
        }
    }

    /// As a number.
    pub fn int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    /// Its parts; none when it is not a list.
    pub fn list(&self) -> &[Value] {
        if let Value::List(parts) = self { parts } else { &[] }
    }

    /// The numbers of a list.
    pub fn numbers(&self) -> impl Iterator<Item = i64> + '_ {
        self.list().iter().filter_map(Value::int)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Value {
        Value::Bool(it)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    /// As EDN.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => out.write_str("nil"),
            Value::Bool(it) => write!(out, "{it}"),
            Value::Int(number) => write!(out, "{number}"),
            Value::Text(text) => write_text(out, text),
            Value::List(parts) => {
                out.write_str("[")?;
                for (index, part) in parts.iter().enumerate() {
                    let gap = if index == 0 { "" } else { " " };
                    write!(out, "{gap}{part}")?;
                }
                out.write_str("]")
            }
            Value::Map(fields) => {
                out.write_str("{")?;
                for (index, (name, part)) in fields.iter().enumerate() {
                    let gap = if index == 0 { "" } else { ", " };
                    write!(out, "{gap}:{name} {part}")?;
                }
                out.write_str("}")
            }
        }
    }
}

/// A string of EDN: backslash, quote and line ends escaped.
pub(super) fn write_text(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}
