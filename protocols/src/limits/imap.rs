//! Bounds of the IMAP machine (I9). Each with its reason.
