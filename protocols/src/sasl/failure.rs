//! Why an exchange failed: for logs and for choosing a reply code, never to be told to the client in detail.

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The message is not of the mechanism's grammar, or a name or password cannot be prepared.
    #[error("malformed message")]
    Malformed,
    /// A message, name, password or nonce is over its bound.
    #[error("message over its bound")]
    TooLong,
    /// The password or proof is wrong, or the account is unknown.
    #[error("wrong credentials")]
    BadCredentials,
    /// The client demands channel binding, which is not offered.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// The client demands a mandatory extension of SCRAM (RFC 5802 section 5.1, attribute `m`).
    #[error("unknown mandatory extension")]
    Extension,
    /// A call or message that the state of the exchange does not expect.
    #[error("message out of order")]
    OutOfOrder,
}
