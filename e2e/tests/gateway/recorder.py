"""Ends TLS between a reader and a gateway, with the certificates of both, and records what crosses in the clear.

Arguments: address to listen on, address of the gateway, folder of the certificates, file of the record. The gateway is
asked for no compression, so that the record can be searched.
"""

import socket
import ssl
import sys
import threading

listen, gateway, folder, path = sys.argv[1:]
record = open(path, "ab", buffering=0)


def context(protocol, name):
    made = ssl.SSLContext(protocol)
    made.load_verify_locations(f"{folder}/ca.pem")
    made.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}-key.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            data = data.replace(b"accept-encoding: gzip", b"accept-encoding: none")
            record.write(data)
            sink.sendall(data)
    except OSError:
        pass
    for side in (source, sink):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def converse(plain):
    try:
        reader = server.wrap_socket(plain, server_side=True)
        host, port = address(gateway)
        behind = client.wrap_socket(socket.create_connection((host, port), 10), server_hostname=host)
        behind.settimeout(None)
    except OSError as error:
        print(error, flush=True)
        plain.close()
        return
    threading.Thread(target=pump, args=(reader, behind), daemon=True).start()
    pump(behind, reader)


server = context(ssl.PROTOCOL_TLS_SERVER, "server")
client = context(ssl.PROTOCOL_TLS_CLIENT, "client")
with socket.create_server(address(listen)) as listener:
    print("listening", flush=True)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=converse, args=(accepted,), daemon=True).start()
