//! The place in a list where the next page begins, as text that only this server reads.

use super::error::ApiError;
use super::parameters::{refused, shortened};

/// Behind the transmission with this id, in this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    transmission_id: i64,
    db_uuid: String,
}

impl Cursor {
    pub(crate) fn behind(transmission_id: i64, db_uuid: &str) -> Self {
        Self {
            transmission_id,
            db_uuid: db_uuid.to_owned(),
        }
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`].
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let parse = || {
            // Packets that were imported beside others have negative ids.
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (id, db_uuid) = digits.split_once('-')?;
            let id: i64 = id
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then_some(id)?
                .parse()
                .ok()?;
            let is_negative = digits.len() < text.len();
            Some(Self::behind(if is_negative { -id } else { id }, db_uuid))
        };
        parse().ok_or_else(|| {
            let problem = format!(
                "it must be the nextCursor of another answer, not {:?}",
                shortened(text)
            );
            refused("cursor", &problem)
        })
    }

    pub(crate) fn to_text(&self) -> String {
        format!("{}-{}", self.transmission_id, self.db_uuid)
    }

    /// The id of the transmission before the next page.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] when the cursor is not for this database: ids begin anew in each.
    pub(crate) fn transmission_id(&self, db_uuid: &str) -> Result<i64, ApiError> {
        if self.db_uuid == db_uuid {
            Ok(self.transmission_id)
        } else {
            let problem =
                "it is of another database, which this one has replaced: begin without a cursor";
            Err(refused("cursor", &problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = Cursor::behind(42, "some-uuid");
        assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
        assert_eq!(cursor.transmission_id("some-uuid").unwrap(), 42);
        assert!(cursor.transmission_id("another").is_err());
        let imported = Cursor::behind(-42, "some-uuid");
        assert_eq!(Cursor::parse(&imported.to_text()).unwrap(), imported);
        for bad in [
            "",
            "-",
            "42",
            "+4-u",
            "4 -u",
            "--4-u",
            "-4",
            "9999999999999999999-u",
            "zz-u",
        ] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
