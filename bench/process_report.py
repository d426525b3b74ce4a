#!/usr/bin/env python3
"""process_report.py: prints the rows of process_main.c and process_peer.py as one table, in Markdown.

usage: process_report.py PROCESS.json PEER.json

SPDX-License-Identifier: MIT
"""
import json
import sys


def number(value):
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def cell(quartiles):
    if quartiles is None:
        return ''
    low, median, high = quartiles[:3]
    return f'{number(median)} ({number(low)}-{number(high)})'


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        rows = json.load(file)
    with open(sys.argv[2], encoding='utf-8') as file:
        peers = {row['key']: row for row in json.load(file)}
    print('| row | unit | filch | the machine alone | Python | joblib (loky) |')
    print('|---|---|---|---|---|---|')
    for row in rows:
        peer = peers.get(row['key'], {})
        cells = [row['title'], row['unit'], cell(row['filch']), cell(row.get('bare')), cell(peer.get('python')),
                 cell(peer.get('loky'))]
        print('| ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
