//! The two questions of the LOGIN mechanism, worded as clients of thirty years expect them.

/// First question.
pub(super) const USERNAME_PROMPT: &[u8] = b"Username:";
/// Second question.
pub(super) const PASSWORD_PROMPT: &[u8] = b"Password:";
