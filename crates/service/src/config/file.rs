//! The TOML file: a key for each setting. One file may serve several commands, so a key that another
//! command knows is skipped; a key that none knows is a mistake.

use toml::Value;

use super::{Kind, Setting, Values};

impl Values {
    /// Takes what the file at `path` says.
    pub(super) fn offer_file(&mut self, settings: &[Setting], known: &[Setting], path: &str) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.mistakes.add(format_args!("--config {path}: {error}")),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.offer_table(settings, known, &table, path),
            Err(error) => self.mistakes.add(format_args!("{path}: {}", one_line(&error, &text))),
        }
    }

    fn offer_table(&mut self, settings: &[Setting], known: &[Setting], table: &toml::Table, path: &str) {
        for (key, value) in table {
            if let Some(setting) = settings.iter().find(|setting| setting.name == key) {
                match texts(setting, value) {
                    Ok(texts) => self.offer(setting, texts, format_args!("{key} in {path}")),
                    Err(says) => self.mistakes.add(format_args!("{key} in {path}: {says}")),
                }
            } else if !known.iter().any(|setting| setting.name == key) {
                self.mistakes.add(format_args!("{key} in {path}: no such option"));
            }
        }
    }
}

/// The error without the excerpt that the toml crate draws, and with the line it is on.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    format!("line {}: {}", before.lines().count().max(1), error.message().replace('\n', ", "))
}

fn texts(setting: &Setting, value: &Value) -> Result<Vec<String>, &'static str> {
    match (setting.kind, value) {
        (Kind::Pairs(between), Value::Table(table)) => {
            table.iter().map(|(name, value)| Ok(format!("{name}{between}{}", scalar(value)?))).collect()
        }
        (Kind::Pairs(_), _) => Err("must be a table"),
        (Kind::Many, Value::Array(values)) => values.iter().map(scalar).collect(),
        _ => Ok(vec![scalar(value)?]),
    }
}

fn scalar(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => Err("must be a text or a number"),
    }
}
