"A miniature mirror on localhost, the faults a mirror can have, and the files it serves."
import gzip
import http.server
import io
import struct
import tarfile
import threading

import numpy as np
from PIL import Image


def idx(shape, body, kind=8): return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body

def png(pixels):
    "A gray picture of 28×28 pixels, given as bytes, as the content of a PNG file."
    Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(28, 28)).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()

def tar(*members):
    "A tar archive of members (name, content); a number in place of content is the type of something that is no file."
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, int): member.type, member.linkname, content = b"%d" % content, "sample/good", b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

def send(host, body, code=200, **headers):
    host.send_response(code)
    for key, value in ({"Content-Length": len(body)} | headers).items(): host.send_header(key.replace("_", "-"), value)
    host.end_headers()
    host.wfile.write(body)
    host.wfile.flush()

def half(host, body): send(host, body[:len(body)//2], **{"Content-Length": len(body)})
def wait(host): host.server.over.wait(30)

faults = dict(
    not_found=lambda host, body: send(host, b"no such file", 404),
    server_error=lambda host, body: send(host, b"sorry", 500),
    redirects_forever=lambda host, body: send(host, b"", 302, Location=host.path),
    hangs_up=lambda host, body: None,
    speaks_no_http=lambda host, body: host.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"),
    truncated=half,
    truncated_at_the_source=lambda host, body: send(host, body[:-9]),
    empty=lambda host, body: send(host, b""),
    wrong_checksum=lambda host, body: send(host, gzip.compress(b"something else")),
    login_page=lambda host, body: send(host, b"<html>Welcome to our hotel"),
    length_is_a_word=lambda host, body: send(host, body[:-1], **{"Content-Length": "much"}),
    wrong_encoding=lambda host, body: send(host, b"plain", Content_Encoding="gzip"),
    stalls_before_headers=lambda host, body: wait(host),
    stalls_in_body=lambda host, body: (half(host, body), wait(host)))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path.split("/")[-1]
        server.asked.append(name)
        server.faults.get(name, send)(self, server.files[name])
    def log_message(self, *args): pass

class Host(http.server.ThreadingHTTPServer):
    "Serves `files`; `faults` maps a file's name to what happens instead; `asked` lists what was asked for."
    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.asked, self.over = files, {}, [], threading.Event()
        self.name = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
    def handle_error(self, *args): pass  # a client that hangs up
    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()
