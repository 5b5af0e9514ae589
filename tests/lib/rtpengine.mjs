// SPDX-License-Identifier: GPL-2.0-or-later
// A real rtpengine, in user space, on loopback.
import path from 'node:path';
import { Proc, within } from './proc.mjs';
import { Ng } from './rpc.mjs';

export class Rtpengine {
  static async start(ports, dir, keep = false) {
    const port = await ports.next();
    const [min, max] = ports.rtp();
    const r = new Rtpengine();
    r.port = port;
    r.proc = new Proc('rtpengine', ['--config-file=none', '--foreground', '--log-stderr', '--log-level=4', '--table=-1', '--interface=127.0.0.1',
      `--listen-ng=127.0.0.1:${port}`, `--port-min=${min}`, `--port-max=${max}`, '--num-threads=2', '--timeout=120', '--delete-delay=0'],
    { log: path.join(dir, 'rtpengine.log'), keep });
    r.ng = new Ng(port);
    const early = r.proc.done.then(() => { throw new Error(`rtpengine did not start:\n${r.proc.tail()}`); });
    early.catch(() => {});
    await Promise.race([within(8000, 'rtpengine does not answer', r.ng.call({ command: 'ping' }, 8000, 100)), early]);
    return r;
  }

  /** What it counted for a call: {packets, bytes, errors} of all RTP it received and forwarded. */
  async totals(callId) {
    const q = await this.ng.call({ command: 'query', 'call-id': callId });
    if (q.result !== 'ok') return null;
    return q.totals.RTP;
  }

  async stop() {
    this.ng.close();
    await this.proc.stop(3000);
  }
}
