// SPDX-License-Identifier: GPL-2.0-or-later
// A disk of a test's own, mounted from a file, that can fill up, freeze or break. Needs root and loop devices: without
// them the test is skipped.
//
//     const d = await Disk.mount(dir, { mb: 64 });     dir exists and is empty; { tmpfs: true }: memory instead, which can only fill up
//     await d.freeze(5); await d.thaw();               writes to it hang meanwhile: never write there from the test itself
//     d.fill(); d.makeRoom();
//     d.fail();                                        as after an I/O error: ext4 makes itself read-only
//     await d.repair();                                when nobody has it open: unmount, check, mount
//     await d.remove();
//
// Whatever becomes of the test, processes of their own thaw and unmount it.
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { run, within } from './proc.mjs';
import { Skip } from './test.mjs';

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const env = { ...process.env, PATH };

async function must(cmd, ...args) {
  const r = await run(cmd, args, { env });
  if (r.code !== 0) throw new Error(`${cmd} ${args.join(' ')}: ${r.out.trim() || `exit status ${r.code}`}`);
  return r.stdout.trim();
}

/** A shell of its own session: it outlives whatever happens to this process. */
function apart(script, args, stdio) {
  return spawn('sh', ['-c', script, 'sh', ...args], { detached: true, stdio, env });
}

export class Disk {
  static async mount(dir, o = {}) {
    if (process.getuid() !== 0) throw new Skip('needs root, to mount a disk of its own');
    const d = new Disk();
    d.dir = dir;
    d.image = `${dir}.img`;
    try {
      if (o.tmpfs) {
        await must('mount', '-t', 'tmpfs', '-o', `size=${o.mb ?? 64}m,mode=700`, 'signalbox-test', dir);
      } else {
        fs.writeFileSync(d.image, '');
        fs.truncateSync(d.image, (o.mb ?? 64) * 1048576);
        await must('mkfs.ext4', '-q', '-F', '-m', '0', d.image);
        await d.attach();
      }
    } catch (e) {
      fs.rmSync(d.image, { force: true });
      throw new Skip(`no disk of its own can be made: ${e.message}`);
    }
    // its standard input ends when this process does
    d.janitor = apart('read -r _; fsfreeze -u "$1"; umount -l "$1"; rm -f "$2"', [dir, d.image], ['pipe', 'ignore', 'ignore']);
    d.janitor.unref();
    d.janitor.stdin.unref?.();
    return d;
  }

  async attach() {
    await must('mount', '-o', 'loop,errors=remount-ro', this.image, this.dir);
    fs.chmodSync(this.dir, 0o700);
    this.device = path.basename(await must('findmnt', '-no', 'SOURCE', '--mountpoint', this.dir));
  }

  /** Writes hang from now on, until thaw(), but no longer than so many seconds. */
  async freeze(seconds) {
    const c = apart('fsfreeze -f "$1" && echo frozen; sleep "$2"; fsfreeze -u "$1"', [this.dir, String(seconds)], ['ignore', 'pipe', 'ignore']);
    c.unref();
    this.freezer = c;
    let said = '';
    await within(15000, `fsfreeze -f ${this.dir}`, new Promise((resolve) => {
      c.stdout.on('data', (t) => { said += t; if (said.includes('frozen')) resolve(); }).on('end', resolve);
    }));
    c.stdout.destroy();
    if (!said.includes('frozen')) throw new Skip(`fsfreeze cannot freeze ${this.dir}`);
  }

  async thaw() {
    if (!this.freezer) return;
    await run('fsfreeze', ['-u', this.dir], { env });
    try { process.kill(-this.freezer.pid, 'SIGTERM'); } catch { /* its time was over */ }
    this.freezer = undefined;
  }

  /** Not a byte is left. */
  fill() {
    const fd = fs.openSync(path.join(this.dir, 'filler'), 'a');
    for (let size = 1048576; size >= 512;) {
      try { if (fs.writeSync(fd, Buffer.alloc(size, 1)) < size) size /= 2; } catch (e) { if (e.code !== 'ENOSPC') throw e; size /= 2; }
    }
    fs.closeSync(fd);
  }

  makeRoom() { fs.rmSync(path.join(this.dir, 'filler')); }

  fail() { fs.writeFileSync(`/sys/fs/ext4/${this.device}/trigger_fs_error`, '1'); }

  /** On a copy: another process with a mount namespace of its own may still hold the broken one. */
  async repair() {
    await must('umount', this.dir);
    await run('blockdev', ['--flushbufs', `/dev/${this.device}`], { env });
    await must('cp', '--sparse=always', this.image, `${this.image}.new`);
    fs.renameSync(`${this.image}.new`, this.image);
    const r = await run('e2fsck', ['-p', this.image], { env });
    if (r.code > 2) throw new Error(`e2fsck ${this.image}: ${r.out}`);
    await this.attach();
  }

  async remove() {
    await this.thaw();
    const ended = new Promise((resolve) => { this.janitor.once('exit', resolve); });
    this.janitor.ref();
    this.janitor.stdin.end('\n');
    await within(15000, `${this.dir} cannot be unmounted`, ended);
  }
}
