// SPDX-License-Identifier: GPL-2.0-or-later
// Child processes: each in a group of its own, its output in a file, gone when we are gone.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { EventEmitter } from 'node:events';

const running = new Set();
const atExit = new Set();

function signalGroup(pid, signal) {
  try { process.kill(-pid, signal); } catch (e) { if (e.code !== 'ESRCH') throw e; }
}

/** The processes of a group that still run; a dead one that nobody has waited for yet does not count. */
export function groupMembers(pid) {
  return fs.readdirSync('/proc').filter((n) => {
    if (!/^\d+$/.test(n)) return false;
    let stat;
    try { stat = fs.readFileSync(`/proc/${n}/stat`, 'latin1'); } catch { return false; }
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(pgrp) === pid && state !== 'Z' && state !== 'X';
  }).map(Number);
}

export function groupAlive(pid) {
  return groupMembers(pid).length > 0;
}

process.on('exit', () => {
  for (const p of running) if (!p.keep) signalGroup(p.pid, 'SIGKILL');
  for (const f of atExit) { try { f(); } catch { /* leaving anyway */ } }
});
for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => process.exit(s === 'SIGINT' ? 130 : 143));

/** Runs f when this process ends, whatever ends it but SIGKILL. @return a function that forgets it again */
export function onExit(f) {
  atExit.add(f);
  return () => atExit.delete(f);
}

/** Waits for a promise, but not for ever: rejects with `what` after ms. */
export function within(ms, what, promise) {
  let t;
  const late = new Promise((_, no) => { t = setTimeout(() => no(new Error(`${typeof what === 'function' ? what() : what} (waited ${ms / 1000} s)`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(t));
}

/** Asks `check` again every `step` ms until it says something true: for what gives no event of its own. */
export async function poll(check, ms, what, step = 20) {
  const end = Date.now() + ms;
  for (;;) {
    const v = await check();
    if (v) return v;
    if (Date.now() > end) throw new Error(`${typeof what === 'function' ? await what() : what} (waited ${ms / 1000} s)`);
    await new Promise((r) => setTimeout(r, step));
  }
}

export class Proc extends EventEmitter {
  /**
   * @param o.log   file for stdout and stderr
   * @param o.cwd, o.env, o.stdin ('ignore' | 'pipe')
   * @param o.keep  lives on when this process ends
   */
  constructor(cmd, args, o = {}) {
    super();
    this.cmd = cmd;
    this.log = o.log;
    this.keep = Boolean(o.keep);
    const fd = fs.openSync(o.log, 'a');
    const argv = this.keep ? [cmd, ...args] : ['setpriv', '--pdeathsig', 'TERM', cmd, ...args];
    this.child = spawn(argv[0], argv.slice(1), { cwd: o.cwd, env: o.env ?? process.env, detached: true, stdio: [o.stdin ?? 'ignore', fd, fd] });
    fs.closeSync(fd);
    this.pid = this.child.pid;
    this.code = undefined;
    running.add(this);
    if (this.keep) this.child.unref();
    this.done = new Promise((resolve) => {
      this.child.once('error', (e) => { running.delete(this); this.code = -1; this.error = e; resolve(-1); });
      this.child.once('exit', (code, signal) => {
        this.code = code ?? signal;
        if (!groupAlive(this.pid)) running.delete(this);
        this.emit('exit', this.code);
        resolve(this.code);
      });
    });
  }

  get exited() { return this.code !== undefined; }

  /** The last lines it wrote. */
  tail(lines = 25) {
    try { return fs.readFileSync(this.log, 'utf8').split('\n').slice(-lines).join('\n'); } catch { return ''; }
  }

  signal(s) { if (!this.exited) { try { process.kill(this.pid, s); } catch (e) { if (e.code !== 'ESRCH') throw e; } } }

  signalAll(s) { signalGroup(this.pid, s); }

  /** SIGTERM to the first process, after a second to each (as systemd does), then SIGKILL to all that is left. @return true if it went without */
  async stop(ms = 5000) {
    const gone = (t) => poll(() => this.exited && !groupAlive(this.pid), t, '').then(() => true, () => false);
    this.signal('SIGTERM');
    let clean = await gone(1000);
    if (!clean) {
      this.signalAll('SIGTERM');
      clean = await gone(ms);
    }
    if (!clean) await this.kill();
    running.delete(this);
    return clean;
  }

  /** SIGKILL to every process of the group, and waits until none is left. */
  async kill() {
    this.signalAll('SIGKILL');
    await poll(() => this.exited && !groupAlive(this.pid), 5000, `${this.cmd} (pid ${this.pid}) survives SIGKILL`);
    running.delete(this);
  }
}

/** Runs a short command to its end. @return {code, out} with stdout and stderr together */
export function run(cmd, args, o = {}) {
  return new Promise((resolve, reject) => {
    const c = spawn(cmd, args, { cwd: o.cwd, env: o.env ?? process.env, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let stdout = '';
    c.stdout.setEncoding('utf8').on('data', (d) => { out += d; stdout += d; });
    c.stderr.setEncoding('utf8').on('data', (d) => { out += d; });
    c.stdin.on('error', () => {});
    c.stdin.end(o.input ?? '');
    const t = setTimeout(() => c.kill('SIGKILL'), o.timeout ?? 20000);
    c.once('error', (e) => { clearTimeout(t); reject(e); });
    c.once('close', (code, signal) => { clearTimeout(t); resolve({ code: code ?? signal, out, stdout }); });
  });
}
