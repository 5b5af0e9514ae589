// SPDX-License-Identifier: GPL-2.0-or-later
// journal_append: one event put together and put into the worker's ring, beside a bare write() of as many bytes to the same tmpfs.
import path from 'node:path';
import { BUILD } from '../lib/paths.mjs';
import { run } from '../lib/proc.mjs';
import { median, round, spread } from './figures.mjs';

const ROUNDS = 5;
const RECORDS = 100000;
const P50 = 5, P99 = 50; /* µs */

async function program(name, ...args) {
  const r = await run(path.join(BUILD, 'bench', name), args.map(String), { timeout: 60000 });
  if (r.code !== 0) throw new Error(`${name} ended with ${r.code}: ${r.out.trim()}`);
  return JSON.parse(r.stdout);
}

export async function journalAppend(say) {
  const ours = [], peer = [];
  for (let i = 0; i < ROUNDS; i++) {
    ours.push(await program('journal_append', RECORDS));
    peer.push(await program('plain_write', RECORDS, ours[0].bytes));
  }
  const us = (list, name) => round(median(list.map((x) => x[name])) / 1000, 2);
  const f = { p50: us(ours, 'p50_ns'), p99: us(ours, 'p99_ns'), bare50: us(peer, 'p50_ns'), bare99: us(peer, 'p99_ns') };
  say(`  records of ${ours[0].bytes} bytes: p50 ${f.p50} µs, of which ${us(ours, 'assemble_p50_ns')} to put it together; p99 ${f.p99} µs; a bare write p50 ${f.bare50} µs, p99 ${f.bare99} µs`);
  return [{
    name: 'journal_append', ours: f.p50, peer: f.bare50, peer_name: `write() of ${ours[0].bytes} bytes`, ratio: round(f.p50 / f.bare50, 2), unit: 'µs, median',
    budget: `p50 ≤ ${P50} µs, p99 ≤ ${P99} µs`, holds: f.p50 <= P50 && f.p99 <= P99, noise: `± ${round(spread(ours.map((x) => x.p50_ns)))} %`,
    p99: { ours: f.p99, peer: f.bare99 }, runs: ours.map((o, i) => ({ ours: o, peer: peer[i] })),
  }];
}
