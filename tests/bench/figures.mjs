// SPDX-License-Identifier: GPL-2.0-or-later
// Medians, ratios, and how noisy the machine was.
import fs from 'node:fs';
import os from 'node:os';

export function quantile(values, q) {
  const v = [...values].sort((a, b) => a - b);
  const at = (v.length - 1) * q;
  const low = Math.floor(at);
  return v[low] + (v[Math.min(low + 1, v.length - 1)] - v[low]) * (at - low);
}

export const median = (values) => quantile(values, 0.5);

/** Half the distance of the quartiles, in % of the median. */
export const spread = (values) => ((quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values)) * 100;

export const round = (n, digits = 1) => Number(n.toFixed(digits));

/** CPU time of the whole machine since boot, in ticks: {busy, steal, all}. */
export function machine() {
  const [user, nice, system, idle, iowait, irq, softirq, steal] = fs.readFileSync('/proc/stat', 'latin1').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return { busy: user + nice + system + irq + softirq, steal, all: user + nice + system + idle + iowait + irq + softirq + steal };
}

/** Between two looks at machine(): % of all cores that were busy, and that the host took away. */
export function load(a, b) {
  const all = b.all - a.all || 1;
  return { busy: round(((b.busy - a.busy) / all) * 100), steal: round(((b.steal - a.steal) / all) * 100) };
}

export function about() {
  const cpus = os.cpus();
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? 'unknown CPU'}, Linux ${os.release()}`;
}
