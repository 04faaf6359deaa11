//! Built-in trainers, their metrics, and the artifacts they leave.
