#!/usr/bin/env python3
"""process_peer.py: the jobs of process_rows.c with Python's ProcessPoolExecutor, and joblib's if it is installed.

usage: process_peer.py [--quick] FILE

Writes the rows to FILE as process_main.c does: key, unit, and quartiles of the samples under "python" ("loky").
What the pools cannot do the way the row asks (a result that is not copied) they do as they can.

SPDX-License-Identifier: MIT
"""
import json
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

MIB = 1 << 20
PAUSE = 0.005


def echo(number):
    return number


def give(size):
    return b'\x01' * size


def take(data):
    return len(data)


def sleep_long():
    time.sleep(10)


def quartiles(samples):
    samples = sorted(samples)
    return [samples[round(q * (len(samples) - 1))] for q in (0.25, 0.5, 0.75, 0.99)]


def timed(job):
    begin = time.perf_counter()
    result = job()
    return time.perf_counter() - begin, result


def check(right):
    if not right:
        sys.exit('process_peer.py: a wrong result')


def parked(pool, count):
    samples = []
    for i in range(count):
        time.sleep(PAUSE)
        seconds, result = timed(lambda i=i: pool.submit(echo, i).result())
        check(result == i)
        samples.append(seconds * 1e6)
    return samples


def hot(pool, count):
    return [timed(lambda i=i: pool.submit(echo, i).result())[0] * 1e6 for i in range(count)]


def pipelined(pool, count):
    seconds, total = timed(lambda: sum(f.result() for f in [pool.submit(echo, i) for i in range(count)]))
    check(total == count * (count - 1) // 2)
    return [count / seconds]


def chunked(pool, count):
    seconds, total = timed(lambda: sum(pool.map(echo, range(count), chunksize=100)))
    check(total == count * (count - 1) // 2)
    return [count / seconds]


def up(pool, size):
    pool.submit(give, size).result()
    samples = []
    for _ in range(3):
        seconds, result = timed(lambda: pool.submit(give, size).result())
        check(len(result) == size)
        samples.append(size / seconds / 1e9)
    return samples


def down(pool, size):
    data = b'\x01' * size
    pool.submit(take, data).result()
    return [size / timed(lambda: pool.submit(take, data).result())[0] / 1e9 for _ in range(3)]


def make():
    return ProcessPoolExecutor(1)


def start():
    samples = []
    for _ in range(5):
        with make() as pool:
            samples.append(timed(lambda pool=pool: pool.submit(echo, 1).result())[0] * 1e6)
    return samples


def death(recover):
    samples = []
    for _ in range(3):
        pool = make()
        pid = pool.submit(os.getpid).result()
        future = pool.submit(sleep_long)
        while not future.running():
            time.sleep(0.001)
        time.sleep(0.05)
        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        try:
            future.result()
            check(False)
        except BrokenProcessPool:
            pass
        if recover:  # the pool is broken: a new one
            pool = make()
            pool.submit(echo, 1).result()
        samples.append((time.perf_counter() - begin) * 1e6)
        pool.shutdown()
    return samples


def rows(pool, quick):
    scale = 4 if quick else 1
    yield 'parked', 'us', parked(pool, 60 // scale)
    yield 'hot', 'us', hot(pool, 4000 // scale)
    yield 'pipelined', '1/s', pipelined(pool, 20000 // scale)
    yield 'chunked', '1/s', chunked(pool, 400000 // scale)
    for text, size in (('64 B', 64), ('4 KiB', 4096), ('64 KiB', 65536), ('1 MiB', MIB), ('64 MiB', 64 * MIB),
                       ('256 MiB', 256 * MIB)):
        yield 'up/' + text, 'GB/s', up(pool, size)
        yield 'down/' + text, 'GB/s', down(pool, size)


def note(found, name, key, unit, samples):
    found.setdefault(key, {'key': key, 'unit': unit})[name] = quartiles(samples)


def main():
    quick = '--quick' in sys.argv
    found = {}
    with make() as pool:
        pool.submit(echo, 1).result()
        for key, unit, samples in rows(pool, quick):
            note(found, 'python', key, unit, samples)
    note(found, 'python', 'start', 'us', start())
    note(found, 'python', 'death', 'us', death(False))
    note(found, 'python', 'recovery', 'us', death(True))
    try:
        from joblib.externals.loky import get_reusable_executor
    except ImportError:
        pass
    else:
        pool = get_reusable_executor(max_workers=1)
        pool.submit(echo, 1).result()
        for key, unit, samples in rows(pool, quick):
            note(found, 'loky', key, unit, samples)
        pool.shutdown()
    with open(sys.argv[-1], 'w', encoding='utf-8') as file:
        json.dump(list(found.values()), file, indent=1)


if __name__ == '__main__':
    main()
