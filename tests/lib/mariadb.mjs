// SPDX-License-Identifier: GPL-2.0-or-later
// A MariaDB of a test's own: private mariadbd on loopback and a unix socket, its data in the run directory; gone when the test is.
// It needs no root, and nothing of a MariaDB that the machine may run.
//
//     const m = await Mariadb.start({ dir, ports });    { tls: true } with a CA made now; { diskMb: 96 } data on a disk of that size
//     m.url, m.socketUrl, m.tlsUrl                      as in modules/common/db.h; the database "signalbox" is empty
//     m.host, m.port, m.socket, m.user, m.password, m.database, m.ca
//     await m.query('SELECT COUNT(*) FROM x')           as its administrator, not as m.user; rows of tab-separated text, no heading
//     await m.file('data.sql')
//     m.freeze(); m.thaw();                             SIGSTOP: connections stay open, nothing answers
//     await m.kill9(); await m.restart();               same data, same port
//     await m.setPassword('other'); await m.kick();     kick: ends the connections of m.user
//     m.disk.fill(); m.disk.makeRoom(); await m.revive();
//     await m.stop();
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import crypto from 'node:crypto';
import { Proc, onExit, poll, run } from './proc.mjs';
import { Disk } from './disk.mjs';
import { certificates } from './tls.mjs';

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const env = { ...process.env, PATH };
const NAME = 'signalbox';

/** Small and quick to start; durable as by default. */
const SMALL = ['--innodb-buffer-pool-size=48M', '--innodb-log-file-size=16M', '--innodb-data-file-path=ibdata1:8M:autoextend', '--innodb-autoextend-increment=1',
  '--innodb-temp-data-file-path=ibtmp1:2M:autoextend', '--aria-pagecache-buffer-size=4M', '--aria-log-file-size=8M', '--key-buffer-size=1M', '--skip-log-bin',
  '--performance-schema=OFF', '--feedback=OFF'];

function greeted(port) {
  return new Promise((resolve) => {
    const s = net.connect({ host: '127.0.0.1', port });
    const end = (v) => { s.destroy(); resolve(v); };
    s.setTimeout(1000, () => end(false)).once('data', () => end(true)).once('error', () => end(false)).once('close', () => end(false));
  });
}

export class Mariadb {
  user = NAME;
  database = NAME;
  host = '127.0.0.1';

  /**
   * @param o.dir     folder for everything it writes
   * @param o.ports   a Ports
   * @param o.tls     TLS for those who ask for it, by a CA of its own
   * @param o.diskMb  its data on a file system of so many MB (64 at least; root only, else the test is skipped)
   * @param o.args    further options of mariadbd
   * @param o.keep    lives on when this process ends
   */
  static async start(o) {
    const m = new Mariadb();
    m.o = o;
    m.dir = path.join(o.dir, 'mariadb');
    m.data = path.join(m.dir, 'data');
    m.log = path.join(m.dir, 'mariadbd.log');
    fs.rmSync(m.dir, { recursive: true, force: true });
    fs.mkdirSync(m.data, { recursive: true, mode: 0o700 });
    // names of unix sockets are short, paths of working copies need not be
    m.sockets = fs.mkdtempSync(path.join(os.tmpdir(), 'sb-'));
    if (!o.keep) m.forget = onExit(() => m.sweep());
    m.socket = path.join(m.sockets, 'db');
    m.password = crypto.randomBytes(12).toString('hex');
    try {
      m.port = await o.ports.next();
      if (o.diskMb) m.disk = await Disk.mount(m.data, { mb: o.diskMb });
      if (o.tls) m.tls = await certificates(path.join(m.dir, 'tls'), ['127.0.0.1', 'localhost']);
      await m.install();
      await m.up(['--init-file', m.init]);
      fs.rmSync(m.init);
    } catch (e) {
      await m.stop();
      throw e;
    }
    return m;
  }

  get ca() { return this.tls?.ca; }

  get url() { return `mysql://${this.user}:${this.password}@${this.host}:${this.port}/${this.database}`; }

  get socketUrl() { return `mysql://${this.user}:${this.password}@localhost/${this.database}?socket=${this.socket}`; }

  /** Encrypted, and the server's certificate checked. */
  get tlsUrl() { return `${this.url}?ca=${this.ca}`; }

  /** System tables, an administrator known by the unix socket, and what the first start runs: the database and its user. */
  async install() {
    const who = os.userInfo().username;
    const r = await run('mariadb-install-db', ['--no-defaults', '--datadir', this.data, ...(process.getuid() === 0 ? ['--user=root'] : []),
      '--auth-root-authentication-method=socket', `--auth-root-socket-user=${who}`, '--skip-test-db', '--skip-name-resolve', ...SMALL,
      '--innodb-flush-log-at-trx-commit=0', '--tmpdir', this.dir], { env, timeout: 60000 });
    if (r.code !== 0) throw new Error(`mariadb-install-db ended with ${r.code}: ${r.out.trim().split('\n').slice(-15).join('\n')}`);
    this.init = path.join(this.dir, 'init.sql');
    const users = ['127.0.0.1', 'localhost'].map((host) => `CREATE USER '${NAME}'@'${host}' IDENTIFIED BY '${this.password}';\nGRANT ALL ON ${NAME}.* TO '${NAME}'@'${host}';\n`);
    fs.writeFileSync(this.init, `CREATE DATABASE ${NAME} CHARACTER SET utf8mb4;\n${users.join('')}`, { mode: 0o600 });
  }

  /** Starts it on what is there; resolves when it takes connections. */
  async up(more = []) {
    const args = ['--no-defaults', '--datadir', this.data, '--socket', this.socket, '--pid-file', path.join(this.dir, 'pid'), '--bind-address', this.host,
      '--port', String(this.port), '--skip-name-resolve', '--tmpdir', this.dir, ...SMALL, ...(process.getuid() === 0 ? ['--user=root'] : []),
      ...(this.tls ? ['--ssl-ca', this.tls.ca, '--ssl-cert', this.tls.cert, '--ssl-key', this.tls.key] : []), ...(this.o.args ?? []), ...more];
    // SIGKILL reaches it even when it is frozen
    const argv = this.o.keep ? ['mariadbd', ...args] : ['setpriv', '--pdeathsig', 'KILL', 'mariadbd', ...args];
    this.proc = new Proc(argv[0], argv.slice(1), { log: this.log, cwd: this.dir, env, keep: this.o.keep });
    await poll(async () => {
      if (this.proc.exited) throw new Error(`mariadbd ended with ${this.proc.code}:\n${this.proc.tail()}`);
      return greeted(this.port);
    }, 30000, () => `mariadbd does not answer:\n${this.proc.tail()}`, 30);
  }

  get pid() { return this.proc.pid; }

  async client(o) {
    const r = await run('mariadb', ['--no-defaults', '--socket', this.socket, '--batch', '--skip-column-names', '--raw', ...(o.force ? ['--force'] : []), this.database],
      { env, input: o.input, timeout: o.timeout ?? 60000 });
    if (r.code !== 0) throw new Error(`mariadb: ${r.out.trim() || `exit status ${r.code}`}`);
    return r.stdout;
  }

  /** Statements as its administrator. @return rows as lines, columns separated by tabs */
  query(sql, o = {}) { return this.client({ input: `${sql}\n`, ...o }); }

  file(name, o = {}) { return this.client({ input: fs.readFileSync(name), ...o }); }

  freeze() { this.proc.signal('SIGSTOP'); }

  thaw() { this.proc.signal('SIGCONT'); }

  kill9() { return this.proc.kill(); }

  /** Up again on the same data and port; stops it first if it runs. */
  async restart() {
    if (!this.proc.exited) await this.down();
    await this.up();
  }

  down() {
    this.thaw();
    return this.proc.stop(20000);
  }

  /** Answers again; started if it ended by itself, as InnoDB does when the disk is full and a rollback needs room. @return true if it had ended */
  async revive() {
    let ended = false;
    await poll(async () => {
      if (this.proc.exited) { ended = true; await this.up(); }
      return this.query('SELECT 1;', { timeout: 2000 }).catch(() => false);
    }, 60000, () => `mariadbd does not answer:\n${this.proc.tail()}`, 100);
    return ended;
  }

  /** For connections that are opened from now on. this.url keeps the old one. */
  setPassword(password) { return this.query(['127.0.0.1', 'localhost'].map((h) => `ALTER USER '${NAME}'@'${h}' IDENTIFIED BY '${password}';`).join('\n')); }

  kick() { return this.query(`KILL CONNECTION USER '${NAME}'@'127.0.0.1';\nKILL CONNECTION USER '${NAME}'@'localhost';`); }

  sweep() { fs.rmSync(this.sockets, { recursive: true, force: true }); }

  /** Down, its data gone; the log stays to be looked at. */
  async stop() {
    if (this.proc && !this.proc.exited) await this.proc.kill();
    await this.disk?.remove();
    fs.rmSync(this.data, { recursive: true, force: true });
    this.sweep();
    this.forget?.();
  }
}
