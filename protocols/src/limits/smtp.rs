//! Bounds of the SMTP and LMTP machines.
