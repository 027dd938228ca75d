//! A door into a namespace: a process that runs inside it and joins Unix sockets, which know no namespaces, to TCP ports.
//! Carries bytes and ends of streams, nothing else. Clients reach a node as from its own machine, where a password needs
//! no TLS; the faults are between the nodes.

use anyhow::{Context, Result, bail};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

/// Serves doors `unix:PATH=tcp:ADDR` (inwards) and `tcp:ADDR=unix:PATH` (outwards) until the process is killed.
pub fn serve(doors: &[String]) -> Result<()> {
    let threads: Vec<_> = doors.iter().map(|door| open(door)).collect::<Result<_>>()?;
    println!("open");
    io::stdout().flush()?;
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn open(door: &str) -> Result<thread::JoinHandle<()>> {
    let (from, to) = door.split_once('=').context("FROM=TO")?;
    match (from.split_once(':'), to.split_once(':')) {
        (Some(("unix", path)), Some(("tcp", address))) => {
            let (listener, address): (_, SocketAddr) = (UnixListener::bind(path)?, address.parse()?);
            Ok(thread::spawn(move || {
                for outer in listener.incoming().flatten() {
                    thread::spawn(move || TcpStream::connect(address).map(|inner| join(inner, outer)));
                }
            }))
        }
        (Some(("tcp", address)), Some(("unix", path))) => {
            let (listener, path) = (TcpListener::bind(address)?, path.to_owned());
            Ok(thread::spawn(move || {
                for inner in listener.incoming().flatten() {
                    let path = path.clone();
                    thread::spawn(move || UnixStream::connect(path).map(|outer| join(inner, outer)));
                }
            }))
        }
        _ => bail!("not a door: {door}"),
    }
}

/// Copies both ways until both sides have ended.
fn join(tcp: TcpStream, unix: UnixStream) {
    let _ = tcp.set_nodelay(true);
    let (Ok(tcp_reader), Ok(unix_reader)) = (tcp.try_clone(), unix.try_clone()) else { return };
    let inwards = thread::spawn(move || {
        copy(unix_reader, &tcp);
        let _ = tcp.shutdown(Shutdown::Write);
    });
    copy(tcp_reader, &unix);
    // A node that is gone ends the client's whole connection: nobody will read what it still sends.
    let _ = unix.shutdown(Shutdown::Both);
    let _ = inwards.join();
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 * 1024];
    // The end of either side is the end.
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
