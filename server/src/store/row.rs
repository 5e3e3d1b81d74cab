//! One row of an answer, whichever database it came from.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use super::StoreError;

/// One row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A parameter of a statement.
#[derive(Clone, Copy)]
pub(super) enum Bind<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Integer(i64),
}

impl Row {
    pub(super) fn text(&self, index: usize) -> Result<String, StoreError> {
        self.column(index)
    }

    pub(super) fn optional_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        self.column(index)
    }

    pub(super) fn integer(&self, index: usize) -> Result<i64, StoreError> {
        self.column(index)
    }

    /// A number that is never negative; one that was made negative by hand is none that fits anything.
    pub(super) fn count(&self, index: usize) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.integer(index)?).unwrap_or_default())
    }

    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, StoreError> {
        self.column(index)
    }

    /// A hash or MAC. One of another length is none: it verifies as nothing.
    pub(super) fn hash(&self, index: usize) -> Result<[u8; 32], StoreError> {
        Ok(self.bytes(index)?.try_into().unwrap_or_default())
    }

    fn column<T>(&self, index: usize) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        }
        .map_err(StoreError::Read)
    }
}
