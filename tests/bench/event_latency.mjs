// SPDX-License-Identifier: GPL-2.0-or-later
// event_latency: from an event's timestamp, taken in the SIP worker, to the moment a receiver has the whole request. Real calls
// through the whole routing script, a few a second, on a system that does nothing else. The peer: a bare POST of as many bytes
// from this process to the same receiver, on a connection that is open.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { poll } from '../lib/proc.mjs';
import { quantile, round, spread } from './figures.mjs';

const P50 = 5, P99 = 20; /* ms */
const RATE = 5; /* calls a second */
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** Wall clock in ms, finer than Date.now(), and right now: not at the start of this process. */
function clock() {
  let offset = -Infinity;
  for (let i = 0; i < 2000; i++) offset = Math.max(offset, Date.now() - performance.now());
  return () => performance.now() + offset + 0.5;
}

function receiver(seen) {
  const now = clock();
  const server = http.createServer((req, res) => {
    const parts = [];
    req.on('data', (d) => parts.push(d)).on('end', () => {
      const at = now();
      res.writeHead(204).end();
      seen.push({ at, body: Buffer.concat(parts) });
    });
  });
  server.keepAliveTimeout = 600000;
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server)); });
}

/** ms from `at` of each event to the receiver; "2026-01-31T12:00:00.123456Z" is finer than a Date. */
function latency({ at, body }) {
  const { timestamp } = JSON.parse(body);
  return at - Date.parse(`${timestamp.slice(0, 19)}Z`) - Number(timestamp.slice(20, 26)) / 1000;
}

async function bare(port, bytes, n) {
  const now = clock();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  const body = Buffer.alloc(bytes, 120);
  for (let i = 0; i < n; i++) {
    const began = now();
    await new Promise((resolve, reject) => {
      http.request({ host: '127.0.0.1', port, method: 'POST', agent }, (res) => { res.resume().on('end', resolve); }).on('error', reject).end(body);
    });
    times.push(now() - began);
    await sleep(20);
  }
  agent.destroy();
  return times;
}

/** @param o.rounds, o.calls in each */
export async function eventLatency(o, say) {
  const seen = [];
  const server = await receiver(seen);
  const { port } = server.address();
  const sb = await start({
    name: 'latency', rules: RULES, receiver: false,
    sql: `INSERT INTO callhook_endpoint (id, url, secret, allow_addresses) VALUES ('bench', 'http://127.0.0.1:${port}/', '${SECRET}', '127.0.0.0/8');`,
  });
  const runs = [];
  try {
    for (let i = 0; i <= o.rounds; i++) {
      const from = seen.length;
      const load = await Load.start(sb, { rate: RATE, name: `load${i}`, hold: 300 });
      await poll(() => load.ended().size >= o.calls, 120000, 'calls do not end', 100);
      const counted = await load.stop();
      if (counted.failed > 0) throw new Error(`${counted.failed} calls failed: ${counted.errors.slice(0, 500)}`);
      await poll(() => seen.length - from >= counted.successful * 5, 20000, () => `${seen.length - from} of ${counted.successful * 5} events came`, 50);
      const ours = seen.slice(from).map(latency);
      const peer = await bare(port, seen[from].body.length, 100);
      seen.length = from;
      if (i > 0) runs.push({ events: ours.length, ours: of(ours), peer: of(peer) });
    }
  } finally {
    await sb.stop();
    server.closeAllConnections();
    server.close();
  }
  const mid = (who, what) => quantile(runs.map((r) => r[who][what]), 0.5);
  const f = { p50: round(mid('ours', 'p50'), 2), p99: round(mid('ours', 'p99'), 2), bare50: round(mid('peer', 'p50'), 2), bare99: round(mid('peer', 'p99'), 2) };
  say(`  ${runs.map((r) => r.events).join(' + ')} events at ${RATE} calls a second: p50 ${f.p50} ms, p99 ${f.p99} ms, longest ${round(Math.max(...runs.map((r) => r.ours.max)), 1)} ms; a bare POST and its answer p50 ${f.bare50} ms, p99 ${f.bare99} ms`);
  return [{
    name: 'event_latency', ours: f.p50, peer: f.bare50, peer_name: 'a bare POST and its answer', ratio: round(f.p50 / f.bare50, 2), unit: 'ms, median',
    budget: `p50 ≤ ${P50} ms, p99 ≤ ${P99} ms`, holds: f.p50 <= P50 && f.p99 <= P99, noise: `± ${round(spread(runs.map((r) => r.ours.p50)))} %`,
    p99: { ours: f.p99, peer: f.bare99 }, runs,
  }];
}

const of = (times) => ({ p50: round(quantile(times, 0.5), 3), p99: round(quantile(times, 0.99), 3), max: round(Math.max(...times), 3) });
