//! The page whose code is compiled: a copy in which the code of the other libraries is not ignored.

#![doc = include_str!(concat!(env!("OUT_DIR"), "/migration.md"))]
