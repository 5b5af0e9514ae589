// SPDX-License-Identifier: GPL-2.0-or-later
// One Kamailio on loopback with bench.cfg, a callee behind it, calls through it, and what they cost.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { Proc, onExit, poll } from '../lib/proc.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Sipp } from '../lib/sipp.mjs';

const HERE = path.join(ROOT, 'tests', 'bench');
const FLAGS = { none: [], callstate: ['WITH_CALLSTATE'], dialog: ['WITH_DIALOG'], acc: ['WITH_ACC'] };
/** What waits for the disk or for a network, and so is no SIP worker. */
const DELIVERY = /spool|journal|callhook|delivery/i;
/** What serves neither SIP nor its timers: the first process and those of the RPC by which we look. */
const OTHER = /attendant|JSONRPC/i;

/** Nanoseconds on a CPU of all threads of a process. */
export function cpuNs(pid) {
  let ns = 0;
  for (const t of fs.readdirSync(`/proc/${pid}/task`)) ns += Number(fs.readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'latin1').split(' ')[0]);
  return ns;
}

export class Proxy {
  /** @param tracker none | callstate | dialog | acc @param o.db acc's @param o.shm MB of shared memory; with little left the allocator searches long, and that is measured */
  static async start(tracker, ports, dir, o = {}) {
    const p = new Proxy();
    p.tracker = tracker;
    p.ports = ports;
    p.dir = path.join(dir, tracker);
    p.spool = `/dev/shm/signalbox-bench-${process.pid}-${tracker}`;
    const tidy = () => fs.rmSync(p.spool, { recursive: true, force: true });
    tidy();
    p.forget = onExit(tidy);
    for (const d of [p.dir, p.spool, path.join(p.dir, 'journal')]) fs.mkdirSync(d, { recursive: true, mode: 0o700 });
    p.sockets = fs.mkdtempSync(path.join(os.tmpdir(), 'sb-'));
    p.port = await ports.next();
    const rpcPort = await ports.next();
    p.rpc = new Rpc(rpcPort);
    const callee = await ports.next();
    const defines = [...FLAGS[tracker], `LISTEN=udp:127.0.0.1:${p.port}`, `RPC_SOCKET="udp:127.0.0.1:${rpcPort}"`, `TARGET="sip:127.0.0.3:${callee}"`,
      `SPOOL_DIR="${p.spool}"`, `JOURNAL_DIR="${path.join(p.dir, 'journal')}"`, ...(o.db ? [`ACC_DB="${o.db}"`] : [])];
    p.kamailio = new Proc('kamailio', ['-DD', '-E', '-x', 'fm', '-X', 'fm', '-m', String(o.shm ?? 512), '-Y', p.sockets, '-L', `${path.join(BUILD, 'modules')}:${modules()}`,
      '-f', path.join(HERE, 'bench.cfg'), ...defines.flatMap((d) => ['-A', d])], { log: path.join(p.dir, 'kamailio.log'), cwd: p.dir });
    try {
      await poll(async () => {
        if (p.kamailio.exited) throw new Error(`kamailio with ${tracker} ended with ${p.kamailio.code}:\n${p.kamailio.tail()}`);
        try { return await p.rpc.call('core.uptime'); } catch { return false; }
      }, 15000, () => `kamailio with ${tracker} does not answer:\n${p.kamailio.tail()}`);
      p.callee = await Sipp.start({ scenario: path.join(HERE, 'callee.xml'), name: 'callee', dir: p.dir, ip: '127.0.0.3', port: callee, calls: 1e8, timeout: 3600 });
      await p.processes();
    } catch (e) { await p.stop(); throw e; }
    return p;
  }

  async processes() {
    this.groups = { workers: [], delivery: [], other: [] };
    for (const { PID, DSC } of await this.rpc.call('core.psx')) {
      const group = DELIVERY.test(DSC) ? 'delivery' : OTHER.test(DSC) ? 'other' : 'workers';
      this.groups[group].push({ pid: PID, name: DSC });
    }
  }

  /** CPU so far, in ns: {workers, delivery, other}. */
  cpu() {
    return Object.fromEntries(Object.entries(this.groups).map(([g, ps]) => [g, ps.reduce((sum, p) => sum + cpuNs(p.pid), 0)]));
  }

  /** Places calls. @param o.calls, o.rate, o.hold ms, o.limit @return a running Sipp */
  async caller(o) {
    this.turn = (this.turn ?? 0) + 1;
    return Sipp.start({ scenario: path.join(HERE, 'caller.xml'), name: `caller-${this.turn}`, dir: this.dir, ip: '127.0.0.2', port: await this.ports.next(),
      remote: `127.0.0.1:${this.port}`, service: '41441234567', calls: o.calls, rate: o.rate, limit: o.limit ?? o.calls, timeout: 600, trace: false,
      args: ['-d', String(o.hold ?? 0)] });
  }

  async shm() {
    return Number((await this.rpc.call('core.shmmem')).real_used);
  }

  async stop() {
    if (this.callee) await this.callee.proc.kill();
    await this.kamailio.stop(10000);
    this.rpc.close();
    fs.rmSync(this.spool, { recursive: true, force: true });
    fs.rmSync(this.sockets, { recursive: true, force: true });
    this.forget();
  }
}

function modules() {
  const dirs = ['/usr/lib/x86_64-linux-gnu/kamailio/modules', '/usr/lib/aarch64-linux-gnu/kamailio/modules', '/usr/lib/kamailio/modules', '/usr/local/lib64/kamailio/modules', '/usr/local/lib/kamailio/modules'];
  const d = dirs.find((p) => fs.existsSync(path.join(p, 'tm.so')));
  if (!d) throw new Error(`no Kamailio modules in ${dirs.join(', ')}: run "make deps"`);
  return d;
}
