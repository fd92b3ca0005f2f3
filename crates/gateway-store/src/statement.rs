//! A statement put together from fixed pieces and `$n` parameters. sqlx's own builder writes `?`,
//! which PostgreSQL does not know. Values only ever become parameters, never text.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Vec<u8>),
}

/// A statement under construction.
pub(crate) struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds a fixed piece.
    pub(crate) fn sql(&mut self, piece: &'static str) -> &mut Self {
        self.sql.push_str(piece);
        self
    }

    fn value(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    /// Adds a text parameter.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.value(Value::Text(Some(text.to_owned())))
    }

    /// Adds a text parameter that may be NULL.
    pub(crate) fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        self.value(Value::Text(text.map(str::to_owned)))
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: i64) -> &mut Self {
        self.value(Value::Number(Some(number)))
    }

    /// Adds bytes.
    pub(crate) fn bytes(&mut self, bytes: Vec<u8>) -> &mut Self {
        self.value(Value::Bytes(bytes))
    }

    /// Adds a match of `column` (already in lower case) with anything that contains `text`.
    pub(crate) fn contains(&mut self, lowered_column: &'static str, text: &str) -> &mut Self {
        let pattern = format!("%{}%", literal(&text.to_lowercase()));
        self.sql(lowered_column).sql(" LIKE ").text(&pattern).sql(" ESCAPE '\\'")
    }

    /// Adds a match of `column` with anything that begins with `text`.
    pub(crate) fn begins_with(&mut self, column: &'static str, text: &str) -> &mut Self {
        let pattern = format!("{}%", literal(text));
        self.sql(column).sql(" LIKE ").text(&pattern).sql(" ESCAPE '\\'")
    }

    /// The query, ready to run.
    pub(crate) fn query(self) -> Query<'static, Any, AnyArguments> {
        // Safe: `sql` grew from `&'static str` pieces and our own `$n` only.
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }
}

/// A text in which the wildcards of LIKE stand for themselves.
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
