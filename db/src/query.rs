//! Questions about documents.
