//! The extractors: a handler that takes `Allowed<UsersRead>` cannot be reached without that permission.
