//! The point-in-time join: for each label the newest feature row that was already true, and not too old.
