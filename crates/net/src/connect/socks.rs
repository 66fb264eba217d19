//! A way through a SOCKS 5 proxy (RFC 1928, with user and password by RFC 1929).
//!
//! As Go does it: names are resolved by the proxy, and one that asks for no password gets none. The
//! client of hyper-util offers a password or nothing, and has no room for a long one.

use std::net::IpAddr;

use swarmscout_model::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::stream::Socket;
use crate::UserInfo;
use crate::error::io_words;
use crate::proxy::Proxy;

const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks a proxy for a way to a server. The error is the cause in plain words.
pub(super) async fn open(
    mut socket: Socket,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<Socket, String> {
    let methods: &[u8] = match proxy.user {
        None => &[VERSION, 1, NO_PASSWORD],
        Some(_) => &[VERSION, 2, NO_PASSWORD, PASSWORD],
    };
    write(&mut socket, methods).await?;
    let [version, method] = read(&mut socket).await?;
    check_version(version)?;
    match (method, &proxy.user) {
        (NO_PASSWORD, _) => {}
        (PASSWORD, Some(user)) => authenticate(&mut socket, user).await?,
        (NOTHING_ACCEPTABLE, None) => {
            return Err("the proxy wants a user and a password: write them into its URL".to_owned());
        }
        _ => return Err("the proxy wants a kind of authentication that is not known".to_owned()),
    }
    write(&mut socket, &request(host, port)?).await?;
    let [version, reply, _, kind] = read(&mut socket).await?;
    check_version(version)?;
    if reply != 0 {
        return Err(words(reply));
    }
    // The address that the proxy uses; it is not needed.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(read::<1>(&mut socket).await?[0]),
        _ => return Err(not_socks()),
    };
    let mut address = vec![0; length + 2];
    socket.read_exact(&mut address).await.map_err(|error| closed(&error))?;
    Ok(socket)
}

async fn authenticate(socket: &mut Socket, user: &UserInfo) -> Result<(), String> {
    let password = user.password.as_ref().map_or("", Secret::expose);
    let (Ok(user_length), Ok(length)) =
        (u8::try_from(user.username.len()), u8::try_from(password.len()))
    else {
        return Err("user or password of the proxy is longer than 255 bytes".to_owned());
    };
    let mut message = Zeroizing::new(Vec::with_capacity(3 + 2 * 255));
    message.extend_from_slice(&[PASSWORD_VERSION, user_length]);
    message.extend_from_slice(user.username.as_bytes());
    message.push(length);
    message.extend_from_slice(password.as_bytes());
    write(socket, &message).await?;
    match read(socket).await? {
        [PASSWORD_VERSION, 0] => Ok(()),
        [PASSWORD_VERSION, _] => Err("the proxy refuses user or password of its URL".to_owned()),
        _ => Err(not_socks()),
    }
}

fn request(host: &str, port: u16) -> Result<Vec<u8>, String> {
    let mut message = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| "host name is too long for SOCKS")?;
            message.extend_from_slice(&[NAME, length]);
            message.extend_from_slice(host.as_bytes());
        }
    }
    message.extend_from_slice(&port.to_be_bytes());
    Ok(message)
}

async fn write(socket: &mut Socket, message: &[u8]) -> Result<(), String> {
    socket.write_all(message).await.map_err(|error| closed(&error))?;
    socket.flush().await.map_err(|error| closed(&error))
}

async fn read<const N: usize>(socket: &mut Socket) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).await.map_err(|error| closed(&error))?;
    Ok(bytes)
}

fn closed(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the proxy closed the connection".to_owned(),
        _ => io_words(error),
    }
}

fn check_version(version: u8) -> Result<(), String> {
    if version == VERSION { Ok(()) } else { Err(not_socks()) }
}

fn not_socks() -> String {
    "the proxy does not speak SOCKS 5".to_owned()
}

/// What a reply of the proxy means.
fn words(reply: u8) -> String {
    let words = match reply {
        1 => "the proxy failed",
        2 => "the proxy's rules do not allow it",
        3 => "the proxy finds the network unreachable",
        4 => "the proxy finds no route to the host, or cannot resolve its name",
        5 => "connection refused, says the proxy",
        6 => "the proxy got no answer in time",
        7 => "the proxy does not know CONNECT",
        8 => "the proxy does not know this kind of address",
        _ => return format!("the proxy refuses with code {reply}"),
    };
    words.to_owned()
}
