//! Connections whose other end takes nothing: they are let go of, so that slow readers cannot hold all places.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long an answer may take to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Whatever its length.
    pub at_least: Duration,
    /// And for each byte that was taken, in bytes a second.
    pub rate: u64,
}

/// As slow as the slowest mobile network, and 20 seconds beyond.
pub const PATIENCE: Patience = Patience { at_least: Duration::from_secs(20), rate: 16 << 10 };

/// A stream whose writing ends with an error when what is written is not taken in time.
pub struct Slow<S> {
    stream: S,
    patience: Patience,
    /// When what is being written began, and how much was taken since; nothing, where all was.
    begun: Option<(Instant, u64)>,
    end: Pin<Box<Sleep>>,
}

impl<S> Slow<S> {
    pub fn new(stream: S, patience: Patience) -> Slow<S> {
        Slow { stream, patience, begun: None, end: Box::pin(sleep_until(Instant::now())) }
    }

    /// Watches what a write comes to.
    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let (begun, taken) = self.begun.get_or_insert_with(|| (Instant::now(), 0));
        if let Poll::Ready(done) = written {
            *taken += *done.as_ref().unwrap_or(&0) as u64;
            return Poll::Ready(done);
        }
        let more = Duration::from_secs_f64(*taken as f64 / self.patience.rate as f64);
        self.end.as_mut().reset(*begun + self.patience.at_least + more);
        ready!(self.end.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not taken")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Slow<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.begun = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Writes so many bytes to one that reads `some` of them every 20 ms; gives what comes of it.
    fn written(bytes: usize, some: usize, patience: Patience) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let reader = std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                let mut buffer = vec![0; some.max(1)];
                let mut left = if some == 0 { 0 } else { bytes };
                while left > 0 {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => left -= read,
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                if some == 0 {
                    // It has the connection, and takes nothing.
                    std::thread::sleep(Duration::from_millis(1500));
                }
            });
            let stream: TcpStream = listener.accept().await.unwrap().0;
            let mut slow = Slow::new(stream, patience);
            let (data, mut at) = (vec![7u8; bytes], 0);
            let done = poll_fn(|context| {
                while at < data.len() {
                    at += ready!(Pin::new(&mut slow).poll_write(context, &data[at..]))?;
                }
                Pin::new(&mut slow).poll_flush(context)
            });
            let done = done.await;
            drop(slow);
            reader.join().unwrap();
            done
        })
    }

    #[test]
    fn who_takes_nothing_is_let_go_and_who_takes_enough_is_not() {
        // More than the system keeps for a connection.
        let bytes = 24 << 20;
        let strict = Patience { at_least: Duration::from_millis(300), rate: 1 << 30 };
        assert_eq!(written(bytes, 0, strict).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let slow = Patience { at_least: Duration::from_millis(300), rate: 1 << 20 };
        written(bytes, 1 << 20, slow).unwrap();
    }
}
