// SPDX-License-Identifier: GPL-2.0-or-later
// shm_per_call: shared memory that a call in progress costs, beyond tm's, with 10,000 of them on -m 64.
import { setTimeout as sleep } from 'node:timers/promises';
import { Proxy } from './proxy.mjs';
import { poll } from '../lib/proc.mjs';
import { round } from './figures.mjs';

const CALLS = 10000;
const RATE = 200; /* tm needs about 14 kB for each call of the last 5 s */
const SHM_MB = 64;

const trackers = {
  callstate: async (p) => { const s = await p.rpc.call('callstate.stats'); return { now: Number(s.calls_active), missed: Number(s.calls_untracked) }; },
  dialog: async (p) => { const s = await p.rpc.call('stats.fetch', 'dialog:'); return { now: Number(s['dialog.active_dialogs']), missed: Number(s['dialog.failed_dialogs']) }; },
};

/** 10,000 answered calls that stay, then tm's transactions gone: {bytes a call, peak MB, tracked, missed}. */
async function fill(tracker, ports, dir) {
  const p = await Proxy.start(tracker, ports, dir, { shm: SHM_MB });
  try {
    const before = await p.shm();
    const s = await p.caller({ calls: CALLS, rate: RATE, limit: CALLS, hold: 600000 });
    let tracked, peak = 0;
    const started = Date.now();
    while (Date.now() - started < (CALLS / RATE) * 1000 + 1500) {
      peak = Math.max(peak, await p.shm());
      if (s.proc.exited) throw new Error(`${tracker}: sipp ended with ${s.proc.code}: ${s.result().errors.slice(0, 500)}`);
      await sleep(500);
    }
    await poll(async () => { tracked = await trackers[tracker](p); return tracked.now >= CALLS || tracked.missed > 0; }, 10000, () => `${tracker} has ${tracked.now} of ${CALLS} calls`, 500);
    await poll(async () => Number((await p.rpc.call('tm.stats')).current) === 0, 15000, 'transactions stay', 500);
    const after = await p.shm();
    await s.proc.kill();
    return { bytes: (after - before) / CALLS, before: before / 2 ** 20, peak: peak / 2 ** 20, now: tracked.now, missed: tracked.missed };
  } finally {
    await p.stop();
  }
}

export async function shmPerCall(ports, dir, say) {
  const ours = await fill('callstate', ports, dir);
  const peer = await fill('dialog', ports, dir);
  for (const [name, f] of [['callstate', ours], ['dialog', peer]])
    say(`  ${name.padEnd(9)} ${f.now} calls in progress, ${f.missed} not tracked; ${round(f.bytes, 0)} bytes each; ${round(f.before)} MB before the first, at most ${round(f.peak)} of ${SHM_MB} MB in use while they were set up, ${RATE} a second`);
  const holds = ours.bytes <= 4096 && ours.now === CALLS && ours.missed === 0;
  return [{
    name: 'shm_per_call', ours: round(ours.bytes, 0), peer: round(peer.bytes, 0), peer_name: 'dialog', ratio: round(ours.bytes / peer.bytes, 2), unit: 'bytes',
    budget: '≤ 4096, 10,000 calls in 64 MB', holds, noise: 'none', runs: [{ ours, peer }],
  }];
}
