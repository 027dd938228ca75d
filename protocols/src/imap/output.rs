//! What a session wants of its driver.

use super::store::Request;
use crate::sasl::Password;

/// One thing for the driver to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes to the client; at most 64 KiB.
    Write(Vec<u8>),
    /// Ask the store; answer with `Session::reply`. For [`Request::Fetch`] the driver writes to the client itself,
    /// after everything written before.
    Call(Request),
    /// Bytes of the message begun with [`Request::AppendStart`].
    AppendChunk(bytes::Bytes),
    /// The message begun with [`Request::AppendStart`] is complete. Another may follow before the commit.
    AppendEnd,
    /// Forget every message appended since the last commit.
    AppendAbort,
    /// A SASL exchange begins: answer with `Session::sasl_material` (fresh random bytes).
    NeedSaslMaterial,
    /// Check a password; answer with `Session::password_result`.
    CheckPassword {
        /// On whose behalf; `None`: the user's own. [`Request::OpenAccount`] will ask whether that is allowed.
        authzid: Option<String>,
        /// Who.
        username: String,
        /// The password; its `Debug` shows nothing.
        password: Password,
    },
    /// SCRAM needs the user's keys; answer with `Session::scram_keys` (`None`: no such user).
    NeedScram {
        /// Who.
        username: String,
    },
    /// Do the TLS handshake now, then call `Session::tls_started`. Bytes the client sent before it are discarded.
    StartTls,
    /// From now on both directions are raw DEFLATE (RFC 4978); bytes left in the input buffer are compressed already.
    /// Call `Session::compress_started`.
    StartCompress,
    /// The client idles: call `mailbox_changed` promptly. Without a selected mailbox nothing is to be watched.
    IdleStart,
    /// The client left IDLE.
    IdleStop,
    /// The session has worked for a while without writing: let other tasks run, then poll again.
    Yield,
    /// Close the connection; the session is over. Forget what it appended without commit, and its selected mailbox.
    Close,
}
