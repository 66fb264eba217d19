//! The Docker Engine API, as far as discovery needs it: read only, and nothing pinned.
