// SPDX-License-Identifier: GPL-2.0-or-later
// trail_vs_dialog: what keeping track of a call costs the SIP workers, with callstate and its log, and with stock dialog.
// The proxies run side by side; only one has calls at a time, in turn. What a call leaves behind (timers, the end of its
// transaction) is counted with it: a turn is measured until LINGER_MS after its last call, while the next one has its calls.
import { setTimeout as sleep } from 'node:timers/promises';
import { Proxy } from './proxy.mjs';
import { load, machine, median, round, spread } from './figures.mjs';

const LINGER_MS = 7000; /* tm keeps a transaction for 5 s, callstate an ended call for 5 s */

async function turn(p, o) {
  const before = p.cpu();
  const s = await p.caller({ calls: o.calls, rate: o.rate, limit: 3000 });
  const r = await s.done;
  const rest = sleep(LINGER_MS).then(() => {
    const after = p.cpu();
    const us = (g) => (after[g] - before[g]) / 1000 / o.calls;
    return { workers: us('workers'), delivery: us('delivery'), other: us('other'), failed: r.failed, resent: Number(r.stat['Retransmissions(C)'] ?? 0), seconds: o.calls / o.rate };
  });
  if (!r.ok) throw new Error(`${p.tracker}: ${r.failed} calls failed, sipp ended with ${r.code}: ${r.errors.slice(0, 500)}`);
  return rest;
}

/** @param o.rounds, o.seconds, o.rate, o.say @return {trackers: {name: {workers, delivery, …: [µs a call]}}, noise} */
export async function compare(ports, dir, trackers, o) {
  const calls = Math.round(o.rate * o.seconds);
  const proxies = {};
  const runs = Object.fromEntries(trackers.map((t) => [t, []]));
  try {
    for (const t of trackers) proxies[t] = await Proxy.start(t, ports, dir, { shm: 64 });
    for (const t of trackers) await turn(proxies[t], { calls: Math.round(o.rate), rate: o.rate }); /* warm */
    const idle = await idleUs(proxies);
    const a = machine();
    for (let i = 0; i < o.rounds; i++) {
      for (let k = 0; k < trackers.length; k++) {
        const t = trackers[(i + k) % trackers.length];
        runs[t].push(await begun(turn, proxies[t], { calls, rate: o.rate }));
      }
    }
    for (const t of trackers) runs[t] = await Promise.all(runs[t].map((x) => x.rest));
    return { calls, runs, idle, load: load(a, machine()), stats: proxies.callstate && await proxies.callstate.rpc.call('callstate.stats') };
  } finally {
    for (const p of Object.values(proxies)) await p.stop();
  }
}
