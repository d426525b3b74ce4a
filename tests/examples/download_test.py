#!/usr/bin/env python3
"""Runs download against a server on the loopback: files, missing files, and a port where nobody listens.

usage: download_test.py PROGRAM
"""
import functools
import http.server
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
FILES = {'empty.txt': b'', 'small.txt': b'hello\n', 'large.bin': os.urandom(1 << 20)}


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def closed_port():
    """A port of the loopback on which nobody listens."""
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


class Download(unittest.TestCase):
    def setUp(self):
        self.served, self.here = tempfile.TemporaryDirectory(), tempfile.TemporaryDirectory()
        self.addCleanup(self.served.cleanup)
        self.addCleanup(self.here.cleanup)
        for name, content in FILES.items():
            with open(os.path.join(self.served.name, name), 'wb') as file:
                file.write(content)
        handler = functools.partial(Handler, directory=self.served.name)
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.shutdown)
        self.root = 'http://127.0.0.1:%d/' % server.server_address[1]

    def download(self, *urls):
        """Exit status, and {url: what was printed of it}."""
        environment = {name: value for name, value in os.environ.items()
                       if not name.lower().endswith('_proxy')}
        result = subprocess.run([PROGRAM, *urls], cwd=self.here.name, env=environment, timeout=50,
                                stdout=subprocess.PIPE, check=False, universal_newlines=True)
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), len(urls), lines)
        return result.returncode, dict(line.split(': ', 1) for line in lines)

    def content(self, name):
        with open(os.path.join(self.here.name, name), 'rb') as file:
            return file.read()

    def test_files(self):
        status, said = self.download(*(self.root + name for name in FILES))
        self.assertEqual(status, 0, said)
        for name, content in FILES.items():
            self.assertEqual(said[self.root + name], '%d bytes' % len(content))
            self.assertEqual(self.content(name), content)

    def test_some_fail(self):
        refused = 'http://127.0.0.1:%d/small2.txt' % closed_port()
        urls = [self.root + 'missing.txt', self.root + 'small.txt', refused, self.root]
        status, said = self.download(*urls)
        self.assertEqual(status, 1)
        self.assertIn('404', said[urls[0]])
        self.assertEqual(said[urls[1]], '6 bytes')
        self.assertTrue(re.search('connect', said[refused]), said)
        self.assertEqual(said[self.root], 'the URL names no file')
        self.assertEqual(os.listdir(self.here.name), ['small.txt'], 'nothing is left of what failed')

    def test_many(self):
        """More than there are workers."""
        urls = [self.root + 'large.bin?%d' % i for i in range(50)]
        status, said = self.download(*urls)
        self.assertEqual(status, 0, said)
        self.assertEqual(set(said.values()), {'%d bytes' % (1 << 20)})


if __name__ == '__main__':
    unittest.main()
