// SPDX-License-Identifier: GPL-2.0-or-later
// Free ports on loopback. A run takes a block of ports by listening on its first one: the kernel gives it to one
// process only, and takes it back when that process dies, however it dies.
import net from 'node:net';
import dgram from 'node:dgram';

const FIRST = 10000, SIZE = 400, BLOCKS = 55; // stays below the usual ephemeral range (32768)

function listen(port, host) {
  return new Promise((resolve) => {
    const s = net.createServer();
    s.once('error', () => resolve(null));
    s.listen({ port, host, exclusive: true }, () => { s.unref(); resolve(s); });
  });
}

function tcpFree(port, host) {
  return listen(port, host).then((s) => s && new Promise((r) => s.close(() => r(true))));
}

function udpFree(port, host) {
  return new Promise((resolve) => {
    const s = dgram.createSocket('udp4');
    s.once('error', () => { s.close(); resolve(false); });
    s.bind({ port, address: host, exclusive: true }, () => s.close(() => resolve(true)));
  });
}

/** A block of ports held against every other run on this machine. close() gives it back. */
export class Ports {
  static async take() {
    const start = process.pid % BLOCKS;
    for (let i = 0; i < BLOCKS; i++) {
      const base = FIRST + ((start + i) % BLOCKS) * SIZE;
      const held = await listen(base, '127.0.0.1');
      if (held) return new Ports(base, held);
    }
    throw new Error(`no free block of ${SIZE} ports between ${FIRST} and ${FIRST + BLOCKS * SIZE}: too many runs beside each other`);
  }

  constructor(base, held) {
    this.base = base;
    this.held = held;
    this.at = base + 2;
    this.top = base + SIZE;
  }

  /** The next port that is free for UDP and TCP on 127.0.0.1, .2 and .3. @param step distance kept to the one after it */
  async next(step = 2) {
    while (this.at + step <= this.top - 160) {
      const port = this.at;
      this.at += step;
      let free = true;
      for (const host of ['127.0.0.1', '127.0.0.2', '127.0.0.3'])
        free = free && (await tcpFree(port, host)) && (await udpFree(port, host));
      if (free) return port;
    }
    throw new Error(`the block of ports from ${this.base} is used up`);
  }

  /** For RTP: [first, last], the upper part of the block. */
  rtp() {
    return [this.top - 160, this.top - 2];
  }

  close() {
    this.held.close();
  }
}
