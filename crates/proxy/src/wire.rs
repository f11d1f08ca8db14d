//! Small writes in one piece. hyper hands a head and a short body over as two pieces; for the
//! kernel, gathering two pieces costs more than copying a few hundred bytes does here.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// Writes up to this size are joined; a larger copy would cost more than it saves.
const JOINED_BYTES_MAX: usize = 8192;

/// Writes pieces, joined in `joined` where they are small.
pub fn poll_write<W: AsyncWrite + Unpin>(
    mut writer: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
    joined: &mut Vec<u8>,
) -> Poll<std::io::Result<usize>> {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    match pieces {
        [one] => writer.as_mut().poll_write(cx, one),
        _ if total <= JOINED_BYTES_MAX => {
            joined.clear();
            for piece in pieces {
                joined.extend_from_slice(piece);
            }
            writer.as_mut().poll_write(cx, joined)
        }
        _ => writer.as_mut().poll_write_vectored(cx, pieces),
    }
}
